// Drives the npm package centrifuge, unmodified, on each of its transports.
// Usage: centrifuge_js.mjs PROXY NODE TOKEN KEY. PROXY is before several nodes, of which NODE is
// one. KEY is that of a program, which subscribes the clients of TOKEN.
// Prints `ok: <transport>` for each, then `kill`, and after another node was killed `ok: killed`.

import { createRequire } from "node:module";

const require = createRequire(process.argv[1].replace(/tests\/centrifugo\/.*/, "target/npm/index.js"));
const { Centrifuge } = require("centrifuge");
const { Centrifuge: Protobuf } = require("centrifuge/build/protobuf");
const websocket = require("ws");
const eventsource = require("eventsource");

const [proxy, node, token, key] = process.argv.slice(2);
const LIMIT_MS = 20_000;
const TRANSPORTS = {
    "WebSocket, JSON": [Centrifuge, "websocket"],
    "WebSocket, Protobuf": [Protobuf, "websocket"],
    "http_stream, JSON": [Centrifuge, "http_stream"],
    "http_stream, Protobuf": [Protobuf, "http_stream"],
    "sse": [Centrifuge, "sse"],
};

function connect(base, Client, transport) {
    const origin = transport === "websocket" ? base.replace("http", "ws") : base;
    const endpoint = `${origin}/connection/${transport}`;
    const browser = { websocket, eventsource, fetch, readableStream: ReadableStream };
    const emulationEndpoint = `${base}/emulation`;
    return new Client([{ transport, endpoint }], { token, ...browser, emulationEndpoint, minReconnectDelay: 50 });
}

const encoded = (Client, value) =>
    Client === Protobuf ? new TextEncoder().encode(JSON.stringify(value)) : value;
const decoded = (Client, data) => (Client === Protobuf ? JSON.parse(new TextDecoder().decode(data)) : data);

function within(promise, what) {
    const late = new Promise((_, reject) => {
        setTimeout(() => reject(new Error(`waited for ${what}`)), LIMIT_MS).unref();
    });
    return Promise.race([promise, late]);
}

/** The next `count` events of a subscription, or of a client. */
function events(subscription, name, count) {
    const all = [];
    return within(
        new Promise((resolve) => {
            subscription.on(name, (event) => {
                if (all.push(event) === count) {
                    resolve(all.slice());
                }
            });
        }),
        `${count} × ${name} of ${subscription.channel}`,
    );
}

function assertEqual(got, expected, what) {
    if (JSON.stringify(got) !== JSON.stringify(expected)) {
        throw new Error(`${what}: got ${JSON.stringify(got)}, expected ${JSON.stringify(expected)}`);
    }
}

async function call(method, params) {
    const request = { method: "POST", headers: { "X-API-Key": key }, body: JSON.stringify(params) };
    const answer = await (await fetch(`${proxy}/centrifugo/api/${method}`, request)).json();
    if (!answer.result) {
        throw new Error(`${method}: ${JSON.stringify(answer)}`);
    }
}

/** Has a program subscribe a client, through any node. */
async function tryProgram(Client, ann, connected, channel) {
    const [{ client }] = await connected;
    const subscribed = events(ann, "subscribed", 1);
    await call("subscribe", { user: "42", client, channel });
    assertEqual((await subscribed)[0].channel, channel, "server-side subscription");
    const [read, ended] = [events(ann, "publication", 1), events(ann, "unsubscribed", 1)];
    await call("publish", { channel, data: { n: 7 } });
    assertEqual(decoded(Client, (await read)[0].data).n, 7, "publication of a program");
    await call("unsubscribe", { user: "42", channel });
    assertEqual((await ended)[0].channel, channel, "end of the server-side subscription");
}

async function tryTransport(Client, transport) {
    const channel = `room-${Math.random().toString(36).slice(2)}`;
    const [ann, bob] = [connect(proxy, Client, transport), connect(proxy, Client, transport)];
    const [own, other] = [ann.newSubscription(channel), bob.newSubscription(channel)];
    const subscribed = [events(own, "subscribed", 1), events(other, "subscribed", 1)];
    const [connected, writing] = [events(ann, "connected", 1), events(bob, "connected", 1)];
    for (const started of [own, other]) started.subscribe();
    for (const started of [ann, bob]) started.connect();
    await Promise.all(subscribed);

    const publications = events(own, "publication", 3);
    for (const n of [0, 1, 2]) await other.publish(encoded(Client, { n }));
    const published = await publications;
    assertEqual(published.map(({ data }) => decoded(Client, data).n), [0, 1, 2], "publications");
    const { client } = (await writing)[0];
    const { clients } = await own.presence();
    for (const info of [published[0].info, clients[client]]) {
        const known = [info.user, info.client, decoded(Client, info.connInfo)];
        assertEqual(known, ["42", client, { name: "Deep Thought" }], "info");
    }
    assertEqual(await own.presenceStats(), { numUsers: 1, numClients: 2 }, "presence");
    assertEqual((await own.history({ limit: 2 })).publications.map(({ offset }) => offset), [1, 2], "history");

    await tryProgram(Client, ann, connected, `${channel}-of-a-program`);

    ann.disconnect();
    for (const n of [3, 4]) await other.publish(encoded(Client, { n }));
    const [missed, again] = [events(own, "publication", 2), events(own, "subscribed", 1)];
    ann.connect();
    assertEqual((await again)[0].recovered, true, "recovered");
    assertEqual((await missed).map(({ data }) => decoded(Client, data).n), [3, 4], "missed");
    assertEqual(await ann.rpc("none", encoded(Client, {})).catch(({ code }) => code), 108, "rpc");
    for (const client of [ann, bob]) client.disconnect();
}

async function surviveAKilledNode() {
    const channel = "killed";
    const writer = connect(node, Centrifuge, "websocket");
    const own = writer.newSubscription(channel);
    const subscribed = [events(own, "subscribed", 1)];
    own.subscribe();
    writer.connect();
    const readers = [];
    for (const [Client, transport] of Object.values(TRANSPORTS)) {
        for (let copy = 0; copy < 3; copy += 1) {
            const client = connect(proxy, Client, transport);
            const subscription = client.newSubscription(channel);
            subscribed.push(events(subscription, "subscribed", 1));
            readers.push([Client, client, subscription, []]);
            subscription.on("publication", ({ data }) => readers.find((it) => it[2] === subscription)[3].push(decoded(Client, data).n));
            subscription.subscribe();
            client.connect();
        }
    }
    await Promise.all(subscribed);
    console.log("kill");
    const last = Promise.all(
        readers.map(
            ([, , subscription, all]) =>
                new Promise((resolve) => subscription.on("publication", () => all.length >= 40 && resolve())),
        ),
    );
    for (let n = 0; n < 40; n += 1) {
        await own.publish({ n });
        await new Promise((resolve) => setTimeout(resolve, 25)); // before, while and after the node is killed
    }
    await within(last, "the last publication");
    for (const [, client, , all] of readers) {
        assertEqual(all, [...Array(40).keys()], "once and in order");
        client.disconnect();
    }
    writer.disconnect();
}

for (const [name, [Client, transport]] of Object.entries(TRANSPORTS)) {
    await tryTransport(Client, transport);
    console.log(`ok: ${name}`);
}
await surviveAKilledNode();
console.log("ok: killed");
process.exit(0);
