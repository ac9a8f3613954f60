// The texts of a page in its language, with numbers and times as that language writes them.

export class Catalogue {
  #plural;
  #number;
  #time;
  #day;

  // `texts` are the entries by key; `language` is a BCP 47 tag.
  constructor(texts, language) {
    this.texts = texts;
    this.#plural = new Intl.PluralRules(language);
    this.#number = new Intl.NumberFormat(language);
    this.#time = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
    this.#day = new Intl.DateTimeFormat(language, { dateStyle: "full" });
  }

  // Replaces each {name} of a text by its value.
  fill(text, values) {
    return text.replace(/\{(\w+)\}/g, (_, name) => {
      const value = values[name];
      return typeof value === "number" ? this.#number.format(value) : value;
    });
  }

  // Returns the text for a count, from the entries `key_one`, `key_other`, ….
  plural(key, count) {
    return this.fill(this.texts[`${key}_${this.#plural.select(count)}`] ?? this.texts[`${key}_other`], { count });
  }

  // Formats the time of day.
  time(date) {
    return this.#time.format(date);
  }

  // Formats the calendar day.
  day(date) {
    return this.#day.format(date);
  }
}
