// The push stream of a room: its socket, the buttons that start and stop it, and a word on how it stands.

import { Socket } from "./socket.js";

const PERIOD = 2000; // ms between two lines
const SILENCE = 3 * PERIOD; // without a line for this long the stream has ended: somebody else may have stopped it
const PATIENCE = 10000; // ms for the server's answer

const start = document.getElementById("push-start");
const stop = document.getElementById("push-stop");
const state = document.getElementById("push-state");
const token = document.querySelector("[name=csrfmiddlewaretoken]").value;

export class Push {
  #url;
  #texts;
  #open = true;
  #running = false;
  #words = ""; // how it runs, while the connection is there
  #stoppedAt = -Infinity;
  #silence = 0;

  constructor(urls, texts, show) {
    this.#url = urls.push;
    this.#texts = texts;
    start.addEventListener("click", () => this.#ask("POST"));
    stop.addEventListener("click", () => this.#ask("DELETE"));
    new Socket(urls.pushSocket, {
      message: (frame) => {
        show(frame);
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
    const headers = { "X-CSRFToken": token };
    try {
      const answer = await fetch(this.#url, { method, headers, signal: AbortSignal.timeout(PATIENCE) });
      if (!answer.ok) state.textContent = this.#texts.push_refused.replace("{status}", answer.status);
      else if (method === "POST") this.#begun();
      else this.#ended();
    } catch {
      state.textContent = this.#texts.push_unreachable;
    }
  }

  #begun() {
    this.#stoppedAt = -Infinity;
    this.#runs(this.#running ? this.#texts.push_running : this.#texts.push_starting);
  }

  #runs(words) {
    this.#running = true;
    this.#words = words;
    stop.hidden = false;
    state.textContent = this.#open ? words : this.#texts.push_interrupted;
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
