"""Closing by the server, seen by a client that does not answer."""

import asyncio
from typing import Any

import pytest

from shardws import Outcome, ShardwsError
from tests.shard.server_fixture import EventRecorder, client, listening, new_server, run
from tests.upgrade_request import UPGRADE

READ_S = 5.0


@pytest.mark.surface("WaitForCloseResponse", "Disconnect", "Disconnected")
@pytest.mark.parametrize(("waits", "told"), [(True, 1006), (False, 1000)])
def test_the_client_is_waited_for_or_not(waits: bool, told: int) -> None:
    """Without waiting TCP ends behind our close frame; else CloseTimeout passes: a loss."""

    async def main() -> None:
        recorder = EventRecorder()
        server = new_server()
        server.wait_for_close_response = waits
        server.close_timeout = 0.5
        server.on_connected = lambda e: recorder.note("connected", e.connection_id)
        server.on_disconnected = lambda e: recorder.note("disconnected", e.status_code)
        async with listening(server):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.local_port)
            writer.write(UPGRADE)
            await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), READ_S)
            server.disconnect((await recorder.wait_for("connected"))[0][1])
            frame = await asyncio.wait_for(reader.readexactly(4), READ_S)
            assert frame == b"\x88\x02\x03\xe8"
            if waits:  # the connection is kept for the answer, which never comes
                assert [name for name, _ in recorder.events] == ["connected"]
            assert await recorder.wait_for("disconnected") == [("disconnected", told)]
            writer.close()

    run(main())


@pytest.mark.surface("Disconnect")
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({}, (3333, "from the settings")),
        ({"code": 4001}, (4001, "")),
        ({"code": 4001, "reason": "go"}, (4001, "go")),
        ({"reason": "go"}, (3333, "go")),
    ],
    ids=["neither", "code", "both", "reason"],
)
def test_disconnect_takes_a_code_and_a_reason(
    arguments: dict[str, Any], told: tuple[int, str]
) -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = new_server()
        server.disconnect_status_code = 3333
        server.disconnect_status_description = "from the settings"
        server.on_connected = lambda e: recorder.note("connected", e.connection_id)
        server.on_disconnected = lambda e: recorder.note("gone", e.status_code, e.description)
        async with listening(server) as url:
            ws = await client(url)
            connection_id = (await recorder.wait_for("connected"))[0][1]
            wrong: list[dict[str, Any]] = [
                {"code": 1005}, {"code": 0}, {"code": "1000"}, {"reason": "x" * 124}, {"reason": 5}
            ]  # fmt: skip
            for each in wrong:
                with pytest.raises(ShardwsError) as error:
                    server.disconnect(connection_id, **each)
                assert error.value.code == 213
            assert await server.disconnect(connection_id, **arguments) is Outcome.QUEUED
            await asyncio.wait_for(ws.wait_closed(), READ_S)
            assert (ws.close_code, ws.close_reason) == told
            assert await recorder.wait_for("gone") == [("gone", *told)]

    run(main())
