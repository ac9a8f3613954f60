// The person's messages until the server has them: kept in storage, sent one after another, each under one id for ever.

const KEPT = 50; // messages of a room that may wait
const YOUNG = 4 * 60000; // ms: the server knows an id for 5 minutes; what is older is not repeated without asking
const PATIENCE = 10000; // ms: a line that brings no answer for this long is dead
const FIRST_CEILING = 1000; // ms until a message is repeated that the server could not take; doubles with each failure
const LAST_CEILING = 8000;
const LOOK = 5000; // ms between two looks for what has grown old

// `send(frame)` gives false when there is no connection. `tell.waits(entry, code)`, `tell.failed(entry)` and
// `tell.gone(entry)` follow an entry `{ id, text, at, failed }` (`failed`: "" or why); `tell.dead()` asks for a new
// connection.
export class Outbox {
  #prefix;
  #send;
  #tell;
  #entries = [];
  #flight = null; // the one that waits for its answer
  #patience = 0; // timers, 0 = none
  #retry = 0;
  #failures = 0;

  constructor(room, send, tell) {
    this.#prefix = `parlor.unsent:${room}:`;
    this.#send = send;
    this.#tell = tell;
    this.#entries = this.#stored();
    addEventListener("storage", (event) => this.#elsewhere(event));
    setInterval(() => this.#age(), LOOK);
  }

  get entries() {
    return [...this.#entries];
  }

  // The entry that is under way.
  get flight() {
    return this.#flight;
  }

  // The new entry; null when too many wait.
  add(text) {
    if (this.#entries.length >= KEPT) return null;
    const entry = { id: uuid(), text, at: Date.now(), failed: "" };
    this.#entries.push(entry);
    this.#store(entry);
    return entry;
  }

  // Sends what waits, the oldest first. One at a time: a message that must be repeated is not overtaken.
  pump() {
    if (this.#flight || this.#retry) return;
    this.#age();
    const entry = this.#entries.find((entry) => !entry.failed);
    if (!entry || !this.#send({ type: "message", message: entry.text, id: entry.id })) return;
    this.#flight = entry;
    this.#patience = setTimeout(() => this.#tell.dead(), PATIENCE);
  }

  // A new connection: what was under way on the old one may or may not have arrived, and goes again.
  renew() {
    this.#landed();
    this.#failures = 0;
    this.pump();
  }

  // The entry that this frame acknowledges.
  ack(frame) {
    const entry = this.#entries.find((entry) => entry.id === frame.client_id);
    if (!entry) return null;
    this.#failures = 0;
    this.#forget(entry);
    return entry;
  }

  error(frame) {
    const entry = this.#entries.find((entry) => entry.id === frame.client_id);
    if (!entry) return;
    if (entry === this.#flight) this.#landed();
    if (!frame.retry) this.#fail(entry, frame.code);
    else {
      const ceiling = Math.min(LAST_CEILING, FIRST_CEILING * 2 ** this.#failures++);
      clearTimeout(this.#retry);
      this.#retry = setTimeout(() => this.#again(), (ceiling * (1 + Math.random())) / 2);
      this.#tell.waits(entry, frame.code);
    }
    this.pump();
  }

  // The connection has ended for good, and what was under way may be why.
  end() {
    this.#landed();
    for (const entry of this.entries) if (!entry.failed) this.#fail(entry, "ended");
  }

  // The person wants a failed message to be sent after all.
  repeat(entry) {
    entry.failed = "";
    entry.at = Date.now();
    this.#store(entry);
    this.#entries = [...this.#entries.filter((other) => other !== entry), entry];
    this.pump();
  }

  // The person does not want it any more.
  discard(entry) {
    this.#forget(entry);
  }

  #again() {
    this.#retry = 0;
    this.pump();
  }

  #landed() {
    clearTimeout(this.#patience);
    clearTimeout(this.#retry);
    this.#retry = 0;
    this.#flight = null;
  }

  #fail(entry, why) {
    entry.failed = why;
    this.#store(entry);
    this.#tell.failed(entry);
  }

  #forget(entry) {
    this.#entries = this.#entries.filter((other) => other !== entry);
    try {
      localStorage.removeItem(this.#prefix + entry.id);
    } catch {}
    if (entry === this.#flight) this.#landed();
    this.pump();
  }

  #age() {
    const old = (entry) => !entry.failed && entry !== this.#flight && Date.now() - entry.at > YOUNG;
    for (const entry of this.#entries.filter(old)) this.#fail(entry, "expired");
  }

  // One key for each message: tabs of one room cannot overwrite each other's. Without storage (full, forbidden) it
  // lasts as long as the page.
  #store(entry) {
    try {
      localStorage.setItem(this.#prefix + entry.id, JSON.stringify(entry));
    } catch {}
  }

  #stored() {
    try {
      const keys = Object.keys(localStorage).filter((key) => key.startsWith(this.#prefix));
      const entries = keys.map((key) => JSON.parse(localStorage.getItem(key)));
      const good = entries.filter((entry) => typeof entry?.text === "string" && Number.isFinite(entry.at));
      return good.sort((a, b) => a.at - b.at).slice(-KEPT);
    } catch {
      return [];
    }
  }

  // Another tab, which read the same message from storage, has settled it.
  #elsewhere({ key, newValue }) {
    const entry = this.#entries.find((entry) => this.#prefix + entry.id === key);
    if (!entry || newValue !== null || entry === this.#flight) return;
    this.#forget(entry);
    this.#tell.gone(entry);
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
