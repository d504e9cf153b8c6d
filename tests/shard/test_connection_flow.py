"""Accepting data, a full queue and idle time of single connections."""

import asyncio

import pytest
from websockets.exceptions import ConnectionClosed

from shardws import (
    DataIn,
    Outcome,
    ShardwsError,
    WebSocketServer,
)
from tests.shard.recording_server import UPGRADE, connect_with_id, message_recording_server
from tests.shard.server_fixture import DEADLINE_S, EventRecorder, listening, receive, run


@pytest.mark.surface("WebSocketConnectionAcceptData")
def test_data_is_held_back_while_accept_data_is_false_and_nothing_is_lost() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = message_recording_server(recorder)
        async with listening(server):
            ws, identity = await connect_with_id(server, recorder)
            other, _ = await connect_with_id(server, recorder)
            assert server.get_web_socket_connection_accept_data(identity)
            server.set_web_socket_connection_accept_data(identity, False)
            assert not server.get_web_socket_connection_accept_data(identity)
            for number in range(3):
                await ws.send(f"held {number}")
            await other.send("goes on")
            assert await recorder.wait_for("data") == [("data", 1, b"goes on")]
            server.send_text(identity, "it can be sent to")
            assert await receive(ws) == "it can be sent to"
            await ws.send("held 3")
            server.set_web_socket_connection_accept_data(identity, True)
            data = await recorder.wait_for("data", 5)
            assert [text for _, _, text in data[1:]] == [b"held %d" % n for n in range(4)]
            await ws.close()
            await other.close()

    run(main())


def test_what_one_read_brought_waits_in_order_while_accept_data_is_false() -> None:
    """A handler that sets AcceptData to False gets no further DataIn of the same segment."""

    async def main() -> None:
        recorder = EventRecorder()
        server = message_recording_server(recorder)

        def on_data_in(e: DataIn) -> None:
            recorder.note("data", e.text)
            if e.text == b"0":
                server.connections[e.connection_id].accept_data = False

        server.on_data_in = on_data_in
        server.on_ready_to_send = lambda e: recorder.note("ready")
        async with listening(server):
            _, writer = await asyncio.open_connection("127.0.0.1", server.local_port)
            frames = b"".join(b"\x82\x81\x00\x00\x00\x00%d" % number for number in range(4))
            writer.write(UPGRADE + frames)
            identity = (await recorder.wait_for("connected"))[0][1]
            assert await recorder.wait_for("data") == [("data", b"0")]
            server.connections[identity].accept_data = True
            assert [text for _, text in await recorder.wait_for("data", 4)] == [
                b"0", b"1", b"2", b"3",
            ]  # fmt: skip
            server.connections[identity].accept_data = False
            writer.write(b"\x82\x81\x00\x00\x00\x004")
            writer.close()
            await writer.wait_closed()
            server.connections[identity].accept_data = True
            await recorder.wait_for("disconnected")
            names = [event[0] for event in recorder.events]
            assert names == ["connected", "ready", *["data"] * 5, "disconnected"]

    run(main())


async def fill(server: WebSocketServer, identity: int, piece: bytes) -> int:
    """Send until the queue is full; return how many messages it took."""
    taken = 0
    while server.send(identity, piece).outcome is Outcome.QUEUED:
        taken += 1
        assert taken < 10_000, "the queue has no bound"
        await asyncio.sleep(0)
    return taken


@pytest.mark.surface(
    "WebSocketConnectionBytesSent",
    "WebSocketConnectionReadyToSend",
    "WebSocketConnectionDataToSend",
    "ReadyToSend",
)
def test_a_full_queue_is_seen_by_its_properties_and_drains() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = message_recording_server(recorder)
        server.out_high_mark = 64 * 1024
        server.out_low_mark = 16 * 1024
        server.on_ready_to_send = lambda e: recorder.note("ready", e.connection_id)
        async with listening(server):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.local_port)
            writer.write(UPGRADE)
            identity = (await recorder.wait_for("connected"))[0][1]
            assert server.get_web_socket_connection_ready_to_send(identity)
            assert server.get_web_socket_connection_bytes_sent(identity) == 0
            server.send(identity, bytes(1000))
            await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), DEADLINE_S)
            await asyncio.wait_for(reader.readexactly(1004), DEADLINE_S)
            assert server.get_web_socket_connection_bytes_sent(identity) == 1000
            taken = await fill(server, identity, bytes(30_000))
            assert not server.get_web_socket_connection_ready_to_send(identity)
            assert server.get_web_socket_connection_bytes_sent(identity) == 0
            with pytest.raises(ShardwsError) as error:
                server.set_web_socket_connection_data_to_send(identity, "too much")
            assert error.value.code == 135
            await asyncio.wait_for(reader.readexactly(taken * 30_004), DEADLINE_S)
            await recorder.wait_for("ready", 2)
            assert server.get_web_socket_connection_ready_to_send(identity)
            server.set_web_socket_connection_timeout(identity, 60)
            server.send(identity, b"x")
            await asyncio.wait_for(reader.readexactly(3), DEADLINE_S)
            assert server.get_web_socket_connection_bytes_sent(identity) == 0
            writer.close()

    run(main())


@pytest.mark.surface("WebSocketConnectionTimeout", "DefaultTimeout")
def test_timeout_is_given_by_default_and_can_be_set_for_one_connection() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = message_recording_server(recorder)
        server.default_timeout = 600
        async with listening(server):
            ws, identity = await connect_with_id(server, recorder)
            assert server.get_web_socket_connection_timeout(identity) == 600
            server.set_web_socket_connection_timeout(identity, 0)
            assert server.get_web_socket_connection_timeout(identity) == 0
            with pytest.raises(ShardwsError) as error:
                server.set_web_socket_connection_timeout(identity, -1)
            assert error.value.code == 213
            server.default_timeout = 5
            other, second = await connect_with_id(server, recorder)
            assert server.get_web_socket_connection_timeout(second) == 5
            assert server.get_web_socket_connection_timeout(identity) == 0
            await ws.close()
            await other.close()

    run(main())


@pytest.mark.surface("WebSocketConnectionTimeout", "DefaultTimeout", "Error")
def test_an_idle_connection_is_ended_with_error_301_and_a_busy_one_is_not() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = message_recording_server(recorder)
        server.default_timeout = 1
        async with listening(server):
            ws, _ = await connect_with_id(server, recorder)
            busy, identity = await connect_with_id(server, recorder)
            closing = asyncio.ensure_future(receive(ws))
            while not closing.done():
                await busy.send("x")
                await asyncio.wait([closing], timeout=0.1)
            with pytest.raises(ConnectionClosed) as closed:
                closing.result()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1001
            assert await recorder.wait_for("error") == [("error", 301)]
            assert await recorder.wait_for("disconnected") == [("disconnected", 1001)]
            assert server.get_web_socket_connection_connected(identity)
            await busy.close()

    run(main())


def test_our_pings_and_their_pongs_do_not_keep_an_idle_connection_open() -> None:
    """With pings every 0.3 s an idle client answers each of them, and is idle all the same."""

    async def main() -> None:
        recorder = EventRecorder()
        server = message_recording_server(recorder)
        server.ping_interval = 0.3
        server.default_timeout = 1
        async with listening(server):
            _, identity = await connect_with_id(server, recorder)
            await recorder.wait_for("error")
            await recorder.wait_for("disconnected")
            assert identity not in server.connections

    run(main())


def test_a_client_that_is_not_read_is_not_taken_for_dead() -> None:
    """AcceptData False: its pongs cannot be seen, so they are not missed."""

    async def main() -> None:
        recorder = EventRecorder()
        server = message_recording_server(recorder)
        server.ping_interval = 0.3
        server.ping_timeout = 0.3
        async with listening(server):
            ws, identity = await connect_with_id(server, recorder)
            server.connections[identity].accept_data = False
            await asyncio.wait([asyncio.ensure_future(ws.wait_closed())], timeout=1.5)
            assert server.connections[identity].connected
            server.connections[identity].accept_data = True
            await ws.send("still here")
            await recorder.wait_for("data")
            await ws.close()

    run(main())
