// What holds for all modules.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

const FOLDER = new URL("../../static/", import.meta.url);
const ENTRIES = ["admin.js", "home.js", "operator.js", "page.js", "room.js"];
const modules = readdirSync(FOLDER).filter((name) => name.endsWith(".js"));
const source = (name) => readFileSync(new URL(name, FOLDER), "utf8");

test("every module but the entries can be imported without a document", async () => {
  assert.equal(globalThis.document, undefined);
  for (const name of modules.filter((name) => !ENTRIES.includes(name))) {
    await assert.doesNotReject(import(new URL(name, FOLDER)), name);
  }
});

test("entries are imported by no module, and all others by one", () => {
  const imported = new Set(modules.flatMap((name) => [...source(name).matchAll(/"\.\/(\w+\.js)"/g)].map(([, file]) => file)));
  for (const name of modules) assert.equal(imported.has(name), !ENTRIES.includes(name), name);
});

test("close codes and error codes stand in the library only", () => {
  for (const name of modules.filter((name) => name !== "parlor.js")) {
    assert.doesNotMatch(source(name), /\b(100[1-9]|101[0-5]|44\d\d)\b/, name);
    assert.doesNotMatch(source(name), /"(malformed|unknown_type|too_large|bad_id|conflict|unavailable|internal|rate)"/, name);
  }
});

test("styles select no element by its id", () => {
  const selectors = source("parlor.css").replace(/\/\*.*?\*\//gs, "").replace(/\{[^{}]*\}/g, "{}");
  assert.doesNotMatch(selectors, /#/);
});
