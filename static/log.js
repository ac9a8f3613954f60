// The log of a room on the screen: inserts once per frame, stays where one reads, keeps a bounded number of messages.

import { message, separator } from "./item.js";
import { byId, counted, element, fill, texts } from "./page.js";

const LINES = 100; // in a chunk: the browser lays out only the chunks in view, and asks each of them if it is
const CHUNKS = 100; // full ones kept on the page; more only slow it down
const SLACK = 5; // chunks over that before any is removed
const NEAR_END = 48; // px: this close to the end counts as reading the newest
const NEAR_TOP = 200; // px: this close to the top wants to see older ones

const scroller = byId("chat-log");
const list = byId("messages");
const waiting = byId("waiting"); // own messages that have no place in the order yet, below all that have
const top = byId("chat-log-cap");
const jump = byId("jump");

export class Log {
  #shown = new Map(); // item by the id of its message: what is on the page
  #queue = [];
  #frame = 0;
  #fallback = 0;
  #following = true; // reading the newest: the end stays in view
  #top = 0; // the last known scroll position
  #unread = 0;
  #day = new Date().toDateString(); // of the last line
  #wantsOlder;

  // `wantsOlder()` is called while the reader is where older ones would stand.
  constructor(wantsOlder) {
    this.#wantsOlder = wantsOlder;
    scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    jump.addEventListener("click", () => {
      this.follow();
      scroller.focus({ preventScroll: true }); // the button is about to vanish with the focus on it
    });
    // The view or a message changes its height (keyboard, longer draft, lazily laid out text): hold on to the end.
    const keep = new ResizeObserver(() => this.#following && this.#toEnd());
    keep.observe(scroller);
    keep.observe(list);
  }

  // The item of the message with this id, if it is on the page.
  item(id) {
    return this.#shown.get(id);
  }

  // The id of the oldest message on the page.
  get oldest() {
    return list.querySelector("[data-id]")?.dataset.id ?? this.#queue.find((item) => item.dataset.id)?.dataset.id;
  }

  // Puts an item at the end of the room's order, also one that waited. `id`: of its message, if it has one.
  put(item, id = null) {
    if (id !== null) this.#name(item, id);
    const { day } = item.dataset;
    if (day && day !== this.#day) {
      this.#day = day;
      this.#queue.push(separator(day));
    }
    this.#queue.push(item);
    this.#schedule();
  }

  // Adds a line about the log itself.
  note(text) {
    this.put(element("li", "note", text));
  }

  // Adds a line of the push stream.
  push(text) {
    this.put(message("push", text));
  }

  // Shows an item below everything until it is put, or removed.
  wait(item) {
    waiting.append(item);
    byId("chat-log-empty").hidden = true;
    this.follow();
  }

  // Puts older messages, `[item, id]` from the oldest on, before all others; what is in view stays in place.
  precede(pairs) {
    this.#flush();
    const past = element("ol", "chunk past");
    past.ariaLive = "off";
    let day = null;
    for (const [item, id] of pairs) {
      this.#name(item, id);
      if (item.dataset.day !== day) past.append(separator(item.dataset.day));
      day = item.dataset.day;
      past.append(item);
    }
    const first = list.firstElementChild;
    const next = first.firstElementChild;
    if (next?.matches(".day") && next.dataset.day === day) next.remove();
    else if (next && !next.matches(".day")) this.#separate(next, day);
    this.#keepInPlace(first, () => list.prepend(past));
  }

  // What is to be said above the oldest message; "" for nothing.
  above(text) {
    top.textContent = text;
    top.hidden = text === "";
  }

  // Asks for older messages if the reader is where they would stand.
  look() {
    if (this.#queue.length) return; // what waits for the next frame may fill the view, and asks again then
    const isShort = scroller.scrollHeight <= scroller.clientHeight; // there is nothing to scroll
    if (isShort || (scroller.scrollTop < NEAR_TOP && !this.#following)) this.#wantsOlder();
  }

  // Goes to the end and stays there.
  follow() {
    this.#following = true;
    this.#seen();
    this.#toEnd();
  }

  #name(item, id) {
    item.dataset.id = id;
    this.#shown.set(id, item);
  }

  // The message before the first one on the page may be of another day.
  #separate(next, day) {
    const dated = next.dataset.day ? next : list.querySelector("[data-day]");
    if (dated && dated.dataset.day !== day) next.before(separator(dated.dataset.day));
  }

  #schedule() {
    if (this.#frame) return;
    this.#frame = requestAnimationFrame(() => this.#flush());
    this.#fallback = setTimeout(() => this.#flush(), 500); // a page in the background gets no frames
  }

  #flush() {
    cancelAnimationFrame(this.#frame);
    clearTimeout(this.#fallback);
    this.#frame = 0;
    const batch = this.#queue.splice(0);
    if (batch.length === 0) return;
    byId("chat-log-empty").hidden = true;
    this.#append([...batch]);
    this.#trim();
    if (this.#following) this.#toEnd();
    else this.#tellOf(batch);
    this.look();
  }

  #append(batch) {
    while (batch.length) {
      let chunk = waiting.previousElementSibling;
      if (!chunk || chunk.childElementCount >= LINES || chunk.matches(".past")) {
        waiting.before((chunk = element("ol", "chunk")));
      }
      chunk.append(...batch.splice(0, LINES - chunk.childElementCount));
    }
  }

  #tellOf(batch) {
    this.#unread += batch.filter((item) => item.matches(".message:not(.own)")).length;
    if (this.#unread === 0) return;
    jump.textContent = counted("new", this.#unread);
    jump.hidden = false;
  }

  // Who reads above is not to have the page cut under the eyes: for them the bound is twice as far.
  #trim() {
    const chunks = [...list.children].filter((chunk) => chunk !== waiting);
    const bound = this.#following ? CHUNKS : 2 * CHUNKS;
    if (chunks.length <= bound + SLACK) return;
    this.#keepInPlace(chunks.at(-bound), () => {
      for (const chunk of chunks.slice(0, -bound)) {
        for (const item of chunk.querySelectorAll("[data-id]")) this.#shown.delete(item.dataset.id);
        chunk.remove();
      }
    });
    this.above(fill(texts.cap, { count: bound * LINES }));
  }

  // Not every browser keeps the view in place by itself, and none does at the very top.
  #keepInPlace(anchor, change) {
    const before = anchor.getBoundingClientRect().top;
    change();
    scroller.scrollTop += anchor.getBoundingClientRect().top - before;
    this.#top = scroller.scrollTop;
  }

  // Only a way up ends the following: the distance to the end also grows when messages come or get their real height.
  #scrolled() {
    const end = scroller.scrollHeight - scroller.clientHeight - scroller.scrollTop < NEAR_END;
    if (end) this.#seen();
    if (end || scroller.scrollTop < this.#top) this.#following = end;
    this.#top = scroller.scrollTop;
    this.look();
  }

  #seen() {
    this.#unread = 0;
    jump.hidden = true;
  }

  #toEnd() {
    scroller.scrollTop = scroller.scrollHeight;
    this.#top = scroller.scrollTop;
  }
}
