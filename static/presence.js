// The users in the room and the users who are typing: a count, a list, and a line below the log.

import { byId, createElement } from "./dom.js";
import { userHue } from "./userHue.js";

const MAX_LISTED_MEMBERS = 200; // above it the server sends the count only

export class Presence {
  #panel = byId("members");
  #count = byId("member-count");
  #list = byId("member-list");
  #typingLine = byId("typing");
  #catalogue;
  #isOwn;
  #dmPath;
  #members = null; // names by user; null: too many to be listed
  #typing = new Map(); // `{ name, timer }` by user

  // `isOwn(user)` returns whether an id is the user's own. `dmPath` is the path of private chats,
  // for users who may have them.
  constructor(catalogue, isOwn, dmPath) {
    this.#catalogue = catalogue;
    this.#isOwn = isOwn;
    this.#dmPath = dmPath;
  }

  // Handles a `welcome` or `presence` frame.
  update({ change = "state", user, name, members, names, count }) {
    const { other } = this.#catalogue.texts;
    if (members) this.#members = new Map(members.map((user) => [user, names?.[user] ?? other]));
    else if (change === "state" || count > MAX_LISTED_MEMBERS) this.#members = null;
    else if (change === "join" || change === "rename") this.#members?.set(user, name);
    else this.#members?.delete(user);
    if (change === "rename") this.#renameTyping(user, name);
    if (change === "leave") this.stopTyping(user);
    this.#count.textContent = this.#catalogue.plural("members", count);
    this.#panel.hidden = false;
    this.#renderMembers();
  }

  // Handles a `typing` frame.
  startTyping({ user, name, for_ms: duration }) {
    if (this.#isOwn(user)) return;
    clearTimeout(this.#typing.get(user)?.timer);
    this.#typing.set(user, { name, timer: setTimeout(() => this.stopTyping(user), duration) });
    this.#renderTyping();
  }

  #renameTyping(user, name) {
    const typing = this.#typing.get(user);
    if (!typing) return;
    typing.name = name;
    this.#renderTyping();
  }

  stopTyping(user) {
    clearTimeout(this.#typing.get(user)?.timer);
    if (this.#typing.delete(user)) this.#renderTyping();
  }

  // Forgets who is typing, while there is no connection.
  clearTyping() {
    for (const user of [...this.#typing.keys()]) this.stopTyping(user);
  }

  #renderMembers() {
    const { texts } = this.#catalogue;
    if (!this.#members) return this.#list.replaceChildren(createElement("li", "hint", texts.members_many));
    const own = [...this.#members].filter(([user]) => this.#isOwn(user));
    const others = [...this.#members].filter(([user]) => !this.#isOwn(user));
    others.sort(([, one], [, other]) => one.localeCompare(other));
    const label = (name) => this.#catalogue.fill(texts.you_are, { name: isolate(name) });
    const items = own.map(([, name]) => createElement("li", "", label(name)));
    this.#list.replaceChildren(...items, ...others.map(([user, name]) => this.#otherMember(user, name)));
  }

  // Another user, with a link to the private chat if both have accounts.
  #otherMember(user, name) {
    const item = createElement("li");
    item.dataset.user = user;
    const label = createElement("bdi", "", name);
    label.dataset.hue = userHue(user);
    if (this.#dmPath && !/^[~#]/.test(name)) {
      const link = createElement("a");
      link.href = `${this.#dmPath}id:${user}/`; // two users may have one name
      link.append(label);
      item.append(link);
    } else item.append(label);
    return item;
  }

  #renderTyping() {
    const { texts } = this.#catalogue;
    const names = [...this.#typing.values()].map(({ name }) => isolate(name));
    const words = ["", texts.typing_one, texts.typing_two][names.length] ?? texts.typing_many;
    this.#typingLine.textContent = this.#catalogue.fill(words, names);
  }
}

// Keeps the direction of a name from affecting the sentence around it (Unicode's isolates).
function isolate(name) {
  return `\u2068${name}\u2069`;
}
