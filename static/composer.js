// The field to write in: Enter and button, the draft, and a word on what cannot be sent.

import { byId, fill, texts } from "./page.js";

const TYPING = 2500; // ms between two signals that one is typing: the server reads over what comes within 2 s

const form = byId("chat-form");
const field = byId("chat-message-input");
const submit = byId("chat-message-submit");
const notice = byId("chat-notice");

// `send(text)` gives "" when it has taken the text, else why not; `typing()` is called now and then while one types.
export class Composer {
  #draft;
  #maxBytes;
  #send;
  #typing;
  #pause = 0; // timer; after a signal
  #typed = false; // since the last signal

  constructor(room, maxBytes, send, typing) {
    this.#draft = `parlor.draft:${room}`;
    this.#maxBytes = maxBytes;
    this.#send = send;
    this.#typing = typing;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    field.addEventListener("keydown", (event) => {
      // An Enter that ends an input method's composition is not ours. Safari says so by 229 alone.
      if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
      event.preventDefault();
      if (!event.repeat) form.requestSubmit();
    });
    field.addEventListener("input", () => this.#changed());
    this.#restore();
  }

  // Says something beside the field; "" takes it back.
  say(words) {
    notice.textContent = words;
  }

  // Takes back these words, if they still stand there.
  unsay(words) {
    if (notice.textContent === words) notice.textContent = "";
  }

  // Whether the button is shown as one that does nothing.
  close(closed) {
    submit.setAttribute("aria-disabled", String(closed));
  }

  focus() {
    field.focus();
  }

  #submit() {
    const text = field.value.toWellFormed?.() ?? field.value; // half an emoji is not UTF-8
    field.focus();
    if (text.trim() === "") return;
    const size = new TextEncoder().encode(JSON.stringify(text)).length;
    const max = this.#maxBytes;
    const refusal = size > max ? fill(texts.too_long, { size, max }) : this.#send(text);
    this.say(refusal);
    if (refusal) return;
    field.value = "";
    this.#typed = false;
    this.#keep();
    grow();
  }

  #changed() {
    this.say("");
    this.#keep();
    grow();
    this.#typed = field.value.trim() !== "";
    this.#signal();
  }

  // What is typed during the pause is signalled at its end.
  #signal() {
    if (this.#pause || !this.#typed) return;
    this.#typed = false;
    this.#typing();
    this.#pause = setTimeout(() => {
      this.#pause = 0;
      this.#signal();
    }, TYPING);
  }

  // A draft outlives a reload, in this tab.
  #keep() {
    try {
      sessionStorage.setItem(this.#draft, field.value);
    } catch {} // full or forbidden: then it does not
  }

  #restore() {
    try {
      field.value ||= sessionStorage.getItem(this.#draft) ?? "";
    } catch {}
    grow();
  }
}

// Browsers without `field-sizing` get the field's height from here.
function grow() {
  if (CSS.supports("field-sizing", "content")) return;
  field.style.height = "auto";
  field.style.height = `${field.scrollHeight}px`;
}
