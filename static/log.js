// The log of a room: inserts once per frame, stays where one reads, and keeps a bounded number of messages.

const LINES = 100; // in a chunk: the browser lays out only the chunks in view, and asks each of them if it is
const CHUNKS = 100; // full ones kept on the page; more only slow it down
const SLACK = 5; // chunks over that before any is removed
const NEAR_END = 48; // px: this close to the end counts as reading the newest

const byId = (id) => document.getElementById(id);
const scroller = byId("chat-log");
const list = byId("messages");
const jump = byId("jump");

export function element(tag, className, text = "") {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

export class Log {
  #texts;
  #plural;
  #clock;
  #precise;
  #calendar;
  #queue = [];
  #frame = 0;
  #fallback = 0;
  #following = true; // reading the newest: the end stays in view
  #top = 0; // the last known scroll position
  #unread = 0;
  #day = new Date().toDateString();

  constructor(texts) {
    const language = document.documentElement.lang;
    this.#texts = texts;
    this.#plural = new Intl.PluralRules(language);
    const clock = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
    this.#clock = new Intl.DateTimeFormat(language, clock);
    this.#precise = new Intl.DateTimeFormat(language, { ...clock, second: "2-digit" });
    this.#calendar = new Intl.DateTimeFormat(language, { dateStyle: "full" });
    scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    jump.addEventListener("click", () => {
      this.follow();
      scroller.focus({ preventScroll: true }); // the button is about to vanish with the focus on it
    });
    // The view or a message changes its height (keyboard, longer draft, lazily laid out text): hold on to the end.
    const keep = new ResizeObserver(() => this.#following && this.#toEnd());
    keep.observe(scroller);
    keep.observe(list);
  }

  // Adds one message of a kind (own, other, push) and returns its element, for what is yet to be said about it.
  add(kind, text, speaker) {
    const now = new Date();
    this.#separateDays(now);
    const item = element("li", `message ${kind}`);
    const body = element("p", "text", text);
    body.dir = "auto";
    const meta = element("p", "meta");
    const time = element("time", "", this.#clock.format(now));
    time.dateTime = now.toISOString();
    time.title = this.#calendar.format(now);
    meta.append(element("span", "speaker", speaker), " ", time);
    if (kind === "push") item.ariaLive = "off"; // a line every two seconds is not to be read aloud
    item.append(body, meta);
    this.put(item);
    return item;
  }

  // Adds a line about the log itself.
  note(text) {
    this.put(element("li", "note", text));
  }

  // Puts an item at the end, also one that is already in the log.
  put(item) {
    this.#queue.push(item);
    if (this.#frame) return;
    this.#frame = requestAnimationFrame(() => this.#flush());
    this.#fallback = setTimeout(() => this.#flush(), 500); // a page in the background gets no frames
  }

  // Goes to the end and stays there.
  follow() {
    this.#following = true;
    this.#seen();
    this.#toEnd();
  }

  // A time of day to the second.
  time(date) {
    return this.#precise.format(date);
  }

  #separateDays(now) {
    const day = now.toDateString();
    if (day === this.#day) return;
    this.#day = day;
    this.put(element("li", "day", this.#calendar.format(now)));
  }

  #flush() {
    cancelAnimationFrame(this.#frame);
    clearTimeout(this.#fallback);
    this.#frame = 0;
    byId("chat-log-empty").hidden = true;
    const batch = this.#queue.splice(0);
    this.#append([...batch]);
    this.#trim();
    if (this.#following) return this.#toEnd();
    this.#unread += batch.filter((item) => item.classList.contains("message")).length;
    if (this.#unread === 0) return;
    const text = this.#texts[`new_${this.#plural.select(this.#unread)}`] ?? this.#texts.new_other;
    jump.textContent = text.replace("{count}", this.#unread);
    jump.hidden = false;
  }

  #append(batch) {
    while (batch.length) {
      let chunk = list.lastElementChild;
      if (!chunk || chunk.childElementCount >= LINES) list.append((chunk = element("ol", "chunk")));
      chunk.append(...batch.splice(0, LINES - chunk.childElementCount));
    }
  }

  // Who reads above is not to have the page cut under the eyes: for them the bound is twice as far.
  // A message of one's own that is not confirmed outlives it: it must not vanish unnoticed.
  #trim() {
    const chunks = [...list.children];
    const bound = this.#following ? CHUNKS : 2 * CHUNKS;
    if (chunks.length <= bound + SLACK) return;
    const first = chunks.at(-bound);
    const top = first.getBoundingClientRect().top;
    for (const chunk of chunks.slice(0, -bound)) {
      const kept = chunk.querySelectorAll("[data-state=pending], [data-state=unconfirmed]");
      if (kept.length) chunk.replaceChildren(...kept);
      else chunk.remove();
    }
    const cap = byId("chat-log-cap");
    const count = (bound * LINES).toLocaleString(document.documentElement.lang);
    cap.textContent = this.#texts.cap.replace("{count}", count);
    cap.hidden = false;
    scroller.scrollTop += first.getBoundingClientRect().top - top; // not every browser keeps the view in place itself
  }

  // Only a way up ends the following: the distance to the end also grows when messages come or get their real height.
  #scrolled() {
    const end = scroller.scrollHeight - scroller.clientHeight - scroller.scrollTop < NEAR_END;
    if (end) this.#seen();
    if (end || scroller.scrollTop < this.#top) this.#following = end;
    this.#top = scroller.scrollTop;
  }

  #seen() {
    this.#unread = 0;
    jump.hidden = true;
  }

  #toEnd() {
    scroller.scrollTop = scroller.scrollHeight;
    this.#top = scroller.scrollTop;
  }
}
