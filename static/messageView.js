// One message as an element of the log: text, speaker, time and delivery state.

import { createElement } from "./dom.js";
import { fold } from "./folding.js";
import { findLinks } from "./links.js";
import { userHue } from "./userHue.js";

export class MessageView {
  #catalogue;
  #kind;
  #id = null;

  // `kind` is own, other or push. `user` is the speaker's id and `name` the speaker's name, if
  // known; `at` is in milliseconds since 1970.
  constructor(catalogue, kind, text, { user = null, name = null, at = Date.now() } = {}) {
    this.#catalogue = catalogue;
    this.#kind = kind;
    const { texts } = catalogue;
    this.element = createElement("li", `message ${kind}`);
    const body = createElement("p", "text");
    const { parts, isFolded } = fold(text);
    body.append(...parts.map(linkOrText));
    if (isFolded) body.append("… ", this.#unfoldButton(body, text));
    body.dir = "auto";
    const meta = createElement("p", "meta");
    meta.append(createElement("bdi", "speaker"), " ", createElement("time"));
    this.element.append(body, meta);
    if (user) this.element.dataset.user = user;
    if (kind !== "other") this.silence();
    this.#setSpeaker({ own: texts.you, push: texts.push }[kind] ?? name ?? texts.other, user);
    this.setTime(at);
  }

  // The id of the message in the room's log; null until it has one.
  get id() {
    return this.#id;
  }

  set id(id) {
    this.#id = id;
    this.element.dataset.id = id;
  }

  // Whether it counts as new when it arrives out of view.
  get isNews() {
    return this.#kind !== "own";
  }

  // Turns another user's message into an own one.
  markOwn() {
    this.#kind = "own";
    this.element.classList.replace("other", "own");
    this.#setSpeaker(this.#catalogue.texts.you, null);
  }

  // Replaces the text of a message that an operator removed.
  redact() {
    this.element.classList.add("removed");
    this.element.querySelector(".text").textContent = this.#catalogue.texts.removed;
  }

  setTime(at) {
    const date = new Date(at);
    const time = this.element.querySelector("time");
    time.textContent = this.#catalogue.time(date);
    time.dateTime = date.toISOString();
    time.title = this.#catalogue.day(date);
    // The log separates days by it: those of messages. A push line has the time of this machine,
    // whose clock may be wrong.
    this.day = this.#kind === "push" ? null : date.toDateString();
  }

  markSending(words) {
    this.#setReceipt("sending", createElement("span", "receipt", words));
  }

  markSent() {
    const receipt = createElement("span", "receipt", "✓");
    receipt.role = "img";
    receipt.ariaLabel = receipt.title = this.#catalogue.texts.sent;
    this.#setReceipt("sent", receipt);
  }

  // `actions` are `[label, onClick]`, one for each button.
  markFailed(words, actions) {
    this.#setReceipt("failed", createElement("span", "receipt", words));
    for (const [label, onClick] of actions) {
      const button = createElement("button", "retry", label);
      button.type = "button";
      button.addEventListener("click", onClick);
      this.element.lastElementChild.append(" ", button);
    }
  }

  // Keeps screen readers from announcing it: own messages, push lines and the past.
  silence() {
    this.element.ariaLive = "off";
  }

  remove() {
    this.element.remove();
  }

  #unfoldButton(body, text) {
    const label = this.#catalogue.fill(this.#catalogue.texts.unfold, { count: text.length });
    const button = createElement("button", "unfold", label);
    button.type = "button";
    button.addEventListener("click", () => body.replaceChildren(...findLinks(text).map(linkOrText)));
    return button;
  }

  #setReceipt(state, receipt) {
    this.element.dataset.state = state;
    const meta = this.element.lastElementChild;
    meta.querySelectorAll(".receipt, .retry").forEach((old) => old.remove());
    meta.append(" ", receipt);
  }

  #setSpeaker(words, user) {
    const speaker = this.element.querySelector(".speaker");
    speaker.textContent = words;
    if (user && this.#kind === "other") speaker.dataset.hue = userHue(user);
    else delete speaker.dataset.hue;
  }
}

function linkOrText({ text, href }) {
  if (href === null) return text;
  const link = createElement("a", "", text);
  link.href = href;
  link.rel = "noopener nofollow ugc";
  link.target = "_blank";
  return link;
}
