// The user's messages that have no place in the room's order yet, shown below all others.

import { Failure } from "./parlor.js";

// After it an acknowledged message is shown without its `message` frame.
const DELIVERY_TIMEOUT = 10000; // ms

export class PendingMessages {
  #log;
  #catalogue;
  #createView;
  #status;
  #outbox;
  #views = new Map(); // by entry
  #acknowledged = new Map(); // entry by message id, until its `message` frame arrives

  // `createView(text, at)` returns the view of an own message; `status()` returns the text for
  // messages in progress.
  constructor(log, catalogue, createView, status) {
    this.#log = log;
    this.#catalogue = catalogue;
    this.#createView = createView;
    this.#status = status;
  }

  // Shows what the outbox has loaded from storage.
  restore(outbox) {
    this.#outbox = outbox;
    for (const entry of outbox.entries) this.show(entry);
  }

  show(entry) {
    const view = this.#createView(entry.text, entry.at);
    this.#views.set(entry, view);
    this.#log.wait(view);
    if (entry.failed) this.failed(entry);
    else view.markSending(this.#status());
  }

  // Shows the current status on all messages in progress.
  refresh() {
    const acknowledged = new Set(this.#acknowledged.values());
    for (const [entry, view] of this.#views) {
      if (!entry.failed && !acknowledged.has(entry)) view.markSending(this.#status());
    }
  }

  failed(entry) {
    const view = this.#views.get(entry);
    if (!view) {
      // Delivered; only the acknowledgement was lost.
      if (entry.failed === Failure.EXPIRED) return this.#outbox.discard(entry);
      // An equal text from another tab was taken for it.
      return this.show(entry);
    }
    const { texts } = this.#catalogue;
    const words = this.#catalogue.fill(texts.failed[entry.failed] ?? texts.failed.refused, { code: entry.failed });
    view.markFailed(words, [
      [texts.again, () => this.#resend(entry)],
      [texts.discard, () => this.#discard(entry)],
    ]);
  }

  // The message is in the room's log under this id; its place is where its `message` frame arrives,
  // before or after.
  acknowledged(entry, id) {
    const view = this.#views.get(entry);
    const delivered = this.#log.find(id);
    if (delivered) {
      delivered.markOwn();
      delivered.markSent();
      if (view && view !== delivered) view.remove();
      this.#views.delete(entry);
    } else if (view) {
      view.markSent();
      this.#acknowledged.set(id, entry);
      setTimeout(() => this.#acknowledged.has(id) && this.#log.append(this.take({ id }), id), DELIVERY_TIMEOUT);
    }
  }

  // Drops a message that another tab has settled.
  removed(entry) {
    this.#views.get(entry)?.remove();
    this.#views.delete(entry);
  }

  // Returns the view that waits for this message and no longer keeps it; null if there is none.
  // Before the acknowledgement the message is recognised by its text: an equal text from another
  // tab may be taken for it.
  take(frame, isOwnAndLive = false) {
    const inFlight = isOwnAndLive && this.#outbox.inFlight?.text === frame.text ? this.#outbox.inFlight : null;
    const entry = this.#acknowledged.get(frame.id) ?? inFlight;
    const view = this.#views.get(entry);
    if (!view) return null;
    this.#acknowledged.delete(frame.id);
    this.#views.delete(entry);
    if (frame.at) view.setTime(frame.at);
    view.markSent();
    return view;
  }

  #resend(entry) {
    const view = this.#views.get(entry);
    view.markSending(this.#status());
    this.#log.wait(view); // at the end, as in the outbox
    this.#outbox.resend(entry);
  }

  #discard(entry) {
    this.#outbox.discard(entry);
    this.removed(entry);
  }
}
