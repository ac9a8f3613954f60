// Pending messages: shown at once, and moved to their place when the server has them.

import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";

import { Outbox, UnsentStore } from "../../clients/js/parlor.js";
import { Log } from "../../static/log.js";
import { PendingMessages } from "../../static/pending.js";
import { FakeLogView, FakeView, catalogue } from "./support/log.js";
import { FakeWindow } from "./support/storage.js";

let window;
let view;
let log;
let outbox;
let pending;
let status;
let isConnected;

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"], now: 1_800_000_000_000 });
  window = new FakeWindow();
  open();
});

function open() {
  status = "sending";
  isConnected = true;
  view = new FakeLogView();
  log = new Log(view, catalogue, () => {});
  pending = new PendingMessages(log, catalogue, (text, at) => new FakeView("own", text, { at }), () => status);
  outbox = new Outbox(new UnsentStore("lobby", window), () => isConnected, {
    delayed: () => {},
    failed: (entry) => pending.failed(entry),
    removed: (entry) => pending.removed(entry),
    dead: () => {},
  });
  pending.restore(outbox);
}

function send(text) {
  const entry = outbox.add(text);
  pending.show(entry);
  outbox.pump();
  return entry;
}

const acknowledge = (entry, id) => pending.acknowledged(outbox.ack({ client_id: entry.id }), id);

test("a message waits below all others, with its status", () => {
  send("a");
  send("b");
  assert.deepEqual(view.waiting.map(({ text, state, words }) => [text, state, words]), [
    ["a", "sending", "sending"],
    ["b", "sending", "sending"],
  ]);
  status = "waiting";
  pending.refresh();
  assert.deepEqual(view.waiting.map(({ words }) => words), ["waiting", "waiting"]);
});

test("an acknowledged message is sent and moves when its frame arrives", () => {
  const entry = send("a");
  const [own] = view.waiting;
  acknowledge(entry, "1");
  assert.equal(own.state, "sent");
  status = "waiting";
  pending.refresh();
  assert.equal(own.state, "sent", "its status does not change again");
  assert.equal(pending.take({ id: "1", text: "a" }), own);
  assert.equal(pending.take({ id: "1", text: "a" }), null, "once");
});

test("a frame before the acknowledgement is recognised by its text", () => {
  const entry = send("a");
  const [own] = view.waiting;
  assert.equal(pending.take({ id: "1", text: "b" }, true), null);
  assert.equal(pending.take({ id: "1", text: "a" }, false), null, "only if it is the user's and live");
  assert.equal(pending.take({ id: "1", text: "a" }, true), own);
  log.append(own, "1");
  acknowledge(entry, "1");
  assert.ok(!own.isRemoved);
  assert.equal(log.find("1"), own);
});

test("a message that came as another user's becomes the user's own", () => {
  const entry = send("a");
  const [own] = view.waiting;
  const delivered = new FakeView("other", "a");
  log.append(delivered, "1");
  acknowledge(entry, "1");
  assert.deepEqual([delivered.kind, delivered.state], ["own", "sent"]);
  assert.ok(own.isRemoved, "the waiting one is gone");
});

test("an acknowledged message without a frame is put in order after 10 seconds", () => {
  const entry = send("a");
  acknowledge(entry, "1");
  mock.timers.tick(9999);
  assert.equal(log.find("1"), undefined);
  mock.timers.tick(1);
  view.repaint();
  assert.deepEqual(view.lines.at(-1), "a");
  assert.deepEqual(view.waiting, []);
});

test("a failed message can be sent again, at the end", () => {
  const entry = send("a");
  send("b");
  const [own] = view.waiting;
  outbox.error({ client_id: entry.id, code: "odd", retry: false });
  assert.deepEqual([own.state, own.words], ["failed", "refused odd"]);
  own.actions.again();
  assert.equal(own.state, "sending");
  assert.deepEqual(view.waiting.map(({ text }) => text), ["b", "a"]);
  assert.deepEqual(outbox.entries.map(({ text }) => text), ["b", "a"]);
});

test("a failed message can be discarded", () => {
  const entry = send("a");
  const [own] = view.waiting;
  outbox.error({ client_id: entry.id, code: "odd", retry: false });
  own.actions.discard();
  assert.ok(own.isRemoved);
  assert.deepEqual(outbox.entries, []);
});

test("a message that fails after an equal text was taken for it is shown again", () => {
  const entry = send("a");
  pending.take({ id: "1", text: "a" }, true); // another tab's
  outbox.error({ client_id: entry.id, code: "too_large", retry: false });
  assert.equal(view.waiting.at(-1).state, "failed");
});

test("a delivered message whose acknowledgement was lost expires silently", () => {
  send("a");
  const own = pending.take({ id: "1", text: "a" }, true);
  log.append(own, "1");
  isConnected = false;
  outbox.resume();
  mock.timers.tick(4 * 60000 + 5000);
  assert.deepEqual(outbox.entries, []);
  assert.deepEqual([own.state, own.isRemoved], ["sent", false]);
  assert.deepEqual(view.waiting, [own], "until the next repaint");
  view.repaint();
  assert.deepEqual(view.waiting, []);
});

test("unsent messages of an earlier visit are shown", () => {
  send("a");
  const failed = send("b");
  outbox.error({ client_id: failed.id, code: "expired", retry: false });
  open();
  assert.deepEqual(view.waiting.map(({ text, state }) => [text, state]), [["a", "sending"], ["b", "failed"]]);
});

test("a message that another tab has settled disappears", () => {
  const [, second] = [send("a"), send("b")];
  const own = view.waiting[1];
  window.otherTabChanged(`parlor.unsent:lobby:${second.id}`, null);
  assert.ok(own.isRemoved);
});
