// The messages of a room in their order: which ones the page has, where the next connection
// continues, and where messages may be missing.

const PAGE_SIZE = 50; // messages of the past on the first load, and in each page before them
const SSE_HISTORY = 200; // messages of the past over SSE, which cannot request pages
// The server's maximum: for a page that was connected and has no message to continue from.
const MAX_HISTORY = 1000;

export class Timeline {
  #log;
  #pending;
  #catalogue;
  #createView;
  #requestHistory;
  #onMessage;
  #ownIds = new Set(); // the user's ids on the connections of this page
  #position = null; // the id of the last message received
  #pastEnd = null; // the id up to which messages are of the past; null: live
  #isFirstLoad = true; // the past of the first load
  #welcomes = 0;
  #newestAtWelcome = null; // the room's newest id when the page was welcomed and had no position
  #verifiesNext = false; // whether the next message is checked against it
  #gapNoted = false; // since the last message
  #isLoading = false;
  #beginning = null; // the id of the first message in the room

  // `createView(kind, text, details)` returns a message view. `requestHistory(before, limit)` is
  // `Socket.history`. `onMessage(frame, isNew)` is called for each message added to the log;
  // `isNew` if another user sent it while the page was open.
  constructor(log, pending, catalogue, createView, requestHistory, onMessage) {
    this.#log = log;
    this.#pending = pending;
    this.#catalogue = catalogue;
    this.#createView = createView;
    this.#requestHistory = requestHistory;
    this.#onMessage = onMessage;
  }

  // Returns the query parameters of the next connection.
  query(via) {
    if (this.#position !== null) return { since: this.#position };
    if (this.#welcomes > 0) return { history: MAX_HISTORY };
    return { history: via === "sse" ? SSE_HISTORY : PAGE_SIZE };
  }

  isOwn(user) {
    return this.#ownIds.has(user);
  }

  // The id of the last message received.
  get position() {
    return this.#position;
  }

  // Handles a `welcome` frame.
  welcome({ user, last, recovered, reason }) {
    this.#ownIds.add(user);
    this.#isFirstLoad = this.#welcomes++ === 0;
    this.#pastEnd = last === this.#position ? null : last;
    if (!recovered && reason !== "new") this.gap(reason);
    if (last === null) this.#position = null; // the room's log is empty
    if (this.#position !== null) return;
    this.#verifiesNext = !this.#isFirstLoad && reason === "new";
    if (!this.#verifiesNext) this.#newestAtWelcome = last;
  }

  // Handles a `message` frame.
  message(frame) {
    const { id = null, prev = null, user } = frame;
    if (id !== null && this.#log.find(id)) return this.#passed(id);
    if (id !== null) {
      if (this.#verifiesNext && prev !== null && prev !== this.#newestAtWelcome) this.gap("trimmed");
      this.#verifiesNext = false;
      this.#position = id;
      if (prev === null) this.#beginning = id;
      if (prev === this.#pastEnd) this.#pastEnd = null; // the past is complete
    }
    const isLive = id === null || this.#pastEnd === null;
    const view = this.#view(frame, isLive);
    if (!isLive && this.#isFirstLoad) view.silence();
    this.#log.append(view, id);
    this.#gapNoted = false;
    this.#onMessage(frame, (isLive || !this.#isFirstLoad) && !this.isOwn(user));
    this.#passed(id);
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
    if (this.#pastEnd !== null) return; // the past may still fill the view
    const { texts } = this.#catalogue;
    if (oldest === this.#beginning) return this.#log.setHeader(texts.beginning);
    this.#isLoading = true;
    this.#log.setHeader(texts.older);
    const frame = await this.#requestHistory(oldest, PAGE_SIZE);
    this.#isLoading = false;
    this.#log.setHeader("");
    if (!frame) return; // requested again on the next scroll
    const unknown = frame.messages.filter(({ id }) => !this.#log.find(id));
    if (unknown.length) this.#log.prepend(unknown.map((message) => [this.#view(message, false), message.id]));
    if (!frame.more || unknown.length === 0) this.#beginning = this.#log.oldest;
    this.#log.requestOlder();
  }

  // The end of the past is a position to continue from, also when its message was on the page
  // already.
  #passed(id) {
    if (id === null || id !== this.#pastEnd) return;
    this.#pastEnd = null;
    this.#position = id;
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
