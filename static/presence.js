// Who is in the room and who is typing: a count, a list, and a line below the log.

import { hue } from "./item.js";
import { byId, counted, element, fill, texts } from "./page.js";

const count = byId("member-count");
const list = byId("member-list");
const line = byId("typing");

export class Presence {
  #isMine;
  #talks;
  #members = null; // names by user; null: too many to be listed
  #typing = new Map(); // what a user is called, and the timer that forgets that it types, by user

  // `talks`: where private chats are, for those who may have them.
  constructor(isMine, talks) {
    this.#isMine = isMine;
    this.#talks = talks;
  }

  // A `welcome` or `presence` frame.
  stands({ change = "state", user, name, members, names, count: total }) {
    if (members) this.#members = new Map(members.map((user) => [user, names?.[user] ?? texts.other]));
    else if (change === "state" || total > 200) this.#members = null;
    else if (change === "join") this.#members?.set(user, name);
    else this.#members?.delete(user);
    if (change === "leave") this.rests(user);
    count.textContent = counted("members", total);
    byId("members").hidden = false;
    this.#draw();
  }

  types({ user, name, for_ms: time }) {
    if (this.#isMine(user)) return;
    clearTimeout(this.#typing.get(user)?.timer);
    this.#typing.set(user, { name, timer: setTimeout(() => this.rests(user), time) });
    this.#say();
  }

  rests(user) {
    clearTimeout(this.#typing.get(user)?.timer);
    if (this.#typing.delete(user)) this.#say();
  }

  // Nothing is known while there is no connection.
  away() {
    for (const user of [...this.#typing.keys()]) this.rests(user);
  }

  #draw() {
    if (!this.#members) return list.replaceChildren(element("li", "hint", texts.members_many));
    const mine = [...this.#members].filter(([user]) => this.#isMine(user));
    const others = [...this.#members].filter(([user]) => !this.#isMine(user));
    others.sort(([, one], [, other]) => one.localeCompare(other));
    const items = mine.map(([, name]) => element("li", "", fill(texts.you_are, { name: isolated(name) })));
    list.replaceChildren(...items, ...others.map(([user, name]) => this.#other(user, name)));
  }

  // Somebody else, with the way to a private chat between people who have accounts.
  #other(user, name) {
    const item = element("li", "");
    item.dataset.user = user;
    const label = element("bdi", "", name);
    label.dataset.hue = hue(user);
    if (this.#talks && !/^[~#]/.test(name)) {
      const link = element("a", "");
      link.href = `${this.#talks}${encodeURIComponent(name)}/`;
      link.append(label);
      item.append(link);
    } else item.append(label);
    return item;
  }

  #say() {
    const names = [...this.#typing.values()].map(({ name }) => isolated(name));
    const words = ["", texts.typing_one, texts.typing_two][names.length] ?? texts.typing_many;
    line.textContent = fill(words, names);
  }
}

// Within a sentence, whatever the direction of its letters (Unicode's isolates).
function isolated(name) {
  return `\u2068${name}\u2069`;
}
