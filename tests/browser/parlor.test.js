// What `Parlor` needs to connect, and the errors that say what it lacks.

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { Parlor, ParlorError } from "../../clients/js/parlor.js";

const SITE = "http://site.example";
const own = Object.getOwnPropertyDescriptor(globalThis, "WebSocket");

beforeEach(() => delete globalThis.WebSocket);
afterEach(() => own && Object.defineProperty(globalThis, "WebSocket", own));

class Broken {
  static cause = new SyntaxError("no such subprotocol");

  constructor() {
    throw Broken.cause;
  }
}

// The first error of a program that joins a room.
function errorOf(options) {
  const parlor = new Parlor(SITE, options);
  return new Promise((resolve) => {
    parlor.on("error", (error) => {
      parlor.close();
      resolve(error);
    });
    parlor.join("lobby");
  });
}

test("without a WebSocket the constructor names the option", () => {
  assert.throws(() => new Parlor(SITE), (error) => {
    assert.ok(error instanceof ParlorError);
    assert.equal(error.code, "websocket");
    assert.match(error.message, /the option `WebSocket`/);
    return true;
  });
});

test("a program that asks for SSE may lack a WebSocket, and is informed", async () => {
  const { code, cause } = await errorOf({ sse: true });
  assert.equal(code, "websocket");
  assert.ok(cause instanceof TypeError);
});

test("a class for WebSockets that throws is no error of the credentials", async () => {
  const { code, cause, message } = await errorOf({ WebSocket: Broken, token: "a.b.c", sse: false });
  assert.deepEqual([code, cause], ["websocket", Broken.cause]);
  assert.match(message, /no such subprotocol/);
});

test("a function for credentials that throws is", async () => {
  const broken = new Error("the shop is closed");
  const token = () => Promise.reject(broken);
  const { code, cause } = await errorOf({ WebSocket: Broken, token, sse: false });
  assert.deepEqual([code, cause], ["credentials", broken]);
});
