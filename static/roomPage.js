// The page of one room: passes each frame to the part that shows it, and sends what the user
// writes.

import { Catalogue } from "./catalogue.js";
import { Composer } from "./composer.js";
import { byId, createElement, readJson } from "./dom.js";
import { Log } from "./log.js";
import { LogView } from "./logView.js";
import { MessageView } from "./messageView.js";
import { CloseCode, ErrorCode, Parlor, TOO_MANY, slugOf } from "./parlor.js";
import { PendingMessages } from "./pending.js";
import { Presence } from "./presence.js";
import { PushControls } from "./push.js";
import { Timeline, historyOver } from "./timeline.js";

const READ_DELAY = 200; // ms until the server learns what has come into view
// The reasons of an end after which the user may enter the room again.
const RETURN_REASONS = ["an operator has sent you away", "no longer private"];

export class RoomPage {
  #dataset = byId("room").dataset;
  #badge = byId("connection-state");
  #ended = byId("ended");
  #title = document.title;
  #catalogue = new Catalogue(readJson("texts"), document.documentElement.lang);
  #composer;
  #parlor;
  #pending;
  #presence;
  #room;
  #timeline;
  #state = "connecting";
  #isEnded = false; // the server has closed the connection for good
  #isStoreAway = false; // the server cannot reach its store
  #unseen = 0; // messages that arrived while the page was hidden
  #readId = null; // the last message that the server knows to be read, on this connection
  #readTimer = 0; // 0: not set

  constructor() {
    const { dmPath, hasSse, isPrivate, isUser, maxMessageBytes, push, socket, user } = this.#dataset;
    const csrfToken = document.querySelector("[name=csrfmiddlewaretoken]").value;
    const name = readJson("room-name");
    // Another user who logs in here sees and sends none of the drafts and unsent messages.
    const account = isUser === "true" ? user : undefined;
    const owner = account ? `${name}@${account}` : name;
    const catalogue = this.#catalogue;
    const createView = (kind, text, details) => new MessageView(catalogue, kind, text, details);
    const headers = { "X-CSRFToken": csrfToken };
    this.#parlor = new Parlor(location.origin, { path: socket, headers, sse: hasSse === "true", user: account });
    const room = this.#parlor.join(name, { history: historyOver, unsentAs: owner, isPrivate: isPrivate === "true" });
    this.#room = room;

    const log = new Log(new LogView(catalogue), catalogue, () => this.#timeline.loadOlder());
    this.#pending = new PendingMessages(
      log,
      catalogue,
      (text, at) => createView("own", text, { at }),
      () => this.#deliveryStatus(),
    );
    const shown = (frame, isNew) => this.#messageShown(frame, isNew);
    this.#timeline = new Timeline(room, log, this.#pending, catalogue, createView, shown);
    this.#presence = new Presence(catalogue, (user) => this.#timeline.isOwn(user), dmPath);
    const send = (text) => this.#send(text);
    this.#composer = new Composer(owner, Number(maxMessageBytes), catalogue, send, () => room.signalTyping());
    this.#pending.restore(room.outbox);
    this.#listen(room);
    const lines = this.#parlor.joinPush(name);
    const controls = new PushControls(lines, push, csrfToken, catalogue, (text) => log.append(createView("push", text)));
    room.on("left", () => controls.end());
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) return;
      this.#setUnseen(0);
      this.#scheduleRead();
    });
  }

  // The page's connection, for what else it shows.
  get parlor() {
    return this.#parlor;
  }

  #listen(room) {
    room.on("state", (state, via, end) => this.#stateChanged(state, via, end));
    // A private room that was refused to a guest has ended before the page knows why.
    this.#parlor.on("state", (state, via, end) => {
      if (end?.isFinal && end.code === CloseCode.LOGIN_ENDED) this.#stateChanged(state, via, end);
    });
    room.on("welcome", (frame) => this.#welcomed(frame));
    room.on("message", (frame, place) => this.#timeline.message(frame, place));
    room.on("removed", (frame) => this.#timeline.removed(frame));
    room.on("gap", ({ reason }) => this.#timeline.gap(reason));
    room.on("presence", (frame) => this.#presence.update(frame));
    room.on("typing", (frame) => this.#presence.startTyping(frame));
    room.on("delivered", (entry, { id }) => this.#delivered(entry, id));
    room.on("delayed", (entry, code) => this.#delayed(code));
    room.on("failed", (entry) => this.#pending.failed(entry));
    room.on("dropped", (entry) => this.#pending.removed(entry));
  }

  #welcomed(frame) {
    this.#badge.dataset.node = frame.node;
    this.#timeline.welcome(frame);
    this.#presence.update(frame);
    // The page would go on showing a lock.
    if (this.#dataset.isPrivate === "true" && !frame.private) window.location.reload();
    this.#readId = null;
    this.#scheduleRead();
  }

  #messageShown(frame, isNew) {
    this.#presence.stopTyping(frame.user);
    this.#scheduleRead();
    if (isNew && document.hidden) this.#setUnseen(this.#unseen + 1);
  }

  #delivered(entry, id) {
    this.#composer.hide(this.#catalogue.texts.slower);
    this.#setStoreAway(false);
    this.#pending.acknowledged(entry, id);
  }

  // The server did not accept a message yet.
  #delayed(code) {
    if (code === ErrorCode.RATE) this.#composer.show(this.#catalogue.texts.slower);
    else this.#setStoreAway(true);
  }

  #setStoreAway(isAway) {
    if (this.#isStoreAway === isAway) return;
    this.#isStoreAway = isAway;
    const { unavailable } = this.#catalogue.texts;
    if (isAway) this.#composer.show(unavailable);
    else this.#composer.hide(unavailable);
    this.#pending.refresh();
  }

  #stateChanged(state, via, end) {
    const { texts } = this.#catalogue;
    this.#state = state;
    this.#isEnded = end?.isFinal ?? false;
    this.#badge.dataset.state = state;
    this.#badge.dataset.via = via;
    this.#badge.textContent = texts.state[this.#isEnded ? "ended" : via === "sse" ? "sse" : state];
    this.#composer.setDisabled(this.#isEnded);
    if (state !== "open") this.#presence.clearTyping();
    if (end?.code === CloseCode.RATE_LIMITED) this.#composer.show(texts.too_fast);
    else if (end?.reason === TOO_MANY) this.#composer.show(texts.too_many);
    else if (state === "open") [texts.too_fast, texts.too_many].forEach((text) => this.#composer.hide(text));
    this.#showEnd(end);
    this.#pending.refresh();
  }

  // Shows why the server has closed the connection for good, and what helps.
  #showEnd(end) {
    const { closed, reasons } = this.#catalogue.texts;
    const words = end?.isFinal ? closed[slugOf(end.code)] : null;
    this.#ended.hidden = !words;
    if (!words) return;
    const reason = reasons[end.reason] ?? end.reason;
    const hasReason = end.code === CloseCode.FORBIDDEN && reason !== "";
    this.#ended.textContent = hasReason ? this.#catalogue.fill(closed.forbidden_reason, { reason }) : words;
    if (this.#mayLogIn(end)) {
      const link = createElement("a", "", closed.login);
      link.href = this.#dataset.login;
      this.#ended.append(" ", link);
    } else if (RETURN_REASONS.includes(end.reason)) {
      const button = createElement("button", "retry", closed.enter);
      button.type = "button";
      button.addEventListener("click", () => window.location.reload());
      this.#ended.append(" ", button);
    }
  }

  // Whether a login may let the user in again.
  #mayLogIn({ code, error }) {
    const isGuest = this.#dataset.isUser !== "true";
    const isForMembers = error === ErrorCode.NOT_FOUND || error === ErrorCode.NO_ACCESS;
    return code === CloseCode.LOGIN_ENDED || (isGuest && isForMembers);
  }

  // Shows a message and sends it, now or when connected; returns "" or why it cannot.
  #send(text) {
    const { texts } = this.#catalogue;
    if (this.#isEnded) return texts.ended;
    const entry = this.#room.queue(text);
    if (!entry) return texts.full;
    this.#pending.show(entry);
    return "";
  }

  #deliveryStatus() {
    const { texts } = this.#catalogue;
    if (this.#state !== "open") return texts.waiting;
    return this.#isStoreAway ? texts.waiting_store : texts.sending;
  }

  // In a private chat, reports the last message in view as read.
  #scheduleRead() {
    if (!this.#dataset.peer || document.hidden || this.#readTimer) return;
    this.#readTimer = setTimeout(() => {
      this.#readTimer = 0;
      const id = this.#timeline.lastId;
      if (id === null || id === this.#readId || document.hidden) return;
      if (this.#room.markRead(id)) this.#readId = id;
    }, READ_DELAY);
  }

  // Shows the number of unseen messages in the title.
  #setUnseen(count) {
    this.#unseen = count;
    document.title = count ? `(${count}) ${this.#title}` : this.#title;
  }
}
