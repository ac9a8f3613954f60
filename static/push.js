// The push stream of a room: its lines, the buttons to start and stop it, and its state.

import { byId } from "./dom.js";

const LINE_INTERVAL = 2000; // ms
const STOPPED_AFTER = 3 * LINE_INTERVAL; // without a line: another user may have stopped the stream
const ANSWER_TIMEOUT = 10000; // ms

export class PushControls {
  #startButton = byId("push-start");
  #stopButton = byId("push-stop");
  #stateLine = byId("push-state");
  #catalogue;
  #path;
  #csrfToken;
  #isConnected = true;
  #isEnded = false; // the server has closed the connection for good
  #isRunning = false;
  #runningText = ""; // shown while connected
  #stoppedAt = -Infinity;
  #stoppedTimer = 0;

  // `stream` is the room's, at `path`; `onLine(text)` is called for each line.
  constructor(stream, path, csrfToken, catalogue, onLine) {
    this.#path = path;
    this.#csrfToken = csrfToken;
    this.#catalogue = catalogue;
    this.#startButton.addEventListener("click", () => this.#request("POST"));
    this.#stopButton.addEventListener("click", () => this.#request("DELETE"));
    stream.on("push", ({ text }) => {
      onLine(text);
      // A line that was in transit when the user pressed stop does not mean that the stream runs
      // again.
      const isLate = performance.now() - this.#stoppedAt <= LINE_INTERVAL;
      if (!isLate) this.#showRunning(this.#catalogue.texts.push_running);
    });
    stream.on("left", () => this.end());
    stream.on("state", (state) => {
      this.#isConnected = state === "open" || state === "connecting";
      if (this.#isRunning) this.#showRunning(this.#runningText);
    });
  }

  // Shows that no lines come any more; the stream may go on without this page.
  end() {
    this.#isEnded = true;
    this.#showStopped();
    this.#startButton.disabled = true;
  }

  async #request(method) {
    const { texts } = this.#catalogue;
    const headers = { "X-CSRFToken": this.#csrfToken };
    try {
      const response = await fetch(this.#path, { method, headers, signal: AbortSignal.timeout(ANSWER_TIMEOUT) });
      const refused = () => this.#catalogue.fill(texts.push_refused, { status: String(response.status) });
      if (!response.ok) this.#stateLine.textContent = refused();
      else if (method === "POST") this.#started();
      else this.#stopped();
    } catch {
      this.#stateLine.textContent = texts.push_unreachable;
    }
  }

  #started() {
    const { texts } = this.#catalogue;
    this.#stoppedAt = -Infinity;
    this.#showRunning(this.#isRunning ? texts.push_running : texts.push_starting);
  }

  #showRunning(text) {
    if (this.#isEnded) return;
    this.#isRunning = true;
    this.#runningText = text;
    this.#stopButton.hidden = false;
    this.#stateLine.textContent = this.#isConnected ? text : this.#catalogue.texts.push_interrupted;
    clearTimeout(this.#stoppedTimer);
    if (this.#isConnected) this.#stoppedTimer = setTimeout(() => this.#showStopped(), STOPPED_AFTER);
  }

  #stopped() {
    this.#stoppedAt = performance.now();
    this.#showStopped();
  }

  #showStopped() {
    clearTimeout(this.#stoppedTimer);
    this.#isRunning = false;
    // A button that disappears must not take the focus with it.
    if (document.activeElement === this.#stopButton) this.#startButton.focus();
    this.#stopButton.hidden = true;
    this.#stateLine.textContent = "";
  }
}
