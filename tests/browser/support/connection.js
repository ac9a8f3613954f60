// Connections that a test opens, feeds and closes.

export const WELCOME = { type: "welcome", stream: "chat", room: "lobby" };

export class FakeTransport {
  canRequest;
  connections = [];

  constructor(canRequest = true) {
    this.canRequest = canRequest;
  }

  open(listener) {
    const connection = new FakeConnection(listener, this.canRequest);
    this.connections.push(connection);
    return connection;
  }

  get last() {
    return this.connections.at(-1);
  }
}

class FakeConnection {
  isOpen = false;
  isClosed = false;
  isDiscarded = false;
  bufferedAmount = 0;
  joins = [];
  sent = []; // all other frames

  constructor(listener, canRequest) {
    this.listener = listener;
    this.canRequest = canRequest;
  }

  send(frame) {
    if (!this.isOpen || this.isClosed) return false;
    (frame.type === "join" ? this.joins : this.sent).push(frame);
    return true;
  }

  // The handshake is done: channels are joined.
  open() {
    this.isOpen = true;
    this.listener.opened();
  }

  close() {
    this.isDiscarded = true;
  }

  // Answers the join of a channel, after the handshake.
  welcome(more = {}) {
    if (!this.isOpen) this.open();
    this.listener.frame({ ...WELCOME, ...more });
  }

  frame(frame) {
    this.listener.frame({ room: "lobby", ...frame });
  }

  end(code, reason = "") {
    this.isClosed = true;
    this.listener.closed(code, reason);
  }
}

// A page whose visibility, network and clock a test sets. The clock is the mocked `Date`.
export class FakeLifecycle {
  isHidden = false;
  isOnline = true;
  wake = () => {};
  hide = () => {};
  goOffline = () => {};
  leave = () => {};

  now() {
    return Date.now();
  }

  onWake(callback) {
    this.wake = callback;
  }

  onHide(callback) {
    this.hide = callback;
  }

  onOffline(callback) {
    this.goOffline = callback;
  }

  onLeave(callback) {
    this.leave = callback;
  }

  close() {}
}
