// The position in a log: where the next join continues, duplicates, the past, and what is missing.

import assert from "node:assert/strict";
import { test } from "node:test";

import { LogPosition } from "../../clients/js/parlor.js";

// A welcome after a join over a WebSocket.
function welcome(position, { last = null, recovered = false, reason = "new" } = {}) {
  position.join("websocket");
  return position.welcome({ last, recovered, reason: recovered ? null : reason });
}

// A message; ids are numbers without gaps, as texts.
function receive(position, ...numbers) {
  return numbers.map((n) => {
    const place = position.message({ id: `${n}`, prev: n > 1 ? `${n - 1}` : null });
    if (place) position.passed(`${n}`);
    return place && place.isPast;
  });
}

test("the first join asks for the past that the program wants, by transport", () => {
  assert.deepEqual(new LogPosition().join("websocket"), { history: 0 });
  assert.deepEqual(new LogPosition(7).join("sse"), { history: 7 });
  const position = new LogPosition((via) => (via === "sse" ? 200 : 50));
  assert.deepEqual([position.join("websocket"), position.join("sse")], [{ history: 50 }, { history: 200 }]);
});

test("the next join continues after the last message", () => {
  const position = new LogPosition(50);
  welcome(position, { last: "2" });
  receive(position, 1, 2, 3);
  assert.deepEqual(position.join("websocket"), { since: "3" });
});

test("a program continues from a position that it kept", () => {
  const position = new LogPosition(50, "7");
  assert.deepEqual(position.join("websocket"), { since: "7" });
  assert.equal(welcome(position, { last: "8", recovered: true }), null);
  assert.deepEqual(receive(position, 8, 9), [true, false]);
});

test("a join without the past continues at what was the newest message then", () => {
  const position = new LogPosition();
  welcome(position, { last: "57" });
  assert.equal(position.isCatchingUp, false);
  assert.deepEqual(position.join("websocket"), { since: "57" });
});

test("an empty room is continued from its beginning", () => {
  for (const history of [0, 50]) {
    const position = new LogPosition(history);
    welcome(position);
    assert.deepEqual(position.join("websocket"), { since: "0-0" }, `history ${history}`);
    assert.deepEqual(receive(position, 1), [false]);
    assert.deepEqual(position.join("websocket"), { since: "1" });
  }
});

test("a connection that is lost before the past came asks for it again", () => {
  const position = new LogPosition(50);
  welcome(position, { last: "9" });
  assert.ok(position.isCatchingUp);
  assert.deepEqual(position.join("websocket"), { history: 50 });
});

test("messages up to the newest at the welcome are of the past", () => {
  const position = new LogPosition(50);
  welcome(position, { last: "2" });
  assert.deepEqual(receive(position, 1, 2, 3), [true, true, false]);
  assert.deepEqual(position.message({ id: "4", prev: "3" }), { isPast: false, isFirstLoad: false });
});

test("the past ends with a message after it, too: its newest may have been removed", () => {
  const position = new LogPosition(50);
  welcome(position, { last: "2" });
  assert.deepEqual(receive(position, 1, 3), [true, false]);
  assert.equal(position.isCatchingUp, false);
});

test("a message that arrives twice is reported as such and moves nothing back", () => {
  const position = new LogPosition(50);
  welcome(position, { last: "2" });
  receive(position, 1, 2);
  welcome(position, { last: "3", recovered: true });
  assert.deepEqual(receive(position, 2, 3, 3, 1), [null, true, null, null]);
  assert.deepEqual(position.join("websocket"), { since: "3" });
});

test("a message without an id is live and moves no position", () => {
  const position = new LogPosition(50);
  welcome(position, { last: "1" });
  receive(position, 1);
  assert.deepEqual(position.message({ id: null, prev: null }), { isPast: false, isFirstLoad: false });
  assert.deepEqual(position.join("websocket"), { since: "1" });
});

test("a welcome that could not recover says why messages are missing", () => {
  const position = new LogPosition(50);
  assert.equal(welcome(position, { last: "1" }), null, "new is no gap");
  receive(position, 1);
  assert.equal(welcome(position, { last: "9", reason: "trimmed" }), "trimmed");
  assert.equal(welcome(position, { last: "9", recovered: true }), null);
});

test("a room whose log was emptied is continued from its beginning", () => {
  const position = new LogPosition(50);
  welcome(position, { last: "1" });
  receive(position, 1);
  assert.equal(welcome(position, { last: null, reason: "unknown" }), "unknown");
  assert.deepEqual(position.join("websocket"), { since: "0-0" });
});
