// The lines of a room's log in their order: batches, days, duplicates by id, and the bound of what
// the page keeps.
//
// A line is `{ element, id, day, isNews }`: a message (see messageView.js), a note, or a day
// separator, which also has `isSeparator`. The log knows no document: it orders lines, and its view
// (see logView.js) shows them.

const CHUNK_LINES = 100; // the browser lays out only the chunks in view, and checks each of them
const MAX_CHUNKS = 100; // full ones; more only slow the page down
const CHUNK_SLACK = 5; // chunks over the bound before any is removed

export class Log {
  #view;
  #catalogue;
  #loadOlder;
  #lines = new Map(); // those with an id, by id
  #queue = []; // for the next batch
  #chunks = []; // `{ element, lines, isPast }`, the oldest first
  #lastDay = new Date().toDateString(); // of the last line

  // `loadOlder()` is called while the reader is where older messages would be.
  constructor(view, catalogue, loadOlder) {
    this.#view = view;
    this.#catalogue = catalogue;
    this.#loadOlder = loadOlder;
    view.onScroll(() => this.requestOlder());
  }

  // Returns the message with this id, if it is on the page.
  find(id) {
    return this.#lines.get(id);
  }

  // The id of the oldest message on the page; undefined if there is none.
  get oldest() {
    for (const { lines } of [...this.#chunks, { lines: this.#queue }]) {
      const line = lines.find((line) => line.id !== null);
      if (line) return line.id;
    }
    return undefined;
  }

  // Adds a line at the end, also one that waited. `id` is its message's, if it has one.
  append(line, id = null) {
    if (id !== null) this.#register(line, id);
    if (line.day && line.day !== this.#lastDay) {
      this.#lastDay = line.day;
      this.#queue.push(this.#view.separator(line.day));
    }
    this.#queue.push(line);
    this.#view.requestBatch(() => this.#flush());
  }

  // Adds a line about the log itself.
  note(text) {
    this.append(this.#view.note(text));
  }

  // Shows a line below all others until it is appended or removed.
  wait(line) {
    this.#view.wait(line);
  }

  // Adds older messages, `[line, id]` with the oldest first, before all others.
  prepend(pairs) {
    this.#flush();
    const chunk = { element: this.#view.createChunk(true), lines: [], isPast: true };
    let day = null;
    for (const [line, id] of pairs) {
      this.#register(line, id);
      if (line.day !== day) chunk.lines.push(this.#view.separator(line.day));
      day = line.day;
      chunk.lines.push(line);
    }
    this.#view.fill(chunk.element, chunk.lines);
    const [first] = this.#chunks;
    if (first) this.#joinDays(first, day);
    this.#view.prepend(chunk.element);
    this.#chunks.unshift(chunk);
  }

  // Shows a text above the oldest message; "" for none.
  setHeader(text) {
    this.#view.setHeader(text);
  }

  // Loads older messages if the reader is where they would be.
  requestOlder() {
    if (this.#queue.length) return; // the next batch may fill the view, and asks again then
    if (this.#view.isAtOldest) this.#loadOlder();
  }

  // Scrolls to the end and stays there.
  follow() {
    this.#view.follow();
  }

  #register(line, id) {
    line.id = id;
    this.#lines.set(id, line);
  }

  // The chunk that was the oldest now follows lines of this day: its first day may have a separator
  // too many, or lack one.
  #joinDays(chunk, day) {
    const [next] = chunk.lines;
    if (!next) return;
    if (next.isSeparator) {
      if (next.day !== day) return;
      chunk.lines.shift();
      this.#view.remove(next);
      return;
    }
    const dated = this.#chunks.flatMap((chunk) => chunk.lines).find((line) => line.day);
    if (!dated || dated.day === day) return;
    const separator = this.#view.separator(dated.day);
    chunk.lines.unshift(separator);
    this.#view.insertBefore(separator, next);
  }

  #flush() {
    this.#view.cancelBatch();
    const batch = this.#queue.splice(0);
    if (batch.length === 0) return;
    this.#fillChunks([...batch]);
    this.#trim();
    this.#view.showBatch(batch.filter((line) => line.isNews).length);
    this.requestOlder();
  }

  #fillChunks(batch) {
    while (batch.length) {
      let chunk = this.#chunks.at(-1);
      if (!chunk || chunk.lines.length >= CHUNK_LINES || chunk.isPast) {
        chunk = { element: this.#view.createChunk(false), lines: [], isPast: false };
        this.#view.append(chunk.element);
        this.#chunks.push(chunk);
      }
      const lines = batch.splice(0, CHUNK_LINES - chunk.lines.length);
      chunk.lines.push(...lines);
      this.#view.fill(chunk.element, lines);
    }
  }

  // The bound is twice as far while the user reads older messages: the page must not be cut in
  // view.
  #trim() {
    const max = this.#view.isFollowing ? MAX_CHUNKS : 2 * MAX_CHUNKS;
    if (this.#chunks.length <= max + CHUNK_SLACK) return;
    const removed = this.#chunks.splice(0, this.#chunks.length - max);
    for (const line of removed.flatMap((chunk) => chunk.lines)) this.#lines.delete(line.id);
    this.#view.removeChunks(removed.map((chunk) => chunk.element), this.#chunks[0].element);
    this.setHeader(this.#catalogue.fill(this.#catalogue.texts.cap, { count: max * CHUNK_LINES }));
  }
}
