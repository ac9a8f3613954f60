// Entry of the page of a room.

import { startPage } from "./pageFrame.js";
import { RoomPage } from "./roomPage.js";

const page = new RoomPage();
startPage(page.parlor);
