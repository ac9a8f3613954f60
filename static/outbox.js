// The user's messages until the server has acknowledged them: stored, sent one after another, each
// under one id.

const MAX_ENTRIES = 50; // of a room
// The server remembers ids for 5 minutes; older messages are sent again only by the user.
const MAX_AGE = 4 * 60000; // ms
// Without an answer for so long the connection counts as dead; on a slow line a message takes
// longer.
const ACK_TIMEOUT = 10000; // ms
const MIN_UPLOAD_RATE = 2; // bytes a ms
const MAX_ACK_PATIENCE = 8; // the factor doubles with each connection that counted as dead
const FIRST_MAX_BACKOFF = 1000; // ms before the first retry; doubles with each failure
const LAST_MAX_BACKOFF = 8000; // ms
const AGE_CHECK_INTERVAL = 5000; // ms

// Why a message has failed, besides the error codes of the server.
export const Failure = Object.freeze({
  EXPIRED: "expired", // not confirmed in time
  ENDED: "ended", // the server closed the connection for good
  PUBLIC: "public", // written for a private room that is private no more
});

// An entry is `{ id, text, at, failed, isPrivate }`; `failed` is "" or the reason. `send(frame)` returns false
// when there is no connection. `events.delayed(entry, code)`, `events.failed(entry)` and
// `events.removed(entry)` report changes; `events.dead()` asks for a new connection, and
// `events.isUploading()` returns whether what was sent still waits in the browser.
export class Outbox {
  #store;
  #send;
  #events;
  #entries;
  #inFlight = null; // the entry that waits for its answer
  #ackTimer = 0; // 0: not set
  #retryTimer = 0;
  #failures = 0;
  #ackPatience = 1;
  #isPrivate; // the room, as far as the page knows

  constructor(store, send, events, isPrivate = false) {
    this.#isPrivate = isPrivate;
    this.#store = store;
    this.#send = send;
    this.#events = events;
    this.#entries = store.load().slice(-MAX_ENTRIES);
    store.onRemoved((id) => this.#removedElsewhere(id));
    setInterval(() => this.#expire(), AGE_CHECK_INTERVAL);
  }

  get entries() {
    return [...this.#entries];
  }

  // The entry that waits for its answer, or null.
  get inFlight() {
    return this.#inFlight;
  }

  // Adds a message; returns its entry, or null when the outbox is full.
  add(text) {
    if (this.#entries.length >= MAX_ENTRIES) return null;
    const entry = { id: uuid(), text, at: Date.now(), failed: "", isPrivate: this.#isPrivate };
    this.#entries.push(entry);
    this.#store.save(entry);
    return entry;
  }

  // Sends the oldest entry unless one is in flight: a message that must be repeated is not
  // overtaken.
  pump() {
    if (this.#inFlight || this.#retryTimer) return;
    this.#expire();
    const entry = this.#entries.find((entry) => !entry.failed);
    if (!entry || !this.#send({ type: "message", message: entry.text, id: entry.id })) return;
    this.#inFlight = entry;
    const size = new TextEncoder().encode(entry.text).length;
    this.#awaitAck(ACK_TIMEOUT * this.#ackPatience + Math.floor(size / MIN_UPLOAD_RATE));
  }

  // Handles a sign that the message in flight has arrived, before its `ack`.
  echoed() {
    if (this.#inFlight) this.#awaitAck(ACK_TIMEOUT);
  }

  // Continues on a new connection. The entry in flight is sent again: it may or may not have
  // arrived. Holds back what was written for a private room when the room is private no more.
  resume(isPrivate = this.#isPrivate) {
    this.#isPrivate = isPrivate;
    this.#clearFlight();
    this.#failures = 0;
    const isForFew = (entry) => entry.isPrivate && !isPrivate && !entry.failed;
    for (const entry of this.#entries.filter(isForFew)) this.#fail(entry, Failure.PUBLIC);
    this.pump();
  }

  // Handles an `ack` frame; returns its entry, or null for an unknown one.
  ack(frame) {
    const entry = this.#entries.find((entry) => entry.id === frame.client_id);
    if (!entry) return null;
    this.#failures = 0;
    this.#ackPatience = 1;
    this.#remove(entry);
    return entry;
  }

  // Handles an `error` frame.
  error(frame) {
    const entry = this.#entries.find((entry) => entry.id === frame.client_id);
    if (!entry) return;
    if (entry === this.#inFlight) this.#clearFlight();
    if (!frame.retry) this.#fail(entry, frame.code);
    else {
      const max = Math.min(LAST_MAX_BACKOFF, FIRST_MAX_BACKOFF * 2 ** this.#failures++);
      clearTimeout(this.#retryTimer);
      this.#retryTimer = setTimeout(() => this.#retry(), (max * (1 + Math.random())) / 2);
      this.#events.delayed(entry, frame.code);
    }
    this.pump();
  }

  // Fails all entries: the server has closed the connection for good, perhaps because of the one in
  // flight.
  end() {
    this.#clearFlight();
    for (const entry of this.entries) if (!entry.failed) this.#fail(entry, Failure.ENDED);
  }

  // Queues a failed entry again, at the end.
  resend(entry) {
    entry.failed = "";
    entry.at = Date.now();
    entry.isPrivate = this.#isPrivate;
    this.#store.save(entry);
    this.#entries = [...this.#entries.filter((other) => other !== entry), entry];
    this.pump();
  }

  // Drops an entry.
  discard(entry) {
    this.#remove(entry);
  }

  #awaitAck(timeout) {
    clearTimeout(this.#ackTimer);
    this.#ackTimer = setTimeout(() => {
      // It has not left the browser: the time of the answer begins later.
      if (this.#events.isUploading()) return this.#awaitAck(ACK_TIMEOUT);
      this.#ackPatience = Math.min(MAX_ACK_PATIENCE, 2 * this.#ackPatience);
      this.#events.dead();
    }, timeout);
  }

  #retry() {
    this.#retryTimer = 0;
    this.pump();
  }

  #clearFlight() {
    clearTimeout(this.#ackTimer);
    clearTimeout(this.#retryTimer);
    this.#retryTimer = 0;
    this.#inFlight = null;
  }

  #fail(entry, reason) {
    entry.failed = reason;
    this.#store.save(entry);
    this.#events.failed(entry);
  }

  #remove(entry) {
    this.#entries = this.#entries.filter((other) => other !== entry);
    this.#store.remove(entry.id);
    if (entry === this.#inFlight) this.#clearFlight();
    this.pump();
  }

  #expire() {
    const isOld = (entry) => !entry.failed && entry !== this.#inFlight && Date.now() - entry.at > MAX_AGE;
    for (const entry of this.#entries.filter(isOld)) this.#fail(entry, Failure.EXPIRED);
  }

  // Another tab, which loaded the same entry, has settled it.
  #removedElsewhere(id) {
    const entry = this.#entries.find((entry) => entry.id === id);
    if (!entry || entry === this.#inFlight) return;
    this.#remove(entry);
    this.#events.removed(entry);
  }
}

// `crypto.randomUUID` exists on secure origins only.
function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40; // version 4
  bytes[8] = (bytes[8] & 0x3f) | 0x80; // variant 1
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
