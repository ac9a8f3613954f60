// A real node behind a line that a test cuts: the real binary on a free port.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { createInterface } from "node:readline";

const { PARLOR_BINARY, REDIS_URL, PARLOR_SECRET } = process.env;

// The limits that one address with many clients would meet.
const ENVIRONMENT = {
  PARLOR_SECRET,
  PARLOR_DRAIN_SECONDS: "1",
  PARLOR_HANDSHAKES_PER_SECOND: "0",
  PARLOR_MESSAGES_PER_SECOND: "0",
};

export class Node {
  #process;
  #port;
  #line;
  #sockets = new Set(); // both ends of each connection

  // Starts a node on the tests' Redis, with further flags.
  static async start(...flags) {
    const node = new Node();
    await node.restart(...flags);
    node.#line = createServer((socket) => node.#accept(socket)).listen(0, "127.0.0.1");
    await once(node.#line, "listening");
    return node;
  }

  // The address of the line, which stays when the node is started again.
  get url() {
    return `http://127.0.0.1:${this.#line.address().port}`;
  }

  async restart(...flags) {
    const listen = ["--listen", "127.0.0.1:0", "--redis-url", REDIS_URL];
    const options = { env: ENVIRONMENT, stdio: ["ignore", "pipe", "ignore"] };
    this.#process = spawn(PARLOR_BINARY, [...listen, ...flags], options);
    const [line] = await once(createInterface(this.#process.stdout), "line");
    this.#port = Number(line.match(/^listening on http:\/\/127\.0\.0\.1:(\d+)$/)[1]);
  }

  // Ends the node without a farewell.
  async kill() {
    const ended = once(this.#process, "exit");
    this.#process.kill("SIGKILL");
    await ended;
  }

  // Ends the node as an operator does.
  async stop() {
    const ended = once(this.#process, "exit");
    this.#process.kill("SIGTERM");
    await ended;
  }

  // Breaks all connections.
  cut() {
    for (const socket of this.#sockets) socket.destroy();
  }

  async close() {
    this.#line.close();
    this.cut();
    await this.kill();
  }

  #accept(socket) {
    const upstream = connect(this.#port, "127.0.0.1");
    for (const [one, other] of [[socket, upstream], [upstream, socket]]) {
      this.#sockets.add(one);
      one.on("error", () => {});
      one.on("close", () => {
        this.#sockets.delete(one);
        other.destroy();
      });
      one.pipe(other);
    }
  }
}
