// The page to choose a room: opens /chat/NAME/ for the name in the field.

const form = document.getElementById("room-form");
const field = document.getElementById("room-name-input");
const error = document.getElementById("room-name-error");

form.noValidate = true; // our own words instead of the browser's bubble
form.addEventListener("submit", (event) => {
  event.preventDefault();
  const name = field.value.normalize("NFC").trim();
  const refusal = whyNot(name);
  say(refusal);
  if (refusal) field.focus();
  else location.assign(new URL(`${encodeURIComponent(name)}/`, form.action));
});
field.addEventListener("input", () => say(""));

// Only what the server cannot be asked: the browser itself resolves `/chat/../` to another page, a lone
// surrogate has no percent-encoding, and an empty or over-long name is plain to see. The server knows the rest.
function whyNot(name) {
  if (name === "") return form.dataset.empty;
  if (name === "." || name === "..") return form.dataset.refused;
  if (/\p{Surrogate}/u.test(name)) return form.dataset.refused;
  if ([...name].length > Number(form.dataset.maxChars)) return form.dataset.refused;
  return "";
}

function say(text) {
  error.textContent = text;
  field.setAttribute("aria-invalid", String(text !== ""));
}
