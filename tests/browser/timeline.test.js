// The timeline: duplicates, gaps, and pages of older messages.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { LogPosition } from "../../clients/js/parlor.js";
import { Log } from "../../static/log.js";
import { Timeline, historyOver } from "../../static/timeline.js";
import { FakeLogView, FakeView, TODAY, catalogue } from "./support/log.js";

let view;
let log;
let timeline;
let shown; // `[text, isNew]` of each message added
let pages; // answers to `history`
let requests;
let pendingView;
let position;

beforeEach(() => {
  view = new FakeLogView();
  log = new Log(view, catalogue, () => {});
  [shown, pages, requests, pendingView] = [[], [], [], null];
  const pending = { take: () => pendingView };
  const createView = (kind, text, details) => new FakeView(kind, text, details);
  position = new LogPosition(50);
  const room = {
    get isCatchingUp() {
      return position.isCatchingUp;
    },
    async history(before, limit) {
      requests.push([before, limit]);
      return pages.shift() ?? null;
    },
  };
  timeline = new Timeline(room, log, pending, catalogue, createView, (frame, isNew) => shown.push([frame.text, isNew]));
});

function welcome({ user = "me", last = null, recovered = false, reason = "new" } = {}) {
  position.join("websocket");
  const missing = position.welcome({ last, recovered, reason: recovered ? null : reason });
  timeline.welcome({ type: "welcome", user });
  if (missing) timeline.gap(missing);
}

// What a room does with a message before the page gets it.
function pass(frame) {
  const place = position.message(frame);
  if (!place) return;
  timeline.message(frame, place);
  position.passed(frame.id);
}

// A message whose text is its id; ids are numbers without gaps, as texts.
function message(n, { user = "other", prev = n > 1 ? `${n - 1}` : null, ...more } = {}) {
  return { type: "message", id: `${n}`, prev, text: `${n}`, user, name: user, at: Date.now(), ...more };
}

function receive(...numbers) {
  for (const n of numbers) pass(message(n));
}

function lines() {
  view.repaint();
  return view.lines;
}

test("the first load shows 50 messages, over SSE 200", () => {
  assert.equal(historyOver("websocket"), 50);
  assert.equal(historyOver("sse"), 200);
});

test("a message that arrives twice is shown once", () => {
  welcome({ last: "2" });
  receive(1, 2);
  welcome({ last: "3", recovered: true });
  receive(2, 3, 3, 1);
  assert.deepEqual(lines(), ["1", "2", "3"]);
  assert.deepEqual(shown.map(([text]) => text), ["1", "2", "3"]);
  assert.equal(timeline.lastId, "3", "a duplicate does not move it back");
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
  for (const [n, user] of [[1, "guest"], [2, "alice"], [3, "bob"]]) pass(message(n, { user }));
  assert.deepEqual(["1", "2", "3"].map((id) => log.find(id).kind), ["own", "own", "other"]);
  assert.equal(log.find("1").state, "sent");
  assert.deepEqual(shown.map(([, isNew]) => isNew), [false, false, true]);
});

test("a pending message takes its place in the order", () => {
  welcome();
  receive(1);
  pendingView = new FakeView("own", "mine");
  pass(message(2, { user: "me" }));
  assert.equal(log.find("2"), pendingView);
  assert.deepEqual(lines(), ["1", "mine"]);
});

test("a message without an id is shown, and is not the last one", () => {
  welcome();
  receive(1);
  pass({ type: "message", id: null, prev: null, text: "hi", user: null, name: null, at: null });
  assert.deepEqual(lines(), ["1", "hi"]);
  assert.equal(timeline.lastId, "1");
});

test("a removed message is redacted, whenever it was removed", () => {
  welcome();
  receive(1);
  timeline.removed({ id: "1" });
  timeline.removed({ id: "unknown" });
  pass(message(2, { removed: true, text: "", user: null, name: null }));
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
