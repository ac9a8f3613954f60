// Unsent messages in local storage, one key for each, so that tabs of one room cannot overwrite one
// another's. Where storage is full or forbidden, messages last as long as the page.

export class UnsentStore {
  #window;
  #prefix;

  constructor(room, window) {
    this.#window = window;
    this.#prefix = `parlor.unsent:${room}:`;
  }

  // Returns what is stored, the oldest first.
  load() {
    try {
      const storage = this.#window.localStorage;
      const keys = Array.from({ length: storage.length }, (_, index) => storage.key(index));
      const own = keys.filter((key) => key.startsWith(this.#prefix));
      const entries = own.map((key) => JSON.parse(storage.getItem(key)));
      const valid = entries.filter((entry) => typeof entry?.text === "string" && Number.isFinite(entry.at));
      return valid.sort((a, b) => a.at - b.at);
    } catch {
      return [];
    }
  }

  save(entry) {
    try {
      this.#window.localStorage.setItem(this.#prefix + entry.id, JSON.stringify(entry));
    } catch {}
  }

  remove(id) {
    try {
      this.#window.localStorage.removeItem(this.#prefix + id);
    } catch {}
  }

  // Calls back with the id of a message that another tab removes.
  onRemoved(callback) {
    this.#window.addEventListener("storage", ({ key, newValue }) => {
      if (key?.startsWith(this.#prefix) && newValue === null) callback(key.slice(this.#prefix.length));
    });
  }
}
