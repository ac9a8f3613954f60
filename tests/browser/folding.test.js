// Folding of long messages.

import assert from "node:assert/strict";
import { test } from "node:test";

import { fold } from "../../static/folding.js";

const shown = (text) => fold(text).parts.map((part) => part.text).join("");

test("a short message is shown whole", () => {
  const text = "see https://example.com/ and\nthe next line";
  assert.equal(shown(text), text);
  assert.equal(fold(text).isFolded, false);
  assert.deepEqual(fold(""), { parts: [], isFolded: false });
  assert.equal(fold("a".repeat(2000)).isFolded, false);
});

test("a long message shows its first 2,000 characters", () => {
  const marks = `a${"\u0300".repeat(32000)}`;
  assert.equal(shown(marks), marks.slice(0, 2000));
  assert.equal(fold(marks).isFolded, true);
});

test("a message of many lines shows 40", () => {
  assert.equal(shown("x\n".repeat(1000)), "x\n".repeat(40).trimEnd());
  assert.equal(fold("x\n".repeat(39)).isFolded, false);
  assert.equal(fold("x\n".repeat(1000)).isFolded, true);
});

test("a character of two code units is not cut", () => {
  const text = `a${"😀".repeat(1500)}`;
  assert.equal(shown(text), `a${"😀".repeat(999)}`);
});

test("an address that is cut is not a link", () => {
  const { parts } = fold(`${"a ".repeat(990)}https://example.com/${"b".repeat(100)}`);
  assert.deepEqual(parts.map((part) => part.href), [null, null]);
  const whole = fold(`https://example.com/b ${"a ".repeat(2000)}`);
  assert.equal(whole.parts[0].href, "https://example.com/b");
});
