// The pages of operators: a table whose figures are fetched anew every two seconds, times in the reader's own zone, and a
// question before what cannot be undone.

const PERIOD = 2000; // ms
const WINDOW = 10000; // ms over which a pace is told: what nodes tell of themselves is up to 2 s old

const language = document.documentElement.lang;
const numbers = new Intl.NumberFormat(language, { maximumFractionDigits: 1 });
const times = new Intl.DateTimeFormat(language, { dateStyle: "short", timeStyle: "medium" });

for (const time of document.querySelectorAll("time")) time.textContent = times.format(new Date(time.dateTime));

addEventListener("submit", (event) => {
  const question = event.submitter?.dataset.confirm;
  if (question && !confirm(question)) event.preventDefault();
});

const table = document.querySelector("[data-figures]");
const totals = new Map(); // by row and figure: [when, how many] of the last seconds
if (table) {
  look();
  setInterval(look, PERIOD);
  document.addEventListener("visibilitychange", look);
}

async function look() {
  if (document.hidden) return;
  const state = document.getElementById("figures-state");
  try {
    const answer = await fetch(table.dataset.figures, { cache: "no-store", signal: AbortSignal.timeout(PERIOD * 2) });
    if (answer.status === 404) location.reload(); // no operator any more
    if (!answer.ok) throw new Error(String(answer.status));
    show(await answer.json());
    state.textContent = "";
  } catch {
    state.textContent = state.dataset.away;
  }
}

function show(figures) {
  const body = table.tBodies[0];
  const known = new Map([...body.rows].map((row) => [row.dataset.key, row]));
  figures.rows.forEach((facts, place) => {
    const row = known.get(facts.name) ?? document.getElementById("row").content.firstElementChild.cloneNode(true);
    known.delete(facts.name);
    row.dataset.key = facts.name;
    for (const cell of row.querySelectorAll("[data-figure]")) fill(cell, facts, figures.at);
    if (body.rows[place] !== row) body.insertBefore(row, body.rows[place] ?? null);
  });
  for (const row of known.values()) row.remove();
  for (const total of document.querySelectorAll("[data-total]")) {
    total.textContent = numbers.format(figures[total.dataset.total]);
  }
}

function fill(cell, facts, at) {
  const { figure } = cell.dataset;
  const words = {
    name: () => facts.name,
    uptime: () => duration(at - facts.since_ms),
    lag_ms: () => (facts.lag_ms === null ? "–" : `${numbers.format(facts.lag_ms)} ms`),
    published: () => pace(`${facts.name} published`, facts.published, at),
    delivered: () => pace(`${facts.name} delivered`, facts.delivered, at),
    state: () => table.dataset[facts.closed ? "closed" : facts.private ? "private" : "public"],
  };
  const text = (words[figure] ?? (() => numbers.format(facts[figure])))();
  if (cell.tagName === "A") {
    cell.href = `${table.dataset.rooms}${encodeURIComponent(facts.name)}/`;
    cell = cell.firstElementChild;
  }
  if (cell.textContent !== text) cell.textContent = text; // else a screen reader would hear it again
}

// How many a second; nothing is known from one look alone.
function pace(name, total, at) {
  const looks = (totals.get(name) ?? []).filter(([when]) => at - when <= WINDOW);
  looks.push([at, total]);
  totals.set(name, looks);
  const [since, before] = looks[0];
  return at > since ? numbers.format(Math.max(0, total - before) / ((at - since) / 1000)) : "–";
}

function duration(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const two = (number) => String(number).padStart(2, "0");
  return `${Math.floor(seconds / 3600)}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
}
