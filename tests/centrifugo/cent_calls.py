"""Calls each method of Centrifugo's server API by its own Python library, cent 5."""

import sys

from cent import (
    BatchRequest,
    BroadcastRequest,
    CentApiResponseError,
    ChannelsRequest,
    Client,
    DisconnectRequest,
    HistoryRemoveRequest,
    HistoryRequest,
    InfoRequest,
    PresenceRequest,
    PresenceStatsRequest,
    PublishRequest,
    RefreshRequest,
    SubscribeRequest,
    UnsubscribeRequest,
)

address, key = sys.argv[1:]
client = Client(address, key)

first = client.publish(PublishRequest(channel="lobby", data={"n": 1}, idempotency_key="one"))
again = client.publish(PublishRequest(channel="lobby", data={"n": 1}, idempotency_key="one"))
assert (first.offset, first.epoch) == (again.offset, again.epoch) == (1, first.epoch), (first, again)

both = client.broadcast(BroadcastRequest(channels=["lobby", "hall"], data={"n": 2}))
assert [response.result.offset for response in both.responses] == [2, 1], both

history = client.history(HistoryRequest(channel="lobby", limit=10))
assert [publication.data for publication in history.publications] == [{"n": 1}, {"n": 2}], history
assert client.presence(PresenceRequest(channel="lobby")).presence == {}
assert client.presence_stats(PresenceStatsRequest(channel="lobby")).num_clients == 0
client.channels(ChannelsRequest())
assert len(client.info(InfoRequest()).nodes) == 1

client.subscribe(SubscribeRequest(user="sub:42", channel="lobby"))
client.unsubscribe(UnsubscribeRequest(user="sub:42", channel="lobby"))
client.refresh(RefreshRequest(user="sub:42", expire_at=4_000_000_000))
client.disconnect(DisconnectRequest(user="sub:42"))

replies = client.batch(
    BatchRequest(
        requests=[
            PublishRequest(channel="lobby", data={"n": 3}),
            HistoryRequest(channel="lobby", limit=1, reverse=True),
            HistoryRemoveRequest(channel="hall"),
        ]
    )
).replies
assert replies[0].offset == 3, replies
assert replies[1].publications[0].data == {"n": 3}, replies
assert client.history(HistoryRequest(channel="hall", limit=10)).publications == []

try:
    client.publish(PublishRequest(channel="push:lobby", data={}))
    raise AssertionError("a push stream takes no publication")
except CentApiResponseError as error:
    assert error.code == 102, error

print("ok")
