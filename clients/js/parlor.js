// The client of Parlor's rooms: any number of them, their push streams and the inbox on one
// connection, which reconnects and continues where it was (docs/protocol.md, `parlor.v1`).
//
// In the order of this file: codes, events, the page's state, transports, the connection, the
// position in a log, unsent messages, and what a program uses: `Parlor` and what it joins.

const SUBPROTOCOL = "parlor.v1";

// Codes.

// `reconnect`: "now" and "backoff" both reconnect with jitter; after "login" and "never" a new
// connection fails alike. Codes that are not listed, and connections that break without a code,
// count as "backoff".
const CLOSE_CODES = [
  { code: 1000, slug: "normal", reconnect: "backoff" },
  { code: 1002, slug: "protocol_error", reconnect: "never" },
  { code: 1003, slug: "unsupported_data", reconnect: "never" },
  { code: 1007, slug: "invalid_payload", reconnect: "never" },
  { code: 1008, slug: "policy_violation", reconnect: "never" },
  { code: 1009, slug: "message_too_big", reconnect: "never" },
  { code: 1011, slug: "internal_error", reconnect: "never" },
  { code: 1012, slug: "service_restart", reconnect: "now" },
  { code: 1013, slug: "try_again_later", reconnect: "backoff" },
  { code: 4401, slug: "login_ended", reconnect: "login" },
  { code: 4403, slug: "forbidden", reconnect: "never" },
  { code: 4408, slug: "unresponsive", reconnect: "now" },
  { code: 4429, slug: "rate_limited", reconnect: "backoff" },
];

const rowByCode = new Map(CLOSE_CODES.map((row) => [row.code, row]));

// The code of each slug, as `CloseCode.LOGIN_ENDED`.
export const CloseCode = Object.freeze(Object.fromEntries(CLOSE_CODES.map(({ code, slug }) => [slug.toUpperCase(), code])));

// Whether a new connection would be closed alike.
export function isFinal(code) {
  return ["login", "never"].includes(rowByCode.get(code)?.reconnect);
}

// The word for a close code; "" for a code that is not listed.
export function slugOf(code) {
  return rowByCode.get(code)?.slug ?? "";
}

// The codes of `error` frames.
export const ErrorCode = Object.freeze({
  MALFORMED: "malformed",
  UNKNOWN_TYPE: "unknown_type",
  TOO_LARGE: "too_large",
  BAD_ID: "bad_id",
  CONFLICT: "conflict",
  NOT_JOINED: "not_joined",
  ALREADY_JOINED: "already_joined",
  TOO_MANY: "too_many",
  INVALID_ROOM: "invalid_room",
  LOGIN_REQUIRED: "login_required",
  NO_ACCESS: "no_access",
  NOT_FOUND: "not_found",
  UNAVAILABLE: "unavailable",
  INTERNAL: "internal",
  RATE: "rate",
});

// The reason of an end after HTTP status 429.
export const TOO_MANY = "too_many_requests";

// The code of an error, and of an end, after a handshake that the server refuses.
const REFUSED = "refused";

// The code of an error where there is no class for WebSockets, or it throws.
const NO_WEBSOCKET = "websocket";

// Events.

// Calls listeners by the type of an event.
class Emitter {
  #listeners = new Map(); // sets by type

  // Returns a function that removes the listener.
  on(type, listener) {
    if (!this.#listeners.has(type)) this.#listeners.set(type, new Set());
    const listeners = this.#listeners.get(type).add(listener);
    return () => void listeners.delete(listener);
  }

  hasListener(type) {
    return (this.#listeners.get(type)?.size ?? 0) > 0;
  }

  // An exception of a listener is reported as one that no code catches.
  emit(type, ...details) {
    for (const listener of [...(this.#listeners.get(type) ?? [])]) {
      try {
        listener(...details);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}

// The state of the page.

// Visibility and network state of the page, and the monotonic clock. Without a document, as in
// Node.js, a program is visible and online.
export class PageLifecycle {
  #listening = new AbortController();

  get isHidden() {
    return globalThis.document?.hidden ?? false;
  }

  get isOnline() {
    return globalThis.navigator?.onLine ?? true;
  }

  // Milliseconds, unaffected by changes of the system clock.
  now() {
    return performance.now();
  }

  // Calls back when the page becomes visible, is restored, or is online again; with `true` when it
  // is online again.
  onWake(callback) {
    this.#listen(globalThis, "online", () => callback(true));
    this.#listen(globalThis, "pageshow", () => callback(false));
    this.#listen(globalThis.document, "visibilitychange", () => this.isHidden || callback(false));
  }

  onHide(callback) {
    this.#listen(globalThis.document, "visibilitychange", () => this.isHidden && callback());
  }

  onOffline(callback) {
    this.#listen(globalThis, "offline", callback);
  }

  // Calls back when the user leaves the page; the browser may keep it, with its connections, and
  // restore it later.
  onLeave(callback) {
    this.#listen(globalThis, "pagehide", callback);
  }

  close() {
    this.#listening.abort();
  }

  #listen(target, type, callback) {
    target?.addEventListener?.(type, callback, { signal: this.#listening.signal });
  }
}

// Transports.
//
// A transport has `open(listener)`, which starts one connection and returns it. The listener gets
// `opened()` once frames can be sent, `frame(frame)` for each frame, `alive()` for any other sign
// of life, `failed(error)` with a `CredentialError` or an exception of the class for WebSockets,
// `refused(refusal)` with `{ status, detail }` of a server that refuses it, and `closed(code,
// reason)` at most once; none of them before `open` has returned. The transport may have `probe()`, which resolves with the refusal
// of the last connection, or with null. A connection has `canRequest` (whether it answers `history`), `isClosed`, `bufferedAmount` (bytes
// that have not left the browser), `send(frame)` (false when it cannot be sent) and `close()`, after
// which the listener gets nothing.

// One WebSocket for all channels.
export class WebSocketTransport {
  #url;
  #credentials;
  #WebSocket;
  #last = null; // the credentials of the last connection

  // `credentials.token` and `credentials.ticket` are texts, or functions that return one or a
  // promise of one, for each connection.
  constructor(url, credentials = {}, WebSocketClass = globalThis.WebSocket) {
    this.#url = url;
    this.#credentials = credentials;
    this.#WebSocket = WebSocketClass;
  }

  open(listener) {
    return new WebSocketConnection(() => this.#dial(), listener);
  }

  // Browsers hide the answer to a handshake from the page, so it is asked for once more without one:
  // 426 from a server that would accept it.
  async probe() {
    if (this.#last === null) return null;
    const { token, ticket } = this.#last;
    const url = this.#address(ticket);
    url.protocol = url.protocol.replace("ws", "http");
    const headers = token === undefined ? {} : { Authorization: `Bearer ${token}` };
    try {
      const signal = AbortSignal.timeout(ANSWER_TIMEOUT);
      const response = await fetch(url, { headers, signal, cache: "no-store" });
      const detail = (await response.text()).trim();
      return REFUSALS.includes(response.status) ? { status: response.status, detail } : null;
    } catch {
      return null; // no server, or none that this page may ask
    }
  }

  #address(ticket) {
    const url = new URL(this.#url);
    if (ticket !== undefined) url.searchParams.set("ticket", ticket);
    return url;
  }

  async #dial() {
    const { token, ticket } = (this.#last = await resolved(this.#credentials));
    const url = this.#address(ticket);
    const protocols = token === undefined ? [] : [`parlor.token.${token}`];
    return new this.#WebSocket(url, [SUBPROTOCOL, ...protocols]);
  }
}

const OPEN = 1; // `WebSocket.OPEN`
// Statuses of a server that will not accept the next connection either.
const REFUSALS = [400, 401, 403, 404];

class WebSocketConnection {
  canRequest = true;
  #socket = null; // until the credentials are there
  #isDiscarded = false;

  constructor(dial, listener) {
    dial().then(
      (socket) => this.#listen(socket, listener),
      (error) => {
        if (this.#isDiscarded) return;
        listener.failed(error);
        listener.closed(0, "");
      },
    );
  }

  #listen(socket, listener) {
    if (this.#isDiscarded) return socket.close();
    this.#socket = socket;
    socket.onopen = () => listener.opened();
    socket.onmessage = (event) => {
      const frame = parseFrame(event.data);
      if (frame) listener.frame(frame);
    };
    socket.onerror = () => {}; // `onclose` follows
    socket.onclose = (event) => listener.closed(event.code, event.reason);
  }

  get bufferedAmount() {
    return this.#socket?.bufferedAmount ?? 0;
  }

  get isClosed() {
    return (this.#socket?.readyState ?? 0) > OPEN;
  }

  send(frame) {
    if (this.#socket?.readyState !== OPEN) return false;
    this.#socket.send(JSON.stringify(frame));
    return true;
  }

  close() {
    this.#isDiscarded = true;
    if (!this.#socket) return;
    this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close();
  }
}

const ANSWER_TIMEOUT = 10000; // ms

// The transport without a WebSocket: the chat of each room as Server-Sent Events, messages by POST.
export class SseTransport {
  #base;
  #credentials;
  #headers;

  // `headers` are sent with each message.
  constructor(base, credentials = {}, headers = {}) {
    this.#base = base;
    this.#credentials = credentials;
    this.#headers = headers;
  }

  open(listener) {
    return new SseConnection(listener, (frame, signal) => this.#stream(frame, signal), (frame) => this.#post(frame));
  }

  async #stream({ room, since, history }, signal) {
    const url = new URL(`/sse/chat/${encodeURIComponent(room)}/`, this.#base);
    const headers = await this.#authorize(url);
    if (since !== undefined) url.searchParams.set("since", since);
    if (history !== undefined) url.searchParams.set("history", history);
    // With `Accept: text/event-stream`, as `EventSource` sends it, a refusal has the status 200.
    return fetch(url, { headers, signal, cache: "no-store" });
  }

  // Returns the server's answer to a message, or an error frame if there is none.
  async #post({ room, ...frame }) {
    const error = { type: "error", stream: "chat", room, code: ErrorCode.UNAVAILABLE, client_id: frame.id, retry: true };
    try {
      const url = new URL(`/chat/${encodeURIComponent(room)}/messages`, this.#base);
      const headers = { "Content-Type": "application/json", ...this.#headers, ...(await this.#authorize(url)) };
      const signal = AbortSignal.timeout(ANSWER_TIMEOUT);
      const response = await fetch(url, { method: "POST", headers, body: JSON.stringify(frame), signal });
      const answer = parseFrame(await response.text());
      if (answer) return { ...answer, room, client_id: answer.client_id ?? frame.id };
      const isTemporary = response.status >= 500 || response.status === 408 || response.status === 429;
      return isTemporary ? error : { ...error, code: "refused", retry: false };
    } catch {
      return { ...error, code: "unreachable" };
    }
  }

  async #authorize(url) {
    const { token, ticket } = await resolved(this.#credentials);
    if (ticket !== undefined) url.searchParams.set("ticket", ticket);
    return token === undefined ? {} : { Authorization: `Bearer ${token}` };
  }
}

// Uses `fetch`: `EventSource` hides comments, the only sign of life in a quiet room.
class SseConnection {
  canRequest = false;
  isClosed = false;
  bufferedAmount = 0; // a POST has a time of its own
  #listener;
  #stream;
  #post;
  #streams = new Map(); // `AbortController` by room
  #isOpen = true;

  constructor(listener, stream, post) {
    this.#listener = listener;
    this.#stream = stream;
    this.#post = post;
    queueMicrotask(() => this.#isOpen && listener.opened());
  }

  // A channel that is not the chat of a room has to wait for a WebSocket.
  send(frame) {
    if (!this.#isOpen || frame.push || frame.inbox) return false;
    const { type, room } = frame;
    if (type === "join") this.#join(frame);
    else if (type === "leave") this.#leave(room);
    else if (type === "read") this.#post(frame);
    else if (type === "message") this.#post(frame).then((answer) => this.#isOpen && this.#listener.frame(answer));
    else return false;
    return true;
  }

  close() {
    this.#isOpen = false;
    for (const room of [...this.#streams.keys()]) this.#leave(room);
  }

  #join(frame) {
    const abort = new AbortController();
    this.#streams.set(frame.room, abort);
    const ended = (status) => this.#streams.get(frame.room) === abort && this.#ended(frame.room, status);
    this.#read(frame, abort.signal).then(ended, (error) => {
      if (error instanceof CredentialError && !abort.signal.aborted) this.#listener.failed(error);
      ended(0);
    });
  }

  #leave(room) {
    this.#streams.get(room)?.abort();
    this.#streams.delete(room);
  }

  // After 403 and 404 one room is out of reach, after anything else the server.
  #ended(room, status) {
    this.#leave(room);
    if (status === 403 || status === 404) {
      const error = status === 404 ? ErrorCode.NOT_FOUND : REFUSED;
      this.#listener.frame({ type: "left", stream: "chat", room, code: CloseCode.FORBIDDEN, reason: "", error, retry: false });
      return;
    }
    this.close();
    this.#listener.closed(status === 401 ? CloseCode.LOGIN_ENDED : 0, status === 429 ? TOO_MANY : "");
  }

  // Reads events until the response ends; returns the status of a refusal, else 0.
  async #read(frame, signal) {
    const response = await this.#stream(frame, signal);
    if (REFUSALS.includes(response.status)) {
      const refusal = { status: response.status, detail: (await response.text()).trim() };
      if (!signal.aborted) this.#listener.refused(refusal);
    }
    if (!response.ok || !response.body) return response.status;
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    let data = [];
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return 0;
      this.#listener.alive();
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const line of lines.map((line) => line.replace(/\r$/, ""))) {
        if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
        if (line !== "" || data.length === 0) continue;
        const parsed = parseFrame(data.join("\n"));
        data = [];
        if (parsed && !signal.aborted) this.#listener.frame(parsed);
      }
    }
  }
}

// Parses a frame; null if the text is not one.
function parseFrame(text) {
  try {
    const frame = JSON.parse(text);
    return typeof frame?.type === "string" ? frame : null;
  } catch {
    return null;
  }
}

// An exception of a function for credentials, as `cause`.
class CredentialError extends Error {}

async function resolved({ token, ticket }) {
  const value = async (credential) => (typeof credential === "function" ? credential() : credential);
  try {
    const [resolvedToken, resolvedTicket] = await Promise.all([value(token), value(ticket)]);
    return { token: resolvedToken, ticket: resolvedTicket };
  } catch (cause) {
    throw new CredentialError("no credentials", { cause });
  }
}

// The error of a program whose connection could not be dialled.
function failureOf(error) {
  if (error instanceof CredentialError) return new ParlorError("credentials", "there are no credentials", { cause: error.cause });
  return new ParlorError(NO_WEBSOCKET, `the WebSocket cannot be made: ${error.message}`, { cause: error });
}

// The connection.

// A frozen node accepts connections and answers no `join`; on a slow line the answer comes late, so
// the time doubles with each failure.
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
const FAILURES_BEFORE_PROBE = 2; // WebSockets in a row, and each further one
const FIRST_UPGRADE_DELAY = 5000; // ms on SSE until a WebSocket is tried again
const UPGRADE_DELAY = 60000; // ms after that
const IDLE_DELAY = 5000; // ms without a channel until the connection is closed

// A connection for channels that reconnects: a replacement is welcomed before the current
// connection is closed. It is open while there are channels.
//
// `transports.websocket` and the optional `transports.sse` open connections. A channel is `{ stream,
// room, join, frame, state }`: `join(via)` returns further members of its next `join`,
// `frame(frame)` gets each of its frames from `welcome` on, and `state(state, via, end)` gets
// connecting, open, reconnecting or offline. `end` is `{ code, reason, error, isFinal }` if the
// channel or the connection was ended; `error` is the code of the answer to a rejected `join`.
// `onState(state, via, end)` gets the same of the whole connection.
//
// A browser has six connections of HTTP/1.1 to one host for all its tabs, so a hidden page lets its
// SSE connection go and connects again when it is shown.
export class Connection {
  #transports;
  #onState;
  #onError;
  #user;
  #canRenew; // each connection has credentials of its own, so the end of a login is not final
  #lifecycle;
  #channels = new Map(); // `{ key, channel, home, end, rejoinTimer, failures, wasJoined, reported }`
  #reported = "";
  #current = null; // the attempt in use
  #next = null; // the attempt whose channels wait for their welcome
  #wasOpen = false;
  #end = null; // of the last connection, until the next welcome
  #failures = 0;
  #lateWelcomes = 0; // in a row
  #patience = 1; // factor of the times of silence
  #checkedAt; // in wall-clock time: a monotonic clock may stand still while the machine sleeps
  #isReleased = false; // the connection of a page that was left, or SSE of a hidden one, was let go
  #websocketFailures = 0; // in a row, without a welcome
  #releaseTimer = 0; // 0: not set
  #reconnectTimer = 0;
  #stableTimer = 0;
  #idleTimer = 0;
  #checkTimer = 0;

  // `user` is the id of the only user that the channels are for; without it, any. `onError` gets a
  // `ParlorError` with the cause of a failure that may last.
  constructor(transports, lifecycle, onState = () => {}, canRenew = false, user = null, onError = () => {}) {
    this.#onError = onError;
    this.#canRenew = canRenew;
    this.#user = user;
    this.#transports = transports;
    this.#lifecycle = lifecycle;
    this.#onState = onState;
    this.#checkedAt = Date.now();
    lifecycle.onWake((isNetworkNew) => this.#wake(isNetworkNew));
    lifecycle.onHide(() => this.#hide());
    lifecycle.onOffline(() => this.#report());
    lifecycle.onLeave(() => this.#releaseAll());
  }

  // Joins a channel, now and on each further connection.
  //
  // Throws an error if the channel is joined already.
  add(channel) {
    const key = keyOf(channel.stream, channel.room);
    if (this.#channels.has(key)) throw new Error(`${key} is joined already`);
    const entry = { key, channel, home: null, end: null, rejoinTimer: 0, failures: 0, wasJoined: false, reported: "" };
    this.#channels.set(key, entry);
    if (this.#channels.size === 1 && this.#end?.isFinal) this.#end = null; // the program tries again
    clearTimeout(this.#idleTimer);
    this.#idleTimer = 0;
    this.#checkTimer ||= setInterval(() => this.#check(), CHECK_INTERVAL);
    for (const attempt of [this.#current, this.#next]) if (attempt?.isOpen) this.#join(attempt, entry);
    const isConnecting = this.#current || this.#next || this.#reconnectTimer || this.#isReleased;
    if (!isConnecting && !this.#end?.isFinal) this.#connect("websocket");
    this.#report();
    return entry;
  }

  // Leaves a channel, which gets nothing more.
  remove(entry) {
    if (this.#channels.get(entry.key) !== entry) return;
    this.#channels.delete(entry.key);
    clearTimeout(entry.rejoinTimer);
    const { stream, room } = entry.channel;
    for (const attempt of [this.#current, this.#next]) {
      if (!attempt || (entry.home !== attempt && !attempt.waiting.has(entry))) continue;
      attempt.waiting.delete(entry);
      if (attempt.connection.send({ type: "leave", ...target(stream, room) })) attempt.left.push(entry.key);
      this.#settle(attempt);
    }
    entry.home = null;
    if (this.#channels.size === 0) this.#idleAfter(IDLE_DELAY);
  }

  // Sends a frame about a channel. Returns false when the channel is not joined now; true does not
  // mean that the frame arrives.
  send(entry, frame) {
    const attempt = entry.home;
    const { stream, room } = entry.channel;
    if (!attempt?.connection.send({ ...frame, ...target(stream, room) })) return false;
    if (frame.type === "message") attempt.requests.push({ key: entry.key, id: frame.id });
    return true;
  }

  // Whether frames that were sent still wait in the browser.
  get isUploading() {
    return (this.#current?.connection.bufferedAmount ?? 0) > 0;
  }

  // Returns the answer to `history`; null when the connection cannot answer, or ends before it
  // does.
  async history(entry, before, limit) {
    const { stream, room } = entry.channel;
    const frame = { type: "history", ...target(stream, room), limit };
    return this.#request(entry.home, entry.key, before === undefined ? frame : { ...frame, before });
  }

  // Replaces a connection that the caller knows to be dead.
  restart() {
    if (this.#current) this.#closed(this.#current, 0);
  }

  // Ends the connection for good.
  close() {
    for (const entry of [...this.#channels.values()]) this.remove(entry);
    this.#stop();
    clearInterval(this.#checkTimer);
    clearTimeout(this.#releaseTimer);
    this.#lifecycle.close();
  }

  #connect(via) {
    clearTimeout(this.#reconnectTimer);
    this.#reconnectTimer = 0;
    if (via === "sse" && this.#lifecycle.isHidden) return; // until the page is shown
    const now = this.#lifecycle.now();
    // `requests` are the frames that await an answer, which come in order: `{ key, id }` of a
    // message, or `{ key, resolve }`. `waiting` are the channels whose `join` has no answer yet, and
    // `left` the keys of those whose `leave` has none.
    const attempt = {
      via,
      startedAt: now,
      lastHeard: now,
      requests: [],
      waiting: new Set(),
      left: [],
      probedAt: 0,
      isOpen: false,
      isLeaving: false,
      welcomeTimer: 0,
    };
    this.#next = attempt;
    this.#awaitWelcome(attempt);
    attempt.connection = this.#transports[via].open({
      opened: () => this.#opened(attempt),
      frame: (frame) => this.#received(attempt, frame),
      alive: () => (attempt.lastHeard = this.#lifecycle.now()),
      failed: (error) => this.#onError(failureOf(error)),
      refused: (refusal) => this.#refusedBy(refusal),
      closed: (code, reason) => this.#closed(attempt, code, reason),
    });
    this.#report();
  }

  #awaitWelcome(attempt) {
    clearTimeout(attempt.welcomeTimer);
    const timeout = Math.min(LAST_WELCOME_TIMEOUT, FIRST_WELCOME_TIMEOUT * 2 ** this.#lateWelcomes);
    attempt.welcomeTimer = setTimeout(() => {
      this.#lateWelcomes++;
      this.#closed(attempt, 0);
    }, timeout);
  }

  #opened(attempt) {
    if (attempt !== this.#next) return;
    attempt.isOpen = true;
    for (const entry of this.#channels.values()) {
      clearTimeout(entry.rejoinTimer);
      if (!entry.end) this.#join(attempt, entry);
    }
    this.#settle(attempt);
  }

  #join(attempt, entry) {
    const { stream, room, join } = entry.channel;
    if (!attempt.connection.send({ type: "join", ...target(stream, room), ...join(attempt.via) })) return;
    attempt.waiting.add(entry);
  }

  // An attempt takes over when all joins are answered, or with the first answer if no other is in
  // use.
  #settle(attempt, isAnswered = false) {
    if (attempt !== this.#next || !attempt.isOpen) return;
    if (attempt.waiting.size === 0 || (isAnswered && !this.#current)) this.#takeOver(attempt);
    else if (isAnswered) this.#awaitWelcome(attempt);
  }

  #takeOver(attempt) {
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

  #received(attempt, frame) {
    // A node that cannot reach Redis answers, and knows no messages: another one may.
    if (frame.code !== ErrorCode.UNAVAILABLE) attempt.lastHeard = this.#lifecycle.now();
    if (attempt !== this.#current && attempt !== this.#next) return;
    if (attempt.lastHeard - attempt.startedAt > LASTING_AFTER) this.#patience = 1;
    if (attempt === this.#next && attempt.waiting.size) this.#awaitWelcome(attempt); // it makes progress
    switch (frame.type) {
      case "welcome":
        return this.#welcomed(attempt, frame);
      case "left":
        return this.#left(attempt, frame);
      case "error":
        return this.#refused(attempt, frame);
      case "history":
        return this.#answered(attempt, frame);
      case "bye":
        attempt.isLeaving = true;
        return this.#connectAfter(attempt.via, frame.reconnect_ms * BYE_FRACTION);
      default:
        return this.#passOn(attempt, frame);
    }
  }

  #passOn(attempt, frame) {
    const stream = { push: "push", unread: "inbox" }[frame.type] ?? frame.stream ?? "chat";
    let key = keyOf(stream, frame.room);
    if (frame.client_id != null) {
      const place = attempt.requests.findIndex(({ id }) => id === frame.client_id);
      const [request] = place < 0 ? [] : attempt.requests.splice(place, 1);
      if (frame.room == null) key = request?.key;
    }
    const entry = this.#channels.get(key);
    if (entry?.home === attempt) entry.channel.frame(frame);
  }

  // Returns the channel whose `join` the server answers. Of a long name an error has the beginning.
  #waitingFor(attempt, { stream, room }) {
    const key = keyOf(stream, room);
    const waiting = [...attempt.waiting].filter(({ channel }) => channel.stream === stream);
    const isCut = (entry) => stream !== "inbox" && room != null && entry.key.startsWith(key);
    return waiting.find((entry) => entry.key === key) ?? waiting.find(isCut);
  }

  // Joins are answered in their order, by the name as the server spells it.
  #renamed(attempt, { stream, room }) {
    const key = keyOf(stream, room);
    const entry = [...attempt.waiting].find(({ channel }) => channel.stream === stream);
    if (!entry || this.#channels.has(key)) return undefined;
    this.#channels.delete(entry.key);
    entry.key = key;
    this.#channels.set(key, entry);
    return entry;
  }

  #welcomed(attempt, frame) {
    if (this.#user !== null && frame.user !== this.#user) return this.#endLogin();
    // A channel that was left and joined again has two welcomes: the first comes before `left`.
    if (attempt.left.includes(keyOf(frame.stream, frame.room))) return;
    const entry = this.#waitingFor(attempt, frame) ?? this.#renamed(attempt, frame);
    if (!entry) return;
    attempt.waiting.delete(entry);
    if (attempt === this.#current && entry.home) return; // the successor was faster
    entry.home = attempt;
    entry.wasJoined = true;
    entry.failures = 0;
    this.#settle(attempt, true);
    entry.channel.frame(frame);
    this.#report();
  }

  #left(attempt, frame) {
    const key = keyOf(frame.stream, frame.room);
    const place = attempt.left.indexOf(key);
    if (place >= 0) return void attempt.left.splice(place, 1); // the answer to `leave`
    const entry = this.#channels.get(key);
    if (!entry || (entry.home !== attempt && !attempt.waiting.has(entry))) return;
    attempt.waiting.delete(entry);
    this.#settle(attempt, true);
    if (entry.home === attempt) entry.home = null;
    if (frame.retry) this.#rejoin(attempt, entry);
    else this.#finish(entry, { code: frame.code, reason: frame.reason, error: frame.error ?? "", isFinal: true });
    this.#report();
  }

  #refused(attempt, frame) {
    if (frame.client_id != null) return this.#passOn(attempt, frame);
    // A channel that is not joined may be joined again meanwhile.
    const isAboutJoin =
      frame.stream != null && frame.code !== ErrorCode.NOT_JOINED && attempt.waiting.size > 0;
    const entry = isAboutJoin ? this.#waitingFor(attempt, frame) : undefined;
    if (!entry) return this.#rejected(attempt, frame);
    // Another node may take it.
    if (frame.retry && attempt === this.#next) return this.#closed(attempt, 0);
    // Only accounts have an inbox: the client is not this user any more.
    const hasLostInbox = entry.wasJoined && frame.stream === "inbox" && frame.code === ErrorCode.NO_ACCESS;
    if (hasLostInbox && this.#user !== null) return this.#endLogin();
    attempt.waiting.delete(entry);
    this.#settle(attempt, true);
    if (frame.retry) this.#rejoin(attempt, entry);
    else {
      const code = frame.code === ErrorCode.LOGIN_REQUIRED ? CloseCode.LOGIN_ENDED : CloseCode.FORBIDDEN;
      this.#finish(entry, { code, reason: "", error: frame.code, isFinal: true });
    }
    this.#report();
  }

  // The login of the user has ended while there was no connection: all channels end before any of
  // them sends a frame as another user.
  #endLogin() {
    this.#discardAll();
    this.#end = { code: CloseCode.LOGIN_ENDED, reason: "", error: "", isFinal: true };
    this.#report();
  }

  // The server could not read a frame well enough to name it: it is the oldest one without an
  // answer.
  #rejected(attempt, frame) {
    const key = frame.room == null ? null : keyOf(frame.stream ?? "chat", frame.room);
    const place = attempt.requests.findIndex((request) => key === null || request.key === key);
    if (place < 0) return;
    const [request] = attempt.requests.splice(place, 1);
    if (request.resolve) request.resolve(null);
    else if (request.id !== undefined) this.#channels.get(request.key)?.channel.frame({ ...frame, client_id: request.id });
  }

  // The answer belongs to the oldest request that waits for one.
  #answered(attempt, frame) {
    const place = attempt.requests.findIndex(({ resolve }) => resolve);
    if (place >= 0) attempt.requests.splice(place, 1)[0].resolve(frame);
  }

  // The channel has ended for good; the others go on.
  #finish(entry, end) {
    entry.end = end;
    entry.home = null;
  }

  #rejoin(attempt, entry) {
    clearTimeout(entry.rejoinTimer);
    entry.rejoinTimer = setTimeout(() => {
      const isInUse = attempt === this.#current || attempt === this.#next;
      if (isInUse && !entry.home && !entry.end && !attempt.waiting.has(entry)) this.#join(attempt, entry);
    }, jitter(entry.failures++));
  }

  #idleAfter(delay) {
    clearTimeout(this.#idleTimer);
    this.#idleTimer = setTimeout(() => this.#stop(), delay);
  }

  #stop() {
    this.#discardAll();
    this.#wasOpen = false;
    clearTimeout(this.#idleTimer);
    clearInterval(this.#checkTimer);
    this.#checkTimer = 0;
    this.#report();
  }

  #connectAfter(via, delay) {
    clearTimeout(this.#reconnectTimer);
    this.#reconnectTimer = setTimeout(() => this.#connect(via), delay);
  }

  #closed(attempt, code, reason = "") {
    if (attempt !== this.#current && attempt !== this.#next) return;
    const hasMoved = [...this.#channels.values()].some(({ home }) => home === attempt);
    this.#discard(attempt);
    if (attempt === this.#current) {
      this.#current = null;
      clearTimeout(this.#stableTimer);
      if (!this.#next) this.#reconnect(code, reason);
    } else {
      this.#next = null;
      this.#websocketFailures = attempt.via === "websocket" ? this.#websocketFailures + 1 : 0;
      if (!attempt.isOpen && this.#websocketFailures >= FAILURES_BEFORE_PROBE) this.#probe();
      // The channels that were welcomed there have let the current connection go.
      if (this.#current && hasMoved) {
        this.#discard(this.#current);
        this.#current = null;
      }
      for (const entry of this.#channels.values()) {
        if (this.#current && !entry.home && !entry.end && !this.#current.waiting.has(entry)) this.#rejoin(this.#current, entry);
      }
      if (!this.#current) this.#reconnect(code, reason);
      else if (this.#isProven(attempt)) this.#lateWelcomes = 0; // nothing was wrong with it
      else this.#connectAfter("websocket", this.#current.via === "sse" ? UPGRADE_DELAY : this.#backoff());
    }
    this.#report();
  }

  // Finds out why WebSockets fail. An event stream would have a status of its own.
  async #probe() {
    if (this.#transports.sse || this.#current) return;
    const refusal = await this.#transports.websocket.probe?.();
    if (!refusal || this.#current || this.#channels.size === 0 || this.#end?.isFinal) return;
    this.#refusedBy(refusal);
    const { status, detail } = refusal;
    const code = { 401: CloseCode.LOGIN_ENDED, 403: CloseCode.FORBIDDEN }[status];
    // The next credentials may be others, and a proxy may answer 404 for a while.
    if (this.#canRenew || code === undefined) return;
    this.#discardAll();
    this.#end = { code, reason: detail, error: REFUSED, isFinal: true };
    this.#report();
  }

  #refusedBy({ status, detail }) {
    this.#onError(new ParlorError(REFUSED, `the server refuses the connection: ${status} ${detail}`, { status }));
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
    const canReturn = this.#canRenew && code === CloseCode.LOGIN_ENDED;
    this.#end = { code, reason, error: "", isFinal: isFinal(code) && !canReturn };
    if (this.#end.isFinal || this.#isReleased) return;
    this.#connectAfter(this.#preferredTransport(), this.#backoff());
  }

  #discardAll() {
    for (const attempt of [this.#current, this.#next]) if (attempt) this.#discard(attempt);
    this.#current = this.#next = null;
    for (const timer of [this.#reconnectTimer, this.#stableTimer]) clearTimeout(timer);
    this.#reconnectTimer = 0;
  }

  #discard(attempt) {
    clearTimeout(attempt.welcomeTimer);
    attempt.connection.close();
    for (const entry of this.#channels.values()) if (entry.home === attempt) entry.home = null;
    for (const { resolve } of attempt.requests.splice(0)) resolve?.(null);
  }

  // A hidden page would let an SSE connection go at once.
  #preferredTransport() {
    const isBlocked = this.#websocketFailures >= FAILURES_BEFORE_SSE;
    const hasChat = [...this.#channels.values()].some(({ channel, end }) => channel.stream === "chat" && !end);
    return this.#transports.sse && isBlocked && hasChat && !this.#lifecycle.isHidden ? "sse" : "websocket";
  }

  #backoff() {
    return jitter(this.#failures++);
  }

  #request(attempt, key, frame) {
    if (!attempt?.connection.canRequest || !attempt.connection.send(frame)) return Promise.resolve(null);
    return new Promise((resolve) => attempt.requests.push({ key, resolve }));
  }

  #check() {
    const now = Date.now();
    const hasSlept = Math.abs(now - this.#checkedAt) > SLEEP_AFTER;
    this.#checkedAt = now;
    // A hidden page is checked once a minute, and is woken when it is shown.
    if (hasSlept && !this.#lifecycle.isHidden) this.#wake(true);
    else this.#checkSilence(SILENCE_BEFORE_PROBE);
  }

  // A silent connection is either quiet or dead; the answer to a small request shows which. Without
  // a room the answer is an error, which shows it as well.
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
      const entry = [...this.#channels.values()].find(({ home, channel }) => home === attempt && channel.stream === "chat");
      const place = entry ? target("chat", entry.channel.room) : {};
      this.#request(attempt, entry?.key ?? null, { type: "history", ...place, limit: 1 });
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
    if (this.#end?.isFinal || this.#channels.size === 0) return;
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

  // A user who has left the page is no member any more, also while the browser keeps the page.
  #releaseAll() {
    this.#isReleased = true;
    clearTimeout(this.#reconnectTimer);
    this.#reconnectTimer = 0;
    for (const attempt of [this.#next, this.#current]) if (attempt) this.#release(attempt);
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
    const isOffline = this.#end?.isFinal || !this.#lifecycle.isOnline;
    const isIdle = this.#channels.size === 0;
    const whole = (wasOpen) => (isIdle || isOffline ? "offline" : wasOpen || this.#failures ? "reconnecting" : "connecting");
    const via = this.#current?.via ?? "";
    const state = this.#current ? "open" : whole(this.#wasOpen);
    const end = this.#current ? null : this.#end;
    const report = [state, via, end?.code].join();
    if (this.#reported !== report) {
      this.#reported = report;
      this.#onState(state, via, end);
    }
    for (const entry of [...this.#channels.values()]) {
      if (this.#channels.get(entry.key) !== entry) continue; // a listener has left it
      if (entry.end) this.#reportChannel(entry, "offline", "", entry.end);
      else if (entry.home) this.#reportChannel(entry, "open", entry.home.via, null);
      else this.#reportChannel(entry, whole(entry.wasJoined), "", end);
    }
  }

  #reportChannel(entry, state, via, end) {
    const report = [state, via, end?.code].join();
    if (entry.reported === report) return;
    entry.reported = report;
    entry.channel.state(state, via, end);
  }
}

function jitter(failures) {
  const max = Math.min(LAST_MAX_BACKOFF, FIRST_MAX_BACKOFF * 2 ** failures);
  return MIN_BACKOFF + Math.random() * (max - MIN_BACKOFF);
}

// What names a channel in a client's frame.
function target(stream, room) {
  if (stream === "inbox") return { inbox: true };
  return stream === "push" ? { room, push: true } : { room };
}

function keyOf(stream, room) {
  return stream === "inbox" ? stream : `${stream}:${room?.normalize("NFC")}`;
}

// The position in a log.

const BEGINNING = "0-0"; // the position before the first message of a room
const DEFAULT_HISTORY = 0; // messages of the past on the first join
const MAX_KNOWN_IDS = 5000; // of the newest messages: only a repair or a new connection repeats some

// Where a client is in the messages of a room: which ones it has, where the next `join` continues,
// and up to where messages are of the past.
export class LogPosition {
  #history;
  #id; // of the last message; null: none yet
  #pastEnd = null; // the id up to which messages are of the past; null: live
  #isFirstLoad = true; // the past of the first join
  #isWithoutPast = false; // the last `join` asked for no messages of the past
  #knownIds = new Set();

  // `history` is the number of messages of the past on the first join, or a function of the
  // transport that returns it; `since` is a position to continue from instead.
  constructor(history = DEFAULT_HISTORY, since = null) {
    this.#history = history;
    this.#id = since;
  }

  // The id of the last message, `0-0` for a room without any; null before that is known.
  get id() {
    return this.#id;
  }

  // Whether messages of the past are still to come.
  get isCatchingUp() {
    return this.#pastEnd !== null;
  }

  // Returns the members of the next `join`.
  join(via) {
    if (this.#id !== null) return { since: this.#id };
    const history = typeof this.#history === "function" ? this.#history(via) : this.#history;
    this.#isWithoutPast = history === 0;
    return { history };
  }

  // Handles a `welcome` frame; returns why messages are missing, or null.
  welcome({ last, recovered, reason }) {
    this.#isFirstLoad = this.#id === null;
    const isWithoutPast = this.#isFirstLoad && this.#isWithoutPast;
    this.#pastEnd = last === this.#id || isWithoutPast ? null : last;
    if (last === null) this.#id = BEGINNING; // the room's log is empty
    else if (isWithoutPast) this.#id = last;
    return recovered || reason === "new" ? null : reason;
  }

  // Handles a `message` frame. Returns null for one that was there already, else whether it is of
  // the past, and whether it is of the past of the first join. Call `passed` once it is shown.
  message({ id = null, prev = null }) {
    if (id === null) return { isPast: false, isFirstLoad: false };
    if (this.#knownIds.has(id)) {
      this.passed(id);
      return null;
    }
    this.#remember(id);
    this.#id = id;
    if (prev === this.#pastEnd) this.#pastEnd = null; // the past is complete
    const isPast = this.#pastEnd !== null;
    return { isPast, isFirstLoad: isPast && this.#isFirstLoad };
  }

  // The end of the past is a position to continue from, also when its message was there already.
  passed(id) {
    if (id === null || id !== this.#pastEnd) return;
    this.#pastEnd = null;
    this.#id = id;
  }

  #remember(id) {
    this.#knownIds.add(id);
    if (this.#knownIds.size > MAX_KNOWN_IDS) this.#knownIds.delete(this.#knownIds.values().next().value);
  }
}

// Unsent messages.

const MAX_ENTRIES = 50; // of a room
// The server remembers ids for 5 minutes; older messages are sent again only by the user.
const MAX_AGE = 4 * 60000; // ms
// Without an answer for so long the connection counts as dead; on a slow line a message takes
// longer.
const ACK_TIMEOUT = 10000; // ms
const MIN_UPLOAD_RATE = 2; // bytes a ms
const MAX_ACK_PATIENCE = 8; // the factor doubles with each connection that counted as dead
const FIRST_RETRY_BACKOFF = 1000; // ms before the first retry; doubles with each failure
const LAST_RETRY_BACKOFF = 8000; // ms
const AGE_CHECK_INTERVAL = 5000; // ms

// Why a message has failed, besides the error codes of the server.
export const Failure = Object.freeze({
  EXPIRED: "expired", // not confirmed in time
  ENDED: "ended", // the server closed the connection for good
  PUBLIC: "public", // written for a private room that is private no more
});

// The user's messages until the server has acknowledged them: stored, sent one after another, each
// under one id.
//
// An entry is `{ id, text, data, event, at, failed, isPrivate }`; `failed` is "" or the reason.
// `send(frame)` returns false when there is no connection. `events.delayed(entry, code)`,
// `events.failed(entry)` and `events.removed(entry)` report changes; `events.dead()` asks for a new
// connection, and `events.isUploading()` returns whether what was sent still waits in the browser.
export class Outbox {
  #store;
  #send;
  #events;
  #entries;
  #inFlight = null; // the entry that waits for its answer
  #ackTimer = 0; // 0: not set
  #retryTimer = 0;
  #ageTimer;
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
    this.#ageTimer = setInterval(() => this.#expire(), AGE_CHECK_INTERVAL);
  }

  get entries() {
    return [...this.#entries];
  }

  // The entry that waits for its answer, or null.
  get inFlight() {
    return this.#inFlight;
  }

  // Adds a message, a text or `{ text, data, event }`; returns its entry, or null when the outbox is
  // full.
  add(message) {
    if (this.#entries.length >= MAX_ENTRIES) return null;
    const content = typeof message === "string" ? { text: message } : contentOf(message);
    const entry = { id: uuid(), ...content, at: Date.now(), failed: "", isPrivate: this.#isPrivate };
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
    if (!entry) return;
    if (!this.#send({ type: "message", ...contentOf(entry), id: entry.id })) return;
    this.#inFlight = entry;
    const { text = "", data = "" } = entry;
    const size = new TextEncoder().encode(text + (data === "" ? "" : JSON.stringify(data))).length;
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
      const max = Math.min(LAST_RETRY_BACKOFF, FIRST_RETRY_BACKOFF * 2 ** this.#failures++);
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

  // Stops all timers; what is stored stays.
  close() {
    this.#clearFlight();
    clearInterval(this.#ageTimer);
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

// The members of a message that are not undefined.
function contentOf({ text, data, event }) {
  return Object.fromEntries(Object.entries({ text, data, event }).filter(([, value]) => value !== undefined));
}

// `crypto.randomUUID` exists on secure origins only.
function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40; // version 4
  bytes[8] = (bytes[8] & 0x3f) | 0x80; // variant 1
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

// Unsent messages in local storage, one key for each, so that tabs of one room cannot overwrite one
// another's. Where storage is full or forbidden, messages last as long as the page.
export class UnsentStore {
  #window;
  #prefix;

  constructor(owner, window = globalThis) {
    this.#window = window;
    this.#prefix = `parlor.unsent:${owner}:`;
  }

  // Returns what is stored, the oldest first.
  load() {
    try {
      const storage = this.#window.localStorage;
      const keys = Array.from({ length: storage.length }, (_, index) => storage.key(index));
      const own = keys.filter((key) => key.startsWith(this.#prefix));
      const entries = own.map((key) => JSON.parse(storage.getItem(key)));
      const hasContent = (entry) => typeof entry?.text === "string" || entry?.data !== undefined;
      const valid = entries.filter((entry) => hasContent(entry) && Number.isFinite(entry.at));
      return valid.sort((a, b) => a.at - b.at);
    } catch {
      return [];
    }
  }

  save(entry) {
    try {
      this.#window.localStorage.setItem(this.#prefix + entry.id, JSON.stringify(entry));
    } catch {}
  }

  remove(id) {
    try {
      this.#window.localStorage.removeItem(this.#prefix + id);
    } catch {}
  }

  // Calls back with the id of a message that another tab removes.
  onRemoved(callback) {
    this.#window.addEventListener?.("storage", ({ key, newValue }) => {
      if (key?.startsWith(this.#prefix) && newValue === null) callback(key.slice(this.#prefix.length));
    });
  }
}

// Keeps messages no longer than the program runs.
class NoStore {
  load() {
    return [];
  }

  save() {}

  remove() {}

  onRemoved() {}
}

// What a program uses.

// Why a connection, a join or a message has failed: `code` is an error code, a `Failure`,
// "credentials" or "websocket" with the exception as `cause`, "refused" with the HTTP `status`, or
// "left" after the program itself has left.
export class ParlorError extends Error {
  constructor(code, message, { cause, status = null } = {}) {
    super(message, cause === undefined ? {} : { cause });
    this.name = "ParlorError";
    this.code = code;
    this.status = status;
  }
}

// What all channels have: a place on the connection, events, and an end.
class Link {
  state = "connecting";
  joined;
  #connection;
  #stream;
  #room;
  #entry = null; // on the connection; null after the end
  #emitter = new Emitter();
  #settle;
  #ended;

  constructor(connection, stream, room) {
    this.#connection = connection;
    this.#stream = stream;
    this.#room = room;
    this.joined = new Promise((resolve, reject) => (this.#settle = { resolve, reject }));
    this.joined.catch(() => {}); // a program may listen to `left` instead
  }

  get room() {
    return this.#room;
  }

  // Joins. `join(via)` returns the further members of a `join`, `frame(frame)` gets each frame, and
  // `ended()` is called once: before the event `left`, or when the program leaves.
  //
  // Throws an error if the channel is joined already.
  open({ join, frame, ended = () => {} }) {
    this.#ended = ended;
    this.#entry = this.#connection.add({
      stream: this.#stream,
      room: this.#room,
      join,
      frame: (received) => {
        if (received.type === "welcome") this.#settle.resolve(received);
        frame(received);
      },
      state: (state, via, end) => {
        this.state = state;
        const error = end?.isFinal ? new ParlorError(end.error || slugOf(end.code), this.#reason(end)) : null;
        if (error) this.#close(error);
        this.emit("state", state, via, end);
        if (error) this.emit("left", end);
      },
    });
  }

  on(type, listener) {
    return this.#emitter.on(type, listener);
  }

  emit(type, ...details) {
    this.#emitter.emit(type, ...details);
  }

  send(frame) {
    return this.#entry !== null && this.#connection.send(this.#entry, frame);
  }

  async history(before, limit) {
    return this.#entry && this.#connection.history(this.#entry, before, limit);
  }

  restart() {
    this.#connection.restart();
  }

  get isUploading() {
    return this.#connection.isUploading;
  }

  leave() {
    if (!this.#entry) return;
    this.#close(new ParlorError("left", `${this.#name} was left`));
    this.emit("left", { code: CloseCode.NORMAL, reason: "", error: "", isFinal: true });
  }

  #close(error) {
    const entry = this.#entry;
    this.#entry = null;
    this.#settle.reject(error);
    this.#ended(error);
    if (entry) this.#connection.remove(entry);
  }

  get #name() {
    return [this.#stream, this.#room].filter(Boolean).join(" ");
  }

  #reason({ error, reason, code }) {
    return `${this.#name} has ended: ${error || reason || slugOf(code)}`;
  }
}

// What every channel offers to a program.
class Channel {
  #link;

  constructor(link) {
    this.#link = link;
  }

  // The name by which it was joined; null for an inbox.
  get room() {
    return this.#link.room;
  }

  // connecting, open, reconnecting or offline.
  get state() {
    return this.#link.state;
  }

  // Resolves with the first `welcome`; rejects when the channel cannot be joined.
  get joined() {
    return this.#link.joined;
  }

  // Calls the listener at each event of this type; returns a function that ends that.
  on(type, listener) {
    return this.#link.on(type, listener);
  }

  // Leaves the channel, which has no more events.
  leave() {
    this.#link.leave();
  }
}

// The chat of a room.
class Room extends Channel {
  #link;
  #position;
  #outbox;
  #deliveries = new Map(); // what settles the promise of `send`, by the id of the entry
  #ownUsers = new Set(); // the user's ids on all connections
  #endCode = ""; // why the room has ended

  constructor(link, { history, since, presence, typing, unsentAs, isPrivate }) {
    super(link);
    this.#link = link;
    this.#position = new LogPosition(history, since);
    const store = unsentAs === undefined ? new NoStore() : new UnsentStore(unsentAs);
    this.#outbox = new Outbox(store, (frame) => link.send(frame), this.#outboxEvents(), isPrivate);
    const fewer = Object.entries({ presence, typing }).filter(([, isWanted]) => isWanted === false);
    try {
      link.open({
        join: (via) => ({ ...this.#position.join(via), ...Object.fromEntries(fewer) }),
        frame: (frame) => this.#received(frame),
        ended: (error) => this.#ended(error),
      });
    } catch (error) {
      this.#outbox.close();
      throw error;
    }
  }

  // The id of the last message, from which a later `join` may continue; null before the first one.
  get position() {
    return this.#position.id;
  }

  // Whether messages of the past are still to come.
  get isCatchingUp() {
    return this.#position.isCatchingUp;
  }

  // The messages that the server has not acknowledged.
  get outbox() {
    return this.#outbox;
  }

  // Sends a message, a text or `{ text, data, event }`, now or when connected. Resolves with its
  // `ack`; rejects with a `ParlorError` when it has failed and waits for `outbox.resend`.
  async send(message) {
    if (this.#endCode) throw new ParlorError(this.#endCode, "the room has ended");
    const entry = this.queue(message);
    if (!entry) throw new ParlorError("full", "too many messages are waiting");
    return new Promise((resolve, reject) => this.#deliveries.set(entry.id, { resolve, reject }));
  }

  // As `send`, without a promise: returns the entry of the outbox, or null when that is full.
  queue(message) {
    const entry = this.#outbox.add(message);
    this.#outbox.pump();
    return entry;
  }

  // Shows the other members that the user is typing.
  signalTyping() {
    return this.#link.send({ type: "typing" });
  }

  // In a private chat, reports everything up to this message as read.
  markRead(id) {
    return this.#link.send({ type: "read", id });
  }

  // Returns a `history` frame with messages before this one, or the newest; null when the connection
  // cannot answer.
  history(before, limit = 50) {
    return this.#link.history(before, limit);
  }

  #outboxEvents() {
    return {
      delayed: (entry, code) => this.#link.emit("delayed", entry, code),
      failed: (entry) => {
        this.#take(entry)?.reject(new ParlorError(entry.failed, `the message has failed: ${entry.failed}`));
        this.#link.emit("failed", entry);
      },
      removed: (entry) => {
        this.#take(entry)?.resolve(null);
        this.#link.emit("dropped", entry);
      },
      dead: () => this.#link.restart(),
      isUploading: () => this.#link.isUploading,
    };
  }

  // Messages of a room that the program leaves stay in the store, for its next join.
  #ended({ code }) {
    this.#endCode = code;
    if (code !== "left") this.#outbox.end();
    this.#outbox.close();
    for (const { reject } of this.#deliveries.values()) reject(new ParlorError(code, "the room was left"));
    this.#deliveries.clear();
  }

  #take(entry) {
    const delivery = this.#deliveries.get(entry.id);
    this.#deliveries.delete(entry.id);
    return delivery;
  }

  #received(frame) {
    switch (frame.type) {
      case "welcome":
        return this.#welcomed(frame);
      case "message":
        return this.#message(frame);
      case "ack":
        return this.#acknowledged(frame);
      case "error":
        return this.#outbox.error(frame);
      default: // removed, gap, presence, typing, and those of a later version of the protocol
        return this.#link.emit(frame.type, frame);
    }
  }

  #welcomed(frame) {
    this.#ownUsers.add(frame.user);
    const missing = this.#position.welcome(frame);
    this.#link.emit("welcome", frame);
    if (missing) this.#link.emit("gap", { type: "gap", room: frame.room, reason: missing, after: null });
    this.#outbox.resume(frame.private);
  }

  #message(frame) {
    const place = this.#position.message(frame);
    if (!place) return;
    const { inFlight } = this.#outbox;
    if (inFlight && frame.text === inFlight.text && this.#ownUsers.has(frame.user)) this.#outbox.echoed();
    this.#link.emit("message", frame, place);
    this.#position.passed(frame.id);
  }

  #acknowledged(frame) {
    const entry = this.#outbox.ack(frame);
    if (!entry) return;
    this.#take(entry)?.resolve(frame);
    this.#link.emit("delivered", entry, frame);
  }
}

// The push stream of a room: `push` with each line.
class PushStream extends Channel {
  constructor(link) {
    super(link);
    // The members of a push stream are its listeners, not those of the room.
    link.open({ join: () => ({ presence: false, typing: false }), frame: (frame) => link.emit(frame.type, frame) });
  }
}

// The inbox of an account: `unread` with the count of each private chat.
class Inbox extends Channel {
  constructor(link) {
    super(link);
    link.open({ join: () => ({}), frame: (frame) => link.emit(frame.type, frame) });
  }
}

// One connection to a server. It is opened by the first `join`, and closed a while after the last
// channel was left.
export class Parlor {
  #connection;
  #channels = new Set();
  #emitter = new Emitter();
  #state = "offline";

  // `base` is the address of the server, as `https://chat.example.org`; on a page of the server it
  // may be left out.
  constructor(base = globalThis.location?.origin, options = {}) {
    const { token, ticket, user, path = "/ws", headers } = options;
    const { WebSocket = globalThis.WebSocket, lifecycle = new PageLifecycle() } = options;
    const url = new URL(path, base);
    url.protocol = url.protocol.replace("http", "ws");
    const site = new URL(base);
    site.protocol = site.protocol.replace("ws", "http");
    // Other sites cannot read a stream, and a ticket is for one connection.
    const isOwnSite = globalThis.location === undefined || globalThis.location.origin === site.origin;
    const { sse = isOwnSite && ticket === undefined } = options;
    const credentials = { token, ticket };
    // Only the chats of rooms go without one, so a program has to ask for that.
    if (WebSocket === undefined && options.sse !== true) {
      const hint = 'as `import WebSocket from "ws"; new Parlor(base, { WebSocket })`';
      throw new ParlorError(NO_WEBSOCKET, `there is no global WebSocket: expected the option \`WebSocket\`, ${hint}`);
    }
    const transports = { websocket: new WebSocketTransport(url, credentials, WebSocket) };
    if (sse) transports.sse = new SseTransport(site, credentials, headers);
    const canRenew = typeof token === "function" || typeof ticket === "function";
    const onState = (state, via, end) => {
      this.#state = state;
      this.#emitter.emit("state", state, via, end);
    };
    const onError = (error) => (this.#emitter.hasListener("error") ? this.#emitter.emit("error", error) : console.error(error));
    this.#connection = new Connection(transports, lifecycle, onState, canRenew, user, onError);
  }

  // connecting, open, reconnecting or offline.
  get state() {
    return this.#state;
  }

  // Calls the listener at each `state` or `error`; returns a function that ends that. Without a
  // listener, errors are written to the console.
  on(type, listener) {
    return this.#emitter.on(type, listener);
  }

  // Joins the chat of a room. Throws an error if it is joined already.
  join(room, options = {}) {
    return this.#add(new Room(this.#link("chat", room), options));
  }

  // Joins the push stream of a room.
  joinPush(room) {
    return this.#add(new PushStream(this.#link("push", room)));
  }

  // Joins the inbox of the user's account.
  joinInbox() {
    return this.#add(new Inbox(this.#link("inbox", null)));
  }

  // Leaves all channels and closes the connection for good.
  close() {
    for (const channel of this.#channels) channel.leave();
    this.#connection.close();
  }

  #link(stream, room) {
    return new Link(this.#connection, stream, room);
  }

  #add(channel) {
    this.#channels.add(channel);
    channel.on("left", () => this.#channels.delete(channel));
    return channel;
  }
}
