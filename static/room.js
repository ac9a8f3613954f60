// The page of one room: each frame goes to the part that shows it, and what is typed goes out.

import { Composer } from "./composer.js";
import { feed } from "./feed.js";
import { Log } from "./log.js";
import { Outbox } from "./outbox.js";
import { Own } from "./own.js";
import { byId, json, texts } from "./page.js";
import { Presence } from "./presence.js";
import { Push } from "./push.js";
import { Socket } from "./socket.js";
import { Thread } from "./thread.js";
import { wire } from "./wire.js";

const { dataset } = byId("room");
const badge = byId("connection-state");
const token = document.querySelector("[name=csrfmiddlewaretoken]").value;
const roomName = json("room-name");
const title = `${roomName} · Parlor`;

let state = "connecting";
let ended = false;
let storeAway = false; // the server cannot reach its store
let unseen = 0;

const log = new Log(() => thread.older());
const own = new Own(log, () => (state !== "open" ? texts.waiting : storeAway ? texts.waiting_store : texts.sending));
const outbox = new Outbox(roomName, (frame) => socket.send(frame), {
  waits: (entry) => stores(false, entry),
  failed: (entry) => own.failed(entry),
  gone: (entry) => own.gone(entry),
  dead: () => socket.restart(),
});
const thread = new Thread(log, own, (before, limit) => socket.history(before, limit), (frame, isNews) => {
  presence.rests(frame.user);
  if (isNews && document.hidden) count(unseen + 1);
});
const presence = new Presence((user) => thread.isMine(user));
const composer = new Composer(roomName, Number(dataset.maxMessageBytes), send, () => socket.send({ type: "typing" }));
own.restore(outbox);

const frames = {
  welcome(frame) {
    badge.dataset.node = frame.node;
    thread.welcome(frame);
    presence.stands(frame);
    outbox.renew();
  },
  message: (frame) => thread.message(frame),
  gap: (frame) => thread.missing(frame.reason),
  presence: (frame) => presence.stands(frame),
  typing: (frame) => presence.types(frame),
  ack(frame) {
    const entry = outbox.ack(frame);
    stores(true);
    if (entry) own.acked(entry, frame.id);
  },
  error: (frame) => outbox.error(frame),
};

const lines = { socket: wire(dataset.chatSocket), feed: feed(dataset.chatFeed, dataset.chatMessages, token) };
const socket = new Socket(lines, {
  query: (via) => thread.query(via),
  frame: (frame) => frames[frame.type]?.(frame), // a type of a later version is nothing to us
  state(now, via, isEnded) {
    state = now;
    ended = isEnded;
    badge.dataset.state = now;
    badge.dataset.via = via;
    badge.textContent = texts.state[ended ? "ended" : via === "feed" ? "feed" : now];
    composer.close(ended);
    if (now !== "open") presence.away();
    if (ended) outbox.end();
    own.refresh();
  },
});

new Push(dataset, token, (text) => log.push(text));
document.addEventListener("visibilitychange", () => document.hidden || count(0));

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

function count(messages) {
  unseen = messages;
  document.title = unseen ? `(${unseen}) ${title}` : title;
}
