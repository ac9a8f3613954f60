// What the composer sends.

import assert from "node:assert/strict";
import { test } from "node:test";

import { wellFormed } from "../../static/composer.js";

test("half a character is replaced, as `toWellFormed` does it", () => {
  for (const text of ["", "hi 你好 😀", "half \ud83d", "\ude00 half", "\ud83d\ud83d\ude00\ude00", "\ud83d a"]) {
    assert.equal(wellFormed(text), text.toWellFormed());
  }
});
