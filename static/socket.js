// A connection that reconnects: a replacement is welcomed before the current connection is closed.

import { isFinal } from "./closeCodes.js";
import { ErrorCode } from "./errorCodes.js";

const WELCOME_TIMEOUT = 5000; // ms: a frozen node accepts connections and never sends `welcome`
const MIN_BACKOFF = 50; // ms
const FIRST_MAX_BACKOFF = 500; // ms, with full jitter; doubles with each failure
const LAST_MAX_BACKOFF = 15000; // ms
const STABLE_AFTER = 5000; // ms open: a node that welcomes and dies still fails
const SILENCE_BEFORE_PROBE = 30000; // ms
const SILENCE_BEFORE_PROBE_ON_WAKE = 5000; // ms
const PROBE_TIMEOUT = 10000; // ms
const BYE_FRACTION = 0.9; // of the time until the node closes; the rest is for the handshake
const CHECK_INTERVAL = 2000; // ms
const FAILURES_BEFORE_SSE = 2; // WebSockets in a row without a welcome
const FIRST_UPGRADE_DELAY = 5000; // ms on SSE until a WebSocket is tried again
const UPGRADE_DELAY = 60000; // ms after that

// `transports.websocket` and the optional `transports.sse` open connections (see transport.js).
// `handlers.query(via)` returns the parameters of the next connection, `handlers.frame(frame)` gets
// each frame, and `handlers.state(state, via, end)` gets connecting, open, reconnecting or offline;
// `end` is `{ code, reason, isFinal }` if a connection was closed.
export class Socket {
  #transports;
  #handlers;
  #lifecycle;
  #reported = "";
  #current = null; // the welcomed attempt
  #next = null; // the attempt that waits for its welcome
  #wasOpen = false;
  #end = null; // of the last connection, until the next welcome
  #failures = 0;
  #websocketFailures = 0; // in a row, without a welcome
  #reconnectTimer = 0; // 0: not set
  #stableTimer = 0;

  constructor(transports, handlers, lifecycle) {
    this.#transports = transports;
    this.#handlers = handlers;
    this.#lifecycle = lifecycle;
    lifecycle.onWake(() => this.#wake());
    lifecycle.onOffline(() => this.#report());
    setInterval(() => this.#checkSilence(SILENCE_BEFORE_PROBE), CHECK_INTERVAL);
    this.#connect("websocket");
  }

  // Returns false when there is no connection; true does not mean that the frame arrives.
  send(frame) {
    return this.#current?.connection.send(frame) ?? false;
  }

  // Returns the answer to `history`; null when the connection cannot answer, or ends before it
  // does.
  async history(before, limit) {
    return this.#request(this.#current, { type: "history", before, limit });
  }

  // Replaces a connection that the caller knows to be dead.
  restart() {
    if (this.#current) this.#closed(this.#current, 0);
  }

  #connect(via) {
    clearTimeout(this.#reconnectTimer);
    this.#reconnectTimer = 0;
    const attempt = { via, lastHeard: this.#lifecycle.now(), requests: [], probedAt: 0 };
    this.#next = attempt;
    attempt.welcomeTimer = setTimeout(() => this.#closed(attempt, 0), WELCOME_TIMEOUT);
    attempt.connection = this.#transports[via].open(this.#handlers.query(via), {
      frame: (frame) => this.#received(attempt, frame),
      alive: () => (attempt.lastHeard = this.#lifecycle.now()),
      closed: (code, reason) => this.#closed(attempt, code, reason),
    });
    this.#report();
  }

  #received(attempt, frame) {
    // A node that cannot reach Redis answers, and knows no messages: another one may.
    if (frame.code !== ErrorCode.UNAVAILABLE) attempt.lastHeard = this.#lifecycle.now();
    if (attempt === this.#next && frame.type === "welcome") this.#welcomed(attempt);
    if (attempt !== this.#current) return;
    if (frame.type === "history") attempt.requests.shift()?.(frame);
    else if (frame.type === "error" && frame.client_id == null) attempt.requests.shift()?.(null);
    else if (frame.type === "bye") this.#connectAfter(attempt.via, frame.reconnect_ms * BYE_FRACTION);
    else this.#handlers.frame(frame);
    if (frame.type === "welcome") this.#report();
  }

  #welcomed(attempt) {
    if (this.#current) this.#discard(this.#current);
    this.#current = attempt;
    this.#next = null;
    this.#end = null;
    this.#wasOpen = true;
    clearTimeout(attempt.welcomeTimer);
    clearTimeout(this.#stableTimer);
    this.#stableTimer = setTimeout(() => (this.#failures = 0), STABLE_AFTER);
    if (attempt.via === "websocket") this.#websocketFailures = 0;
    else this.#connectAfter("websocket", FIRST_UPGRADE_DELAY);
  }

  #connectAfter(via, delay) {
    clearTimeout(this.#reconnectTimer);
    this.#reconnectTimer = setTimeout(() => this.#connect(via), delay);
  }

  #closed(attempt, code, reason = "") {
    if (attempt !== this.#current && attempt !== this.#next) return;
    this.#discard(attempt);
    if (attempt === this.#current) {
      this.#current = null;
      clearTimeout(this.#stableTimer);
      if (!this.#next) this.#reconnect(code, reason);
    } else {
      this.#next = null;
      this.#websocketFailures = attempt.via === "websocket" ? this.#websocketFailures + 1 : 0;
      if (!this.#current) this.#reconnect(code, reason);
      else this.#connectAfter("websocket", this.#current.via === "sse" ? UPGRADE_DELAY : this.#backoff());
    }
    this.#report();
  }

  #reconnect(code, reason) {
    clearTimeout(this.#reconnectTimer);
    this.#reconnectTimer = 0;
    this.#end = { code, reason, isFinal: isFinal(code) };
    if (this.#end.isFinal) return;
    this.#connectAfter(this.#preferredTransport(), this.#backoff());
  }

  #discard(attempt) {
    clearTimeout(attempt.welcomeTimer);
    attempt.connection.close();
    for (const resolve of attempt.requests.splice(0)) resolve(null);
  }

  #preferredTransport() {
    return this.#transports.sse && this.#websocketFailures >= FAILURES_BEFORE_SSE ? "sse" : "websocket";
  }

  #backoff() {
    const max = Math.min(LAST_MAX_BACKOFF, FIRST_MAX_BACKOFF * 2 ** this.#failures++);
    return MIN_BACKOFF + Math.random() * (max - MIN_BACKOFF);
  }

  #request(attempt, frame) {
    if (!attempt?.connection.canRequest || !attempt.connection.send(frame)) return Promise.resolve(null);
    return new Promise((resolve) => attempt.requests.push(resolve));
  }

  // A silent connection is either quiet or dead; the answer to a small request shows which.
  #checkSilence(limit) {
    const attempt = this.#current;
    const silence = this.#lifecycle.now() - (attempt?.lastHeard ?? Infinity);
    if (silence < limit) return;
    if (!attempt.connection.canRequest) {
      if (silence > SILENCE_BEFORE_PROBE + PROBE_TIMEOUT) this.#closed(attempt, 0);
    } else if (attempt.probedAt > attempt.lastHeard) {
      if (this.#lifecycle.now() - attempt.probedAt > PROBE_TIMEOUT) this.#closed(attempt, 0);
    } else {
      attempt.probedAt = this.#lifecycle.now();
      this.#request(attempt, { type: "history", limit: 1 });
    }
  }

  // The cause of the failures may be over, so the rest of the backoff is skipped.
  #wake() {
    if (this.#end?.isFinal) return;
    // It may have been closed while the page was frozen.
    if (this.#current?.connection.isClosed) this.#closed(this.#current, 0);
    if (this.#current) this.#checkSilence(SILENCE_BEFORE_PROBE_ON_WAKE);
    else if (!this.#next) this.#connect(this.#preferredTransport());
  }

  // Attempts continue while the browser is offline: a server on this machine needs no network.
  #report() {
    const via = this.#current?.via ?? "";
    let state = this.#wasOpen || this.#failures ? "reconnecting" : "connecting";
    if (this.#current) state = "open";
    else if (this.#end?.isFinal || !this.#lifecycle.isOnline) state = "offline";
    const report = [state, via, this.#end?.code].join();
    if (this.#reported === report) return;
    this.#reported = report;
    this.#handlers.state(state, via, this.#end);
  }
}
