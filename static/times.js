// Times that the server has written, in UTC, as the user's machine writes them.

// Formats every time of the page that states one; `style` are options of `Intl.DateTimeFormat`.
export function showTimes(language, style) {
  const format = new Intl.DateTimeFormat(language, style);
  for (const time of document.querySelectorAll("time[datetime]")) time.textContent = format.format(new Date(time.dateTime));
}
