// The field to write in: Enter and button, the draft, and a notice about what cannot be sent.

import { byId } from "./dom.js";

const TYPING_INTERVAL = 2500; // ms between signals: the server ignores more than one in 2 s

export class Composer {
  #form = byId("chat-form");
  #field = byId("chat-message-input");
  #button = byId("chat-message-submit");
  #notice = byId("chat-notice");
  #catalogue;
  #draftKey;
  #maxBytes;
  #send;
  #signalTyping;
  #typingTimer = 0; // 0: not set; runs between two signals
  #hasTyped = false; // since the last signal

  // `send(text)` returns "" when the message was accepted, else why not; `signalTyping()` is called
  // at intervals while the user types.
  constructor(room, maxBytes, catalogue, send, signalTyping) {
    this.#catalogue = catalogue;
    this.#draftKey = `parlor.draft:${room}`;
    this.#maxBytes = maxBytes;
    this.#send = send;
    this.#signalTyping = signalTyping;
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#field.addEventListener("keydown", (event) => {
      // An Enter that ends the composition of an input method does not send. Safari marks it by 229
      // alone.
      if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
      event.preventDefault();
      if (!event.repeat) this.#form.requestSubmit();
    });
    this.#field.addEventListener("input", () => this.#changed());
    this.#restoreDraft();
  }

  // Shows a notice beside the field; "" for none.
  show(notice) {
    this.#notice.textContent = notice;
  }

  // Hides this notice if it is the one shown.
  hide(notice) {
    if (this.#notice.textContent === notice) this.show("");
  }

  // Shows the button as disabled or enabled.
  setDisabled(isDisabled) {
    this.#button.setAttribute("aria-disabled", String(isDisabled));
  }

  #submit() {
    // Half an emoji is not UTF-8.
    const text = wellFormed(this.#field.value);
    this.#field.focus();
    if (text.trim() === "") return;
    const size = new TextEncoder().encode(JSON.stringify(text)).length;
    const max = this.#maxBytes;
    const tooLong = () => this.#catalogue.fill(this.#catalogue.texts.too_long, { size, max });
    const refusal = size > max ? tooLong() : this.#send(text);
    this.show(refusal);
    if (refusal) return;
    this.#field.value = "";
    this.#hasTyped = false;
    this.#saveDraft();
    this.#resize();
  }

  #changed() {
    this.show("");
    this.#saveDraft();
    this.#resize();
    this.#hasTyped = this.#field.value.trim() !== "";
    this.#signal();
  }

  // Typing between two signals is signalled at the end of the interval.
  #signal() {
    if (this.#typingTimer || !this.#hasTyped) return;
    this.#hasTyped = false;
    this.#signalTyping();
    this.#typingTimer = setTimeout(() => {
      this.#typingTimer = 0;
      this.#signal();
    }, TYPING_INTERVAL);
  }

  // A draft outlives a reload, in this tab; not where storage is full or forbidden.
  #saveDraft() {
    try {
      sessionStorage.setItem(this.#draftKey, this.#field.value);
    } catch {}
  }

  #restoreDraft() {
    try {
      this.#field.value ||= sessionStorage.getItem(this.#draftKey) ?? "";
    } catch {}
    this.#resize();
  }

  // Fits the field's height to its text in browsers without `field-sizing`.
  #resize() {
    if (CSS.supports("field-sizing", "content")) return;
    this.#field.style.height = "auto";
    this.#field.style.height = `${this.#field.scrollHeight}px`;
  }
}

// Replaces halves of surrogate pairs, as `String.prototype.toWellFormed` does where it exists.
export function wellFormed(text) {
  return text.replace(/[\ud800-\udbff][\udc00-\udfff]|[\ud800-\udfff]/g, (match) => (match.length === 2 ? match : "\ufffd"));
}
