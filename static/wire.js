// One WebSocket that speaks parlor.v1: frames as objects in both directions, and the code that ended it.

const PROTOCOL = "parlor.v1";

// `path` is absolute on this origin. Gives a function that opens one connection; it reports to
// `on.frame(frame)` and, once and never at once, to `on.gone(code, reason)`.
export function wire(path) {
  return (query, on) => {
    const url = new URL(path, location.href);
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    url.search = new URLSearchParams(query);
    const ws = new WebSocket(url, PROTOCOL);
    ws.onmessage = (event) => {
      const frame = parsed(event.data);
      if (frame) on.frame(frame);
    };
    ws.onclose = (event) => on.gone(event.code, event.reason);
    return {
      asks: true, // answers `history`
      send(frame) {
        if (ws.readyState !== WebSocket.OPEN) return false;
        ws.send(JSON.stringify(frame));
        return true;
      },
      close() {
        ws.onmessage = ws.onclose = null;
        ws.close();
      },
      get closed() {
        return ws.readyState > WebSocket.OPEN;
      },
    };
  };
}

// The frame in a text; null for what is none, which must not break the page.
export function parsed(text) {
  try {
    const frame = JSON.parse(text);
    return typeof frame?.type === "string" ? frame : null;
  } catch {
    return null;
  }
}
