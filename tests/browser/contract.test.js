// What the browser shares with the server: codes in docs/protocol.md, texts in the catalogues.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

import { CloseCode, ErrorCode } from "../../clients/js/parlor.js";

const ROOT = new URL("../../", import.meta.url);
const read = (path) => readFileSync(new URL(path, ROOT), "utf8");
const catalogues = ["en", "zh"].map((language) => JSON.parse(read(`locales/${language}.json`)));

// The first cells of the table after a line of the protocol's document.
function firstCells(heading) {
  const [, rest] = read("docs/protocol.md").split(heading);
  const table = rest.match(/(^\|.*\n)+/m)[0];
  return table.split("\n").slice(2).filter(Boolean).map((row) => row.split("|")[1].trim().replaceAll("`", ""));
}

// Keys with their path, as `client.failed.ended`.
function keys(texts, path = "") {
  return Object.entries(texts).flatMap(([key, value]) =>
    typeof value === "object" ? keys(value, `${path}${key}.`) : [`${path}${key}`],
  );
}

test("close codes are those of the protocol's document", () => {
  assert.deepEqual(Object.values(CloseCode).map(String), firstCells("\n## Close codes\n"));
});

test("error codes are those of the protocol's document", () => {
  assert.deepEqual(Object.values(ErrorCode).sort(), firstCells("\nErrors:\n").sort());
});

test("what the types export is there", async () => {
  const types = read("clients/js/parlor.d.ts").matchAll(/^export (?:class|const) (\w+)/gm);
  const library = await import("../../clients/js/parlor.js");
  for (const [, name] of types) assert.ok(name in library, name);
});

test("both catalogues have the same keys and placeholders", () => {
  const [en, zh] = catalogues.map((catalogue) => keys(catalogue));
  assert.deepEqual(en, zh);
  const at = (catalogue, key) => key.split(".").reduce((texts, part) => texts[part], catalogue);
  const placeholders = (text) => (text.match(/\{\w+\}/g) ?? []).sort();
  for (const key of en) {
    assert.deepEqual(placeholders(at(catalogues[0], key)), placeholders(at(catalogues[1], key)), key);
  }
});

test("every text that a template or a module names exists", () => {
  const [catalogue] = catalogues;
  const known = keys(catalogue);
  const exists = (key) => known.some((other) => other === key || other.startsWith(`${key}.`));
  for (const name of readdirSync(new URL("templates/", ROOT))) {
    for (const [, key] of read(`templates/${name}`).matchAll(/\bt\.(\w+(?:\.\w+)*)/g)) {
      assert.ok(exists(key), `${key} in ${name}`);
    }
  }
  for (const name of readdirSync(new URL("static/", ROOT)).filter((name) => name.endsWith(".js"))) {
    const scope = name === "operatorTools.js" ? "admin.client" : "client";
    for (const [, key] of read(`static/${name}`).matchAll(/\btexts\.([a-z_]+)/g)) {
      assert.ok(exists(`${scope}.${key}`), `${key} in ${name}`);
    }
  }
});
