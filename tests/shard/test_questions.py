"""What a shard answers to others about its connections."""

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
            answer = shard.routing_sink.answer(identity, snapshot.QUESTION)
            assert answer is not None
            assert json.loads(answer)["connection_id"] == identity
            answer = shard.routing_sink.answer(identity, 'set {"timeout": 9}')
            assert answer is not None
            assert json.loads(answer)["timeout"] == view.timeout == 9
            assert shard.routing_sink.answer(identity + 1, snapshot.QUESTION) is None
            with pytest.raises(ShardwsError, match="snapshot"):
                shard.routing_sink.answer(identity, "gossip")
            await ws.close()

    run(main())
