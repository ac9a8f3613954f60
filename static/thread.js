// The messages of a room in their order: which are read, where to go on from, and where some may be missing.

import { mark, message, remove } from "./item.js";
import { texts } from "./page.js";

const TAIL = 50; // messages of the past on the first load, and in each page before them
const FEED_TAIL = 200; // … where pages cannot be asked for
const ALL = 1000; // when nothing was read although the page was connected: the most that the server gives

// `history(before, limit)` asks for older ones, as `Socket` has it. `said(frame, isNews)` hears of each message that
// was put into the log: `isNews` if somebody else said it since the page was opened.
export class Thread {
  #log;
  #own;
  #history;
  #said;
  #mine = new Set(); // what the person's id was on any connection of this page
  #position = null; // the id of the last message read
  #last = null; // the id up to which the past goes; null: live
  #isFirst = true; // the past of the first load
  #welcomes = 0;
  #floor = null; // the room's newest id when the page was welcomed and had read nothing
  #suspects = false; // is the next message to be held against the floor
  #noted = false; // was a hole told since the last message
  #asking = false;
  #beginning = null; // the id of the message before which there is none

  constructor(log, own, history, said) {
    this.#log = log;
    this.#own = own;
    this.#history = history;
    this.#said = said;
  }

  // What the next connection is to be asked for.
  query(via) {
    if (this.#position !== null) return { since: this.#position };
    if (this.#welcomes > 0) return { history: ALL };
    return { history: via === "feed" ? FEED_TAIL : TAIL };
  }

  isMine(user) {
    return this.#mine.has(user);
  }

  welcome({ user, last, recovered, reason }) {
    this.#mine.add(user);
    this.#isFirst = this.#welcomes++ === 0;
    this.#last = last === this.#position ? null : last;
    if (!recovered && reason !== "new") this.missing(reason);
    if (last === null) this.#position = null; // the log is empty, whatever it held
    if (this.#position !== null) return;
    this.#suspects = !this.#isFirst && reason === "new";
    if (!this.#suspects) this.#floor = last;
  }

  message(frame) {
    const { id = null, prev = null, user } = frame;
    if (id !== null && this.#log.item(id)) return this.#passed(id);
    if (id !== null) {
      if (this.#suspects && prev !== null && prev !== this.#floor) this.missing("trimmed");
      this.#suspects = false;
      this.#position = id;
      if (prev === null) this.#beginning = id;
      if (prev === this.#last) this.#last = null; // all of the past is gone by
    }
    const isLive = id === null || this.#last === null;
    const item = this.#item(frame, isLive);
    if (!isLive && this.#isFirst) item.ariaLive = "off"; // fifty messages at once are not to be read aloud
    this.#log.put(item, id);
    this.#noted = false;
    this.#said(frame, (isLive || !this.#isFirst) && !this.isMine(user));
    this.#passed(id);
  }

  // The id of the last message read.
  get position() {
    return this.#position;
  }

  // An operator removed a message.
  removed({ id }) {
    const item = this.#log.item(id);
    if (item) remove(item);
  }

  // Between the last message and the next one some may be missing.
  missing(reason) {
    if (this.#noted) return;
    this.#noted = true;
    this.#log.note(texts.missing[reason] ?? texts.missing.unknown);
  }

  // Shows the messages before the oldest one that is shown.
  async older() {
    const { oldest } = this.#log;
    if (this.#asking || oldest === undefined || this.#last !== null) return; // the past may still fill the view
    if (oldest === this.#beginning) return this.#log.above(texts.beginning);
    this.#asking = true;
    this.#log.above(texts.older);
    const frame = await this.#history(oldest, TAIL);
    this.#asking = false;
    this.#log.above("");
    if (!frame) return; // asked again when the reader moves
    const unknown = frame.messages.filter(({ id }) => !this.#log.item(id));
    if (unknown.length) this.#log.precede(unknown.map((one) => [this.#item(one, false), one.id]));
    if (!frame.more || unknown.length === 0) this.#beginning = this.#log.oldest;
    this.#log.look();
  }

  // The end of the past is a place to go on from, also when its message was there already.
  #passed(id) {
    if (id === null || id !== this.#last) return;
    this.#last = null;
    this.#position = id;
  }

  #item(frame, isLive) {
    const isMine = this.isMine(frame.user);
    const waiting = this.#own.take(frame, isLive && isMine);
    if (waiting) return waiting;
    const text = typeof frame.text === "string" ? frame.text : frame.message;
    const { user, name, at } = frame;
    const item = message(isMine ? "own" : "other", text, { user, name, at: at ?? Date.now() });
    if (frame.removed) remove(item);
    if (isMine) mark(item, "sent", texts.sent);
    return item;
  }
}
