// The page of one room: passes each frame to the part that shows it, and sends what the user
// writes.

import { Catalogue } from "./catalogue.js";
import { CloseCode, slugOf } from "./closeCodes.js";
import { Composer } from "./composer.js";
import { byId, createElement, readJson } from "./dom.js";
import { ErrorCode } from "./errorCodes.js";
import { Log } from "./log.js";
import { LogView } from "./logView.js";
import { MessageView } from "./messageView.js";
import { Outbox } from "./outbox.js";
import { PageLifecycle } from "./pageLifecycle.js";
import { PendingMessages } from "./pending.js";
import { Presence } from "./presence.js";
import { PushStream } from "./push.js";
import { Socket } from "./socket.js";
import { SseTransport, TOO_MANY } from "./sse.js";
import { Timeline } from "./timeline.js";
import { WebSocketTransport } from "./transport.js";
import { UnsentStore } from "./unsentStore.js";

const READ_DELAY = 200; // ms until the server learns what has come into view

export class RoomPage {
  #dataset = byId("room").dataset;
  #badge = byId("connection-state");
  #ended = byId("ended");
  #title = document.title;
  #catalogue = new Catalogue(readJson("texts"), document.documentElement.lang);
  #composer;
  #outbox;
  #pending;
  #presence;
  #socket;
  #timeline;
  #state = "connecting";
  #isEnded = false; // the server has closed the connection for good
  #isStoreAway = false; // the server cannot reach its store
  #unseen = 0; // messages that arrived while the page was hidden
  #readId = null; // the last message that the server knows to be read, on this connection
  #readTimer = 0; // 0: not set

  constructor() {
    const { chatSocket, chatSse, chatMessages, dmPath, isPrivate, isUser, maxMessageBytes, user } = this.#dataset;
    const csrfToken = document.querySelector("[name=csrfmiddlewaretoken]").value;
    const room = readJson("room-name");
    // Another user who logs in here sees and sends none of the drafts and unsent messages.
    const owner = isUser === "true" ? `${room}@${user}` : room;
    const catalogue = this.#catalogue;
    const createView = (kind, text, details) => new MessageView(catalogue, kind, text, details);
    const lifecycle = new PageLifecycle();

    const log = new Log(new LogView(catalogue), catalogue, () => this.#timeline.loadOlder());
    this.#pending = new PendingMessages(
      log,
      catalogue,
      (text, at) => createView("own", text, { at }),
      () => this.#deliveryStatus(),
    );
    const events = {
      delayed: (entry, code) => this.#delayed(code),
      failed: (entry) => this.#pending.failed(entry),
      removed: (entry) => this.#pending.removed(entry),
      dead: () => this.#socket.restart(),
      isUploading: () => this.#socket.isUploading,
    };
    const send = (frame) => this.#socket.send(frame);
    this.#outbox = new Outbox(new UnsentStore(owner, window), send, events, isPrivate === "true");
    this.#timeline = new Timeline(
      log,
      this.#pending,
      catalogue,
      createView,
      (before, limit) => this.#socket.history(before, limit),
      (frame, isNew) => this.#messageShown(frame, isNew),
    );
    this.#presence = new Presence(catalogue, (user) => this.#timeline.isOwn(user), dmPath);
    const signalTyping = () => this.#socket.send({ type: "typing" });
    this.#composer = new Composer(owner, Number(maxMessageBytes), catalogue, (text) => this.#send(text), signalTyping);
    this.#pending.restore(this.#outbox);

    const transports = { websocket: new WebSocketTransport(chatSocket) };
    if (chatSse) transports.sse = new SseTransport(chatSse, chatMessages, csrfToken);
    const handlers = {
      query: (via) => this.#timeline.query(via),
      frame: (frame) => this.#received(frame),
      state: (state, via, end) => this.#stateChanged(state, via, end),
    };
    this.#socket = new Socket(transports, handlers, lifecycle);
    new PushStream(this.#dataset, csrfToken, catalogue, lifecycle, (text) => log.append(createView("push", text)));
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) return;
      this.#setUnseen(0);
      this.#scheduleRead();
    });
  }

  #received(frame) {
    switch (frame.type) {
      case "welcome":
        return this.#welcomed(frame);
      case "message":
        return this.#timeline.message(frame);
      case "removed":
        return this.#timeline.removed(frame);
      case "gap":
        return this.#timeline.gap(frame.reason);
      case "presence":
        return this.#presence.update(frame);
      case "typing":
        return this.#presence.startTyping(frame);
      case "ack":
        return this.#acknowledged(frame);
      case "error":
        return this.#outbox.error(frame);
      default: // of a later version of the protocol
    }
  }

  #welcomed(frame) {
    this.#badge.dataset.node = frame.node;
    this.#timeline.welcome(frame);
    this.#presence.update(frame);
    this.#outbox.resume(frame.private);
    // The page would go on showing a lock.
    if (this.#dataset.isPrivate === "true" && !frame.private) window.location.reload();
    this.#readId = null;
    this.#scheduleRead();
  }

  #messageShown(frame, isNew) {
    this.#presence.stopTyping(frame.user);
    const { inFlight } = this.#outbox;
    if (inFlight && frame.text === inFlight.text && this.#timeline.isOwn(frame.user)) this.#outbox.echoed();
    this.#scheduleRead();
    if (isNew && document.hidden) this.#setUnseen(this.#unseen + 1);
  }

  #acknowledged(frame) {
    const entry = this.#outbox.ack(frame);
    this.#composer.hide(this.#catalogue.texts.slower);
    this.#setStoreAway(false);
    if (entry) this.#pending.acknowledged(entry, frame.id);
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
    if (this.#isEnded) this.#outbox.end();
    if (end?.code === CloseCode.RATE_LIMITED) this.#composer.show(texts.too_fast);
    else if (end?.reason === TOO_MANY) this.#composer.show(texts.too_many);
    else if (state === "open") [texts.too_fast, texts.too_many].forEach((text) => this.#composer.hide(text));
    this.#showEnd(end);
    this.#pending.refresh();
  }

  // Shows why the server has closed the connection for good, and a link to log in.
  #showEnd(end) {
    const { closed, reasons } = this.#catalogue.texts;
    const words = end?.isFinal ? closed[slugOf(end.code)] : null;
    this.#ended.hidden = !words;
    if (!words) return;
    const reason = reasons[end.reason] ?? end.reason;
    const hasReason = end.code === CloseCode.FORBIDDEN && reason !== "";
    this.#ended.textContent = hasReason ? this.#catalogue.fill(closed.forbidden_reason, { reason }) : words;
    const link = createElement("a", "", closed.login);
    link.href = this.#dataset.login;
    this.#ended.append(" ", link);
  }

  // Shows a message and sends it, now or when connected; returns "" or why it cannot.
  #send(text) {
    const { texts } = this.#catalogue;
    if (this.#isEnded) return texts.ended;
    const entry = this.#outbox.add(text);
    if (!entry) return texts.full;
    this.#pending.show(entry);
    this.#outbox.pump();
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
      const id = this.#timeline.position;
      if (id === null || id === this.#readId || document.hidden) return;
      if (this.#socket.send({ type: "read", id })) this.#readId = id;
    }, READ_DELAY);
  }

  // Shows the number of unseen messages in the title.
  #setUnseen(count) {
    this.#unseen = count;
    document.title = count ? `(${count}) ${this.#title}` : this.#title;
  }
}
