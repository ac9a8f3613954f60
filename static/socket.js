// A WebSocket that comes back by itself: full jitter, one connection at a time, its state told in words.

const FLOOR = 300; // ms, never sooner: the herd of a dead node must not arrive as one
const FIRST_CEILING = 1000; // ms, of the first wait; it doubles with each failure
const LAST_CEILING = 15000;
const HANDSHAKE = 5000; // ms: a frozen node takes the connection and never answers
const SETTLED = 5000; // ms open before the backoff is forgiven: a node that accepts and dies is still failing
const GOING_AWAY = 1001; // the node stops, the others are well: come back soon, spread a little
const FINAL = new Set([4401, 4403]); // identity gone, forbidden: asking again changes nothing

// `path` is absolute on this origin. `handlers.state(state, ended)` gets connecting, open, reconnecting or
// offline (`ended`: for good); `handlers.message(text)` gets each text frame.
export class Socket {
  #url;
  #handlers;
  #state = null;
  #ws = null;
  #opened = false; // has any connection ever opened
  #ended = false;
  #failures = 0;
  #retry = 0; // timers, 0 = none
  #deadline = 0;
  #settled = 0;

  constructor(path, handlers) {
    const url = new URL(path, location.href);
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    this.#url = url.href;
    this.#handlers = handlers;
    addEventListener("online", () => this.#wake());
    addEventListener("offline", () => this.#report());
    addEventListener("pageshow", () => this.#wake());
    document.addEventListener("visibilitychange", () => document.hidden || this.#wake());
    this.#dial();
  }

  get isOpen() {
    return this.#ws?.readyState === WebSocket.OPEN;
  }

  // False when there is no open connection; true means handed to the browser, not that it arrived.
  send(text) {
    if (!this.isOpen) return false;
    this.#ws.send(text);
    return true;
  }

  // For a caller who knows that the connection is dead although the browser does not.
  restart() {
    if (this.#ws) this.#lost(this.#ws, 0);
  }

  #dial() {
    clearTimeout(this.#retry);
    this.#retry = 0;
    const ws = new WebSocket(this.#url);
    this.#ws = ws;
    this.#report();
    this.#deadline = setTimeout(() => this.#lost(ws, 0), HANDSHAKE);
    ws.onopen = () => {
      clearTimeout(this.#deadline);
      this.#opened = true;
      this.#settled = setTimeout(() => (this.#failures = 0), SETTLED);
      this.#report();
    };
    ws.onmessage = (event) => {
      this.#failures = 0;
      if (typeof event.data === "string") this.#handlers.message(event.data);
    };
    ws.onclose = (event) => this.#lost(ws, event.code);
  }

  // The only way from a connection to the next one, so there are never two: the old one is deaf before the new is dialled.
  #lost(ws, code) {
    if (ws !== this.#ws) return;
    clearTimeout(this.#deadline);
    clearTimeout(this.#settled);
    ws.onopen = ws.onmessage = ws.onclose = null;
    ws.close();
    this.#ws = null;
    this.#ended = FINAL.has(code);
    if (!this.#ended) this.#retry = setTimeout(() => this.#dial(), this.#wait(code));
    this.#report();
  }

  #wait(code) {
    const exponential = Math.min(LAST_CEILING, FIRST_CEILING * 2 ** this.#failures++);
    const ceiling = code === GOING_AWAY ? FIRST_CEILING : exponential;
    return FLOOR + Math.random() * (ceiling - FLOOR);
  }

  // Online or in front again: whatever made it fail may be over, so do not sit out the wait.
  #wake() {
    if (this.#ws && this.#ws.readyState > WebSocket.OPEN) this.#lost(this.#ws, 0); // closed while the page was frozen
    if (this.#retry) this.#dial();
  }

  // Offline is only a word for the reader: a server on this machine is reachable without a network, so tries go on.
  #report() {
    let state = this.#opened || this.#failures ? "reconnecting" : "connecting";
    if (this.isOpen) state = "open";
    else if (this.#ended || !navigator.onLine) state = "offline";
    if (state === this.#state) return;
    this.#state = state;
    this.#handlers.state(state, this.#ended);
  }
}
