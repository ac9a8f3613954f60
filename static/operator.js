// Entry of the operator's page of a room.

import { OperatorTools } from "./operatorTools.js";
import { startPage } from "./pageFrame.js";
import { RoomPage } from "./roomPage.js";

const page = new RoomPage();
startPage(page.parlor);
// The user is no longer an operator.
page.parlor.on("error", ({ status }) => status === 404 && location.reload());
new OperatorTools();
