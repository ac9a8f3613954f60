// Finding links in text.

import assert from "node:assert/strict";
import { test } from "node:test";

import { findLinks } from "../../static/links.js";

const links = (text) => findLinks(text).filter(({ href }) => href !== null);
const found = (text) => links(text).map((part) => part.text);

test("text without an address is one part", () => {
  assert.deepEqual(findLinks("no link here"), [{ text: "no link here", href: null }]);
  assert.deepEqual(findLinks(""), []);
});

test("the parts joined are the text", () => {
  const text = "see https://example.com/a?b=c#d. and (http://b.example/x_(y)), ok";
  assert.equal(findLinks(text).map((part) => part.text).join(""), text);
  assert.deepEqual(found(text), ["https://example.com/a?b=c#d", "http://b.example/x_(y)"]);
});

test("an address ends before punctuation that ends a sentence", () => {
  assert.deepEqual(found("https://example.com/a."), ["https://example.com/a"]);
  assert.deepEqual(found("https://example.com/a?!…"), ["https://example.com/a"]);
  assert.deepEqual(found("请看https://example.com/聊天。谢谢"), ["https://example.com/聊天"]);
  assert.deepEqual(found("“https://example.com/x”"), ["https://example.com/x"]);
});

test("a closing bracket belongs to the address only if it was opened there", () => {
  assert.deepEqual(found("(http://example.com/a_(b))"), ["http://example.com/a_(b)"]);
  assert.deepEqual(found("[http://example.com/a]"), ["http://example.com/a"]);
  assert.deepEqual(found("{http://example.com/{id}}."), ["http://example.com/{id}"]);
  assert.deepEqual(found("http://example.com/a).)"), ["http://example.com/a"]);
  assert.deepEqual(found("http://example.com/a](b)"), ["http://example.com/a](b)"]);
});

test("the scheme is http or https in any case", () => {
  assert.deepEqual(found("HTTPS://EXAMPLE.com http://b.example"), ["HTTPS://EXAMPLE.com", "http://b.example"]);
  assert.deepEqual(links("HTTPS://EXAMPLE.com")[0].href, "https://example.com/");
  assert.deepEqual(found("javascript:alert(1) data:text/html,x ftp://example.com/ file:///etc/passwd"), []);
});

test("an address with credentials or without a host is text", () => {
  assert.deepEqual(found("https://bank.example@evil.example/ http:// https://"), []);
  assert.deepEqual(found("http://user:secret@evil.example/"), []);
});

test("bidirectional controls and markup end an address", () => {
  assert.deepEqual(found("https://example.com/\u202emoc.live"), ["https://example.com/"]);
  assert.deepEqual(found('<a href="https://example.com/x">x</a>'), ["https://example.com/x"]);
});

test("an underscore at the end belongs to the address", () => {
  assert.deepEqual(found("https://example.com/a_"), ["https://example.com/a_"]);
});

test("an address of more than 2,000 characters is text", () => {
  const long = `https://example.com/${"a".repeat(1980)}`;
  assert.deepEqual(found(long), [long]);
  assert.deepEqual(found(`${long}a`), []);
});

test("hostile texts of 65,000 characters take no noticeable time", () => {
  const start = performance.now();
  assert.deepEqual(found(`http://example.com/${")".repeat(65000)}`), ["http://example.com/"]);
  assert.deepEqual(found(`http://example.com/${"(".repeat(30000)}${")".repeat(35000)}`), []);
  for (const piece of ["http", "http://", "http://)", "http://a.example ", "http://a)].", "\u0300", "…", "_"]) {
    findLinks(piece.repeat(65000 / piece.length));
  }
  assert.ok(performance.now() - start < 1000, `${performance.now() - start} ms`);
});
