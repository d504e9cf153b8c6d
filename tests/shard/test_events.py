"""Events: their order, how often they come, what a handler may write, and who is held up."""

import asyncio
from typing import Any

import pytest

from shardws import (
    ConnectionRequest,
    DataIn,
    Disconnected,
    ShardwsError,
    WebSocketOpenRequest,
    WebSocketServer,
)
from tests.shard.server_fixture import EventRecorder, client, listening, new_server, receive, run
from tests.upgrade_request import UPGRADE

ORDER = ["request", "open", "connected", "ready", "data", "data", "disconnected"]


def recording_server(recorder: EventRecorder, is_async: bool = False) -> WebSocketServer:
    server = new_server()
    server.buffer_message = True

    def handler(name: str) -> Any:
        def note(e: Any) -> None:
            recorder.note(name, getattr(e, "connection_id", 0), e)

        async def note_later(e: Any) -> None:
            await asyncio.sleep(0)
            note(e)

        return note_later if is_async else note

    server.on_connection_request = handler("request")
    server.on_web_socket_open_request = handler("open")
    server.on_connected = handler("connected")
    server.on_ready_to_send = handler("ready")
    server.on_data_in = handler("data")
    server.on_disconnected = handler("disconnected")
    server.on_error = handler("error")
    return server


@pytest.mark.surface(
    "ConnectionRequest",
    "WebSocketOpenRequest",
    "Connected",
    "ReadyToSend",
    "DataIn",
    "Disconnected",
)
@pytest.mark.parametrize("is_async", [False, True])
def test_each_connection_has_its_events_in_order_and_once(is_async: bool) -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = recording_server(recorder, is_async)

        async def connect_one(number: int) -> None:
            ws = await client(url)
            await ws.send("one")
            await ws.send(b"two")
            if number % 2:
                ws.transport.abort()
            else:
                await ws.close()

        async with listening(server) as url:
            await asyncio.gather(*(connect_one(number) for number in range(20)))
            await recorder.wait_for("disconnected", 20)
        ids = {identity for name, identity, _ in recorder.events if name == "connected"}
        assert len(ids) == 20
        assert len([1 for name, _, _ in recorder.events if name == "request"]) == 20
        for identity in ids:
            mine = [name for name, whose, _ in recorder.events if whose == identity]
            # Of a client that vanished the last messages may be lost with it.
            data = mine.count("data")
            assert mine == [*ORDER[1:4], *["data"] * data, "disconnected"]
            assert data == 2 or mine[-1] == "disconnected"

    run(main())


@pytest.mark.surface("DataIn")
def test_data_in_tells_format_and_end_of_message() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = recording_server(recorder)
        async with listening(server) as url:
            ws = await client(url)
            await ws.send("täxt")
            await ws.send(b"\xff")
            events: list[DataIn] = [e for _, _, e in await recorder.wait_for("data", 2)]
            assert [(e.data_format, e.text, e.eom, e.data) for e in events] == [
                (1, "täxt".encode(), True, "täxt"),
                (2, b"\xff", True, b"\xff"),
            ]
            await ws.close()

    run(main())


def test_read_only_fields_raise_and_writable_ones_do_not() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = recording_server(recorder)
        async with listening(server) as url:
            ws = await client(url)
            await ws.send("x")
            await ws.close(4001, "why")
            ((_, _, ended),) = await recorder.wait_for("disconnected")
        assert ended == Disconnected(recorder.events[-1][1], 4001, "why")
        for name, _, event in recorder.events:
            fields = getattr(event, "_fields", None) or type(event).__slots__
            writable: frozenset[str] = getattr(event, "WRITABLE", frozenset())
            for field in fields:
                value = getattr(event, field)
                if field in writable:
                    setattr(event, field, value)
                else:
                    with pytest.raises(AttributeError):
                        setattr(event, field, value)
            assert ("WRITABLE" in dir(event)) is (name in ("request", "open"))

    run(main())


def test_handlers_are_replaced_and_removed_at_run_time() -> None:
    async def main() -> None:
        server = new_server()
        server.buffer_message = True

        def answer(text: str) -> Any:
            def on_data_in(e: DataIn) -> None:
                server.send_text(e.connection_id, text)

            return on_data_in

        async def answer_later(e: DataIn) -> None:
            await asyncio.sleep(0)
            server.send_text(e.connection_id, "later")

        async with listening(server) as url:
            ws = await client(url)
            for handler, expected in (
                (answer("first"), "first"),
                (answer("second"), "second"),
                (answer_later, "later"),
            ):
                server.on_data_in = handler
                assert server.on_data_in is handler
                await ws.send("x")
                assert await receive(ws) == expected
            server.on_data_in = None
            await ws.send("nobody hears this")
            pong = await ws.ping()
            await asyncio.wait_for(pong, 5)
            server.on_data_in = answer("again")
            await ws.send("x")
            assert await receive(ws) == "again"
            with pytest.raises(ShardwsError, match="callable") as error:
                server.on_data_in = "no handler"  # type: ignore[assignment]
            assert error.value.code == 213
            await ws.close()

    run(main())


def test_a_slow_coroutine_holds_up_its_own_client_down_to_tcp() -> None:
    async def main() -> None:
        server = new_server()
        gate = asyncio.Event()
        received = 0

        async def on_data_in(e: DataIn) -> None:
            nonlocal received
            received += len(e.text)
            if e.text == b"quick":
                server.send(e.connection_id, b"answer")
            else:
                await gate.wait()

        server.on_data_in = on_data_in
        async with listening(server) as url:
            _, writer = await asyncio.open_connection("127.0.0.1", server.local_port)
            frame = b"\x82\xfe" + (60_000).to_bytes(2) + bytes(4 + 60_000)
            size = 64 << 20
            writer.write(UPGRADE + frame * (size // 60_000))
            sending = asyncio.ensure_future(writer.drain())
            other = await client(url)
            for _ in range(5):
                await other.send(b"quick")
                assert await receive(other) == b"answer"
            assert not sending.done(), "64 MiB were taken while the handler stood still"
            assert received < 1 << 20
            gate.set()
            await asyncio.wait_for(sending, 20)
            writer.close()
            await other.close()

    run(main())


@pytest.mark.surface("WebSocketOpenRequest")
def test_a_decision_that_comes_after_the_deadline_opens_nothing() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = recording_server(recorder)
        server.default_connection_timeout = 1
        gate = asyncio.Event()

        async def on_web_socket_open_request(e: WebSocketOpenRequest) -> None:
            await gate.wait()
            recorder.note("decided", 0, e)

        server.on_web_socket_open_request = on_web_socket_open_request
        async with listening(server) as url:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.local_port)
            writer.write(UPGRADE)
            answer = await asyncio.wait_for(reader.readline(), 10)
            assert answer.startswith(b"HTTP/1.1 503")
            gate.set()
            await recorder.wait_for("decided")
            ws = await client(url)
            await ws.close()
            await recorder.wait_for("disconnected")
            writer.close()
        assert [name for name, _, _ in recorder.events].count("connected") == 1

    run(main())


@pytest.mark.surface("ConnectionRequest")
def test_a_decision_that_takes_too_long_is_a_408() -> None:
    async def main() -> None:
        server = new_server()
        server.default_connection_timeout = 1

        async def on_connection_request(e: ConnectionRequest) -> None:
            await asyncio.sleep(60)

        server.on_connection_request = on_connection_request
        async with listening(server):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.local_port)
            writer.write(UPGRADE)
            answer = await asyncio.wait_for(reader.readline(), 10)
            assert answer.startswith(b"HTTP/1.1 408")
            writer.close()

    run(main())


@pytest.mark.surface("Error")
def test_an_error_event_that_raises_is_logged_and_nothing_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        server = new_server()
        seen: list[int] = []

        def on_error(e: Any) -> None:
            seen.append(e.error_code)
            raise KeyError("a fault in on_error")

        def on_data_in(e: DataIn) -> None:
            if e.text == b"bad":
                raise ValueError("a fault in on_data_in")
            server.send(e.connection_id, e.text)

        server.on_error = on_error
        server.on_data_in = on_data_in
        async with listening(server) as url:
            ws = await client(url)
            await ws.send(b"bad")
            await ws.send(b"good")
            assert await receive(ws) == b"good"
            assert seen == [436]
            await ws.close()

    run(main())
    assert "a fault in on_error" in caplog.text
    assert "a fault in on_data_in" in caplog.text
