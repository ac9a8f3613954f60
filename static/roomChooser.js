// The form to choose a room: opens /chat/NAME/ for the name in the field.

import { byId } from "./dom.js";

export class RoomChooser {
  #form = byId("room-form");
  #field = byId("room-name-input");
  #error = byId("room-name-error");

  constructor() {
    this.#form.noValidate = true; // the page's own messages replace the browser's
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#field.addEventListener("input", () => this.#show(""));
  }

  #submit() {
    const name = this.#field.value.normalize("NFC").trim();
    const error = this.#validate(name);
    this.#show(error);
    if (error) this.#field.focus();
    else location.assign(new URL(`${encodeURIComponent(name)}/`, this.#form.action));
  }

  // Returns "" or an error. Checks only what the server cannot: the browser resolves `/chat/../` to
  // another page, and a lone surrogate has no percent-encoding; empty and long names are checked
  // for a quick answer.
  #validate(name) {
    const { empty, refused, maxChars } = this.#form.dataset;
    if (name === "") return empty;
    const isRefused = name === "." || name === ".." || /\p{Surrogate}/u.test(name);
    return isRefused || [...name].length > Number(maxChars) ? refused : "";
  }

  #show(error) {
    this.#error.textContent = error;
    this.#field.setAttribute("aria-invalid", String(error !== ""));
  }
}
