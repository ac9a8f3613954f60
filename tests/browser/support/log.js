// Lines and a view of the log that need no document.

import { Catalogue } from "../../../static/catalogue.js";

export const catalogue = new Catalogue(
  {
    beginning: "beginning",
    cap: "latest {count}",
    failed: { expired: "expired", refused: "refused {code}" },
    missing: { trimmed: "trimmed", unknown: "unknown" },
    older: "loading",
    again: "again",
    discard: "discard",
  },
  "en",
);

export const TODAY = new Date().toDateString();

// A message view that remembers its state instead of showing it.
export class FakeView {
  id = null;
  day = TODAY;
  state = "";
  words = "";
  actions = {};
  isRedacted = false;
  isSilent = false;
  isRemoved = false;

  constructor(kind, text, details = {}) {
    this.kind = kind;
    this.text = text;
    this.details = details;
    if (details.at !== undefined) this.setTime(details.at);
  }

  get isNews() {
    return this.kind !== "own";
  }

  setTime(at) {
    this.day = new Date(at).toDateString();
  }

  markOwn() {
    this.kind = "own";
  }

  markSending(words) {
    Object.assign(this, { state: "sending", words });
  }

  markSent() {
    this.state = "sent";
  }

  markFailed(words, actions) {
    Object.assign(this, { state: "failed", words, actions: Object.fromEntries(actions) });
  }

  redact() {
    this.isRedacted = true;
  }

  silence() {
    this.isSilent = true;
  }

  remove() {
    this.isRemoved = true;
  }
}

// Shows chunks as arrays of lines.
export class FakeLogView {
  isFollowing = true;
  isAtOldest = false;
  chunks = [];
  waiting = [];
  header = "";
  newMessages = 0;
  #batch = null;

  // The lines in order: texts, and days in brackets.
  get lines() {
    return this.chunks.flat().map((line) => (line.isSeparator ? `[${line.day}]` : line.text));
  }

  // What the browser does before it repaints.
  repaint() {
    this.#batch?.();
  }

  onScroll(callback) {
    this.scroll = callback;
  }

  requestBatch(callback) {
    this.#batch = callback;
  }

  cancelBatch() {
    this.#batch = null;
  }

  separator(day) {
    return { id: null, day, isNews: false, isSeparator: true };
  }

  note(text) {
    return { id: null, day: null, isNews: false, text };
  }

  createChunk() {
    return [];
  }

  fill(chunk, lines) {
    for (const line of lines) {
      this.waiting = this.waiting.filter((other) => other !== line);
      chunk.push(line);
    }
  }

  append(chunk) {
    this.chunks.push(chunk);
  }

  prepend(chunk) {
    this.chunks.unshift(chunk);
  }

  removeChunks(removed) {
    this.chunks = this.chunks.filter((chunk) => !removed.includes(chunk));
  }

  insertBefore(line, next) {
    const chunk = this.chunks.find((chunk) => chunk.includes(next));
    chunk.splice(chunk.indexOf(next), 0, line);
  }

  remove(line) {
    this.chunks = this.chunks.map((chunk) => chunk.filter((other) => other !== line));
  }

  wait(line) {
    this.waiting = [...this.waiting.filter((other) => other !== line), line];
  }

  setHeader(text) {
    this.header = text;
  }

  showBatch(newMessages) {
    if (!this.isFollowing) this.newMessages += newMessages;
  }

  follow() {
    this.isFollowing = true;
  }
}
