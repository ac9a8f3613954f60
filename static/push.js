// The push stream of a room: its socket, the buttons that start and stop it, and a word on how it stands.

import { byId, fill, texts } from "./page.js";
import { Socket } from "./socket.js";
import { wire } from "./wire.js";

const PERIOD = 2000; // ms between two lines
const SILENCE = 3 * PERIOD; // without a line for this long the stream has ended: somebody else may have stopped it
const PATIENCE = 10000; // ms for the server's answer

const start = byId("push-start");
const stop = byId("push-stop");
const state = byId("push-state");

// `show(line)` gets each line.
export class Push {
  #url;
  #token;
  #open = true;
  #running = false;
  #words = ""; // how it runs, while the connection is there
  #stoppedAt = -Infinity;
  #silence = 0;

  constructor(urls, token, show) {
    this.#url = urls.push;
    this.#token = token;
    start.addEventListener("click", () => this.#ask("POST"));
    stop.addEventListener("click", () => this.#ask("DELETE"));
    new Socket({ socket: wire(urls.pushSocket) }, {
      query: () => ({}), // a line is for now or never
      frame: (frame) => {
        if (frame.type !== "push") return;
        show(frame.message);
        // A line that was under way when one pressed stop does not mean that it runs again.
        if (performance.now() - this.#stoppedAt > PERIOD) this.#runs(texts.push_running);
      },
      state: (now) => {
        this.#open = now === "open" || now === "connecting";
        if (this.#running) this.#runs(this.#words);
      },
    });
  }

  async #ask(method) {
    const headers = { "X-CSRFToken": this.#token };
    try {
      const answer = await fetch(this.#url, { method, headers, signal: AbortSignal.timeout(PATIENCE) });
      if (!answer.ok) state.textContent = fill(texts.push_refused, { status: String(answer.status) });
      else if (method === "POST") this.#begun();
      else this.#ended();
    } catch {
      state.textContent = texts.push_unreachable;
    }
  }

  #begun() {
    this.#stoppedAt = -Infinity;
    this.#runs(this.#running ? texts.push_running : texts.push_starting);
  }

  #runs(words) {
    this.#running = true;
    this.#words = words;
    stop.hidden = false;
    state.textContent = this.#open ? words : texts.push_interrupted;
    clearTimeout(this.#silence);
    if (this.#open) this.#silence = setTimeout(() => this.#quiet(), SILENCE);
  }

  #ended() {
    this.#stoppedAt = performance.now();
    this.#quiet();
  }

  #quiet() {
    clearTimeout(this.#silence);
    this.#running = false;
    if (document.activeElement === stop) start.focus(); // the focus must not vanish with its button
    stop.hidden = true;
    state.textContent = "";
  }
}
