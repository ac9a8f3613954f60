// The page of one room: each frame goes to the part that shows it, and what is typed goes out.

import { Composer } from "./composer.js";
import { feed } from "./feed.js";
import { Log } from "./log.js";
import { Outbox } from "./outbox.js";
import { Own } from "./own.js";
import { byId, element, fill, json, texts } from "./page.js";
import { Presence } from "./presence.js";
import { Push } from "./push.js";
import { Socket } from "./socket.js";
import { Thread } from "./thread.js";
import { wire } from "./wire.js";

const { dataset } = byId("room");
const badge = byId("connection-state");
const token = document.querySelector("[name=csrfmiddlewaretoken]").value;
const roomName = json("room-name");
const { title } = document;

const SENT_AWAY = 4403;
const TOO_FAST = 4429;
const MOMENT = 200; // ms

let state = "connecting";
let ended = false; // for good
let storeAway = false; // the server cannot reach its store
let unseen = 0;
let read = null; // the id up to which the server knows that one has read, on this connection
let seeing = 0; // timer

const log = new Log(() => thread.older());
const own = new Own(log, () => (state !== "open" ? texts.waiting : storeAway ? texts.waiting_store : texts.sending));
// What one person left unsent is not to be sent by the next one who logs in here.
const place = dataset.isUser === "true" ? `${roomName}@${dataset.user}` : roomName;
const outbox = new Outbox(place, (frame) => socket.send(frame), {
  waits: (entry, code) => (code === "rate" ? composer.say(texts.slower) : stores(false, entry)),
  failed: (entry) => own.failed(entry),
  gone: (entry) => own.gone(entry),
  dead: () => socket.restart(),
});
const thread = new Thread(log, own, (before, limit) => socket.history(before, limit), (frame, isNews) => {
  presence.rests(frame.user);
  sees();
  if (isNews && document.hidden) count(unseen + 1);
});
const presence = new Presence((user) => thread.isMine(user), dataset.talks);
const composer = new Composer(place, Number(dataset.maxMessageBytes), send, () => socket.send({ type: "typing" }));
own.restore(outbox);

const frames = {
  welcome(frame) {
    badge.dataset.node = frame.node;
    thread.welcome(frame);
    presence.stands(frame);
    outbox.renew();
    read = null;
    sees();
  },
  message: (frame) => thread.message(frame),
  removed: (frame) => thread.removed(frame),
  gap: (frame) => thread.missing(frame.reason),
  presence: (frame) => presence.stands(frame),
  typing: (frame) => presence.types(frame),
  ack(frame) {
    const entry = outbox.ack(frame);
    composer.unsay(texts.slower);
    stores(true);
    if (entry) own.acked(entry, frame.id);
  },
  error: (frame) => outbox.error(frame),
};

const lines = { socket: wire(dataset.chatSocket) };
if (dataset.chatFeed) lines.feed = feed(dataset.chatFeed, dataset.chatMessages, token);
const socket = new Socket(lines, {
  query: (via) => thread.query(via),
  frame: (frame) => frames[frame.type]?.(frame), // a type of a later version is nothing to us
  state(now, via, end) {
    state = now;
    ended = end?.isFinal ?? false;
    badge.dataset.state = now;
    badge.dataset.via = via;
    badge.textContent = texts.state[ended ? "ended" : via === "feed" ? "feed" : now];
    composer.close(ended);
    if (now !== "open") presence.away();
    if (ended) outbox.end();
    if (end?.code === TOO_FAST) composer.say(texts.too_fast);
    else if (now === "open") composer.unsay(texts.too_fast);
    farewell(end);
    own.refresh();
  },
});

new Push(dataset, token, (text) => log.push(text));
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  count(0);
  sees();
});

// Takes a text: shows it at once, and sends it now or when there is a connection. Gives why it cannot.
function send(text) {
  if (ended) return texts.ended;
  const entry = outbox.add(text);
  if (!entry) return texts.full;
  own.show(entry);
  outbox.pump();
  return "";
}

// The server could, or could not, put a message into its store.
function stores(could, entry) {
  if (storeAway === !could) return;
  storeAway = !could;
  if (could) composer.unsay(texts.unavailable);
  else if (entry) composer.say(texts.unavailable);
  own.refresh();
}

// Says why the server has closed the connection for good, and what can be done about it.
function farewell(end) {
  const line = byId("ended");
  const words = end?.isFinal ? texts.gone[end.code] : null;
  line.hidden = !words;
  if (!words) return;
  const reason = texts.reasons[end.reason] ?? end.reason;
  const isTold = end.code === SENT_AWAY && reason !== "";
  line.textContent = isTold ? fill(texts.gone["4403_reason"], { reason }) : words;
  const link = element("a", "", texts.gone.login);
  link.href = dataset.login;
  line.append(" ", link);
}

// In a private chat, tells the server how far one has read, a moment after the last message came into view.
function sees() {
  if (!dataset.peer || document.hidden || seeing) return;
  seeing = setTimeout(() => {
    seeing = 0;
    const id = thread.position;
    if (id !== null && id !== read && !document.hidden && socket.send({ type: "read", id })) read = id;
  }, MOMENT);
}

function count(messages) {
  unseen = messages;
  document.title = unseen ? `(${unseen}) ${title}` : title;
}
