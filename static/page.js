// Entry of the pages without behaviour of their own.

import { startPage } from "./pageFrame.js";

startPage();
