// Finds addresses of http and https in text.

// Ends at white space, markup brackets, quotation marks, bidirectional controls and Chinese
// punctuation.
const ADDRESS = /https?:\/\/[^\s<>"`\u200e\u200f\u202a-\u202e\u2066-\u2069\u3000-\u303f\uff00-\uff0f\uff1a-\uff20]+/gi;
const MAX_ADDRESS_CHARS = 2000; // what browsers and servers take
const TRAILING = new Set(".,;:!?'*~…’”»"); // ends a sentence rather than an address
const OPENING = new Map([[")", "("], ["]", "["], ["}", "{"]]); // by closing bracket

// Splits the text into parts `{ text, href }` in order; `href` is null where the text is not a
// link. Takes time in proportion to the text, which is foreign.
export function findLinks(text) {
  const parts = [];
  let end = 0;
  for (const { 0: found, index } of text.matchAll(ADDRESS)) {
    const address = trimTrailing(found);
    const href = address.length > MAX_ADDRESS_CHARS ? null : resolve(address);
    if (!href) continue;
    if (index > end) parts.push({ text: text.slice(end, index), href: null });
    parts.push({ text: address, href });
    end = index + address.length;
  }
  if (end < text.length) parts.push({ text: text.slice(end), href: null });
  return parts;
}

// Drops trailing punctuation, and closing brackets without an opening one in the address. The
// brackets are counted once: a message may consist of them.
function trimTrailing(address) {
  const unopened = new Map();
  for (const [closing, opening] of OPENING) unopened.set(closing, count(address, closing) - count(address, opening));
  let end = address.length;
  for (;;) {
    const last = address[end - 1];
    const isUnopened = unopened.get(last) > 0;
    if (isUnopened) unopened.set(last, unopened.get(last) - 1);
    else if (!TRAILING.has(last)) return address.slice(0, end);
    end--;
  }
}

function count(text, letter) {
  let found = 0;
  for (let at = text.indexOf(letter); at >= 0; at = text.indexOf(letter, at + 1)) found++;
  return found;
}

// The address as the browser would open it; null if it is invalid or contains credentials, which
// can hide the host: `https://bank.example@evil.example`.
function resolve(address) {
  const url = URL.parse ? URL.parse(address) : parse(address);
  const isPlain = url && /^https?:$/.test(url.protocol) && url.hostname && !url.username && !url.password;
  return isPlain ? url.href : null;
}

function parse(address) {
  try {
    return new URL(address);
  } catch {
    return null;
  }
}
