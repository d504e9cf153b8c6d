"""What a shard replys to others about its connections."""

import json

import pytest

from shardws import ShardwsError
from shardws.shard import snapshot
from tests.shard.recording_server import connect_with_id, message_recording_server
from tests.shard.server_fixture import EventRecorder, listening, run


def test_a_question_that_nobody_asks_is_refused() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = message_recording_server(recorder)
        async with listening(server):
            ws, identity = await connect_with_id(server, recorder)
            shard, view = server._shard, server.connections[identity]
            assert shard is not None
            reply = shard.routing_sink.reply(identity, snapshot.QUERY)
            assert reply is not None
            assert json.loads(reply)["connection_id"] == identity
            reply = shard.routing_sink.reply(identity, 'set {"timeout": 9}')
            assert reply is not None
            assert json.loads(reply)["timeout"] == view.timeout == 9
            assert shard.routing_sink.reply(identity + 1, snapshot.QUERY) is None
            with pytest.raises(ShardwsError, match="snapshot"):
                shard.routing_sink.reply(identity, "gossip")
            await ws.close()

    run(main())
