// Folds long messages: a browser may take seconds to lay out a word of 30,000 letters, or a letter
// with 30,000 accents, and a message of 1,000 lines hides all others.

import { findLinks } from "./links.js";

const MAX_SHOWN_CHARS = 2000;
const MAX_SHOWN_LINES = 40;

// Returns the parts to show at first, as `findLinks` returns them, and whether more text follows.
export function fold(text) {
  const end = foldAt(text);
  const parts = findLinks(text.slice(0, end));
  const isFolded = end < text.length;
  // An address that may go on is not a link: it would lead elsewhere.
  if (isFolded && parts.length && parts.at(-1).href !== null) parts.at(-1).href = null;
  return { parts, isFolded };
}

function foldAt(text) {
  let end = Math.min(text.length, MAX_SHOWN_CHARS);
  for (let at = -1, lines = 1; ; lines++) {
    at = text.indexOf("\n", at + 1);
    if (at < 0 || at >= end) break;
    if (lines === MAX_SHOWN_LINES) return at;
  }
  const isSplitPair = end < text.length && /[\ud800-\udbff]/.test(text[end - 1]);
  return isSplitPair ? end - 1 : end;
}
