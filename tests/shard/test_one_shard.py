"""One shard on the loop of the test: events, sends, endings, by a real client."""

import asyncio
import json

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from shardws import (
    Connected,
    DataIn,
    Disconnected,
    Error,
    Outcome,
    WebSocketOpenRequest,
    WebSocketServer,
)
from tests.shard.server_fixture import EventRecorder, client, listening, new_server, receive, run
from tests.upgrade_request import UPGRADE


def echo_server(recorder: EventRecorder) -> WebSocketServer:
    server = new_server()

    def on_connected(e: Connected) -> None:
        recorder.note("connected", e.connection_id)
        server.send_text(e.connection_id, json.dumps({"connection_id": e.connection_id}))

    def on_data_in(e: DataIn) -> None:
        recorder.note("data", e.connection_id, e.data_format, e.text, e.eom)
        if e.data_format == 1:
            server.send_text(e.connection_id, e.text)
        else:
            server.send(e.connection_id, e.text)

    def on_disconnected(e: Disconnected) -> None:
        recorder.note("disconnected", e.connection_id, e.status_code, e.description)

    def on_error(e: Error) -> None:
        recorder.note("error", e.connection_id, e.error_code)

    server.on_connected = on_connected
    server.on_data_in = on_data_in
    server.on_disconnected = on_disconnected
    server.on_error = on_error
    server.buffer_message = True
    return server


def test_text_and_binary_come_back_in_order() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        async with listening(echo_server(recorder)) as url:
            ws = await client(url)
            identity = json.loads(await receive(ws))["connection_id"]
            for message in ("hello", "", b"\x00\xff", "äöü", b"", "x" * 70_000, b"y" * 200_000):
                await ws.send(message)
                assert await receive(ws) == message
            await ws.close(1000, "bye")
            ended = await recorder.wait_for("disconnected")
            assert ended == [("disconnected", identity, 1000, "bye")]
            assert recorder.events[0] == ("connected", identity)

    run(main())


def test_a_frame_behind_the_request_in_one_segment_is_not_lost() -> None:
    """wsproto loses frames that come in one segment with the upgrade request."""

    async def main() -> None:
        recorder = EventRecorder()
        server = echo_server(recorder)
        async with listening(server):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.local_port)
            writer.write(UPGRADE + b"\x82\x83\x00\x00\x00\x00abc")
            await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
            answer = await asyncio.wait_for(reader.readuntil(b"abc"), 5)
            assert answer.endswith(b"\x82\x03abc")
            writer.close()
            await writer.wait_closed()
            ended = await recorder.wait_for("disconnected")
            assert ended[0][2] == 1006

    run(main())


def test_disconnect_uses_the_settings_and_each_connected_has_one_disconnected() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = echo_server(recorder)
        server.disconnect_status_code = 3007
        server.disconnect_status_description = "enough"
        async with listening(server) as url:
            ws = await client(url)
            identity = json.loads(await receive(ws))["connection_id"]
            assert await server.disconnect(identity) is Outcome.QUEUED
            with pytest.raises(ConnectionClosed) as closed:
                await receive(ws)
            assert closed.value.rcvd is not None
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (3007, "enough")
            ended = await recorder.wait_for("disconnected")
            assert ended == [("disconnected", identity, 3007, "enough")]
            assert await server.send_text(identity, "late") is Outcome.GONE
            assert server.web_socket_connection_count == 0

    run(main())


def test_a_send_nobody_looks_at_that_fails_is_an_error_event() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = echo_server(recorder)
        async with listening(server) as url:
            ws = await client(url)
            identity = json.loads(await receive(ws))["connection_id"]
            await ws.close()
            await recorder.wait_for("disconnected")
            server.send_text(identity, "fire and forget")
            assert await recorder.wait_for("error") == [("error", identity, 1117)]
            assert server.send_text(identity, "looked at").outcome is Outcome.GONE
            await asyncio.sleep(0)
            assert len(await recorder.wait_for("error")) == 1

    run(main())


def test_async_handlers_of_one_connection_run_one_after_another() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = new_server()
        server.buffer_message = True
        gate = asyncio.Event()

        async def on_data_in(e: DataIn) -> None:
            recorder.note("begin", e.text)
            if e.text == b"0":
                await gate.wait()
            recorder.note("end", e.text)
            server.send_text(e.connection_id, e.text)

        async def on_disconnected(e: Disconnected) -> None:
            recorder.note("disconnected")

        server.on_data_in = on_data_in
        server.on_disconnected = on_disconnected
        async with listening(server) as url:
            slow, other = await client(url), await client(url)
            for number in range(20):
                await slow.send(str(number))
            await recorder.wait_for("begin")
            await other.send("99")  # another connection is not held up
            assert await receive(other) == "99"
            assert [event for event in recorder.events if event[1] != b"99"] == [("begin", b"0")]
            gate.set()
            for number in range(20):
                assert await receive(slow) == str(number)
            await slow.close()
            await recorder.wait_for("disconnected")
            mine = [event for event in recorder.events[:-1] if event[1] != b"99"]
            expected = [
                (name, str(number).encode()) for number in range(20) for name in ("begin", "end")
            ]
            assert mine == expected

    run(main())


def test_an_exception_in_a_handler_is_an_error_event_and_the_connection_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = echo_server(recorder)

        def on_data_in(e: DataIn) -> None:
            if e.text == b"bad":
                raise KeyError("a fault of the application")
            server.send_text(e.connection_id, e.text)

        server.on_data_in = on_data_in
        async with listening(server) as url:
            ws = await client(url)
            identity = json.loads(await receive(ws))["connection_id"]
            await ws.send("bad")
            await ws.send("good")
            assert await receive(ws) == "good"
            assert await recorder.wait_for("error") == [("error", identity, 436)]
            await ws.close()

    run(main())
    assert "a fault of the application" in caplog.text


@pytest.mark.parametrize("is_async", [False, True])
def test_the_application_can_refuse_an_opening_request(is_async: bool) -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = echo_server(recorder)

        def decide(e: WebSocketOpenRequest) -> None:
            assert e.request_uri == "/chat?token=1"
            e.status_code = 401
            e.response_headers = "WWW-Authenticate: Bearer"
            with pytest.raises(AttributeError, match="read-only"):
                e.request_uri = "/other"

        async def decide_later(e: WebSocketOpenRequest) -> None:
            await asyncio.sleep(0)
            decide(e)

        server.on_web_socket_open_request = decide_later if is_async else decide
        async with listening(server) as url:
            with pytest.raises(InvalidStatus) as refused:
                await client(f"{url}/chat?token=1")
            assert refused.value.response.status_code == 401
            assert refused.value.response.headers["WWW-Authenticate"] == "Bearer"
        assert recorder.events == []

    run(main())


@pytest.mark.parametrize("is_async", [False, True])
def test_the_application_chooses_a_sub_protocol(is_async: bool) -> None:
    async def main() -> None:
        server = new_server()

        def choose(e: WebSocketOpenRequest) -> None:
            assert e.sub_protocols == "chat, superchat"
            e.sub_protocols = "superchat"

        async def choose_later(e: WebSocketOpenRequest) -> None:
            await asyncio.sleep(0)
            choose(e)

        server.on_web_socket_open_request = choose_later if is_async else choose
        async with listening(server) as url:
            ws = await client(url, subprotocols=["chat", "superchat"])
            assert ws.subprotocol == "superchat"
            await ws.close()

    run(main())


def test_shutdown_closes_clients_with_1001() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = echo_server(recorder)
        async with listening(server) as url:
            ws = await client(url)
            await receive(ws)
        with pytest.raises(ConnectionClosed) as closed:
            await receive(ws)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1001
        assert [event[0] for event in recorder.events] == ["connected", "disconnected"]
        assert recorder.events[1][2] == 1001

    run(main())


def test_groups_and_broadcast_in_one_shard() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = echo_server(recorder)
        async with listening(server) as url:
            clients = [await client(url) for _ in range(3)]
            ids = [json.loads(await receive(ws))["connection_id"] for ws in clients]
            for identity in ids[:2]:
                server.join(identity, "room")
            server.publish("room", "to two")
            server.broadcast(b"to all")
            assert [await receive(ws) for ws in clients[:2]] == ["to two"] * 2
            assert [await receive(ws) for ws in clients] == [b"to all"] * 3
            server.leave(ids[0], "room")
            await clients[1].close()
            await recorder.wait_for("disconnected")
            server.publish("room", "to nobody")
            server.broadcast("end")
            assert await receive(clients[0]) == "end"
            assert await receive(clients[2]) == "end"

    run(main())
