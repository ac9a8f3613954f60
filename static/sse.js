// The transport without a WebSocket: frames as Server-Sent Events, messages by POST.

import { CloseCode } from "./closeCodes.js";
import { ErrorCode } from "./errorCodes.js";
import { parseFrame } from "./transport.js";

const ANSWER_TIMEOUT = 10000; // ms
const CLOSE_CODES = new Map([ // by HTTP status: after these, a new connection fails alike
  [401, CloseCode.LOGIN_ENDED],
  [403, CloseCode.FORBIDDEN],
  [404, CloseCode.FORBIDDEN],
]);

// The reason of an end after HTTP status 429.
export const TOO_MANY = "too_many";

export class SseTransport {
  #path;
  #messagesPath;
  #csrfToken;

  constructor(path, messagesPath, csrfToken) {
    this.#path = path;
    this.#messagesPath = messagesPath;
    this.#csrfToken = csrfToken;
  }

  open(query, listener) {
    const url = new URL(this.#path, location.href);
    url.search = new URLSearchParams(query);
    return new SseConnection(url, (frame) => this.#post(frame), listener);
  }

  // Returns the server's answer to a message, or an error frame if there is none.
  async #post(frame) {
    const error = { type: "error", code: ErrorCode.UNAVAILABLE, client_id: frame.id, retry: true };
    try {
      const headers = { "Content-Type": "application/json", "X-CSRFToken": this.#csrfToken };
      const signal = AbortSignal.timeout(ANSWER_TIMEOUT);
      const response = await fetch(this.#messagesPath, { method: "POST", headers, body: JSON.stringify(frame), signal });
      const answer = parseFrame(await response.text());
      if (answer) return { ...answer, client_id: answer.client_id ?? frame.id };
      const isTemporary = response.status >= 500 || response.status === 408 || response.status === 429;
      return isTemporary ? error : { ...error, code: "refused", retry: false };
    } catch {
      return { ...error, code: "unreachable" };
    }
  }
}

// Uses `fetch`: `EventSource` hides comments, the only sign of life in a quiet room.
class SseConnection {
  canRequest = false;
  isClosed = false;
  bufferedAmount = 0; // a POST has a time of its own
  #listener;
  #post;
  #abort = new AbortController();
  #isOpen = true;

  constructor(url, post, listener) {
    this.#listener = listener;
    this.#post = post;
    this.#read(url).then((status) => this.#closed(status), () => this.#closed(0));
  }

  send(frame) {
    if (!this.#isOpen || !["message", "read"].includes(frame.type)) return false;
    const answered = this.#post(frame);
    if (frame.type === "message") answered.then((answer) => this.#isOpen && this.#listener.frame(answer));
    return true;
  }

  close() {
    this.#isOpen = false;
    this.#abort.abort();
  }

  #closed(status) {
    if (this.#isOpen) this.#listener.closed(CLOSE_CODES.get(status) ?? 0, status === 429 ? TOO_MANY : "");
    this.#isOpen = false;
  }

  // Reads events until the response ends; returns the status of a refusal, else 0.
  async #read(url) {
    // With `Accept: text/event-stream`, as `EventSource` sends it, a refusal has the status 200.
    const response = await fetch(url, { signal: this.#abort.signal, cache: "no-store" });
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
        const frame = parseFrame(data.join("\n"));
        data = [];
        if (frame) this.#listener.frame(frame);
      }
    }
  }
}
