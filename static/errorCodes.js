// The codes of `error` frames (docs/protocol.md).

export const ErrorCode = Object.freeze({
  MALFORMED: "malformed",
  UNKNOWN_TYPE: "unknown_type",
  TOO_LARGE: "too_large",
  BAD_ID: "bad_id",
  CONFLICT: "conflict",
  UNAVAILABLE: "unavailable",
  INTERNAL: "internal",
  RATE: "rate",
});
