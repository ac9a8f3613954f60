// The log: order, duplicates, days, waiting lines, and the bound of what the page keeps.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Log } from "../../static/log.js";
import { FakeLogView, FakeView, TODAY, catalogue } from "./support/log.js";

const MAX_LINES = 100 * 100;
const at = (day) => ({ at: new Date(2020, 0, day, 12).getTime() });
const dayOf = (day) => `[${new Date(2020, 0, day).toDateString()}]`;

let view;
let log;
let olderRequests;

beforeEach(() => {
  view = new FakeLogView();
  olderRequests = 0;
  log = new Log(view, catalogue, () => olderRequests++);
});

function append(text, id = text, details = {}) {
  const line = new FakeView("other", text, details);
  log.append(line, id);
  return line;
}

function prepend(...messages) {
  log.prepend(messages.map(([text, details]) => [new FakeView("other", text, details), text]));
}

test("lines appear in order, once for each repaint", () => {
  append("a");
  append("b");
  assert.deepEqual(view.lines, [], "nothing before the repaint");
  view.repaint();
  assert.deepEqual(view.lines, ["a", "b"]);
  append("c");
  view.repaint();
  view.repaint();
  assert.deepEqual(view.lines, ["a", "b", "c"]);
});

test("a message is found by its id as soon as it is appended", () => {
  const line = append("a", "1");
  assert.equal(log.find("1"), line);
  assert.equal(line.id, "1");
  assert.equal(log.find("2"), undefined);
});

test("the oldest message is the first with an id, also before the repaint", () => {
  assert.equal(log.oldest, undefined);
  log.note("a note");
  append("push", null);
  append("a");
  append("b");
  assert.equal(log.oldest, "a");
  view.repaint();
  assert.equal(log.oldest, "a");
  prepend(["older", {}]);
  assert.equal(log.oldest, "older");
});

test("older messages are placed before all others", () => {
  append("c");
  append("d");
  prepend(["a", {}], ["b", {}]);
  assert.deepEqual(view.lines, [`[${TODAY}]`, "a", "b", "c", "d"], "what was queued is flushed first");
  append("e");
  view.repaint();
  assert.equal(view.lines.at(-1), "e");
});

test("new messages are not mixed with a chunk of older ones", () => {
  append("b");
  prepend(["a", {}]);
  append("c");
  view.repaint();
  assert.deepEqual(view.chunks.map((chunk) => chunk.length), [2, 2]);
});

test("a separator stands before the first message of another day", () => {
  append("today");
  append("a", "a", at(1));
  append("b", "b", at(1));
  append("c", "c", at(2));
  log.note("a note has no day");
  append("d", "d", at(2));
  view.repaint();
  assert.deepEqual(view.lines, ["today", dayOf(1), "a", "b", dayOf(2), "c", "a note has no day", "d"]);
});

test("older messages of the same day take over the separator of the first line", () => {
  append("c", "c", at(2));
  view.repaint();
  assert.deepEqual(view.lines, [dayOf(2), "c"]);
  prepend(["a", at(1)], ["b", at(2)]);
  assert.deepEqual(view.lines, [dayOf(1), "a", dayOf(2), "b", "c"]);
});

test("a first line without a separator gets one when older messages are of another day", () => {
  append("today");
  view.repaint();
  prepend(["a", at(1)]);
  assert.deepEqual(view.lines, [dayOf(1), "a", `[${TODAY}]`, "today"]);
});

test("a note before the first message gets the separator", () => {
  log.note("note");
  append("today");
  view.repaint();
  prepend(["a", at(1)]);
  assert.deepEqual(view.lines, [dayOf(1), "a", `[${TODAY}]`, "note", "today"]);
});

test("a waiting line moves to its place when it is appended", () => {
  const line = new FakeView("own", "mine");
  log.wait(line);
  assert.deepEqual([view.waiting, view.lines], [[line], []]);
  append("a");
  log.append(line, "mine");
  view.repaint();
  assert.deepEqual([view.waiting, view.lines], [[], ["a", "mine"]]);
});

test("messages of other users count as new while the reader is above", () => {
  view.isFollowing = false;
  append("a");
  log.append(new FakeView("own", "mine"), "mine");
  log.append(new FakeView("push", "line"));
  log.note("note");
  append("old", "old", at(1)); // with its separator
  view.repaint();
  assert.equal(view.newMessages, 3);
});

test("older messages are requested when the reader is where they would be", () => {
  view.scroll();
  assert.equal(olderRequests, 0);
  view.isAtOldest = true;
  append("a");
  view.scroll();
  assert.equal(olderRequests, 0, "the batch may fill the view");
  view.repaint();
  assert.equal(olderRequests, 1);
  view.scroll();
  assert.equal(olderRequests, 2);
});

test("the page keeps a bounded number of lines", () => {
  for (let n = 0; n < MAX_LINES + 500; n++) append(`${n}`);
  view.repaint();
  assert.equal(view.lines.length, MAX_LINES + 500, "the slack is not trimmed");
  append("last");
  view.repaint();
  assert.equal(view.chunks.length, 100);
  assert.equal(view.lines[0], "600");
  assert.equal(view.lines.at(-1), "last");
  assert.equal(view.header, "latest 10,000");
  assert.equal(log.oldest, "600");
  assert.equal(log.find("599"), undefined, "what was removed is unknown");
  assert.ok(log.find("600"));
});

test("twice as many lines are kept while the reader is above", () => {
  view.isFollowing = false;
  for (let n = 0; n < 2 * MAX_LINES + 501; n++) append(`${n}`);
  view.repaint();
  assert.equal(view.chunks.length, 200);
  assert.equal(view.header, "latest 20,000");
});
