// Entry of the pages without behaviour of their own.

import { startPage } from "./pageFrame.js";
import { showTimes } from "./times.js";

startPage();
showTimes(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short", hourCycle: "h23" });
