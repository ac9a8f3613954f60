// The timeline: duplicates, where the next connection continues, gaps, and pages of older messages.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Log } from "../../static/log.js";
import { Timeline } from "../../static/timeline.js";
import { FakeLogView, FakeView, TODAY, catalogue } from "./support/log.js";

let view;
let log;
let timeline;
let shown; // `[text, isNew]` of each message added
let pages; // answers to `history`
let requests;
let pendingView;

beforeEach(() => {
  view = new FakeLogView();
  log = new Log(view, catalogue, () => {});
  [shown, pages, requests, pendingView] = [[], [], [], null];
  const pending = { take: () => pendingView };
  const createView = (kind, text, details) => new FakeView(kind, text, details);
  const requestHistory = async (before, limit) => {
    requests.push([before, limit]);
    return pages.shift() ?? null;
  };
  timeline = new Timeline(log, pending, catalogue, createView, requestHistory, (frame, isNew) => {
    shown.push([frame.text, isNew]);
  });
});

function welcome({ user = "me", last = null, recovered = false, reason = "new" } = {}) {
  timeline.welcome({ type: "welcome", user, last, recovered, reason: recovered ? null : reason });
}

// A message whose text is its id; ids are numbers without gaps, as texts.
function message(n, { user = "other", prev = n > 1 ? `${n - 1}` : null, ...more } = {}) {
  return { type: "message", id: `${n}`, prev, text: `${n}`, user, name: user, at: Date.now(), ...more };
}

function receive(...numbers) {
  for (const n of numbers) timeline.message(message(n));
}

function lines() {
  view.repaint();
  return view.lines;
}

test("the first connection asks for 50 messages, over SSE for 200", () => {
  assert.deepEqual(timeline.query("websocket"), { history: 50 });
  assert.deepEqual(timeline.query("sse"), { history: 200 });
});

test("the next connection continues after the last message", () => {
  welcome({ last: "2" });
  receive(1, 2, 3);
  assert.deepEqual(timeline.query("websocket"), { since: "3" });
  assert.deepEqual(timeline.query("sse"), { since: "3" });
  assert.equal(timeline.position, "3");
});

test("a page that was welcomed and has no message asks for all that the server gives", () => {
  welcome();
  assert.deepEqual(timeline.query("websocket"), { history: 1000 });
});

test("a message that arrives twice is shown once", () => {
  welcome({ last: "2" });
  receive(1, 2);
  welcome({ last: "3", recovered: true });
  receive(2, 3, 3, 1);
  assert.deepEqual(lines(), ["1", "2", "3"]);
  assert.deepEqual(shown.map(([text]) => text), ["1", "2", "3"]);
  assert.equal(timeline.position, "3", "a duplicate does not move the position back");
});

test("the past of the first load is neither new nor announced; live messages are", () => {
  welcome({ last: "2" });
  receive(1, 2, 3);
  assert.deepEqual(shown, [["1", false], ["2", false], ["3", true]]);
  assert.deepEqual(["1", "2", "3"].map((id) => log.find(id).isSilent), [true, true, false]);
});

test("messages missed while the page was disconnected are new", () => {
  welcome({ last: "1" });
  receive(1);
  welcome({ last: "3", recovered: true });
  receive(2, 3);
  assert.deepEqual(shown.slice(1), [["2", true], ["3", true]]);
});

test("own messages are marked and not new, by each id that the user had", () => {
  welcome({ user: "guest" });
  welcome({ user: "alice" });
  for (const [n, user] of [[1, "guest"], [2, "alice"], [3, "bob"]]) timeline.message(message(n, { user }));
  assert.deepEqual(["1", "2", "3"].map((id) => log.find(id).kind), ["own", "own", "other"]);
  assert.equal(log.find("1").state, "sent");
  assert.deepEqual(shown.map(([, isNew]) => isNew), [false, false, true]);
});

test("a pending message takes its place in the order", () => {
  welcome();
  receive(1);
  pendingView = new FakeView("own", "mine");
  timeline.message(message(2, { user: "me" }));
  assert.equal(log.find("2"), pendingView);
  assert.deepEqual(lines(), ["1", "mine"]);
});

test("a message without an id is shown and moves no position", () => {
  welcome();
  receive(1);
  timeline.message({ type: "message", id: null, prev: null, text: "hi", user: null, name: null, at: null });
  assert.deepEqual(lines(), ["1", "hi"]);
  assert.equal(timeline.position, "1");
});

test("a removed message is redacted, whenever it was removed", () => {
  welcome();
  receive(1);
  timeline.removed({ id: "1" });
  timeline.removed({ id: "unknown" });
  timeline.message(message(2, { removed: true, text: "", user: null, name: null }));
  assert.ok(log.find("1").isRedacted);
  assert.ok(log.find("2").isRedacted);
});

test("a connection that could not recover notes a gap", () => {
  welcome({ last: "1" });
  receive(1);
  welcome({ last: "9", reason: "trimmed" });
  receive(9);
  assert.deepEqual(lines(), ["1", "trimmed", "9"]);
});

test("two gaps without a message between them are noted once", () => {
  welcome({ last: "1" });
  receive(1);
  timeline.gap("rewritten");
  welcome({ last: "9", reason: "unknown" });
  receive(9);
  timeline.gap("trimmed");
  assert.deepEqual(lines(), ["1", "unknown", "9", "trimmed"], "a reason without a text has that of unknown");
});

test("a page without a position notes a gap if messages are missing since its welcome", () => {
  welcome(); // an empty room
  welcome({ last: "1005" });
  receive(6);
  assert.deepEqual(lines(), ["trimmed", "6"]);
});

test("a page without a position notes no gap if it gets all since its welcome", () => {
  welcome();
  welcome({ last: "2" });
  receive(1, 2);
  assert.deepEqual(lines(), ["1", "2"]);
});

test("a room whose log is empty leaves no position", () => {
  welcome({ last: "1" });
  receive(1);
  welcome({ last: null, reason: "unknown" });
  assert.equal(timeline.position, null);
  assert.deepEqual(timeline.query("websocket"), { history: 1000 });
});

test("older messages are loaded before the oldest until there are none", async () => {
  welcome({ last: "6" });
  receive(5, 6);
  view.repaint();
  pages.push({ messages: [message(3), message(4)], more: true }, { messages: [message(1), message(2)], more: false });
  await timeline.loadOlder();
  await timeline.loadOlder();
  assert.deepEqual(requests, [["5", 50], ["3", 50]]);
  assert.deepEqual(view.lines.filter((line) => line !== `[${TODAY}]`), ["1", "2", "3", "4", "5", "6"]);
  await timeline.loadOlder();
  assert.equal(requests.length, 2, "the beginning is known");
  assert.equal(view.header, "beginning");
});

test("a page of older messages adds no duplicates", async () => {
  welcome({ last: "3" });
  receive(2, 3);
  view.repaint();
  pages.push({ messages: [message(1), message(2)], more: true });
  await timeline.loadOlder();
  assert.deepEqual(view.lines.filter((line) => line !== `[${TODAY}]`), ["1", "2", "3"]);
});

test("older messages are not requested while the past is arriving, or twice at a time", async () => {
  await timeline.loadOlder();
  welcome({ last: "6" });
  receive(5);
  await timeline.loadOlder();
  assert.deepEqual(requests, []);
  receive(6);
  await Promise.all([timeline.loadOlder(), timeline.loadOlder()]);
  assert.deepEqual(requests, [["5", 50]]);
});

test("a failed request for older messages can be repeated", async () => {
  welcome({ last: "5" });
  receive(5);
  await timeline.loadOlder(); // answered by null
  assert.equal(view.header, "");
  pages.push({ messages: [message(4)], more: true });
  await timeline.loadOlder();
  assert.equal(log.oldest, "4");
});
