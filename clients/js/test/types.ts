// What a program in TypeScript writes: it must compile, and what is marked must not.

import { CloseCode, Failure, Parlor, ParlorError } from "../parlor.js";
import type { Ack, End, Entry, Gap, Message, Room } from "../parlor.js";

const parlor = new Parlor("https://chat.example.org", { token: async () => "a.b.c", sse: false });
const lobby: Room = parlor.join("lobby", { history: (via) => (via === "sse" ? 200 : 50), typing: false });

const stop: () => void = lobby.on("message", (message: Message, { isPast }) => {
  const words: string | null = isPast ? null : message.text;
  console.log(words, message.data, message.at?.toFixed());
});
lobby.on("gap", ({ reason }: Gap) => console.log(reason));
parlor.on("error", ({ code, status, cause }: ParlorError) => console.log(code, status?.toFixed(), cause));
lobby.on("left", ({ code, error }: End) => console.log(code === CloseCode.FORBIDDEN, error));
lobby.on("failed", (entry: Entry) => entry.failed === Failure.EXPIRED && lobby.outbox.resend(entry));
parlor.joinInbox().on("unread", ({ name, count }) => console.log(name, count + 1));
parlor.joinPush("lobby").on("push", ({ text }) => console.log(text.length));

export async function run(): Promise<void> {
  const { members } = await lobby.joined;
  console.log(members?.length);
  const ack: Ack | null = await lobby.send({ data: { x: [1, null] }, event: "roll" });
  const page = await lobby.history(ack?.id, 10);
  console.log(page?.messages.map(({ id }) => id));
  try {
    await lobby.send("hi");
  } catch (error) {
    if (error instanceof ParlorError) console.log(error.code);
  }
  stop();
  parlor.close();
}

// @ts-expect-error: a room has no such event
lobby.on("unread", () => {});
// @ts-expect-error: the server decides who the client is
lobby.send({ user: "ann" });
// @ts-expect-error: a position is a text
parlor.join("attic", { since: 7 });
