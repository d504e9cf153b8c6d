"""What a shard answers to others about its connections."""

import json

import pytest

from shardws import ShardwsError
from shardws.shard import snapshot
from tests.shard.serving import Recorder, listening, run
from tests.shard.visits import connected, recording_server


def test_a_question_that_nobody_asks_is_refused() -> None:
    async def main() -> None:
        recorder = Recorder()
        server = recording_server(recorder)
        async with listening(server):
            ws, identity = await connected(server, recorder)
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
