// The messages of a room in their order: which ones the page shows, and where messages may be
// missing.

const PAGE_SIZE = 50; // messages of the past on the first load, and in each page before them
const SSE_HISTORY = 200; // messages of the past over SSE, which cannot request pages

// Returns how much of the past the first load shows.
export function historyOver(via) {
  return via === "sse" ? SSE_HISTORY : PAGE_SIZE;
}

export class Timeline {
  #log;
  #pending;
  #catalogue;
  #createView;
  #room;
  #onMessage;
  #ownIds = new Set(); // the user's ids on the connections of this page
  #lastId = null; // of the last message
  #gapNoted = false; // since the last message
  #isLoading = false;
  #beginning = null; // the id of the first message in the room

  // `createView(kind, text, details)` returns a message view. `onMessage(frame, isNew)` is called for
  // each message added to the log; `isNew` if another user sent it while the page was open.
  constructor(room, log, pending, catalogue, createView, onMessage) {
    this.#room = room;
    this.#log = log;
    this.#pending = pending;
    this.#catalogue = catalogue;
    this.#createView = createView;
    this.#onMessage = onMessage;
  }

  isOwn(user) {
    return this.#ownIds.has(user);
  }

  // The id of the last message shown; null if there is none.
  get lastId() {
    return this.#lastId;
  }

  // Handles a `welcome` frame.
  welcome({ user }) {
    this.#ownIds.add(user);
  }

  // Handles a message: `isPast` if it was sent before the page was connected, `isFirstLoad` if that
  // was the first time.
  message(frame, { isPast, isFirstLoad }) {
    const { id = null, prev = null, user } = frame;
    if (id !== null && this.#log.find(id)) return; // loaded with the older ones
    if (id !== null) {
      this.#lastId = id;
      if (prev === null) this.#beginning = id;
    }
    const view = this.#view(frame, !isPast);
    if (isFirstLoad) view.silence();
    this.#log.append(view, id);
    this.#gapNoted = false;
    this.#onMessage(frame, !isFirstLoad && !this.isOwn(user));
  }

  // Handles a `removed` frame.
  removed({ id }) {
    this.#log.find(id)?.redact();
  }

  // Notes that messages may be missing between the last message and the next.
  gap(reason) {
    if (this.#gapNoted) return;
    this.#gapNoted = true;
    const { missing } = this.#catalogue.texts;
    this.#log.note(missing[reason] ?? missing.unknown);
  }

  // Loads and shows the messages before the oldest one shown.
  async loadOlder() {
    const { oldest } = this.#log;
    if (this.#isLoading || oldest === undefined) return;
    if (this.#room.isCatchingUp) return; // the past may still fill the view
    const { texts } = this.#catalogue;
    if (oldest === this.#beginning) return this.#log.setHeader(texts.beginning);
    this.#isLoading = true;
    this.#log.setHeader(texts.older);
    const frame = await this.#room.history(oldest, PAGE_SIZE);
    this.#isLoading = false;
    this.#log.setHeader("");
    if (!frame) return; // requested again on the next scroll
    const unknown = frame.messages.filter(({ id }) => !this.#log.find(id));
    if (unknown.length) this.#log.prepend(unknown.map((message) => [this.#view(message, false), message.id]));
    if (!frame.more || unknown.length === 0) this.#beginning = this.#log.oldest;
    this.#log.requestOlder();
  }

  #view(frame, isLive) {
    const isOwn = this.isOwn(frame.user);
    const pending = this.#pending.take(frame, isLive && isOwn);
    if (pending) return pending;
    const { user, name, at } = frame;
    const text = frame.text ?? [frame.event, JSON.stringify(frame.data)].filter(Boolean).join(" ");
    const view = this.#createView(isOwn ? "own" : "other", text, { user, name, at: at ?? Date.now() });
    if (frame.removed) view.redact();
    if (isOwn) view.markSent();
    return view;
  }
}
