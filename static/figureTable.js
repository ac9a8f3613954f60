// A table of figures that is refreshed while the page is visible.

import { byId } from "./dom.js";

const REFRESH_INTERVAL = 2000; // ms
const RATE_WINDOW = 10000; // ms to average over: figures of a node are up to 2 s old

export class FigureTable {
  #table;
  #state = byId("figures-state");
  #number;
  #samples = new Map(); // `[at, total]` within the window, by row and figure

  constructor(table, language) {
    this.#table = table;
    this.#number = new Intl.NumberFormat(language, { maximumFractionDigits: 1 });
  }

  start() {
    this.#refresh();
    setInterval(() => this.#refresh(), REFRESH_INTERVAL);
    document.addEventListener("visibilitychange", () => this.#refresh());
  }

  async #refresh() {
    if (document.hidden) return;
    try {
      const signal = AbortSignal.timeout(REFRESH_INTERVAL * 2);
      const response = await fetch(this.#table.dataset.figures, { cache: "no-store", signal });
      if (response.status === 404) location.reload(); // the user is no longer an operator
      if (!response.ok) throw new Error(String(response.status));
      this.#show(await response.json());
      this.#state.textContent = "";
    } catch {
      this.#state.textContent = this.#state.dataset.away;
    }
  }

  #show(figures) {
    const body = this.#table.tBodies[0];
    const known = new Map([...body.rows].map((row) => [row.dataset.key, row]));
    figures.rows.forEach((values, index) => {
      const row = known.get(values.name) ?? byId("row").content.firstElementChild.cloneNode(true);
      known.delete(values.name);
      row.dataset.key = values.name;
      for (const cell of row.querySelectorAll("[data-figure]")) this.#fill(cell, values, figures.at);
      if (body.rows[index] !== row) body.insertBefore(row, body.rows[index] ?? null);
    });
    for (const row of known.values()) row.remove();
    for (const total of document.querySelectorAll("[data-total]")) {
      total.textContent = this.#number.format(figures[total.dataset.total]);
    }
  }

  #fill(cell, values, at) {
    const text = this.#text(cell.dataset.figure, values, at);
    if (cell.tagName === "A") {
      cell.href = `${this.#table.dataset.rooms}${encodeURIComponent(values.name)}/`;
      cell = cell.firstElementChild;
    }
    // Screen readers would announce an unchanged cell again.
    if (cell.textContent !== text) cell.textContent = text;
  }

  #text(figure, values, at) {
    const rate = () => this.#rate(`${values.name} ${figure}`, values[figure], at);
    const columns = {
      name: () => values.name,
      uptime: () => duration(at - values.since_ms),
      lag_ms: () => (values.lag_ms === null ? "–" : `${this.#number.format(values.lag_ms)} ms`),
      published: rate,
      delivered: rate,
      state: () => this.#table.dataset[values.closed ? "closed" : values.private ? "private" : "public"],
    };
    return columns[figure]?.() ?? this.#number.format(values[figure]);
  }

  // Returns the increase a second; "–" after one sample.
  #rate(key, total, at) {
    const samples = (this.#samples.get(key) ?? []).filter(([sampledAt]) => at - sampledAt <= RATE_WINDOW);
    samples.push([at, total]);
    this.#samples.set(key, samples);
    const [since, before] = samples[0];
    return at > since ? this.#number.format(Math.max(0, total - before) / ((at - since) / 1000)) : "–";
  }
}

// Formats milliseconds as hours, minutes and seconds.
function duration(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const twoDigits = (number) => String(number).padStart(2, "0");
  return `${Math.floor(seconds / 3600)}:${twoDigits(Math.floor(seconds / 60) % 60)}:${twoDigits(seconds % 60)}`;
}
