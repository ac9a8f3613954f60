// Connections that a test opens, feeds and closes.

export class FakeTransport {
  canRequest;
  connections = [];

  constructor(canRequest = true) {
    this.canRequest = canRequest;
  }

  open(query, listener) {
    const connection = new FakeConnection(query, listener, this.canRequest);
    this.connections.push(connection);
    return connection;
  }

  get last() {
    return this.connections.at(-1);
  }
}

class FakeConnection {
  isClosed = false;
  isDiscarded = false;
  bufferedAmount = 0;
  sent = [];

  constructor(query, listener, canRequest) {
    this.query = query;
    this.listener = listener;
    this.canRequest = canRequest;
  }

  send(frame) {
    if (this.isClosed) return false;
    this.sent.push(frame);
    return true;
  }

  close() {
    this.isDiscarded = true;
  }

  welcome() {
    this.listener.frame({ type: "welcome" });
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
}
