// The operator's buttons in a room: remove beside every message, disconnect and ban beside every
// member.

import { confirmSubmits } from "./confirmation.js";
import { byId, createElement, readJson } from "./dom.js";

const ANSWER_TIMEOUT = 10000; // ms

export class OperatorTools {
  #form = byId("operate");
  #notice = byId("operate-notice");
  #messages = byId("messages");
  #members = byId("member-list");
  #texts = readJson("operator-texts");

  constructor() {
    confirmSubmits(this.#form);
    const observer = new MutationObserver(() => this.#addButtons());
    for (const list of [this.#messages, this.#members]) observer.observe(list, { childList: true, subtree: true });
  }

  #addButtons() {
    for (const item of this.#messages.querySelectorAll("[data-id]:not(.removed, :has(.tool))")) {
      item.querySelector(".meta")?.append(" ", this.#button("remove", () => ({ id: item.dataset.id })));
    }
    for (const button of this.#messages.querySelectorAll(".removed .tool")) button.remove();
    for (const item of this.#members.querySelectorAll("[data-user]:not(:has(.tool))")) {
      const user = () => ({ user: item.dataset.user });
      item.append(" ", this.#button("kick", user), " ", this.#button("ban", user));
    }
  }

  #button(action, values) {
    const button = createElement("button", "tool", this.#texts[action]);
    button.type = "button";
    button.dataset.action = action;
    button.addEventListener("click", () => this.#perform(action, values()));
    return button;
  }

  // Submits the form in the background: unlike the page's own buttons, these leave the log where it
  // is.
  async #perform(action, values) {
    const question = this.#texts.sure[action];
    if (question && !confirm(question)) return;
    const body = new URLSearchParams(new FormData(this.#form));
    for (const [name, value] of Object.entries({ action, ...values })) body.set(name, value);
    try {
      // The answer redirects to this page, which is not fetched.
      const options = { method: "POST", body, redirect: "manual", signal: AbortSignal.timeout(ANSWER_TIMEOUT) };
      // `form.action` is a button.
      const response = await fetch(this.#form.getAttribute("action"), options);
      this.#notice.textContent = response.type === "opaqueredirect" ? "" : this.#texts.refused;
    } catch {
      this.#notice.textContent = this.#texts.unreachable;
    }
  }
}
