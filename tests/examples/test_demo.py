"""The demo, while its clients move to another process."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

from examples import demo
from shardws import WebSocketServer
from tests.shard.moving_fixture import pair
from tests.shard.server_fixture import EventRecorder, client, receive, run


def test_what_it_was_asked_to_keep_is_told_on_the_other_side(
    tmp_path: Path, monkeypatch: Any
) -> None:
    """Each of the two processes would have the module for itself."""

    def configure(server: WebSocketServer, recorder: EventRecorder) -> None:
        server.buffer_message = True

        def on(handler: Any) -> Any:
            def run_there(e: Any) -> None:
                monkeypatch.setattr(demo, "server", server)
                handler(e)

            return run_there

        server.on_connected = on(demo.on_connected)
        server.on_resumed = on(demo.on_resumed)
        server.on_data_in = on(demo.on_data_in)

    async def main() -> None:
        async with pair(tmp_path, configure) as two:
            ws = await client(two.url)
            greeting = json.loads(await receive(ws))
            await ws.send(json.dumps({"user_data": "grüße"}))
            await ws.send("echo")
            assert await receive(ws) == "echo"
            assert await two.old.move_to(two.new) == (1, {})
            assert json.loads(await receive(ws)) == {
                "resumed": "reload",
                "connection_id": greeting["connection_id"],
                "shard": 0,
                "pid": os.getpid(),
                "user_data": "grüße",
            }
            await ws.send(json.dumps({"user_data": "x" * 5000}))
            assert json.loads(await receive(ws)) == {"error": 213}
            await asyncio.wait_for(ws.close(), 5)

    run(main())
