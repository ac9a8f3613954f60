// Entry of the operator pages.

import { confirmSubmits } from "./confirmation.js";
import { FigureTable } from "./figureTable.js";
import { startPage } from "./pageFrame.js";

startPage();
confirmSubmits(document);
const language = document.documentElement.lang;
const format = new Intl.DateTimeFormat(language, { dateStyle: "short", timeStyle: "medium" });
for (const time of document.querySelectorAll("time")) time.textContent = format.format(new Date(time.dateTime));
const table = document.querySelector("[data-figures]");
if (table) new FigureTable(table, language).start();
