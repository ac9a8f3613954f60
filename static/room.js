// The page of one room: what is typed goes out, what comes in is shown, nothing is lost without a word.

import { Socket } from "./socket.js";
import { Log, element } from "./log.js";
import { Push } from "./push.js";

// The server puts these words before every chat message. They are the same each time and tell the reader nothing,
// so the page shows the text behind them; what does not begin with them is shown whole.
const PREFIX = "[收到消息] ";
const ECHO = 10000; // ms: an open connection that returns no echo for this long is dead

const json = (id) => JSON.parse(document.getElementById(id).textContent);
const byId = (id) => document.getElementById(id);

const texts = json("texts");
const title = `${json("room-name")} · Parlor`;
const room = byId("room");
const form = byId("chat-form");
const field = byId("chat-message-input");
const submit = byId("chat-message-submit");
const notice = byId("chat-notice");
const badge = byId("connection-state");
const log = new Log(texts);
const numbers = new Intl.NumberFormat(document.documentElement.lang);
const maxBytes = Number(room.dataset.maxMessageBytes);

let why = "connecting"; // why nothing can be sent; "" while the connection is open
let opened = false;
let lostAt = null; // since when nothing is heard, after it was
let unseen = 0;
let pending = []; // own messages without an echo, oldest first: { text, item }

const chat = new Socket(room.dataset.chatSocket, {
  state(state, ended) {
    why = state === "open" ? "" : ended ? "ended" : state;
    badge.dataset.state = state;
    badge.textContent = texts.state[why || "open"];
    submit.setAttribute("aria-disabled", String(why !== ""));
    if (why) lost();
    else restored();
  },
  message(frame) {
    const text = messageOf(frame);
    if (text === null) return;
    const words = text.startsWith(PREFIX) ? text.slice(PREFIX.length) : text;
    if (echoes(words)) return;
    log.add("other", words, texts.other);
    if (document.hidden) count(unseen + 1);
  },
});

new Push(room.dataset, texts, (frame) => {
  const text = messageOf(frame);
  if (text !== null) log.add("push", text, texts.push);
});

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const text = field.value.toWellFormed?.() ?? field.value; // half an emoji is not UTF-8 and would end the connection
  if (text.trim() !== "" && send(text)) {
    field.value = "";
    grow();
  }
  field.focus();
});

field.addEventListener("keydown", (event) => {
  // An Enter that ends an input method's composition is not ours. Safari says so by 229 alone.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
  event.preventDefault();
  if (!event.repeat) form.requestSubmit();
});
field.addEventListener("input", () => {
  notice.textContent = "";
  grow();
});
document.addEventListener("visibilitychange", () => document.hidden || count(0));

// Sends a text and shows it as pending, in a new item or in the one it is sent from again.
function send(text, item = null) {
  const frame = JSON.stringify({ message: text });
  const size = new TextEncoder().encode(frame).length;
  if (size > maxBytes) return refuse(texts.too_long, { size: numbers.format(size), max: numbers.format(maxBytes) });
  if (why || !chat.send(frame)) return refuse(texts.cannot_send[why || "reconnecting"]);
  notice.textContent = "";
  if (item) log.put(item);
  else item = log.add("own", text, texts.you);
  mark(item, "pending");
  log.follow();
  const entry = { text, item };
  pending.push(entry);
  setTimeout(() => pending.includes(entry) && chat.restart(), ECHO);
  return true;
}

function refuse(words, figures = {}) {
  notice.textContent = words.replace(/\{(\w+)\}/g, (_, name) => figures[name]);
  return false;
}

// The plain wire names no sender: an echo is taken for the oldest equal text of ours. If somebody else says
// the same word at the same moment the two change places, which nobody can see.
function echoes(words) {
  const index = pending.findIndex((entry) => entry.text === words);
  if (index < 0) return false;
  mark(pending[index].item, "confirmed");
  pending.splice(index, 1);
  return true;
}

// An echo can only come on the connection that carried the message, so what is still pending may or may not
// have arrived. Only the person can decide to say it twice.
function lost() {
  if (opened) lostAt ??= new Date();
  for (const { text, item } of pending) {
    mark(item, "unconfirmed");
    const again = element("button", "again", texts.again);
    again.type = "button";
    again.addEventListener("click", () => send(text, item) && field.focus());
    item.lastElementChild.append(" ", again);
  }
  pending = [];
}

function restored() {
  if (Object.values(texts.cannot_send).includes(notice.textContent)) notice.textContent = "";
  if (lostAt) log.note(texts.gap.replace("{from}", log.time(lostAt)).replace("{to}", log.time(new Date())));
  opened = true;
  lostAt = null;
}

function mark(item, state) {
  item.dataset.state = state;
  const meta = item.lastElementChild;
  meta.querySelectorAll(".receipt, .again").forEach((old) => old.remove());
  const receipt = element("span", "receipt", state === "confirmed" ? "✓" : texts[state]);
  receipt.role = "img";
  receipt.ariaLabel = receipt.title = texts[state];
  meta.append(" ", receipt);
}

// The server's frames are objects with a string `message`; a stranger's frame must not break the page.
function messageOf(frame) {
  try {
    const { message } = JSON.parse(frame);
    return typeof message === "string" ? message : null;
  } catch {
    return null;
  }
}

function count(messages) {
  unseen = messages;
  document.title = unseen ? `(${unseen}) ${title}` : title;
}

// Browsers without `field-sizing` get the field's height from here.
function grow() {
  if (CSS.supports("field-sizing", "content")) return;
  field.style.height = "auto";
  field.style.height = `${field.scrollHeight}px`;
}
