// Entry of the home page.

import { startPage } from "./pageFrame.js";
import { RoomChooser } from "./roomChooser.js";

startPage();
new RoomChooser();
