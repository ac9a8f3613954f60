// The close codes of the protocol, and how a client reconnects after each (docs/protocol.md).
//
// `reconnect`: "now" and "backoff" both reconnect with jitter; after "login" and "never" a new connection fails alike. Codes
// that are not listed, and connections that break without a code, count as "backoff".

const ROWS = [
  { code: 1000, slug: "normal", reconnect: "backoff" },
  { code: 1002, slug: "protocol_error", reconnect: "never" },
  { code: 1003, slug: "unsupported_data", reconnect: "never" },
  { code: 1007, slug: "invalid_payload", reconnect: "never" },
  { code: 1008, slug: "policy_violation", reconnect: "never" },
  { code: 1009, slug: "message_too_big", reconnect: "never" },
  { code: 1011, slug: "internal_error", reconnect: "never" },
  { code: 1012, slug: "service_restart", reconnect: "now" },
  { code: 1013, slug: "try_again_later", reconnect: "backoff" },
  { code: 4401, slug: "login_ended", reconnect: "login" },
  { code: 4403, slug: "forbidden", reconnect: "never" },
  { code: 4408, slug: "unresponsive", reconnect: "now" },
  { code: 4429, slug: "rate_limited", reconnect: "backoff" },
];

const rowByCode = new Map(ROWS.map((row) => [row.code, row]));

// The code of each slug, as `CloseCode.LOGIN_ENDED`.
export const CloseCode = Object.freeze(Object.fromEntries(ROWS.map(({ code, slug }) => [slug.toUpperCase(), code])));

// Whether a new connection would be closed alike.
export function isFinal(code) {
  return ["login", "never"].includes(rowByCode.get(code)?.reconnect);
}

// The key of the code's text in the catalogue; "" for a code that is not listed.
export function slugOf(code) {
  return rowByCode.get(code)?.slug ?? "";
}
