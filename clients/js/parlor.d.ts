// Types of parlor.js. Frames are those of docs/protocol.md.

export type State = "connecting" | "open" | "reconnecting" | "offline";
export type Via = "" | "websocket" | "sse";
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** Why a channel or the connection has ended. */
export interface End {
  /** A close code; 0 without one. */
  code: number;
  reason: string;
  /** The error code of a rejected join, "refused" for a rejected connection, else "". */
  error: string;
  /** Whether another attempt would end alike. */
  isFinal: boolean;
}

export interface Welcome {
  type: "welcome";
  stream: "chat" | "push" | "inbox";
  room: string | null;
  node: string;
  user: string;
  name: string;
  last: string | null;
  recovered: boolean;
  reason: string | null;
  private: boolean;
  members: string[] | null;
  names: Record<string, string> | null;
  count: number;
}

export interface Message {
  type: "message";
  room: string;
  text: string | null;
  event?: string | null;
  data?: Json;
  user: string | null;
  name: string | null;
  id: string | null;
  prev: string | null;
  /** Milliseconds since 1970. */
  at: number | null;
  removed?: true;
}

/** What a message is to the program. */
export interface MessagePlace {
  /** It was sent before this connection was welcomed. */
  isPast: boolean;
  /** It is of the past of the first join. */
  isFirstLoad: boolean;
}

export interface Removed {
  type: "removed";
  room: string;
  id: string;
}

export interface Gap {
  type: "gap";
  room: string;
  /** trimmed, rewritten, unknown or malformed. */
  reason: string;
  after: string | null;
}

export interface Presence {
  type: "presence";
  room: string;
  change: "join" | "leave" | "rename" | "state";
  user: string | null;
  name: string | null;
  members: string[] | null;
  names: Record<string, string> | null;
  count: number;
}

export interface Typing {
  type: "typing";
  room: string;
  user: string;
  name: string;
  for_ms: number;
}

export interface Ack {
  type: "ack";
  room: string;
  client_id: string | null;
  id: string;
  duplicate: boolean;
}

export interface History {
  type: "history";
  room: string;
  messages: Message[];
  more: boolean;
}

export interface PushLine {
  type: "push";
  room: string;
  text: string;
}

export interface Unread {
  type: "unread";
  user: string;
  name: string;
  count: number;
}

/** A message carries a text, data, or both, and may have a name of the application's. */
export interface Content {
  text?: string;
  data?: Json;
  event?: string;
}

/** A message that the server has not acknowledged. */
export interface Entry extends Content {
  readonly id: string;
  readonly at: number;
  /** Why it has failed: an error code or a `Failure`; "" while it is sent. */
  readonly failed: string;
  readonly isPrivate: boolean;
}

export interface Outbox {
  readonly entries: Entry[];
  /** The entry that waits for its answer. */
  readonly inFlight: Entry | null;
  /** Queues a failed entry again, at the end. */
  resend(entry: Entry): void;
  discard(entry: Entry): void;
}

export interface ChannelEvents {
  state: (state: State, via: Via, end: End | null) => void;
  welcome: (welcome: Welcome) => void;
  /** No event follows. */
  left: (end: End) => void;
}

export interface RoomEvents extends ChannelEvents {
  message: (message: Message, place: MessagePlace) => void;
  removed: (removed: Removed) => void;
  /** Messages may be missing between the last and the next. */
  gap: (gap: Gap) => void;
  presence: (presence: Presence) => void;
  typing: (typing: Typing) => void;
  delivered: (entry: Entry, ack: Ack) => void;
  /** The server did not accept the message yet. */
  delayed: (entry: Entry, code: string) => void;
  /** The message waits for `outbox.resend` or `outbox.discard`. */
  failed: (entry: Entry) => void;
  /** Another tab has settled the message. */
  dropped: (entry: Entry) => void;
}

export interface PushEvents extends ChannelEvents {
  push: (line: PushLine) => void;
}

export interface InboxEvents extends ChannelEvents {
  unread: (unread: Unread) => void;
}

export interface Channel<Events> {
  /** The name by which it was joined; null for an inbox. */
  readonly room: string | null;
  readonly state: State;
  /** Resolves with the first `welcome`; rejects with a `ParlorError`. */
  readonly joined: Promise<Welcome>;
  /** Returns a function that ends the listening. */
  on<Type extends keyof Events>(type: Type, listener: Events[Type]): () => void;
  leave(): void;
}

export interface Room extends Channel<RoomEvents> {
  readonly room: string;
  /** From which a later `join` may continue; null before it is known. */
  readonly position: string | null;
  /** Whether messages of the past are still to come. */
  readonly isCatchingUp: boolean;
  readonly outbox: Outbox;
  /** Sends a message now or when connected; null if another tab has settled it. */
  send(message: string | Content): Promise<Ack | null>;
  /** As `send`; returns null when the outbox is full. */
  queue(message: string | Content): Entry | null;
  /** Returns false without a connection. */
  signalTyping(): boolean;
  /** In a private chat, reports everything up to this message as read. */
  markRead(id: string): boolean;
  /** Null when the connection cannot answer. */
  history(before?: string, limit?: number): Promise<History | null>;
}

export type PushStream = Channel<PushEvents>;
export type Inbox = Channel<InboxEvents>;

export interface RoomOptions {
  /** Messages of the past on the first join, 0 to 1000; 0 without it. */
  history?: number | ((via: Via) => number);
  /** A `position` to continue from instead. */
  since?: string;
  /** False: no `presence` events. */
  presence?: boolean;
  /** False: no `typing` events. */
  typing?: boolean;
  /** Keeps unsent messages in local storage under this name, for one user of one room. */
  unsentAs?: string;
  /** Whether the room is private, as far as the program knows before the first welcome. */
  isPrivate?: boolean;
}

export type Credential = string | (() => string | Promise<string>);

export interface ParlorOptions {
  /** A JSON Web Token. A function is called for each connection. */
  token?: Credential;
  /** A ticket, which serves one connection: give a function. */
  ticket?: Credential;
  /**
   * The id of the user that the program is for. A connection that the server welcomes as another one
   * ends with `login_ended` before anything is sent.
   */
  user?: string;
  /** The path of the WebSocket, /ws without it. */
  path?: string;
  /** Whether to fall back to Server-Sent Events; without it, on pages of the server only. */
  sse?: boolean;
  /** Headers of messages by POST, when there is no WebSocket. */
  headers?: Record<string, string>;
  /** The class for WebSockets; required where there is no global one, unless `sse` is true. */
  WebSocket?: unknown;
}

export class Parlor {
  /**
   * `base` is the address of the server; without it, that of the page. Throws a `ParlorError`,
   * "websocket", without a class for WebSockets.
   */
  constructor(base?: string | URL, options?: ParlorOptions);
  readonly state: State;
  on(type: "state", listener: ChannelEvents["state"]): () => void;
  /** Why connections fail: "credentials", "websocket" or "refused". Without a listener, the console shows it. */
  on(type: "error", listener: (error: ParlorError) => void): () => void;
  /** Throws an error if the room is joined already. */
  join(room: string, options?: RoomOptions): Room;
  joinPush(room: string): PushStream;
  joinInbox(): Inbox;
  /** Leaves all channels and closes the connection for good. */
  close(): void;
}

export class ParlorError extends Error {
  constructor(code: string, message: string, details?: { cause?: unknown; status?: number | null });
  /**
   * An error code, the name of a close code, a `Failure`, "full" or "left"; "credentials" when a
   * function for `token` or `ticket` has thrown `cause`, "websocket" when the class for WebSockets
   * has, or there is none, "refused" when the server answers connections with `status`.
   */
  readonly code: string;
  /** The HTTP status of a server that refuses connections, else null. */
  readonly status: number | null;
}

export const CloseCode: Readonly<Record<
  | "NORMAL" | "PROTOCOL_ERROR" | "UNSUPPORTED_DATA" | "INVALID_PAYLOAD" | "POLICY_VIOLATION"
  | "MESSAGE_TOO_BIG" | "INTERNAL_ERROR" | "SERVICE_RESTART" | "TRY_AGAIN_LATER" | "LOGIN_ENDED"
  | "FORBIDDEN" | "UNRESPONSIVE" | "RATE_LIMITED",
  number
>>;

export const ErrorCode: Readonly<{
  MALFORMED: "malformed";
  UNKNOWN_TYPE: "unknown_type";
  TOO_LARGE: "too_large";
  BAD_ID: "bad_id";
  CONFLICT: "conflict";
  NOT_JOINED: "not_joined";
  ALREADY_JOINED: "already_joined";
  TOO_MANY: "too_many";
  INVALID_ROOM: "invalid_room";
  LOGIN_REQUIRED: "login_required";
  NO_ACCESS: "no_access";
  NOT_FOUND: "not_found";
  UNAVAILABLE: "unavailable";
  INTERNAL: "internal";
  RATE: "rate";
}>;

export const Failure: Readonly<{ EXPIRED: "expired"; ENDED: "ended"; PUBLIC: "public" }>;
