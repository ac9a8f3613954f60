// The person's own messages: shown below all others while they are on their way, and at their place in the order then.

import { mark, message, own, stamp } from "./item.js";
import { fill, texts } from "./page.js";

const LATE = 10000; // ms after the acknowledgement: the message is in the room's log and yet did not come

export class Own {
  #log;
  #outbox;
  #items = new Map(); // by entry: those that have no place in the order yet
  #acked = new Map(); // entry by the id that its message got, until it comes
  #words; // what is said of a message that is on its way

  constructor(log, words) {
    this.#log = log;
    this.#words = words;
  }

  // Shows what storage has kept of an earlier visit.
  restore(outbox) {
    this.#outbox = outbox;
    for (const entry of outbox.entries) this.show(entry);
  }

  show(entry) {
    const item = message("own", entry.text, { at: entry.at });
    this.#items.set(entry, item);
    this.#log.wait(item);
    if (entry.failed) this.failed(entry);
    else mark(item, "sending", this.#words());
  }

  // Says anew how it stands with what is on its way.
  refresh() {
    const acked = new Set(this.#acked.values());
    for (const [entry, item] of this.#items) {
      if (!entry.failed && !acked.has(entry)) mark(item, "sending", this.#words());
    }
  }

  failed(entry) {
    if (!this.#items.has(entry)) {
      if (entry.failed === "expired") return this.#outbox.discard(entry); // it came, only its acknowledgement did not
      return this.show(entry); // another tab's equal text had been taken for it
    }
    const item = this.#items.get(entry);
    const words = fill(texts.failed[entry.failed] ?? texts.failed.refused, { code: entry.failed });
    mark(item, "failed", words, [
      [texts.again, () => this.#repeat(entry)],
      [texts.discard, () => this.#discard(entry)],
    ]);
  }

  // The server has it: its place is where its message comes, before or after this.
  acked(entry, id) {
    const item = this.#items.get(entry);
    const shown = this.#log.item(id);
    if (shown) {
      own(shown);
      mark(shown, "sent", texts.sent);
      if (item && item !== shown) item.remove();
      this.#items.delete(entry);
    } else if (item) {
      mark(item, "sent", texts.sent);
      this.#acked.set(id, entry);
      setTimeout(() => this.#acked.has(id) && this.#log.put(this.take({ id }), id), LATE);
    }
  }

  // It is settled elsewhere.
  gone(entry) {
    this.#items.get(entry)?.remove();
    this.#items.delete(entry);
  }

  // The item that waits for this message, now to be put in order; else null. Before the acknowledgement only the
  // text can tell: another tab's equal text may be taken for it, which nobody can see.
  take(frame, isLive = false) {
    const flight = isLive && this.#outbox.flight?.text === frame.text ? this.#outbox.flight : null;
    const entry = this.#acked.get(frame.id) ?? flight;
    const item = this.#items.get(entry);
    if (!item) return null;
    this.#acked.delete(frame.id);
    this.#items.delete(entry);
    if (frame.at) stamp(item, frame.at);
    mark(item, "sent", texts.sent);
    return item;
  }

  #repeat(entry) {
    mark(this.#items.get(entry), "sending", this.#words());
    this.#log.wait(this.#items.get(entry)); // at the end, as in the outbox
    this.#outbox.repeat(entry);
  }

  #discard(entry) {
    this.#outbox.discard(entry);
    this.gone(entry);
  }
}
