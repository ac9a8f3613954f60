// The number of unread private messages: in the account menu of every page, and beside each chat in
// the list of chats.

import { byId, createElement } from "./dom.js";
import { CloseCode, Parlor } from "./parlor.js";

const MAX_SHOWN_COUNT = 99;

export class Inbox {
  #menu;
  #list = byId("dm-list");
  #room = byId("room");
  #chats = new Map(); // `{ name, count }` by user
  #renderTimer = 0; // 0: not set

  // `parlor` is the page's connection, if it has one.
  constructor(menu, parlor) {
    this.#menu = menu;
    const { inbox: path, user } = menu.dataset;
    const inbox = (parlor ?? new Parlor(location.origin, { path, user })).joinInbox();
    inbox.on("welcome", () => this.#changed(() => this.#chats.clear())); // the current counts follow
    inbox.on("unread", ({ user, name, count }) => this.#changed(() => this.#chats.set(user, { name, count })));
    inbox.on("left", ({ code }) => code === CloseCode.LOGIN_ENDED && this.#loggedOut());
    document.addEventListener("visibilitychange", () => this.#render());
  }

  #changed(change) {
    change();
    this.#renderTimer ||= setTimeout(() => this.#render()); // once for several frames
  }

  #loggedOut() {
    this.#menu.hidden = true;
    if (!this.#room) byId("logged-out").hidden = false; // a room shows its own notice
  }

  #render() {
    this.#renderTimer = 0;
    let total = 0;
    for (const [user, { name, count }] of this.#chats) {
      const isInView = user === this.#room?.dataset.peer && !document.hidden;
      if (!isInView) total += count;
      if (this.#list) setCount(this.#badge(user, name), count);
    }
    for (const badge of this.#menu.querySelectorAll("[data-unread]")) setCount(badge, total);
  }

  // Returns the badge of a chat in the list, which may be a new one.
  #badge(user, name) {
    const known = [...this.#list.querySelectorAll("a")].find((link) => link.dataset.user === user);
    if (known) return known.querySelector(".badge");
    const link = createElement("a");
    link.dataset.user = user;
    link.href = `${this.#menu.dataset.dmPath}id:${user}/`; // two users may have one name
    const badge = createElement("span", "badge");
    link.append(createElement("bdi", "", name), badge);
    const item = createElement("li");
    item.append(link);
    this.#list.prepend(item);
    return badge;
  }
}

function setCount(badge, count) {
  badge.textContent = count > MAX_SHOWN_COUNT ? `${MAX_SHOWN_COUNT}+` : count;
  badge.hidden = count === 0;
}
