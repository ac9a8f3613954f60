// What every page has: menus in the bar and, for users with an account, the count of unread private
// messages.

import { closeMenus } from "./menus.js";

export async function startPage() {
  closeMenus();
  const accountMenu = document.querySelector("[data-inbox]");
  if (!accountMenu) return; // a guest needs no socket code
  const { Inbox } = await import("./inbox.js");
  new Inbox(accountMenu);
}
