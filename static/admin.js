// Entry of the operator pages.

import { confirmSubmits } from "./confirmation.js";
import { FigureTable } from "./figureTable.js";
import { startPage } from "./pageFrame.js";
import { showTimes } from "./times.js";

startPage();
confirmSubmits(document);
const language = document.documentElement.lang;
showTimes(language, { dateStyle: "short", timeStyle: "medium" });
const table = document.querySelector("[data-figures]");
if (table) new FigureTable(table, language).start();
