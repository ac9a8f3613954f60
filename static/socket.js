// A connection that reconnects: a replacement is welcomed before the current connection is closed.

import { isFinal } from "./closeCodes.js";
import { ErrorCode } from "./errorCodes.js";

// A frozen node accepts connections and never sends `welcome`; on a slow line it comes late, so the
// time doubles with each failure.
const FIRST_WELCOME_TIMEOUT = 5000; // ms
const LAST_WELCOME_TIMEOUT = 40000; // ms
const MIN_BACKOFF = 50; // ms
const FIRST_MAX_BACKOFF = 500; // ms, with full jitter; doubles with each failure
const LAST_MAX_BACKOFF = 15000; // ms
const STABLE_AFTER = 5000; // ms open: a node that welcomes and dies still fails
const SILENCE_BEFORE_PROBE = 30000; // ms
const SILENCE_BEFORE_PROBE_ON_WAKE = 5000; // ms
const PROBE_TIMEOUT = 10000; // ms
// A long frame on a slow line is not seen before its end, and looks like silence: both times double
// after a connection that was given up for it, up to this factor, until one has lasted.
const MAX_PATIENCE = 4;
const LASTING_AFTER = 120000; // ms
const BYE_FRACTION = 0.9; // of the time until the node closes; the rest is for the handshake
const CHECK_INTERVAL = 2000; // ms
const SLEEP_AFTER = 12000; // ms between two checks: the machine, or the page, has slept
const RELEASE_DELAY = 5000; // ms hidden until an SSE connection is closed
const FAILURES_BEFORE_SSE = 2; // WebSockets in a row without a welcome
const FIRST_UPGRADE_DELAY = 5000; // ms on SSE until a WebSocket is tried again
const UPGRADE_DELAY = 60000; // ms after that

// `transports.websocket` and the optional `transports.sse` open connections (see transport.js).
// `handlers.query(via)` returns the parameters of the next connection, `handlers.frame(frame)` gets
// each frame, and `handlers.state(state, via, end)` gets connecting, open, reconnecting or offline;
// `end` is `{ code, reason, isFinal }` if a connection was closed.
//
// A browser has six connections of HTTP/1.1 to one host for all its tabs, so a hidden page lets its
// SSE connection go and connects again when it is shown.
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
  #lateWelcomes = 0; // in a row
  #patience = 1; // factor of the times of silence
  #checkedAt; // in wall-clock time: a monotonic clock may stand still while the machine sleeps
  #releaseTimer = 0; // 0: not set
  #isReleased = false; // the SSE connection of a hidden page was let go
  #websocketFailures = 0; // in a row, without a welcome
  #reconnectTimer = 0; // 0: not set
  #stableTimer = 0;

  constructor(transports, handlers, lifecycle) {
    this.#transports = transports;
    this.#handlers = handlers;
    this.#lifecycle = lifecycle;
    this.#checkedAt = Date.now();
    lifecycle.onWake((isNetworkNew) => this.#wake(isNetworkNew));
    lifecycle.onHide(() => this.#hide());
    lifecycle.onOffline(() => this.#report());
    setInterval(() => this.#check(), CHECK_INTERVAL);
    this.#connect("websocket");
  }

  // Returns false when there is no connection; true does not mean that the frame arrives.
  send(frame) {
    const attempt = this.#current;
    if (!attempt?.connection.send(frame)) return false;
    if (frame.type === "message") attempt.requests.push({ id: frame.id });
    return true;
  }

  // Whether frames that were sent still wait in the browser.
  get isUploading() {
    return (this.#current?.connection.bufferedAmount ?? 0) > 0;
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
    if (via === "sse" && this.#lifecycle.isHidden) return; // until the page is shown
    const now = this.#lifecycle.now();
    // `requests` are the frames that await an answer, which come in order: `{ id }` of a message,
    // or `{ resolve }`.
    const attempt = { via, startedAt: now, lastHeard: now, requests: [], probedAt: 0, isLeaving: false };
    this.#next = attempt;
    const timeout = Math.min(LAST_WELCOME_TIMEOUT, FIRST_WELCOME_TIMEOUT * 2 ** this.#lateWelcomes);
    attempt.welcomeTimer = setTimeout(() => {
      this.#lateWelcomes++;
      this.#closed(attempt, 0);
    }, timeout);
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
    if (attempt.lastHeard - attempt.startedAt > LASTING_AFTER) this.#patience = 1;
    if (frame.type === "history") this.#answered(attempt, frame);
    else if (frame.type === "error" && frame.client_id == null) this.#rejected(attempt, frame);
    else if (frame.type === "bye") {
      attempt.isLeaving = true;
      this.#connectAfter(attempt.via, frame.reconnect_ms * BYE_FRACTION);
    } else {
      if (frame.client_id != null) attempt.requests = attempt.requests.filter(({ id }) => id !== frame.client_id);
      this.#handlers.frame(frame);
    }
    if (frame.type === "welcome") this.#report();
  }

  // The answer belongs to the oldest request that waits for one.
  #answered(attempt, frame) {
    const place = attempt.requests.findIndex(({ resolve }) => resolve);
    if (place >= 0) attempt.requests.splice(place, 1)[0].resolve(frame);
  }

  // The server could not read a frame well enough to name it: it is the oldest one without an
  // answer.
  #rejected(attempt, frame) {
    const { id, resolve } = attempt.requests.shift() ?? {};
    if (resolve) resolve(null);
    else if (id !== undefined) this.#handlers.frame({ ...frame, client_id: id });
  }

  #welcomed(attempt) {
    if (this.#current) this.#discard(this.#current);
    this.#current = attempt;
    this.#next = null;
    this.#end = null;
    this.#wasOpen = true;
    this.#isReleased = false;
    this.#lateWelcomes = 0;
    clearTimeout(attempt.welcomeTimer);
    clearTimeout(this.#reconnectTimer); // the successor of one that was not leaving
    this.#reconnectTimer = 0;
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
      else if (this.#isProven(attempt)) this.#lateWelcomes = 0; // nothing was wrong with it
      else this.#connectAfter("websocket", this.#current.via === "sse" ? UPGRADE_DELAY : this.#backoff());
    }
    this.#report();
  }

  // Whether the current connection has shown since the start of its failed successor that it is
  // alive, and stays.
  #isProven(successor) {
    const { via, lastHeard, isLeaving } = this.#current;
    return via === "websocket" && !isLeaving && lastHeard > successor.startedAt;
  }

  #reconnect(code, reason) {
    clearTimeout(this.#reconnectTimer);
    this.#reconnectTimer = 0;
    this.#end = { code, reason, isFinal: isFinal(code) };
    if (this.#end.isFinal || this.#isReleased) return;
    this.#connectAfter(this.#preferredTransport(), this.#backoff());
  }

  #discard(attempt) {
    clearTimeout(attempt.welcomeTimer);
    attempt.connection.close();
    for (const { resolve } of attempt.requests.splice(0)) resolve?.(null);
  }

  // A hidden page would let an SSE connection go at once.
  #preferredTransport() {
    const isBlocked = this.#websocketFailures >= FAILURES_BEFORE_SSE;
    return this.#transports.sse && isBlocked && !this.#lifecycle.isHidden ? "sse" : "websocket";
  }

  #backoff() {
    const max = Math.min(LAST_MAX_BACKOFF, FIRST_MAX_BACKOFF * 2 ** this.#failures++);
    return MIN_BACKOFF + Math.random() * (max - MIN_BACKOFF);
  }

  #request(attempt, frame) {
    if (!attempt?.connection.canRequest || !attempt.connection.send(frame)) return Promise.resolve(null);
    return new Promise((resolve) => attempt.requests.push({ resolve }));
  }

  #check() {
    const now = Date.now();
    const hasSlept = Math.abs(now - this.#checkedAt) > SLEEP_AFTER;
    this.#checkedAt = now;
    // A hidden page is checked once a minute, and is woken when it is shown.
    if (hasSlept && !this.#lifecycle.isHidden) this.#wake(true);
    else this.#checkSilence(SILENCE_BEFORE_PROBE);
  }

  // A silent connection is either quiet or dead; the answer to a small request shows which.
  #checkSilence(limit) {
    const attempt = this.#current;
    if (!attempt) return;
    const now = this.#lifecycle.now();
    const silence = now - attempt.lastHeard;
    const timeout = PROBE_TIMEOUT * this.#patience;
    const isProbed = attempt.probedAt > attempt.lastHeard;
    if (!attempt.connection.canRequest) {
      if (silence > SILENCE_BEFORE_PROBE * this.#patience + timeout) this.#giveUp(attempt);
    } else if (isProbed) {
      if (now - attempt.probedAt > timeout) this.#giveUp(attempt);
    } else if (silence >= limit * this.#patience) {
      attempt.probedAt = now;
      this.#request(attempt, { type: "history", limit: 1 });
    }
  }

  #giveUp(attempt) {
    this.#patience = Math.min(MAX_PATIENCE, 2 * this.#patience);
    this.#closed(attempt, 0);
  }

  // The cause of the failures may be over, so the rest of the backoff is skipped. After a sleep, or
  // on a new network, the connection is probably dead: a successor is dialled at once, and the
  // connection is kept until its welcome.
  #wake(isNetworkNew) {
    clearTimeout(this.#releaseTimer);
    this.#isReleased = false;
    if (this.#end?.isFinal) return;
    // It may have been closed while the page was frozen.
    if (this.#current?.connection.isClosed) this.#closed(this.#current, 0);
    const hasSlept = Math.abs(Date.now() - this.#checkedAt) > SLEEP_AFTER;
    this.#checkedAt = Date.now();
    if (this.#current) {
      this.#checkSilence(isNetworkNew || hasSlept ? 0 : SILENCE_BEFORE_PROBE_ON_WAKE);
      if (this.#current && !this.#next && (isNetworkNew || hasSlept)) this.#connect(this.#current.via);
    } else if (!this.#next) this.#connect(this.#preferredTransport());
  }

  #hide() {
    clearTimeout(this.#releaseTimer);
    this.#releaseTimer = setTimeout(() => {
      if (!this.#lifecycle.isHidden || this.#current?.via === "websocket") return;
      for (const attempt of [this.#current, this.#next]) if (attempt?.via === "sse") this.#release(attempt);
    }, RELEASE_DELAY);
  }

  #release(attempt) {
    this.#isReleased = true;
    this.#discard(attempt);
    if (attempt === this.#current) this.#current = null;
    else this.#next = null;
    clearTimeout(this.#stableTimer);
    clearTimeout(this.#reconnectTimer);
    this.#reconnectTimer = 0;
    this.#report();
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
