// One message as an element of the log: its text, who said it, when, and how far it got.

import { linked } from "./links.js";
import { element, language, texts } from "./page.js";

const HUES = 8; // as many as the style sheet has

const time = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const clock = new Intl.DateTimeFormat(language, time);
const calendar = new Intl.DateTimeFormat(language, { dateStyle: "full" });

// An item of a kind: own, other or push. `user` is the speaker's id and `name` what the speaker is called, where they are
// known.
export function message(kind, text, { user = null, name = null, at = Date.now() } = {}) {
  const item = element("li", `message ${kind}`);
  const body = element("p", "text");
  body.append(linked(text));
  body.dir = "auto";
  const meta = element("p", "meta");
  meta.append(element("bdi", "speaker"), " ", element("time", ""));
  item.append(body, meta);
  if (user) item.dataset.user = user;
  if (kind !== "other") item.ariaLive = "off"; // neither one's own words nor a line every two seconds is read aloud
  speaker(item, { own: texts.you, push: texts.push }[kind] ?? name ?? texts.other, user);
  stamp(item, at);
  return item;
}

// The message is the person's own after all.
export function own(item) {
  item.classList.replace("other", "own");
  speaker(item, texts.you, null);
}

// What is left of a message that an operator removed.
export function remove(item) {
  item.classList.add("removed");
  item.querySelector(".text").textContent = texts.removed;
}

// Sets the time; the log separates days by it.
export function stamp(item, at) {
  const date = new Date(at);
  const shown = item.querySelector("time");
  shown.textContent = clock.format(date);
  shown.dateTime = date.toISOString();
  shown.title = calendar.format(date);
  item.dataset.day = date.toDateString();
}

// Says how far an own message got: sending, sent or failed, in words, with buttons for what can be done about it.
export function mark(item, state, words, buttons = []) {
  item.dataset.state = state;
  const meta = item.lastElementChild;
  meta.querySelectorAll(".receipt, .retry").forEach((old) => old.remove());
  const receipt = element("span", "receipt", state === "sent" ? "✓" : words);
  if (state === "sent") {
    receipt.role = "img";
    receipt.ariaLabel = receipt.title = words;
  }
  meta.append(" ", receipt);
  for (const [label, act] of buttons) {
    const button = element("button", "retry", label);
    button.type = "button";
    button.addEventListener("click", act);
    meta.append(" ", button);
  }
}

// The line above the messages of a day, as `Date.toDateString` names it.
export function separator(day) {
  const line = element("li", "day", calendar.format(new Date(day)));
  line.dataset.day = day;
  return line;
}

// The colour of a user: the same everywhere, as far as there are colours.
export function hue(user) {
  let sum = 0;
  for (const sign of user) sum = (sum * 31 + sign.codePointAt(0)) % 65521;
  return sum % HUES;
}

function speaker(item, words, user) {
  const shown = item.querySelector(".speaker");
  shown.textContent = words;
  if (user && item.classList.contains("other")) shown.dataset.hue = hue(user);
  else delete shown.dataset.hue;
}
