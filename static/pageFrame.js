// What every page has: menus in the bar and, for users with an account, the count of unread private
// messages.

import { closeMenus } from "./menus.js";

// `parlor` is the page's connection, if it has one.
export async function startPage(parlor = null) {
  closeMenus();
  const accountMenu = document.querySelector("[data-inbox]");
  if (!accountMenu) return; // a guest needs no connection
  const { Inbox } = await import("./inbox.js");
  new Inbox(accountMenu, parlor);
}
