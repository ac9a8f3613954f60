// A connection that comes back by itself: the next line is welcomed before the one in use is let go.

const WELCOME = 5000; // ms: a frozen node takes the connection and never greets
const FLOOR = 50; // ms
const FIRST_CEILING = 500; // ms of the first wait, with full jitter; it doubles with each failure
const LAST_CEILING = 15000;
const SETTLED = 5000; // ms open before the backoff is forgiven: a node that greets and dies is still failing
const SILENCE = 30000; // ms: then ask
const ANSWER = 10000; // ms for the answer
const QUIET = 5000; // ms: silent for this long when the reader comes back is worth a question
const CHECK = 2000; // ms between two looks at the clock
const BLOCKED = 2; // WebSockets in a row without a welcome: try the feed
const UPGRADE_FIRST = 5000; // ms on the feed until a WebSocket is tried again
const UPGRADE = 60000; // … and after that
const FINAL = new Set([1002, 1003, 1007, 1008, 1009, 4401, 4403]); // asking again changes nothing

// `open.socket` and, where there is one, `open.feed` open one line each (see `wire`). `handlers.query(via)` gives the
// parameters of the next line, `handlers.frame(frame)` gets each frame, and `handlers.state(state, via, end)` gets
// connecting, open, reconnecting or offline; `end`, if a connection was closed: `{ code, reason, isFinal }`.
export class Socket {
  #open;
  #handlers;
  #told = "";
  #line = null; // the one in use: welcomed
  #next = null; // the one that waits for its welcome
  #opened = false; // has any line ever been welcomed
  #end = null; // how the last line was closed, until the next welcome
  #failures = 0;
  #unwelcome = 0; // WebSockets in a row
  #retry = 0; // timers, 0 = none
  #settled = 0;

  constructor(open, handlers) {
    this.#open = open;
    this.#handlers = handlers;
    addEventListener("online", () => this.#wake());
    addEventListener("offline", () => this.#report());
    addEventListener("pageshow", () => this.#wake());
    document.addEventListener("visibilitychange", () => document.hidden || this.#wake());
    setInterval(() => this.#listen(SILENCE), CHECK);
    this.#dial("socket");
  }

  // False when there is no line; true means handed to the browser, not that it arrived.
  send(frame) {
    return this.#line?.wire.send(frame) ?? false;
  }

  // The messages before an id; null when this line cannot give them, or died meanwhile.
  async history(before, limit) {
    return this.#ask(this.#line, { type: "history", before, limit });
  }

  // For a caller who knows that the connection is dead although the browser does not.
  restart() {
    if (this.#line) this.#gone(this.#line, 0);
  }

  #dial(via) {
    clearTimeout(this.#retry);
    this.#retry = 0;
    const line = { via, heard: performance.now(), asked: [], probed: 0 };
    this.#next = line;
    line.deadline = setTimeout(() => this.#gone(line, 0), WELCOME);
    line.wire = this.#open[via](this.#handlers.query(via), {
      frame: (frame) => this.#heard(line, frame),
      beat: () => (line.heard = performance.now()),
      gone: (code, reason) => this.#gone(line, code, reason),
    });
    this.#report();
  }

  #heard(line, frame) {
    line.heard = performance.now();
    if (line === this.#next && frame.type === "welcome") this.#welcomed(line);
    if (line !== this.#line) return;
    if (frame.type === "history") line.asked.shift()?.(frame);
    else if (frame.type === "error" && frame.client_id == null) line.asked.shift()?.(null);
    else if (frame.type === "bye") this.#later(line.via, frame.reconnect_ms * 0.9); // the rest is for the handshake
    else this.#handlers.frame(frame);
    if (frame.type === "welcome") this.#report();
  }

  #welcomed(line) {
    if (this.#line) this.#drop(this.#line);
    this.#line = line;
    this.#next = null;
    this.#end = null;
    this.#opened = true;
    clearTimeout(line.deadline);
    clearTimeout(this.#settled);
    this.#settled = setTimeout(() => (this.#failures = 0), SETTLED);
    if (line.via === "socket") this.#unwelcome = 0;
    else this.#later("socket", UPGRADE_FIRST);
  }

  // Dials a successor while the line is in use.
  #later(via, wait) {
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.#dial(via), wait);
  }

  #gone(line, code, reason = "") {
    if (line !== this.#line && line !== this.#next) return;
    this.#drop(line);
    if (line === this.#line) {
      this.#line = null;
      clearTimeout(this.#settled);
      if (!this.#next) this.#again(code, reason); // else its successor is on the way
    } else {
      this.#next = null;
      this.#unwelcome = line.via === "socket" ? this.#unwelcome + 1 : 0;
      if (!this.#line) this.#again(code, reason);
      else this.#later("socket", this.#line.via === "feed" ? UPGRADE : this.#wait());
    }
    this.#report();
  }

  #again(code, reason) {
    clearTimeout(this.#retry);
    this.#retry = 0;
    this.#end = { code, reason, isFinal: FINAL.has(code) };
    if (this.#end.isFinal) return;
    this.#later(this.#via(), this.#wait());
  }

  #drop(line) {
    clearTimeout(line.deadline);
    line.wire.close();
    for (const answer of line.asked.splice(0)) answer(null);
  }

  #via() {
    return this.#open.feed && this.#unwelcome >= BLOCKED ? "feed" : "socket";
  }

  #wait() {
    const ceiling = Math.min(LAST_CEILING, FIRST_CEILING * 2 ** this.#failures++);
    return FLOOR + Math.random() * (ceiling - FLOOR);
  }

  #ask(line, question) {
    if (!line?.wire.asks || !line.wire.send(question)) return Promise.resolve(null);
    return new Promise((answer) => line.asked.push(answer));
  }

  // Silence may be a quiet room or a dead line: a small question tells.
  #listen(patience) {
    const line = this.#line;
    const silent = performance.now() - (line?.heard ?? Infinity);
    if (silent < patience) return;
    if (!line.wire.asks) {
      if (silent > SILENCE + ANSWER) this.#gone(line, 0);
    } else if (line.probed > line.heard) {
      if (performance.now() - line.probed > ANSWER) this.#gone(line, 0);
    } else {
      line.probed = performance.now();
      this.#ask(line, { type: "history", limit: 1 });
    }
  }

  // Online or in front again: whatever made it fail may be over, so do not sit out the wait.
  #wake() {
    if (this.#end?.isFinal) return;
    if (this.#line?.wire.closed) this.#gone(this.#line, 0); // closed while the page was frozen
    if (this.#line) this.#listen(QUIET);
    else if (!this.#next) this.#dial(this.#via());
  }

  // Offline is only a word for the reader: a server on this machine is reachable without a network, so tries go on.
  #report() {
    const via = this.#line?.via ?? "";
    let state = this.#opened || this.#failures ? "reconnecting" : "connecting";
    if (this.#line) state = "open";
    else if (this.#end?.isFinal || !navigator.onLine) state = "offline";
    const told = [state, via, this.#end?.code].join();
    if (this.#told === told) return;
    this.#told = told;
    this.#handlers.state(state, via, this.#end);
  }
}
