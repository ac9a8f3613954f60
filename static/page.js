// What every script of the room's page asks of the document: its elements, its texts, its language.

export const byId = (id) => document.getElementById(id);
export const json = (id) => JSON.parse(byId(id).textContent);
export const texts = json("texts");
export const language = document.documentElement.lang;

const plural = new Intl.PluralRules(language);
const numbers = new Intl.NumberFormat(language);

export function element(tag, className, text = "") {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

// Puts values into a text's {names}.
export function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (_, name) => {
    const value = values[name];
    return typeof value === "number" ? numbers.format(value) : value;
  });
}

// The text of a number of things, as `new_one` and `new_other`.
export function counted(name, count) {
  return fill(texts[`${name}_${plural.select(count)}`] ?? texts[`${name}_other`], { count });
}
