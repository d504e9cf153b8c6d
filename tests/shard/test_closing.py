"""Closing by the server, seen by a client that does not answer."""

import asyncio
from typing import Any

import pytest

from shardws import Disconnected, Outcome, ShardwsError
from tests.shard.server_fixture import EventRecorder, client, listening, new_server, run, until
from tests.upgrade_request import UPGRADE

READ_S = 5.0


@pytest.mark.surface("WaitForCloseResponse", "Disconnect", "Disconnected")
@pytest.mark.parametrize(
    ("waits", "told"), [(True, (1006, "no close frame within CloseTimeout")), (False, (1000, ""))]
)
def test_the_client_is_waited_for_or_not(waits: bool, told: tuple[int, str]) -> None:
    """Without waiting TCP ends behind our close frame; else CloseTimeout passes.

    It was told as "the connection was lost", though the server had ended it.
    """

    async def main() -> None:
        recorder = EventRecorder()
        server = new_server()
        server.wait_for_close_response = waits
        server.close_timeout = 0.5
        server.on_connected = lambda e: recorder.note("connected", e.connection_id)
        server.on_disconnected = lambda e: recorder.note("disconnected", *e[1:])
        async with listening(server):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.local_port)
            writer.write(UPGRADE)
            await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), READ_S)
            server.disconnect((await recorder.wait_for("connected"))[0][1])
            frame = await asyncio.wait_for(reader.readexactly(4), READ_S)
            assert frame == b"\x88\x02\x03\xe8"
            if waits:  # the connection is kept for the answer, which never comes
                assert [name for name, *_ in recorder.events] == ["connected"]
            assert await recorder.wait_for("disconnected") == [("disconnected", *told)]
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


@pytest.mark.surface("WaitForCloseResponse", "Disconnected", "WebSocketConnectionCount")
def test_without_waiting_disconnected_comes_while_tcp_still_lingers() -> None:
    """It came two seconds later, when TCP had ended too."""

    async def main() -> None:
        recorder = EventRecorder()
        server = new_server()
        server.wait_for_close_response = False

        async def on_disconnected(e: Disconnected) -> None:
            shown = server.get_web_socket_connection_request_uri(e.connection_id)
            recorder.note("disconnected", e.status_code, shown)
            await asyncio.sleep(0)
            server.get_web_socket_connection_remote_port(e.connection_id)  # the record is there
            recorder.note("done")

        server.on_connected = lambda e: recorder.note("connected", e.connection_id)
        server.on_ready_to_send = lambda e: recorder.note("ready")
        server.on_disconnected = on_disconnected
        server.on_error = lambda e: recorder.note("error", e.error_code)
        async with listening(server):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.local_port)
            writer.write(UPGRADE)
            await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), READ_S)
            identity = (await recorder.wait_for("connected"))[0][1]
            server.disconnect(identity)
            assert [event[0] for event in recorder.events] == ["connected", "ready"]  # not inside
            assert await recorder.wait_for("disconnected") == [("disconnected", 1000, "/")]
            assert server._shard is not None
            shard = server._shard
            (lingering,) = shard.connections  # TCP is not over
            assert server.web_socket_connection_count == 0
            await recorder.wait_for("done")
            await asyncio.sleep(0)
            assert identity not in server.connections
            with pytest.raises(ShardwsError) as raised:
                server.get_web_socket_connection_connected(identity)
            assert raised.value.code == 1117
            assert server.send(identity, b"x").outcome is Outcome.GONE
            writer.write(b"\x82\x81\x00\x00\x00\x00x")  # nobody's any more
            assert await asyncio.wait_for(reader.read(), READ_S) == b"\x88\x02\x03\xe8"
            writer.close()
            await until(lambda: not shard.connections)
            assert lingering.extras is None
            assert server.web_socket_connection_count == 0
        assert [event[0] for event in recorder.events] == [
            "connected",
            "ready",
            "disconnected",
            "done",
        ]

    run(main())


def test_a_violation_is_told_at_once_too() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = new_server()
        server.on_disconnected = lambda e: recorder.note("disconnected", e.status_code)
        async with listening(server):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.local_port)
            writer.write(UPGRADE + b"\x83\x80\x00\x00\x00\x00")
            assert await recorder.wait_for("disconnected") == [("disconnected", 1002)]
            assert server._shard is not None
            assert len(server._shard.connections) == 1
            answer = await asyncio.wait_for(reader.read(), READ_S)
            assert b"\x88" in answer
            writer.close()

    run(main())
