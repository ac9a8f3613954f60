// A window with local storage that other tabs share.

// Storage as the Web Storage specification has it, as far as the modules use it.
export class FakeStorage {
  #items = new Map();

  get length() {
    return this.#items.size;
  }

  key(index) {
    return [...this.#items.keys()][index] ?? null;
  }

  getItem(key) {
    return this.#items.get(key) ?? null;
  }

  setItem(key, value) {
    this.#items.set(key, String(value));
  }

  removeItem(key) {
    this.#items.delete(key);
  }
}

export class FakeWindow extends EventTarget {
  constructor(localStorage = new FakeStorage()) {
    super();
    this.localStorage = localStorage;
  }

  // What this window gets when another tab changes a key.
  otherTabChanged(key, newValue) {
    this.dispatchEvent(Object.assign(new Event("storage"), { key, newValue }));
  }
}
