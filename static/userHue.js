// The colour of a user: the same on every page, one of those in the style sheet.

const HUE_COUNT = 8;

export function userHue(user) {
  let sum = 0;
  for (const letter of user) sum = (sum * 31 + letter.codePointAt(0)) % 65521;
  return sum % HUE_COUNT;
}
