// Asks before a form is submitted by a button with `data-confirm`.

export function confirmSubmits(target) {
  target.addEventListener("submit", (event) => {
    const question = event.submitter?.dataset.confirm;
    if (question && !confirm(question)) event.preventDefault();
  });
}
