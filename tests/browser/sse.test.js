// The transport without a WebSocket: what the end of a stream is, by the status of its answer.

import assert from "node:assert/strict";
import { afterEach, mock, test } from "node:test";

import { CloseCode } from "../../static/closeCodes.js";
import { SseTransport, TOO_MANY } from "../../static/sse.js";

globalThis.location = new URL("http://site.example/chat/lobby/");

afterEach(() => mock.restoreAll());

// Opens a stream that is answered in this way; returns how it ended.
function endOf(answer) {
  mock.method(globalThis, "fetch", answer);
  return new Promise((resolve) => {
    const listener = { frame() {}, alive() {}, closed: (code, reason) => resolve([code, reason]) };
    new SseTransport("/sse/chat/lobby/", "/chat/lobby/messages", "token").open({ since: "7" }, listener);
  });
}

for (const [status, code, reason] of [
  [401, CloseCode.LOGIN_ENDED, ""],
  [403, CloseCode.FORBIDDEN, ""],
  [404, CloseCode.FORBIDDEN, ""],
  [429, 0, TOO_MANY],
  [503, 0, ""],
  [200, 0, ""],
]) {
  test(`a stream that is answered ${status} ends as ${code || "a broken one"} ${reason}`, async () => {
    const end = await endOf(async () => new Response("no", { status }));
    assert.deepEqual(end, [code, reason]);
    const [url] = fetch.mock.calls[0].arguments;
    assert.equal(url.href, "http://site.example/sse/chat/lobby/?since=7");
  });
}

test("a stream without an answer ends as a broken one", async () => {
  assert.deepEqual(await endOf(async () => Promise.reject(new TypeError("network"))), [0, ""]);
});
