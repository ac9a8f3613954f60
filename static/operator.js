// Entry of the operator's page of a room.

import { OperatorTools } from "./operatorTools.js";
import { startPage } from "./pageFrame.js";
import { RoomPage } from "./roomPage.js";

startPage();
new RoomPage();
new OperatorTools();
