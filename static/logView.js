// The log in the document: chunks of lines, the scroll position, and the button to the newest
// messages.

import { byId, createElement } from "./dom.js";

const END_TOLERANCE = 48; // px: this close to the end counts as reading the newest
const OLDER_DISTANCE = 200; // px: this close to the top loads older messages
const BATCH_FALLBACK = 500; // ms: a page in the background gets no animation frames

export class LogView {
  #catalogue;
  #scroller = byId("chat-log");
  #list = byId("messages");
  #waiting = byId("waiting"); // a list below all chunks
  #header = byId("chat-log-cap");
  #empty = byId("chat-log-empty");
  #jump = byId("jump");
  #isFollowing = true; // the end stays in view
  #lastTop = 0; // the last known scroll position
  #unread = 0;
  #frame = 0;
  #fallback = 0;

  constructor(catalogue) {
    this.#catalogue = catalogue;
    this.#jump.addEventListener("click", () => {
      this.follow();
      this.#scroller.focus({ preventScroll: true }); // the focused button disappears
    });
    // Keeps the end in view when the view or a message changes its height (keyboard, longer draft,
    // lazy layout).
    const observer = new ResizeObserver(() => this.#isFollowing && this.#scrollToEnd());
    observer.observe(this.#scroller);
    observer.observe(this.#list);
  }

  // Whether the user reads the newest messages.
  get isFollowing() {
    return this.#isFollowing;
  }

  // Whether the user is where messages older than the oldest line would be.
  get isAtOldest() {
    const { scrollHeight, clientHeight, scrollTop } = this.#scroller;
    if (scrollHeight <= clientHeight) return true; // too short to scroll
    return scrollTop < OLDER_DISTANCE && !this.#isFollowing;
  }

  onScroll(callback) {
    this.#scroller.addEventListener("scroll", () => {
      this.#scrolled();
      callback();
    }, { passive: true });
  }

  // Calls back once before the next repaint, or soon in a background page.
  requestBatch(callback) {
    if (this.#frame) return;
    this.#frame = requestAnimationFrame(callback);
    this.#fallback = setTimeout(callback, BATCH_FALLBACK);
  }

  cancelBatch() {
    cancelAnimationFrame(this.#frame);
    clearTimeout(this.#fallback);
    this.#frame = 0;
  }

  // The line above the messages of a day, as `Date.toDateString` names it.
  separator(day) {
    const element = createElement("li", "day", this.#catalogue.day(new Date(day)));
    return { element, id: null, day, isNews: false, isSeparator: true };
  }

  note(text) {
    return { element: createElement("li", "note", text), id: null, day: null, isNews: false };
  }

  // `isPast`: its messages were loaded later than those below it.
  createChunk(isPast) {
    const chunk = createElement("ol", isPast ? "chunk past" : "chunk");
    if (isPast) chunk.ariaLive = "off";
    return chunk;
  }

  fill(chunk, lines) {
    chunk.append(...lines.map((line) => line.element));
  }

  append(chunk) {
    this.#waiting.before(chunk);
  }

  prepend(chunk) {
    this.#keepInPlace(this.#list.firstElementChild, () => this.#list.prepend(chunk));
  }

  removeChunks(chunks, next) {
    this.#keepInPlace(next, () => chunks.forEach((chunk) => chunk.remove()));
  }

  insertBefore(line, next) {
    next.element.before(line.element);
  }

  remove(line) {
    line.element.remove();
  }

  wait(line) {
    this.#waiting.append(line.element);
    this.#empty.hidden = true;
    this.follow();
  }

  setHeader(text) {
    this.#header.textContent = text;
    this.#header.hidden = text === "";
  }

  // A batch with so many new messages was added.
  showBatch(newMessages) {
    this.#empty.hidden = true;
    if (this.#isFollowing) return this.#scrollToEnd();
    this.#unread += newMessages;
    if (this.#unread === 0) return;
    this.#jump.textContent = this.#catalogue.plural("new", this.#unread);
    this.#jump.hidden = false;
  }

  // Scrolls to the end and stays there.
  follow() {
    this.#isFollowing = true;
    this.#markRead();
    this.#scrollToEnd();
  }

  // Not every browser anchors the scroll position, and none does at the very top.
  #keepInPlace(anchor, change) {
    const before = anchor.getBoundingClientRect().top;
    change();
    this.#scroller.scrollTop += anchor.getBoundingClientRect().top - before;
    this.#lastTop = this.#scroller.scrollTop;
  }

  // Only scrolling up ends the following: the distance to the end also grows when messages arrive
  // or are laid out.
  #scrolled() {
    const { scrollHeight, clientHeight, scrollTop } = this.#scroller;
    const isAtEnd = scrollHeight - clientHeight - scrollTop < END_TOLERANCE;
    if (isAtEnd) this.#markRead();
    if (isAtEnd || scrollTop < this.#lastTop) this.#isFollowing = isAtEnd;
    this.#lastTop = scrollTop;
  }

  #markRead() {
    this.#unread = 0;
    this.#jump.hidden = true;
  }

  #scrollToEnd() {
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.#lastTop = this.#scroller.scrollTop;
  }
}
