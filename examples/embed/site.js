// A site of its own with a page that joins two rooms of a Parlor server elsewhere.
//
//   node examples/embed/site.js PORT PARLOR_URL KEY_FILE
//
// It knows its visitors and signs a token for each with its private key, an Ed25519 key in PEM; the
// server has the public one (--token-key-file, --token-algorithm EdDSA) and allows pages of this
// site (--allowed-origins localhost).

import { randomInt, sign } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";

const [, , port, parlor, keyFile] = process.argv;
const TOKEN_SECONDS = 300;

const key = readFileSync(keyFile);
const read = (path) => readFileSync(new URL(path, import.meta.url), "utf8");
const encoded = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

// A visitor stays who it is by a cookie of the site.
function visitorOf({ headers }) {
  return headers.cookie?.match(/\bvisitor=(\w+)/)?.[1] ?? `visitor${randomInt(1e6)}`;
}

function tokenOf(visitor) {
  const claims = { sub: visitor, exp: Math.floor(Date.now() / 1000) + TOKEN_SECONDS };
  const content = `${encoded({ alg: "EdDSA", typ: "JWT" })}.${encoded(claims)}`;
  return `${content}.${sign(null, Buffer.from(content), key).toString("base64url")}`;
}

const FILES = {
  "/": ["text/html", () => read("index.html").replace("{{parlor}}", parlor)],
  "/parlor.js": ["text/javascript", () => read("../../clients/js/parlor.js")],
  "/token": ["text/plain", tokenOf],
};

const server = createServer((request, response) => {
  const [type, body] = FILES[request.url] ?? ["text/plain", null];
  const visitor = visitorOf(request);
  const headers = { "Content-Type": `${type}; charset=utf-8`, "Set-Cookie": `visitor=${visitor}; HttpOnly; SameSite=Strict` };
  response.writeHead(body ? 200 : 404, headers).end(body ? body(visitor) : "not found");
});
server.listen(Number(port), "127.0.0.1", () => console.log(`listening on http://localhost:${server.address().port}`));
