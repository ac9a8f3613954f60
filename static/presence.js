// Who is in the room and who is typing: a count, a list, and a line below the log.

import { hue, name } from "./item.js";
import { byId, counted, element, fill, texts } from "./page.js";

const count = byId("member-count");
const list = byId("member-list");
const line = byId("typing");

export class Presence {
  #isMine;
  #members = null; // users; null: too many to be listed
  #typing = new Map(); // the timer that forgets it, by user

  constructor(isMine) {
    this.#isMine = isMine;
  }

  // A `welcome` or `presence` frame.
  stands({ change = "state", user, members, count: total }) {
    if (members || change === "state" || total > 200) this.#members = members && new Set(members);
    else if (change === "join") this.#members?.add(user);
    else this.#members?.delete(user);
    if (change === "leave") this.rests(user);
    count.textContent = counted("members", total);
    byId("members").hidden = false;
    this.#draw();
  }

  types({ user, for_ms: time }) {
    if (this.#isMine(user)) return;
    clearTimeout(this.#typing.get(user));
    this.#typing.set(user, setTimeout(() => this.rests(user), time));
    this.#say();
  }

  rests(user) {
    clearTimeout(this.#typing.get(user));
    if (this.#typing.delete(user)) this.#say();
  }

  // Nothing is known while there is no connection.
  away() {
    for (const user of [...this.#typing.keys()]) this.rests(user);
  }

  #draw() {
    if (!this.#members) return list.replaceChildren(element("li", "hint", texts.members_many));
    const mine = [...this.#members].filter((user) => this.#isMine(user));
    const others = [...this.#members].filter((user) => !this.#isMine(user)).sort();
    const items = mine.map((user) => element("li", "", fill(texts.you_are, { name: name(user) })));
    for (const user of others) {
      const item = element("li", "", name(user));
      item.dataset.hue = hue(user);
      items.push(item);
    }
    list.replaceChildren(...items);
  }

  #say() {
    const names = [...this.#typing.keys()].map((user) => name(user));
    const words = ["", texts.typing_one, texts.typing_two][names.length] ?? texts.typing_many;
    line.textContent = fill(words, names);
  }
}

document.addEventListener("click", (event) => {
  const members = byId("members");
  if (!members.contains(event.target)) members.open = false;
});
byId("members").addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !event.currentTarget.open) return;
  event.currentTarget.open = false;
  event.currentTarget.firstElementChild.focus();
});
