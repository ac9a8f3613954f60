"""Drives the tutorial's wire at HOST:PORT with the library `websockets`; each step is a line on stdout, a failure ends it with 1."""

import asyncio
import json
import re
import sys
from urllib.parse import quote
from urllib.request import urlopen

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

HOST = sys.argv[1]
ROOM = "聊天"
PREFIX = "[收到消息] "
LINE = re.compile(r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\] 实时推送 - 房间: " + ROOM)


def room(kind):
    slash = "/" if kind == "chat" else ""
    return connect(f"ws://{HOST}/ws/{kind}/{quote(ROOM)}{slash}")


async def message(socket):
    """The text of the next frame, which has nothing but a message."""
    async with asyncio.timeout(10):
        frame = await socket.recv()
    assert isinstance(frame, str), frame
    members = json.loads(frame)
    assert list(members) == ["message"], frame
    return members["message"]


async def say(socket, text):
    await socket.send(json.dumps({"message": text}))


async def two_people_in_a_room():
    async with room("chat") as ann, room("chat") as bob:
        for speaker, text in [(ann, "hi 你好"), (bob, '"<&> 👩‍👩‍👧'), (ann, "\u0000\n\\"), (bob, "")]:
            await say(speaker, text)
            for listener in (ann, bob):
                assert await message(listener) == PREFIX + text


async def bad_frames_and_their_codes():
    bad = {b"\x00": 1003, "no JSON": 1007, "[]": 1008, "{}": 1008, '{"message": 1}': 1008, "x" * 70_000: 1009}
    async with room("chat") as onlooker:
        for frame, code in bad.items():
            async with room("chat") as sender:
                await sender.send(frame)
                try:
                    got = await message(sender)
                except ConnectionClosed as closed:
                    assert closed.rcvd is not None, f"no close frame for {frame[:20]!r}"
                    assert (closed.rcvd.code, closed.rcvd.reason != "") == (code, True), (frame[:20], closed.rcvd)
                else:
                    raise AssertionError(f"{got!r} for {frame[:20]!r}")
        await say(onlooker, "all well")
        assert await message(onlooker) == PREFIX + "all well"


async def push_lines_after_a_get():
    async with room("push") as first, room("push") as second:
        with await asyncio.to_thread(urlopen, f"http://{HOST}/push?room={quote(ROOM)}", timeout=10) as answer:
            assert json.load(answer) == {"status": "success"}
        for _ in range(2):
            line = await message(first)
            assert LINE.fullmatch(line), line
            assert await message(second) == line


async def main():
    for step in (two_people_in_a_room, bad_frames_and_their_codes, push_lines_after_a_get):
        await step()
        print("ok:", step.__name__, flush=True)


asyncio.run(main())
