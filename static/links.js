// Links in what people write: text stays text, and an address of http or https in it becomes a link.

// Up to white space, brackets of markup, quotation marks, signs that turn text around, and punctuation of Chinese.
const ADDRESS = /https?:\/\/[^\s<>"`\u200e\u200f\u202a-\u202e\u2066-\u2069\u3000-\u303f\uff00-\uff0f\uff1a-\uff20]+/gi;
const TRAILING = /[.,;:!?'*_~…’”»]$/; // ends a sentence rather than an address
const BRACKETS = { ")": "(", "]": "[", "}": "{" };

// The text as nodes.
export function linked(text) {
  const nodes = document.createDocumentFragment();
  let end = 0;
  for (const { 0: found, index } of text.matchAll(ADDRESS)) {
    const shown = trimmed(found);
    const target = address(shown);
    if (!target) continue;
    const link = document.createElement("a");
    link.href = target;
    link.rel = "noopener nofollow ugc";
    link.target = "_blank";
    link.textContent = shown;
    nodes.append(text.slice(end, index), link);
    end = index + shown.length;
  }
  nodes.append(text.slice(end));
  return nodes;
}

// Without the punctuation that ends a sentence, and without a bracket that was opened before the address.
function trimmed(found) {
  for (;;) {
    const last = found.at(-1);
    const open = BRACKETS[last];
    const isExtra = open && found.split(last).length > found.split(open).length;
    if (!isExtra && !TRAILING.test(found)) return found;
    found = found.slice(0, -1);
  }
}

// Where it leads; null if nowhere, or if it does not look like that: `https://bank.example@evil.example`.
function address(text) {
  const url = URL.parse ? URL.parse(text) : parse(text);
  const isPlain = url && /^https?:$/.test(url.protocol) && url.hostname && !url.username && !url.password;
  return isPlain ? url.href : null;
}

function parse(text) {
  try {
    return new URL(text);
  } catch {
    return null;
  }
}
