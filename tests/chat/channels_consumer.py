"""A chat consumer of Django Channels in a room of Parlor.

Usage: channels_consumer.py REDIS_URL ROOM        prints `joined`, then what the consumer's client is sent
       channels_consumer.py REDIS_URL ROOM TEXT   sends a message to the room, as a view of Django does
"""

import asyncio
import sys

from django.conf import settings

url, room, *texts = sys.argv[1:]
GROUP = f"chat_{room}"
LAYER = {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": {"hosts": [url]}}
settings.configure(CHANNEL_LAYERS={"default": LAYER})

from channels.generic.websocket import AsyncJsonWebsocketConsumer  # noqa: E402
from channels.layers import get_channel_layer  # noqa: E402


class Chat(AsyncJsonWebsocketConsumer):
    async def connect(self):
        await self.channel_layer.group_add(GROUP, self.channel_name)
        await self.accept()

    async def chat_message(self, event):
        await self.send_json(event)


async def listen():
    received = asyncio.Queue()
    await received.put({"type": "websocket.connect"})

    async def send(message):
        print("joined" if message["type"] == "websocket.accept" else message["text"], flush=True)

    await Chat.as_asgi()({"type": "websocket", "path": "/"}, received.get, send)


async def say(text):
    await get_channel_layer().group_send(GROUP, {"type": "chat.message", "message": text})


asyncio.run(say(texts[0]) if texts else listen())
