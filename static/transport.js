// One WebSocket that speaks parlor.v1.
//
// A transport has `open(query, listener)`, which starts one connection and returns it. The listener
// gets `frame(frame)` for each frame, `alive()` for any other sign of life, and `closed(code,
// reason)` at most once, never before `open` has returned. A connection has `canRequest` (whether
// it answers `history`), `isClosed`, `bufferedAmount` (bytes that have not left the browser),
// `send(frame)` (false when it is not open) and `close()`, after which the listener gets nothing.

const SUBPROTOCOL = "parlor.v1";

export class WebSocketTransport {
  #path;

  // `path` is absolute on this origin.
  constructor(path) {
    this.#path = path;
  }

  open(query, listener) {
    const url = new URL(this.#path, location.href);
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    url.search = new URLSearchParams(query);
    return new WebSocketConnection(new WebSocket(url, SUBPROTOCOL), listener);
  }
}

class WebSocketConnection {
  canRequest = true;
  #socket;

  constructor(socket, listener) {
    this.#socket = socket;
    socket.onmessage = (event) => {
      const frame = parseFrame(event.data);
      if (frame) listener.frame(frame);
    };
    socket.onclose = (event) => listener.closed(event.code, event.reason);
  }

  // The bytes that were sent and have not left the browser.
  get bufferedAmount() {
    return this.#socket.bufferedAmount;
  }

  get isClosed() {
    return this.#socket.readyState > WebSocket.OPEN;
  }

  send(frame) {
    if (this.#socket.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(frame));
    return true;
  }

  close() {
    this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close();
  }
}

// Parses a frame; null if the text is not one.
export function parseFrame(text) {
  try {
    const frame = JSON.parse(text);
    return typeof frame?.type === "string" ? frame : null;
  } catch {
    return null;
  }
}
