// The transport without a WebSocket: what the end of a stream is, by the status of its answer.

import assert from "node:assert/strict";
import { afterEach, mock, test } from "node:test";

import { CloseCode, SseTransport, TOO_MANY } from "../../clients/js/parlor.js";

let refusals = [];

afterEach(() => {
  mock.restoreAll();
  refusals = [];
});

// Joins a room whose stream is answered in this way; returns how that ended.
function endOf(answer) {
  mock.method(globalThis, "fetch", answer);
  return new Promise((resolve) => {
    const listener = {
      opened: () => connection.send({ type: "join", room: "lobby", since: "7" }),
      frame: (frame) => resolve([frame.type, frame.code]),
      alive() {},
      failed() {},
      refused: (refusal) => refusals.push(refusal),
      closed: (code, reason) => resolve([code, reason]),
    };
    const connection = new SseTransport("http://site.example", { token: () => "a.b.c" }).open(listener);
  });
}

for (const [status, code, reason] of [
  [401, CloseCode.LOGIN_ENDED, ""],
  [429, 0, TOO_MANY],
  [503, 0, ""],
  [200, 0, ""],
]) {
  test(`a stream that is answered ${status} ends as ${code || "a broken one"} ${reason}`, async () => {
    const end = await endOf(async () => new Response("no", { status }));
    assert.deepEqual(end, [code, reason]);
    const [url, { headers }] = fetch.mock.calls[0].arguments;
    assert.equal(url.href, "http://site.example/sse/chat/lobby/?since=7");
    assert.deepEqual(headers, { Authorization: "Bearer a.b.c" });
  });
}

for (const status of [403, 404]) {
  test(`a stream that is answered ${status} ends its room only`, async () => {
    assert.deepEqual(await endOf(async () => new Response("no\n", { status })), ["left", CloseCode.FORBIDDEN]);
    assert.deepEqual(refusals, [{ status, detail: "no" }]);
  });
}

test("a stream without an answer ends as a broken one", async () => {
  assert.deepEqual(await endOf(async () => Promise.reject(new TypeError("network"))), [0, ""]);
});
