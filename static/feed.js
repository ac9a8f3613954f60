// The room without a WebSocket: its frames as Server-Sent Events, its messages by POST.

import { parsed } from "./wire.js";

const PATIENCE = 10000; // ms for the server's answer to a message
const REFUSED = { 401: 4401, 403: 4403, 404: 4403 }; // statuses after which asking again changes nothing, as close codes

// Gives a function that opens one feed, in the shape of `wire`. Read by `fetch` and not by `EventSource`, which
// hides the comments: they are the only sign of life in a quiet room.
export function feed(path, messages, token) {
  return (query, on) => {
    const stop = new AbortController();
    let open = true;
    const gone = (status) => {
      if (open) on.gone(REFUSED[status] ?? 0, "");
      open = false;
    };
    const url = new URL(path, location.href);
    url.search = new URLSearchParams(query);
    read(url, stop.signal, on).then(gone, () => gone(0));
    return {
      asks: false, // has no way to ask for `history`
      closed: false,
      send(frame) {
        if (!open || frame.type !== "message") return false;
        say(messages, token, frame).then((answer) => open && on.frame(answer));
        return true;
      },
      close() {
        open = false;
        stop.abort();
      },
    };
  };
}

// Ends with the status of a refusal, or with 0.
async function read(url, signal, on) {
  const answer = await fetch(url, { signal, headers: { Accept: "text/event-stream" }, cache: "no-store" });
  if (!answer.ok || !answer.body) return answer.status;
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let data = [];
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return 0;
    on.beat();
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines.map((line) => line.replace(/\r$/, ""))) {
      if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
      if (line !== "" || data.length === 0) continue;
      const frame = parsed(data.join("\n"));
      data = [];
      if (frame) on.frame(frame);
    }
  }
}

// The server's answer to a message; if there is none, the one that says so.
async function say(url, token, frame) {
  const error = { type: "error", code: "unavailable", client_id: frame.id, retry: true };
  try {
    const headers = { "Content-Type": "application/json", "X-CSRFToken": token };
    const signal = AbortSignal.timeout(PATIENCE);
    const answer = await fetch(url, { method: "POST", headers, body: JSON.stringify(frame), signal });
    const said = parsed(await answer.text());
    if (said) return { ...said, client_id: said.client_id ?? frame.id };
    const later = answer.status >= 500 || answer.status === 408 || answer.status === 429;
    return later ? error : { ...error, code: "refused", retry: false };
  } catch {
    return { ...error, code: "unreachable" };
  }
}
