// The connection: when it connects, by which transport, when it gives up, and its channels.

import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";

import { CloseCode, Connection, isFinal, slugOf } from "../../clients/js/parlor.js";
import { FakeLifecycle, FakeTransport, WELCOME } from "./support/connection.js";

beforeEach(() => {
  mock.restoreAll();
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"], now: 1_800_000_000_000 });
  mock.method(Math, "random", () => 1); // the longest backoff
});

// Lets time pass in steps, as it does: a jump of the clock is a sleep.
function tick(time) {
  if (time === 0) mock.timers.tick(0);
  for (let left = time; left > 0; left -= 1000) mock.timers.tick(Math.min(left, 1000));
}

function open({ withSse = false, user } = {}) {
  const websocket = new FakeTransport();
  const sse = withSse ? new FakeTransport(false) : undefined;
  const lifecycle = new FakeLifecycle();
  const [frames, states] = [[], []];
  let position = {};
  const connection = new Connection({ websocket, sse }, lifecycle, () => {}, false, user);
  const lobby = connection.add({
    stream: "chat",
    room: "lobby",
    join: (via) => ({ via, ...position }),
    frame: (frame) => frames.push(frame),
    state: (state, via, end) => states.push([state, via, end]),
  });
  const socket = {
    send: (frame) => connection.send(lobby, frame),
    history: (before, limit) => connection.history(lobby, before, limit),
    restart: () => connection.restart(),
  };
  const ask = (next) => (position = next);
  return { connection, lobby, socket, websocket, sse, lifecycle, frames, states, ask };
}

// Joins another channel; returns its frames and states.
function add(connection, stream, room) {
  const [frames, states] = [[], []];
  const entry = connection.add({
    stream,
    room,
    join: () => ({}),
    frame: (frame) => frames.push(frame),
    state: (state, via, end) => states.push([state, via, end]),
  });
  return { entry, frames, states };
}

function opened(options) {
  const page = open(options);
  page.websocket.last.welcome();
  return page;
}

test("a page is connecting until its first welcome, then open", () => {
  const { websocket, states } = open();
  assert.deepEqual(states, [["connecting", "", null]]);
  websocket.last.welcome();
  assert.deepEqual(states.at(-1), ["open", "websocket", null]);
});

test("a page that is welcomed as another user ends, and sends nothing", () => {
  const { connection, socket, websocket, frames, states } = open({ user: "ann" });
  const inbox = add(connection, "inbox", null);
  websocket.last.welcome({ user: "ann" });
  websocket.last.welcome({ stream: "inbox", room: null, user: "ann" });
  assert.equal(socket.send({ type: "typing" }), true);
  websocket.last.end(1006);
  tick(1000);
  websocket.last.welcome({ user: "~bob" });
  const [state, , end] = states.at(-1);
  assert.deepEqual([state, end.code, end.isFinal], ["offline", CloseCode.LOGIN_ENDED, true]);
  assert.deepEqual(inbox.states.at(-1), states.at(-1));
  assert.equal(socket.send({ type: "typing" }), false);
  assert.deepEqual([frames.length, websocket.last.sent, websocket.last.isDiscarded], [1, [], true]);
  tick(60000);
  assert.equal(websocket.connections.length, 2);
});

test("a user who has no inbox any more has been logged out", () => {
  const { connection, websocket, states } = open({ user: "ann" });
  add(connection, "inbox", null);
  websocket.last.welcome({ user: "ann" });
  websocket.last.welcome({ stream: "inbox", room: null, user: "ann" });
  websocket.last.end(1006);
  tick(1000);
  websocket.last.open();
  websocket.last.frame({ type: "error", stream: "inbox", room: null, code: "no_access", client_id: null, retry: false });
  assert.equal(states.at(-1)[2].code, CloseCode.LOGIN_ENDED);
});

test("frames before the welcome are ignored, those after it are passed on", () => {
  const { websocket, frames } = open();
  websocket.last.frame({ type: "message", id: "0" });
  websocket.last.welcome();
  websocket.last.frame({ type: "message", id: "1" });
  assert.deepEqual(frames, [WELCOME, { type: "message", room: "lobby", id: "1" }]);
});

for (const name of [
  "PROTOCOL_ERROR",
  "UNSUPPORTED_DATA",
  "INVALID_PAYLOAD",
  "POLICY_VIOLATION",
  "MESSAGE_TOO_BIG",
  "LOGIN_ENDED",
  "FORBIDDEN",
]) {
  test(`the socket does not reconnect after ${name}`, () => {
    const { websocket, lifecycle, states } = opened();
    const code = CloseCode[name];
    assert.ok(isFinal(code));
    websocket.last.end(code, "why");
    tick(600000);
    lifecycle.wake();
    assert.equal(websocket.connections.length, 1);
    assert.deepEqual(states.at(-1), ["offline", "", { code, reason: "why", error: "", isFinal: true }]);
  });
}

for (const code of [
  CloseCode.NORMAL,
  CloseCode.SERVICE_RESTART,
  CloseCode.TRY_AGAIN_LATER,
  CloseCode.UNRESPONSIVE,
  CloseCode.RATE_LIMITED,
  1006, // the connection broke
  4999, // of a later version of the protocol
]) {
  test(`the socket reconnects after ${slugOf(code) || code}`, () => {
    const { websocket, states, ask } = opened();
    ask({ since: "7" });
    websocket.last.end(code);
    assert.deepEqual(states.at(-1), ["reconnecting", "", { code, reason: "", error: "", isFinal: false }]);
    tick(500);
    assert.equal(websocket.connections.length, 2);
    websocket.last.open();
    assert.deepEqual(websocket.last.joins, [{ type: "join", room: "lobby", via: "websocket", since: "7" }]);
    websocket.last.welcome();
    assert.deepEqual(states.at(-1), ["open", "websocket", null]);
  });
}

test("the backoff doubles from 500 ms up to 15 s", () => {
  const { websocket } = open();
  for (const max of [500, 1000, 2000, 4000, 8000, 15000, 15000]) {
    const count = websocket.connections.length;
    websocket.last.end(1006);
    tick(max - 1);
    assert.equal(websocket.connections.length, count, `not before ${max} ms`);
    tick(1);
    assert.equal(websocket.connections.length, count + 1);
  }
});

test("the backoff has full jitter above 50 ms", () => {
  mock.method(Math, "random", () => 0);
  const { websocket } = open();
  for (let n = 1; n < 5; n++) {
    websocket.last.end(1006);
    tick(49);
    assert.equal(websocket.connections.length, n);
    tick(1);
    assert.equal(websocket.connections.length, n + 1);
  }
});

test("the backoff is reset only after 5 seconds of a welcomed connection", () => {
  const { websocket } = open();
  websocket.last.end(1006); // 500
  tick(500);
  websocket.last.welcome();
  tick(4999);
  websocket.last.end(1006); // 1000
  tick(999);
  assert.equal(websocket.connections.length, 2);
  tick(1);
  websocket.last.welcome();
  tick(5000);
  websocket.last.end(1006); // 500 again
  tick(500);
  assert.equal(websocket.connections.length, 4);
});

test("a connection without a welcome for 5 seconds counts as failed", () => {
  const { websocket } = open();
  const first = websocket.last;
  tick(5000);
  assert.ok(first.isDiscarded);
  tick(500);
  assert.equal(websocket.connections.length, 2);
  first.welcome();
  assert.ok(!websocket.last.isDiscarded, "a late welcome is ignored");
});

test("after `bye` the next connection is welcomed before the current one is closed", () => {
  const { websocket, states, frames } = opened();
  const current = websocket.last;
  current.frame({ type: "bye", reconnect_ms: 10000 });
  tick(9000);
  assert.equal(websocket.connections.length, 2);
  assert.ok(!current.isDiscarded);
  current.frame({ type: "message", id: "1" });
  assert.deepEqual(frames.at(-1), { type: "message", room: "lobby", id: "1" }, "the current one is in use until then");
  websocket.last.welcome();
  assert.ok(current.isDiscarded);
  assert.deepEqual(states.map(([state]) => state), ["connecting", "open"], "the page was open all the time");
});

test("the end of the current connection leaves the next one to its welcome", () => {
  const { websocket } = opened();
  websocket.last.frame({ type: "bye", reconnect_ms: 0 });
  tick(0);
  websocket.connections[0].end(CloseCode.SERVICE_RESTART);
  assert.equal(websocket.connections.length, 2);
  websocket.last.welcome();
  tick(4000);
  assert.equal(websocket.connections.length, 2);
});

test("two WebSockets without a welcome lead to SSE, and SSE back to a WebSocket", () => {
  const { websocket, sse, states } = open({ withSse: true });
  websocket.last.end(1006);
  tick(500);
  websocket.last.end(1006);
  tick(1000);
  assert.deepEqual([websocket.connections.length, sse.connections.length], [2, 1]);
  sse.last.welcome();
  assert.deepEqual(states.at(-1), ["open", "sse", null]);
  tick(5000);
  assert.equal(websocket.connections.length, 3, "a WebSocket is tried after 5 seconds");
  websocket.last.end(1006);
  assert.ok(!sse.last.isDiscarded, "its failure leaves SSE in use");
  for (let n = 0; n < 6; n++) {
    tick(10000);
    sse.last.listener.alive(); // the server's comments
  }
  assert.equal(websocket.connections.length, 4, "and again after 60 seconds");
  websocket.last.welcome();
  assert.deepEqual(states.at(-1), ["open", "websocket", null]);
  assert.ok(sse.last.isDiscarded);
});

test("without SSE a WebSocket is tried for ever", () => {
  const { websocket } = open();
  for (let n = 0; n < 20; n++) {
    websocket.last.end(1006);
    tick(15000);
  }
  assert.ok(websocket.connections.length > 20);
});

test("a silent connection is probed after 30 seconds and given up 10 seconds later", () => {
  const { websocket, states } = opened();
  tick(30000);
  assert.deepEqual(websocket.last.sent, [{ type: "history", room: "lobby", limit: 1 }]);
  tick(10000);
  assert.ok(!websocket.connections[0].isDiscarded);
  tick(2000);
  assert.ok(websocket.connections[0].isDiscarded);
  assert.equal(states.at(-1)[0], "reconnecting");
});

test("an answer to the probe keeps the connection", () => {
  const { websocket, frames } = opened();
  for (let n = 1; n <= 3; n++) {
    tick(32000);
    assert.equal(websocket.last.sent.length, n);
    websocket.last.frame({ type: "history", messages: [], more: false });
  }
  assert.equal(websocket.connections.length, 1);
  assert.deepEqual(frames, [WELCOME], "the answer is not passed on");
});

test("an answer that the node cannot reach Redis does not keep the connection", () => {
  const { websocket, frames } = opened();
  const unavailable = { type: "error", room: "lobby", code: "unavailable", retry: true };
  tick(20000);
  websocket.last.frame({ ...unavailable, client_id: "m1" });
  tick(10000);
  assert.deepEqual(websocket.last.sent, [{ type: "history", room: "lobby", limit: 1 }]);
  websocket.last.frame({ ...unavailable, client_id: null });
  tick(12000);
  assert.ok(websocket.connections[0].isDiscarded);
  assert.deepEqual(frames.at(-1), { ...unavailable, client_id: "m1" }, "it is passed on nevertheless");
});

test("a silent SSE connection is given up without a probe", () => {
  const { websocket, sse } = open({ withSse: true });
  websocket.last.end(1006);
  tick(500);
  websocket.last.end(1006);
  tick(1000);
  sse.last.welcome();
  tick(42000);
  assert.deepEqual(sse.connections[0].sent, []);
  assert.ok(sse.connections[0].isDiscarded);
});

test("`history` resolves with the answers in order, and with null on an error", async () => {
  const { socket, websocket } = opened();
  const answers = [socket.history("9", 50), socket.history("5", 50), socket.history("1", 50)];
  const { last } = websocket;
  const { sent } = last;
  assert.deepEqual(sent.map((frame) => frame.before), ["9", "5", "1"]);
  const page = { type: "history", room: "lobby", messages: [], more: true };
  last.frame(page);
  last.frame({ type: "error", code: "unavailable", client_id: null });
  websocket.last.end(1006);
  assert.deepEqual(await Promise.all(answers), [page, null, null]);
});

test("`history` resolves with null without a connection", async () => {
  const { socket } = open();
  assert.equal(await socket.history("9", 50), null);
});

test("an error about a message is passed on and answers no request", async () => {
  const { socket, websocket, frames } = opened();
  const answer = socket.history("9", 50);
  websocket.last.frame({ type: "error", code: "rate", client_id: "a" });
  assert.equal(frames.at(-1).client_id, "a");
  websocket.last.frame({ type: "history", messages: [] });
  assert.equal((await answer).type, "history");
});

test("waking up skips the rest of the backoff", () => {
  const { websocket, lifecycle } = open();
  websocket.last.end(1006);
  lifecycle.wake();
  assert.equal(websocket.connections.length, 2);
  tick(500);
  assert.equal(websocket.connections.length, 2, "the skipped attempt is not made");
});

test("waking up finds a connection that was closed while the page was frozen", () => {
  const { websocket, lifecycle } = opened();
  websocket.last.isClosed = true;
  lifecycle.wake();
  tick(500);
  assert.equal(websocket.connections.length, 2);
});

test("waking up probes a connection that was silent for 5 seconds", () => {
  const { websocket, lifecycle } = opened();
  tick(4999);
  lifecycle.wake();
  assert.deepEqual(websocket.last.sent, []);
  tick(1);
  lifecycle.wake();
  assert.equal(websocket.last.sent.length, 1);
});

test("a probe that waking up has sent is looked at after 10 seconds", () => {
  const { websocket, lifecycle } = opened();
  tick(6000);
  lifecycle.wake(false);
  assert.deepEqual(websocket.last.sent, [{ type: "history", room: "lobby", limit: 1 }]);
  tick(10000);
  assert.ok(!websocket.connections[0].isDiscarded);
  tick(2000);
  assert.ok(websocket.connections[0].isDiscarded);
});

test("on a new network a successor is dialled at once, and welcomed before the end", () => {
  const { websocket, lifecycle, states } = opened();
  const current = websocket.last;
  lifecycle.wake(true);
  lifecycle.wake(false); // other signs of the same
  assert.equal(websocket.connections.length, 2);
  assert.ok(!current.isDiscarded);
  websocket.last.welcome();
  assert.ok(current.isDiscarded);
  tick(20000);
  assert.equal(websocket.connections.length, 2);
  assert.deepEqual(states.map(([state]) => state), ["connecting", "open"]);
});

test("a jump of the clock is a sleep, after which a successor is dialled", () => {
  const { websocket } = opened();
  tick(4000);
  mock.timers.setTime(Date.now() + 60000);
  tick(2000);
  assert.equal(websocket.connections.length, 2);
});

test("a hidden page, which is checked seldom, is not taken for one that slept", () => {
  const { websocket, lifecycle } = opened();
  lifecycle.isHidden = true;
  for (let n = 0; n < 3; n++) {
    mock.timers.tick(20000);
    websocket.last.frame({ type: "presence" });
  }
  assert.equal(websocket.connections.length, 1);
});

test("a successor that fails is not dialled again while the connection is alive", () => {
  const { websocket, lifecycle } = opened();
  lifecycle.wake(true);
  tick(1000);
  websocket.connections[0].frame({ type: "history", messages: [] });
  websocket.last.end(1006);
  tick(20000);
  assert.equal(websocket.connections.length, 2);
  assert.ok(!websocket.connections[0].isDiscarded);
});

test("the time for a welcome doubles with each one that is late", () => {
  const { websocket } = open();
  for (const timeout of [5000, 10000, 20000, 40000, 40000]) {
    const late = websocket.last;
    tick(timeout - 1);
    assert.ok(!late.isDiscarded, `not before ${timeout} ms`);
    tick(1);
    assert.ok(late.isDiscarded);
    while (websocket.last === late) tick(1);
  }
});

test("a line that was given up for its silence is waited for twice as long", () => {
  const { websocket } = opened();
  tick(42000);
  assert.ok(websocket.last.isDiscarded);
  tick(500);
  websocket.last.welcome();
  const second = websocket.last;
  tick(58000);
  assert.deepEqual(second.sent, [], "probed after 60 seconds");
  tick(4000);
  assert.equal(second.sent.length, 1);
  tick(18000);
  assert.ok(!second.isDiscarded, "and given up 20 seconds later");
  second.frame({ type: "message", id: "a long one" });
  tick(30000);
  assert.ok(!second.isDiscarded);
});

test("an error without a name is about the oldest frame that waits for an answer", async () => {
  const { socket, websocket, frames } = opened();
  const malformed = { type: "error", room: "lobby", code: "malformed", client_id: null, retry: false };
  socket.send({ type: "message", id: "a" });
  const answer = socket.history("9", 50);
  socket.send({ type: "message", id: "b" });
  const { last } = websocket;
  last.frame(malformed);
  assert.deepEqual(frames.at(-1), { ...malformed, client_id: "a" });
  last.frame(malformed);
  assert.equal(await answer, null);
  last.frame({ type: "ack", client_id: "b" });
  const count = frames.length;
  last.frame(malformed);
  assert.equal(frames.length, count, "nothing waits for an answer");
});

test("a hidden page lets its SSE connection go, and connects again when it is shown", () => {
  const { websocket, sse, lifecycle } = open({ withSse: true });
  websocket.last.end(1006);
  tick(500);
  websocket.last.end(1006);
  tick(1000);
  sse.last.welcome();
  lifecycle.isHidden = true;
  lifecycle.hide();
  tick(4999);
  assert.ok(!sse.last.isDiscarded);
  tick(1);
  assert.ok(sse.last.isDiscarded);
  tick(120000);
  assert.deepEqual([websocket.connections.length, sse.connections.length], [3, 1], "one more WebSocket was tried");
  lifecycle.isHidden = false;
  lifecycle.wake(false);
  assert.equal(sse.connections.length, 2);
});

test("a hidden page tries WebSockets for ever", () => {
  const { websocket, sse, lifecycle } = open({ withSse: true });
  lifecycle.isHidden = true;
  for (let n = 1; n <= 5; n++) {
    websocket.last.end(1006);
    mock.timers.tick(15000);
    assert.ok(websocket.connections.length > n);
  }
  assert.equal(sse.connections.length, 0);
  websocket.last.welcome();
});

test("a hidden page keeps its WebSocket", () => {
  const { websocket, lifecycle } = opened();
  lifecycle.isHidden = true;
  lifecycle.hide();
  tick(20000);
  assert.ok(!websocket.last.isDiscarded);
});

test("a page that the user leaves lets its connection go, and connects when it is restored", () => {
  const { websocket, lifecycle } = opened();
  lifecycle.leave();
  assert.ok(websocket.last.isDiscarded);
  tick(120000);
  assert.equal(websocket.connections.length, 1);
  lifecycle.wake(false);
  assert.equal(websocket.connections.length, 2);
});

test("a page that is left between two connections makes no other", () => {
  const { websocket, lifecycle } = opened();
  websocket.last.end(1006);
  lifecycle.leave();
  tick(120000);
  assert.equal(websocket.connections.length, 1);
});

test("a page without a network is offline and reconnects all the same", () => {
  const { websocket, lifecycle, states } = opened();
  lifecycle.isOnline = false;
  websocket.last.end(1006);
  assert.equal(states.at(-1)[0], "offline");
  tick(500);
  websocket.last.welcome();
  assert.equal(states.at(-1)[0], "open");
});

test("`restart` replaces a connection that is dead", () => {
  const { socket, websocket } = opened();
  socket.restart();
  assert.ok(websocket.connections[0].isDiscarded);
  assert.equal(socket.send({ type: "typing" }), false);
  tick(500);
  websocket.last.welcome();
  assert.equal(socket.send({ type: "typing" }), true);
});

test("all channels are joined on one connection, in their order", () => {
  const { connection, websocket } = open();
  add(connection, "push", "lobby");
  add(connection, "inbox", null);
  websocket.last.welcome();
  add(connection, "chat", "attic");
  assert.equal(websocket.connections.length, 1);
  assert.deepEqual(websocket.last.joins, [
    { type: "join", room: "lobby", via: "websocket" },
    { type: "join", room: "lobby", push: true },
    { type: "join", inbox: true },
    { type: "join", room: "attic" },
  ]);
});

test("each channel gets its own frames", () => {
  const { connection, websocket, frames } = opened();
  const [push, inbox, attic] = [add(connection, "push", "lobby"), add(connection, "inbox", null), add(connection, "chat", "attic")];
  websocket.last.welcome({ stream: "push" });
  websocket.last.welcome({ stream: "inbox", room: null });
  websocket.last.welcome({ room: "attic" });
  for (const channel of [push, inbox, attic]) channel.frames.length = 0;
  frames.length = 0;
  const sent = [
    { type: "push", room: "lobby", text: "line" },
    { type: "unread", user: "u", name: "bob", count: 1 },
    { type: "message", room: "attic", id: "1" },
    { type: "message", room: "lobby", id: "2" },
    { type: "message", room: "cellar", id: "3" },
  ];
  for (const frame of sent) websocket.last.listener.frame(frame);
  assert.deepEqual([push.frames, inbox.frames, attic.frames, frames], sent.slice(0, 4).map((frame) => [frame]));
});

test("a channel can be joined once at a time", () => {
  const { connection, lobby } = opened();
  assert.throws(() => add(connection, "chat", "lobby"), /chat:lobby is joined already/);
  connection.remove(lobby);
  add(connection, "chat", "lobby");
});

test("a rejected join ends its channel, and no other", () => {
  for (const [code, end] of [["not_found", CloseCode.FORBIDDEN], ["login_required", CloseCode.LOGIN_ENDED]]) {
    const { connection, websocket, states } = opened();
    const attic = add(connection, "chat", "attic");
    websocket.last.listener.frame({ type: "error", stream: "chat", room: "attic", code, client_id: null, retry: false });
    assert.deepEqual(attic.states.at(-1), ["offline", "", { code: end, reason: "", error: code, isFinal: true }]);
    assert.equal(states.at(-1)[0], "open");
    websocket.last.end(1006);
    tick(500);
    websocket.last.open();
    assert.deepEqual(websocket.last.joins.map(({ room }) => room), ["lobby"], "it is not joined again");
  }
});

test("an error about a long name has its beginning only", () => {
  const { connection, websocket } = opened();
  const long = add(connection, "chat", "x".repeat(65));
  const error = { type: "error", stream: "chat", room: "x".repeat(64), code: "invalid_room", client_id: null, retry: false };
  websocket.last.listener.frame(error);
  assert.equal(long.states.at(-1)[2].error, "invalid_room");
});

test("a room is known by the name as the server spells it", () => {
  const { connection, websocket } = opened();
  const dm = add(connection, "chat", "@Alice");
  websocket.last.welcome({ room: "@alice" });
  websocket.last.listener.frame({ type: "message", room: "@alice", id: "1" });
  assert.deepEqual(dm.frames.map(({ type }) => type), ["welcome", "message"]);
  assert.equal(connection.send(dm.entry, { type: "typing" }), true);
});

test("`left` ends the channel, or joins it again after a backoff", () => {
  const { connection, websocket, states, ask } = opened();
  const attic = add(connection, "chat", "attic");
  websocket.last.welcome({ room: "attic" });
  const left = { type: "left", stream: "chat", reason: "why" };
  websocket.last.listener.frame({ ...left, room: "attic", code: CloseCode.FORBIDDEN, retry: false });
  assert.deepEqual(attic.states.at(-1), ["offline", "", { code: CloseCode.FORBIDDEN, reason: "why", error: "", isFinal: true }]);
  ask({ since: "7" });
  websocket.last.listener.frame({ ...left, room: "lobby", code: CloseCode.SERVICE_RESTART, retry: true });
  assert.equal(states.at(-1)[0], "reconnecting");
  tick(500);
  assert.deepEqual(websocket.last.joins.at(-1), { type: "join", room: "lobby", via: "websocket", since: "7" });
  websocket.last.welcome();
  assert.equal(states.at(-1)[0], "open");
  assert.equal(websocket.connections.length, 1);
});

test("a node that answers all joins with a temporary error is left for another", () => {
  const { websocket, states } = open();
  websocket.last.open();
  websocket.last.frame({ type: "error", stream: "chat", code: "unavailable", client_id: null, retry: true });
  assert.ok(websocket.last.isDiscarded);
  assert.equal(states.at(-1)[0], "reconnecting");
  tick(500);
  assert.equal(websocket.connections.length, 2);
});

test("the answer to `leave` does not end a channel that was joined again", () => {
  const { connection, lobby, websocket } = opened();
  connection.remove(lobby);
  const again = add(connection, "chat", "lobby");
  assert.deepEqual(websocket.last.sent, [{ type: "leave", room: "lobby" }]);
  websocket.last.listener.frame({ type: "left", stream: "chat", room: "lobby", code: CloseCode.NORMAL, reason: "", retry: false });
  websocket.last.welcome();
  assert.deepEqual(again.states.map(([state]) => state), ["connecting", "open"]);
});

test("without channels the connection is closed after 5 seconds, and opened by the next", () => {
  const { connection, lobby, websocket } = opened();
  connection.remove(lobby);
  tick(4999);
  assert.ok(!websocket.last.isDiscarded);
  tick(1);
  assert.ok(websocket.last.isDiscarded);
  tick(60000);
  assert.equal(websocket.connections.length, 1);
  add(connection, "chat", "attic");
  assert.equal(websocket.connections.length, 2);
});

test("a successor takes over once all of its channels are welcomed", () => {
  const { connection, websocket, frames } = opened();
  const attic = add(connection, "chat", "attic");
  const current = websocket.last;
  current.welcome({ room: "attic" });
  current.listener.frame({ type: "bye", reconnect_ms: 0 });
  tick(0);
  websocket.last.welcome();
  assert.ok(!current.isDiscarded, "the other room is still there");
  current.frame({ type: "message", id: "1" });
  current.listener.frame({ type: "message", room: "attic", id: "2" });
  websocket.last.frame({ type: "message", id: "3" });
  assert.deepEqual(frames.slice(-1).map(({ id }) => id), ["3"]);
  assert.ok(!frames.some(({ id }) => id === "1"), "it follows on the successor");
  assert.equal(attic.frames.at(-1).id, "2");
  websocket.last.welcome({ room: "attic" });
  assert.ok(current.isDiscarded);
});

test("a successor that dies halfway takes the connection with it, to resume everywhere", () => {
  const { connection, websocket } = opened();
  add(connection, "chat", "attic");
  const current = websocket.last;
  current.welcome({ room: "attic" });
  current.listener.frame({ type: "bye", reconnect_ms: 0 });
  tick(0);
  websocket.last.welcome();
  websocket.last.end(1006);
  assert.ok(current.isDiscarded);
  tick(500);
  websocket.last.open();
  assert.deepEqual(websocket.last.joins.map(({ room }) => room), ["lobby", "attic"]);
});

test("after the end of a login a program with renewed credentials returns", () => {
  const websocket = new FakeTransport();
  const connection = new Connection({ websocket }, new FakeLifecycle(), () => {}, true);
  add(connection, "chat", "lobby");
  websocket.last.welcome();
  websocket.last.end(CloseCode.LOGIN_ENDED);
  tick(500);
  assert.equal(websocket.connections.length, 2);
});

test("a program that joins again after a final end connects again", () => {
  const { connection, lobby, websocket } = opened();
  websocket.last.end(CloseCode.LOGIN_ENDED);
  connection.remove(lobby);
  add(connection, "chat", "lobby");
  assert.equal(websocket.connections.length, 2);
});

test("channels that SSE does not carry wait for a WebSocket", () => {
  const { connection, websocket, sse, states } = open({ withSse: true });
  const inbox = add(connection, "inbox", null);
  sse.open = (listener) => {
    const fake = FakeTransport.prototype.open.call(sse, listener);
    const send = fake.send.bind(fake);
    fake.send = (frame) => !frame.inbox && send(frame);
    return fake;
  };
  websocket.last.end(1006);
  tick(500);
  websocket.last.end(1006);
  tick(1000);
  sse.last.welcome();
  assert.deepEqual(states.at(-1), ["open", "sse", null]);
  assert.equal(inbox.states.at(-1)[0], "reconnecting");
  tick(5000);
  websocket.last.welcome();
  assert.ok(!sse.last.isDiscarded, "the inbox is not there yet");
  websocket.last.welcome({ stream: "inbox", room: null });
  assert.ok(sse.last.isDiscarded);
  assert.equal(inbox.states.at(-1)[0], "open");
});
