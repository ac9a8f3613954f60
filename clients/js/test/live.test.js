// The library against a real node on Redis. The Rust test `clients::library` starts Redis and runs
// this file, with PARLOR_BINARY, PARLOR_SECRET and REDIS_URL in its environment.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHmac, randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { CloseCode, Parlor } from "../parlor.js";
import { Node } from "./node.js";

const PATIENCE = 20000; // ms

let node;
let parlors = [];
let rooms = 0;

before(async () => (node = await Node.start()));

after(async () => {
  for (const parlor of parlors) parlor.close();
  await node.close();
});

function connect(options = {}) {
  const parlor = new Parlor(node.url, options);
  parlors.push(parlor);
  return parlor;
}

// A room that no other test uses.
const unusedRoom = () => `room ${rooms++}`;

// Collects the texts of a room's messages, and its gaps.
function record(room) {
  const seen = { texts: [], gaps: [] };
  room.on("message", ({ text }) => seen.texts.push(text));
  room.on("gap", ({ reason }) => seen.gaps.push(reason));
  return seen;
}

// Resolves with the details of the next event that meets the condition.
function next(channel, type, condition = () => true) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no ${type} in ${channel.room} (${channel.state})`)), PATIENCE);
    const off = channel.on(type, (...details) => {
      if (!condition(...details)) return;
      clearTimeout(timer);
      off();
      resolve(details);
    });
  });
}

test("two rooms in ten lines", async () => {
  const parlor = connect();
  const lobby = parlor.join("lobby");
  const attic = parlor.join("attic", { history: 10 });
  const said = { lobby: [], attic: [] };
  for (const room of [lobby, attic]) room.on("message", ({ text, data }) => said[room.room].push(text ?? data));
  await lobby.send("hi");
  await attic.send({ text: "look", data: [1] });
  await attic.send({ data: { x: [1, null] }, event: "roll" });
  if (said.attic.length < 2) await next(attic, "message", ({ event }) => event === "roll");
  assert.deepEqual(said.attic, ["look", { x: [1, null] }]);
  if (said.lobby.length < 1) await next(lobby, "message");
  assert.deepEqual(said.lobby, ["hi"]);
});

test("a client resumes every room after its node was killed", async () => {
  const [parlor, other] = [connect(), connect()];
  const names = [unusedRoom(), unusedRoom(), unusedRoom()];
  const [mine, theirs] = [parlor, other].map((client) => names.map((name) => client.join(name)));
  const seen = mine.map(record);
  await Promise.all([...mine, ...theirs].map((room) => room.joined));
  for (const room of theirs) await room.send("before");
  const isBack = mine.map((room) => next(room, "state", (state) => state === "open"));
  await node.kill();
  // Written without a connection: sent once the node is there again.
  const sent = theirs.flatMap((room) => [room.send("offline 1"), room.send("offline 2")]);
  const own = mine.map((room) => room.send("mine"));
  await node.restart();
  const acks = await Promise.all([...sent, ...own]);
  assert.ok(acks.every(({ id, duplicate }) => id !== null && !duplicate));
  await Promise.all(isBack);
  for (const room of theirs) await room.send("after");
  for (const [place, { texts, gaps }] of seen.entries()) {
    if (texts.at(-1) !== "after") await next(mine[place], "message", ({ text }) => text === "after");
    assert.deepEqual(texts.toSorted(), ["after", "before", "mine", "offline 1", "offline 2"], names[place]);
    assert.ok(texts.indexOf("offline 1") < texts.indexOf("offline 2"), `${texts}`);
    assert.deepEqual(gaps, []);
  }
});

test("a stream of messages over cut lines is neither lost nor doubled nor reordered", async () => {
  const COUNT = 200;
  const [parlor, other] = [connect(), connect()];
  const name = unusedRoom();
  const [mine, theirs] = [parlor.join(name), other.join(name)];
  const { texts, gaps } = record(mine);
  await Promise.all([mine.joined, theirs.joined]);
  for (let n = 0; n < COUNT; n++) {
    if (n % 50 === 25) node.cut();
    await theirs.send(`${n}`);
  }
  if (texts.length < COUNT) await next(mine, "message", () => texts.length === COUNT);
  assert.deepEqual(texts, Array.from({ length: COUNT }, (_, n) => `${n}`));
  assert.deepEqual(gaps, []);
});

test("a node that stops is left before it closes the connection", async () => {
  const parlor = connect();
  const room = parlor.join(unusedRoom());
  await room.joined;
  const back = next(room, "welcome", ({ recovered }) => recovered);
  await node.stop();
  await node.restart();
  await back;
  await room.send("still here");
});

test("a position that a program kept continues in a later run", async () => {
  const name = unusedRoom();
  const first = connect();
  const room = first.join(name);
  await room.send("known");
  const { position } = room;
  first.close();
  const writer = connect().join(name);
  for (const text of ["missed 1", "missed 2"]) await writer.send(text);
  const later = connect().join(name, { since: position });
  const { texts } = record(later);
  assert.equal((await later.joined).recovered, true);
  if (texts.length < 2) await next(later, "message", ({ text }) => text === "missed 2");
  assert.deepEqual(texts, ["missed 1", "missed 2"]);
});

test("messages that the log has no more are reported as a gap", async () => {
  const name = unusedRoom();
  const flags = ["--log-messages", "100", "--redis-prefix", "small"];
  const small = await Node.start(...flags);
  const parlor = new Parlor(small.url);
  const room = parlor.join(name);
  await room.send("first");
  const { position } = room;
  for (let n = 0; n < 500; n++) await room.send(`${n}`); // Redis trims some hundred at a time
  await small.kill(); // with what it keeps in memory
  await small.restart(...flags);
  const later = new Parlor(small.url);
  const back = later.join(name, { since: position });
  const [gap] = await next(back, "gap");
  assert.equal(gap.reason, "trimmed");
  for (const client of [parlor, later]) client.close();
  await small.close();
});

test("a room of one user is entered by the `sub` of a token, and a program publishes there", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "parlor-"));
  const key = randomBytes(32).toString("hex");
  const file = join(folder, "token.key");
  writeFileSync(file, `${key}\n`);
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const token = (sub) => {
    const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part({ sub, exp: Math.floor(Date.now() / 1000) + 600 })}`;
    return `${signed}.${createHmac("sha256", key).update(signed).digest("base64url")}`;
  };
  const site = await Node.start("--token-key-file", file, "--token-algorithm", "HS256");
  const [ann, eve] = ["42", "44"].map((sub) => new Parlor(site.url, { token: token(sub) }));
  t.after(async () => {
    for (const parlor of [ann, eve]) parlor.close();
    await site.close();
    rmSync(folder, { recursive: true });
  });
  const room = ann.join("#42");
  const said = next(room, "message");
  for (const channel of [room, ann.join("team#42,43")]) assert.equal((await channel.joined).private, true);
  for (const name of ["#42", "team#42,43"]) await assert.rejects(eve.join(name).joined, { code: "not_found" });
  const apiKey = execFileSync(process.env.PARLOR_BINARY, ["key", "add", "shop", "--scope", "publish"], { encoding: "utf8" });
  const headers = { Authorization: `Bearer ${apiKey.trim()}`, "Content-Type": "application/json" };
  const body = JSON.stringify({ message: "Your parcel has left" });
  const published = await fetch(`${site.url}/api/rooms/%2342/messages`, { method: "POST", headers, body });
  assert.equal(published.status, 201);
  const [{ text, name }] = await said;
  assert.deepEqual([text, name], ["Your parcel has left", "#shop"]);
});

test("a join that is rejected says why and disturbs no other room", async () => {
  const parlor = connect();
  const room = parlor.join(unusedRoom());
  await assert.rejects(parlor.join("a/b").joined, { name: "ParlorError", code: "invalid_room" });
  await assert.rejects(parlor.join("x".repeat(65)).joined, { code: "invalid_room" });
  await assert.rejects(parlor.joinInbox().joined, { code: "no_access" });
  assert.throws(() => parlor.join(room.room), /is joined already/);
  await room.send("undisturbed");
  assert.equal(room.state, "open");
});

test("a room that was left is silent, and can be joined again", async () => {
  const name = unusedRoom();
  const [parlor, other] = [connect(), connect()];
  const [mine, theirs] = [parlor.join(name), other.join(name)];
  const { texts } = record(mine);
  await Promise.all([mine.joined, theirs.joined]);
  const left = next(mine, "left");
  mine.leave();
  const [end] = await left;
  assert.equal(end.code, CloseCode.NORMAL);
  const again = parlor.join(name);
  await again.joined;
  const received = next(again, "message");
  await theirs.send("for the second");
  assert.equal((await received)[0].text, "for the second");
  assert.deepEqual(texts, []);
  await assert.rejects(mine.send("late"), { code: "left" });
});

test("a room that is left and joined again at once is joined", async () => {
  const other = connect();
  const parlor = connect();
  await parlor.join(unusedRoom()).joined;
  for (let round = 0; round < 20; round++) {
    const name = unusedRoom();
    const theirs = other.join(name);
    await theirs.joined;
    parlor.join(name).leave();
    const again = parlor.join(name);
    const received = next(again, "message");
    await again.joined;
    await theirs.send(`round ${round}`);
    assert.equal((await received)[0].text, `round ${round}`);
    again.leave();
    theirs.leave();
  }
});

test("a message that the server rejects fails, and waits to be sent again", async () => {
  const room = connect().join(unusedRoom());
  await assert.rejects(room.send("x".repeat(70000)), { code: "too_large" });
  const [entry] = room.outbox.entries;
  assert.equal(entry.failed, "too_large");
  room.outbox.discard(entry);
  await room.send("short");
});

test("fewer events of a room come if the program wants so", async () => {
  const name = unusedRoom();
  const [quiet, loud] = [connect().join(name, { presence: false, typing: false }), connect().join(name)];
  const events = [];
  for (const type of ["presence", "typing"]) quiet.on(type, () => events.push(type));
  await Promise.all([quiet.joined, loud.joined]);
  const other = connect().join(name);
  const seen = Promise.all([next(loud, "typing"), next(loud, "presence")]);
  await other.joined;
  assert.equal(other.signalTyping(), true);
  await seen;
  const received = next(quiet, "message");
  await other.send("the end");
  await received;
  assert.deepEqual(events, []);
});

test("history pages lead to the beginning", async () => {
  const room = connect().join(unusedRoom());
  const acks = [];
  for (const text of ["a", "b", "c"]) acks.push(await room.send(text));
  const { messages, more } = await room.history(acks[2].id, 1);
  assert.deepEqual([messages.map(({ text }) => text), more], [["b"], true]);
  assert.deepEqual((await room.history(acks[1].id)).messages.map(({ text }) => text), ["a"]);
});

test("without WebSockets rooms go on by Server-Sent Events", async () => {
  class Blocked extends EventTarget {
    constructor() {
      super();
      queueMicrotask(() => this.onclose?.({ code: 1006, reason: "" }));
    }

    close() {}
  }
  const parlor = connect({ WebSocket: Blocked });
  const [one, other] = [parlor.join(unusedRoom()), parlor.join(unusedRoom())];
  const seen = record(other);
  const [, via] = await next(one, "state", (state) => state === "open");
  assert.equal(via, "sse");
  await other.joined;
  const received = next(other, "message");
  await other.send("by POST");
  await received;
  node.cut();
  const again = next(other, "message");
  await other.send("after a cut");
  await again;
  assert.deepEqual(seen, { texts: ["by POST", "after a cut"], gaps: [] });
});

test("an exception of the program's token is an event, and the next one connects", async () => {
  const broken = new Error("the session is over");
  let calls = 0;
  const parlor = connect({ ticket: () => (calls++ === 0 ? Promise.reject(broken) : undefined) });
  const error = next(parlor, "error");
  const room = parlor.join(unusedRoom());
  const [{ code, cause }] = await error;
  assert.deepEqual([code, cause], ["credentials", broken]);
  await room.joined;
});

for (const sse of [true, false]) {
  test(`a token that the server rejects is named, with${sse ? "" : "out"} Server-Sent Events`, async () => {
    const parlor = connect({ token: "a.b.c", sse });
    const error = next(parlor, "error");
    const room = parlor.join(unusedRoom());
    const left = next(room, "left");
    await assert.rejects(room.joined, { name: "ParlorError", code: "refused" });
    const [{ code, status, message }] = await error;
    assert.deepEqual([code, status], ["refused", sse ? 403 : 401]);
    assert.match(message, /Authorization/);
    const [end] = await left;
    assert.deepEqual([end.error, end.isFinal], ["refused", true]);
    assert.equal(end.code, sse ? CloseCode.FORBIDDEN : CloseCode.LOGIN_ENDED);
  });
}

test("a function whose token was rejected is asked for another one", async () => {
  const tokens = [];
  const parlor = connect({ token: () => tokens.push("a.b.c") < 5 ? "a.b.c" : undefined, sse: false });
  const error = next(parlor, "error");
  const room = parlor.join(unusedRoom());
  const [{ status }] = await error;
  assert.equal(status, 401);
  await room.joined;
});

test("an origin that is not allowed is named", async () => {
  const foreign = class extends globalThis.WebSocket {
    constructor(url, protocols) {
      super(url, { protocols, headers: { Origin: "https://shop.example" } });
    }
  };
  const { fetch } = globalThis;
  // As a page of that site asks.
  globalThis.fetch = (url, options) => fetch(url, { ...options, headers: { ...options.headers, Origin: "https://shop.example" } });
  const parlor = connect({ WebSocket: foreign, sse: false });
  const error = next(parlor, "error");
  const room = parlor.join(unusedRoom());
  const [{ status, message }] = await error;
  globalThis.fetch = fetch;
  assert.equal(status, 403);
  assert.match(message, /--allowed-origins/);
  await assert.rejects(room.joined, { code: "refused" });
});

test("the push stream is a channel of its own", async () => {
  const parlor = connect();
  const name = unusedRoom();
  const push = parlor.joinPush(name);
  const room = parlor.join(name);
  await Promise.all([push.joined, room.joined]);
  const line = next(push, "push");
  const started = await fetch(`${node.url}/push?room=${encodeURIComponent(name)}`, { method: "POST" });
  assert.equal(started.status, 200);
  assert.match((await line)[0].text, /实时推送/);
});
