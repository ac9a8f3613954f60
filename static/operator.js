// What an operator can do in a room, beside every message and every name: remove, send away, keep out.

import { byId, element, json } from "./page.js";

const PATIENCE = 10000; // ms for the server's answer

const form = byId("operate");
const notice = byId("operate-notice");
const texts = json("operator-texts");

// `submit` reloads the page by the server's answer; what is done beside a message must leave the log where it is.
form.addEventListener("submit", (event) => {
  const question = event.submitter?.dataset.confirm;
  if (question && !confirm(question)) event.preventDefault();
});

const look = new MutationObserver(() => {
  for (const item of byId("messages").querySelectorAll("[data-id]:not(.removed, :has(.tool))")) {
    item.querySelector(".meta")?.append(" ", tool("remove", () => ({ id: item.dataset.id })));
  }
  for (const old of byId("messages").querySelectorAll(".removed .tool")) old.remove();
  for (const item of byId("member-list").querySelectorAll("[data-user]:not(:has(.tool))")) {
    const user = () => ({ user: item.dataset.user });
    item.append(" ", tool("kick", user), " ", tool("ban", user));
  }
});
for (const id of ["messages", "member-list"]) look.observe(byId(id), { childList: true, subtree: true });

function tool(action, values) {
  const button = element("button", "tool", texts[action]);
  button.type = "button";
  button.dataset.action = action;
  button.addEventListener("click", () => act(action, values()));
  return button;
}

async function act(action, values) {
  if (texts.sure[action] && !confirm(texts.sure[action])) return;
  const body = new URLSearchParams(new FormData(form));
  for (const [name, value] of Object.entries({ action, ...values })) body.set(name, value);
  try {
    // The answer leads back to this page, which need not be fetched for it.
    const options = { method: "POST", body, redirect: "manual", signal: AbortSignal.timeout(PATIENCE) };
    const answer = await fetch(form.getAttribute("action"), options); // `form.action` is a button
    notice.textContent = answer.type === "opaqueredirect" ? "" : texts.refused;
  } catch {
    notice.textContent = texts.unreachable;
  }
}
