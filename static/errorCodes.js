// The codes of `error` frames (docs/protocol.md).

export const ErrorCode = Object.freeze({
  MALFORMED: "malformed",
  UNKNOWN_TYPE: "unknown_type",
  TOO_LARGE: "too_large",
  BAD_ID: "bad_id",
  CONFLICT: "conflict",
  NOT_JOINED: "not_joined",
  ALREADY_JOINED: "already_joined",
  TOO_MANY: "too_many",
  INVALID_ROOM: "invalid_room",
  LOGIN_REQUIRED: "login_required",
  NO_ACCESS: "no_access",
  NOT_FOUND: "not_found",
  UNAVAILABLE: "unavailable",
  INTERNAL: "internal",
  RATE: "rate",
});
