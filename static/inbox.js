// How many messages wait in private chats: a number beside one's name on every page, and beside each chat in the list.

import { Socket } from "./socket.js";
import { wire } from "./wire.js";

const who = document.getElementById("who");
const list = document.getElementById("talks");
const room = document.getElementById("room");
const chats = new Map(); // `{ name, count }` by the user
let frame = 0;

new Socket({ socket: wire(who.dataset.inbox) }, {
  query: () => ({}),
  frame({ type, user, name, count }) {
    if (type === "welcome") chats.clear(); // what follows is how it stands
    else if (type === "unread") chats.set(user, { name, count });
    frame ||= setTimeout(show); // one picture for all that comes at once
  },
  state(now, via, end) {
    if (end?.code !== 4401) return;
    who.hidden = true;
    if (!room) document.getElementById("logged-out").hidden = false; // a room says so itself
  },
});
document.addEventListener("visibilitychange", show);

function show() {
  frame = 0;
  let total = 0;
  for (const [user, { name, count }] of chats) {
    const seen = user === room?.dataset.peer && !document.hidden; // one is reading it
    if (!seen) total += count;
    if (list) line(user, name, count);
  }
  for (const badge of who.querySelectorAll("[data-unread]")) tell(badge, total);
}

// The line of a chat, which may be a new one.
function line(user, name, count) {
  let link = [...list.querySelectorAll("a")].find((link) => link.dataset.user === user);
  if (!link) {
    link = document.createElement("a");
    link.dataset.user = user;
    link.href = `${who.dataset.talks}${encodeURIComponent(name)}/`;
    const badge = document.createElement("span");
    badge.className = "badge";
    const label = document.createElement("bdi");
    label.textContent = name;
    link.append(label, badge);
    const item = document.createElement("li");
    item.append(link);
    list.prepend(item);
  }
  tell(link.querySelector(".badge"), count);
}

function tell(badge, count) {
  badge.textContent = count > 99 ? "99+" : count;
  badge.hidden = count === 0;
}
