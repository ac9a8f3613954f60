// The outbox: order, acknowledgements, retries, expiry, and what storage keeps.

import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";

import { Failure, Outbox, UnsentStore } from "../../clients/js/parlor.js";
import { FakeWindow } from "./support/storage.js";

const MINUTE = 60000; // ms

let window;

beforeEach(() => {
  mock.restoreAll();
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"], now: 1_800_000_000_000 });
  mock.method(Math, "random", () => 0.5);
  window = new FakeWindow();
});

// An outbox with the frames it has sent and the events it has reported.
function open({ room = "lobby", isConnected = true, tab = window } = {}) {
  const sent = [];
  const events = [];
  const state = { isConnected, isUploading: false };
  const send = (frame) => {
    if (state.isConnected) sent.push(frame);
    return state.isConnected;
  };
  const outbox = new Outbox(new UnsentStore(room, tab), send, {
    delayed: (entry, code) => events.push(["delayed", entry.text, code]),
    failed: (entry) => events.push(["failed", entry.text, entry.failed]),
    removed: (entry) => events.push(["removed", entry.text]),
    dead: () => events.push(["dead"]),
    isUploading: () => state.isUploading,
  });
  const texts = () => sent.map((frame) => frame.text);
  return { outbox, sent, events, state, texts };
}

const error = (entry, code, retry) => ({ type: "error", code, client_id: entry.id, retry });

test("messages are sent one after another, the oldest first", () => {
  const { outbox, texts } = open();
  const entries = ["a", "b", "c"].map((text) => outbox.add(text));
  outbox.pump();
  outbox.pump();
  assert.deepEqual(texts(), ["a"], "the next waits for the acknowledgement");
  assert.equal(outbox.inFlight, entries[0]);
  assert.equal(outbox.ack({ client_id: entries[0].id }), entries[0]);
  assert.deepEqual(texts(), ["a", "b"]);
  outbox.ack({ client_id: entries[1].id });
  outbox.ack({ client_id: entries[2].id });
  assert.deepEqual(texts(), ["a", "b", "c"]);
  assert.deepEqual(outbox.entries, []);
});

test("each message has a UUID of its own, and keeps it when it is sent again", () => {
  const { outbox, sent } = open();
  const [one, other] = [outbox.add("x"), outbox.add("x")];
  assert.match(one.id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.notEqual(one.id, other.id);
  outbox.pump();
  outbox.resume();
  assert.deepEqual(sent.map((frame) => frame.id), [one.id, one.id]);
});

test("nothing is in flight without a connection", () => {
  const { outbox, texts, state } = open({ isConnected: false });
  outbox.add("a");
  outbox.pump();
  assert.equal(outbox.inFlight, null);
  state.isConnected = true;
  outbox.resume();
  assert.deepEqual(texts(), ["a"]);
});

test("an unknown acknowledgement changes nothing", () => {
  const { outbox } = open();
  outbox.add("a");
  assert.equal(outbox.ack({ client_id: "other" }), null);
  assert.equal(outbox.entries.length, 1);
});

test("at most 50 messages wait", () => {
  const { outbox } = open();
  for (let n = 0; n < 50; n++) assert.ok(outbox.add(`${n}`));
  assert.equal(outbox.add("one more"), null);
});

test("a long message on a slow line is waited for", () => {
  const { outbox, events, state } = open();
  outbox.add("x".repeat(60000)); // at 3 KB/s it takes 20 s
  outbox.pump();
  mock.timers.tick(39999);
  assert.deepEqual(events, []);
  state.isUploading = true; // it has not left the browser
  mock.timers.tick(60000);
  assert.deepEqual(events, []);
  state.isUploading = false;
  mock.timers.tick(10000);
  assert.deepEqual(events, [["dead"]]);
});

test("the patience with an answer doubles until one comes", () => {
  const { outbox, events } = open();
  const entry = outbox.add("a");
  outbox.pump();
  for (const timeout of [10000, 20000, 40000]) {
    const count = events.length;
    mock.timers.tick(timeout - 1);
    assert.equal(events.length, count, `not before ${timeout} ms`);
    mock.timers.tick(1);
    assert.equal(events.length, count + 1);
    outbox.resume();
  }
  outbox.ack({ client_id: entry.id });
  outbox.add("b");
  outbox.pump();
  mock.timers.tick(10000);
  assert.equal(events.length, 4);
});

test("the echo of a message gives its acknowledgement time", () => {
  const { outbox, events } = open();
  outbox.add("a");
  outbox.pump();
  mock.timers.tick(9000);
  outbox.echoed();
  mock.timers.tick(9000);
  assert.deepEqual(events, []);
});

test("a connection without an answer for 10 seconds is reported as dead", () => {
  const { outbox, events } = open();
  outbox.add("a");
  outbox.pump();
  mock.timers.tick(9999);
  assert.deepEqual(events, []);
  mock.timers.tick(1);
  assert.deepEqual(events, [["dead"]]);
});

test("a temporary error is retried with a backoff that doubles up to 8 seconds", () => {
  const { outbox, events, texts } = open();
  const entry = outbox.add("a");
  outbox.add("b");
  outbox.pump();
  for (const max of [1000, 2000, 4000, 8000, 8000]) {
    const count = texts().length;
    outbox.error(error(entry, "unavailable", true));
    mock.timers.tick(max * 0.75 - 1); // half of it, and a random part of the other half
    assert.equal(texts().length, count, "not before the backoff is over");
    mock.timers.tick(1);
    assert.equal(texts().length, count + 1);
    assert.equal(texts().at(-1), "a", "the message is not overtaken");
  }
  assert.deepEqual(events[0], ["delayed", "a", "unavailable"]);
  outbox.ack({ client_id: entry.id });
  assert.equal(texts().at(-1), "b");
});

test("an acknowledgement resets the backoff", () => {
  const { outbox, texts } = open();
  const [a, b] = [outbox.add("a"), outbox.add("b")];
  outbox.pump();
  outbox.error(error(a, "rate", true));
  mock.timers.tick(750);
  outbox.error(error(a, "rate", true));
  mock.timers.tick(1500);
  outbox.ack({ client_id: a.id });
  outbox.error(error(b, "rate", true));
  mock.timers.tick(750);
  assert.deepEqual(texts(), ["a", "a", "a", "b", "b"]);
});

test("a permanent error fails the message and lets the next go on", () => {
  const { outbox, events, texts } = open();
  const a = outbox.add("a");
  outbox.add("b");
  outbox.pump();
  outbox.error(error(a, "too_large", false));
  assert.deepEqual(events, [["failed", "a", "too_large"]]);
  assert.deepEqual(texts(), ["a", "b"]);
});

test("a new connection sends the message in flight again without waiting", () => {
  const { outbox, texts } = open();
  const a = outbox.add("a");
  outbox.pump();
  outbox.error(error(a, "unavailable", true));
  outbox.resume();
  assert.deepEqual(texts(), ["a", "a"]);
});

test("a message that is not confirmed within 4 minutes fails and waits for the user", () => {
  const { outbox, events, texts, state } = open({ isConnected: false });
  const a = outbox.add("a");
  mock.timers.tick(4 * MINUTE);
  assert.deepEqual(events, []);
  mock.timers.tick(5000);
  assert.deepEqual(events, [["failed", "a", Failure.EXPIRED]]);
  state.isConnected = true;
  outbox.resume();
  assert.deepEqual(texts(), []);
  outbox.resend(a);
  assert.deepEqual(texts(), ["a"]);
});

test("a message that is sent again goes to the end", () => {
  const { outbox, texts } = open();
  const a = outbox.add("a");
  outbox.add("b");
  outbox.add("c");
  outbox.pump();
  outbox.error(error(a, "conflict", false));
  outbox.resend(a);
  assert.deepEqual(outbox.entries.map((entry) => entry.text), ["b", "c", "a"]);
  assert.deepEqual(texts(), ["a", "b"]);
});

test("the end of the connection fails all messages once", () => {
  const { outbox, events } = open();
  outbox.add("a");
  outbox.add("b");
  outbox.pump();
  outbox.end();
  outbox.end();
  assert.deepEqual(events, [["failed", "a", Failure.ENDED], ["failed", "b", Failure.ENDED]]);
  assert.equal(outbox.inFlight, null);
});

test("what is unsent outlives a reload, with its id and failure", () => {
  const before = open({ isConnected: false });
  const a = before.outbox.add("a");
  mock.timers.tick(10);
  const b = before.outbox.add("b");
  before.outbox.error(error(b, "too_large", false));
  const { outbox, sent } = open();
  assert.deepEqual(outbox.entries, [a, b]);
  outbox.pump();
  assert.deepEqual(sent, [{ type: "message", text: "a", id: a.id }]);
  outbox.ack({ client_id: a.id });
  outbox.discard(outbox.entries[0]);
  assert.deepEqual(open().outbox.entries, []);
  assert.equal(window.localStorage.length, 0);
});

test("rooms and users do not share what is unsent", () => {
  open({ room: "lobby" }).outbox.add("a");
  assert.deepEqual(open({ room: "lobby@alice" }).outbox.entries, []);
  assert.deepEqual(open({ room: "lob" }).outbox.entries, []);
  assert.equal(open({ room: "lobby" }).outbox.entries.length, 1);
});

test("what is no message in storage is ignored", () => {
  window.localStorage.setItem("parlor.unsent:lobby:1", "null");
  window.localStorage.setItem("parlor.unsent:lobby:2", '{"text": 1, "at": 2}');
  window.localStorage.setItem("parlor.unsent:lobby:3", '{"id": "3", "text": "c", "at": 1799999999999, "failed": ""}');
  window.localStorage.setItem("other", "x");
  assert.deepEqual(open().outbox.entries.map((entry) => entry.text), ["c"]);
});

test("without storage messages last as long as the page", () => {
  const tab = new FakeWindow();
  Object.defineProperty(tab, "localStorage", {
    get() {
      throw new Error("SecurityError");
    },
  });
  const { outbox, texts } = open({ tab });
  const a = outbox.add("a");
  outbox.pump();
  outbox.ack({ client_id: a.id });
  assert.deepEqual(texts(), ["a"]);
  assert.deepEqual(outbox.entries, []);
});

test("a message that another tab has settled is dropped", () => {
  const { outbox, events } = open({ isConnected: false });
  const a = outbox.add("a");
  const b = outbox.add("b");
  window.otherTabChanged(`parlor.unsent:lobby:${a.id}`, null);
  assert.deepEqual(events, [["removed", "a"]]);
  window.otherTabChanged(`parlor.unsent:lobby:${b.id}`, "{}");
  window.otherTabChanged(`parlor.unsent:attic:${b.id}`, null);
  window.otherTabChanged(null, null); // storage was cleared
  assert.deepEqual(outbox.entries, [b]);
});

test("the message in flight is kept although another tab has settled it", () => {
  const { outbox, events } = open();
  const a = outbox.add("a");
  outbox.pump();
  window.otherTabChanged(`parlor.unsent:lobby:${a.id}`, null);
  assert.deepEqual(events, []);
  assert.equal(outbox.inFlight, a);
});

test("what was written for a private room is held back when the room is private no more", () => {
  const { outbox, events, state, texts } = open({ isConnected: false });
  outbox.resume(true);
  const entry = outbox.add("for few");
  outbox.pump();
  state.isConnected = true;
  outbox.resume(false);
  assert.deepEqual(texts(), []);
  assert.deepEqual(events, [["failed", "for few", Failure.PUBLIC]]);
  const reloaded = open({ isConnected: true });
  reloaded.outbox.resume(false);
  assert.deepEqual(reloaded.texts(), [], "after a reload, too");
  outbox.resend(entry);
  assert.deepEqual(texts(), ["for few"], "the user may send it nevertheless");
});
