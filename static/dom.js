// Access to the document.

export function byId(id) {
  return document.getElementById(id);
}

// Returns the value that a `json_script` element holds.
export function readJson(id) {
  return JSON.parse(byId(id).textContent);
}

export function createElement(tag, className = "", text = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.textContent = text;
  return element;
}
