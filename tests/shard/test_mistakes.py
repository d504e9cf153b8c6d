"""Mistakes of an application harm nobody but the call that makes them."""

import asyncio
import logging
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from shardws import DataIn, Disconnected, Error, Outcome, SendOutcome, ShardwsError
from shardws.net.pump import IMPLEMENTATION
from tests.shard.server_fixture import EventRecorder, client, listening, new_server, receive, run


@pytest.mark.parametrize("data", [5, "text", None, [1]])
def test_what_is_no_buffer_is_refused_by_send(data: Any) -> None:
    """`bytes(5)` made five zero bytes of a number, in silence."""

    async def main() -> None:
        server = new_server()
        async with listening(server):
            calls: list[Any] = [server.send]
            if not isinstance(data, str):
                calls.append(server.send_text)
            for call in calls:
                with pytest.raises(ShardwsError) as error:
                    call(1, data)
                assert error.value.code == 213

    run(main())


def test_buffers_of_all_kinds_are_sent_and_others_get_theirs() -> None:
    """A bytearray given to send_text broke the flush of the turn, and silenced other clients."""

    async def main() -> None:
        recorder = EventRecorder()
        server = new_server()
        server.on_connected = lambda e: recorder.note("connected", e.connection_id)
        async with listening(server) as url:
            first, second = await client(url), await client(url)
            a, b = [event[1] for event in await recorder.wait_for("connected", 2)]
            server.send_text(a, bytearray(b"x"))  # type: ignore[arg-type]
            server.send_text(b, "y")
            server.send(a, memoryview(b"abc")[1:])
            assert [await receive(first), await receive(first)] == ["x", b"bc"]
            assert await receive(second) == "y"

    run(main())


def test_a_frame_that_cannot_be_written_ends_its_connection_and_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = new_server()
        server.on_connected = lambda e: recorder.note("connected", e.connection_id)
        async with listening(server) as url:
            first, second = await client(url), await client(url)
            a, b = [event[1] for event in await recorder.wait_for("connected", 2)]
            router: Any = server._router
            if IMPLEMENTATION == "c":  # which copies at once, so that the mistake is the caller's
                with pytest.raises(TypeError):
                    router.send(a, 2, "no bytes at all")
                server.send_text(a, "x")
                assert await receive(first) == "x"
            else:
                router.send(a, 2, "no bytes at all")  # behind the checks of the public surface
            server.send_text(b, "y")
            assert await receive(second) == "y"
            if IMPLEMENTATION == "python":
                with pytest.raises(ConnectionClosed):
                    await receive(first)
                assert "connection 1 failed" in caplog.text

    run(main())


def test_an_on_error_that_sends_to_the_dead_does_not_turn_for_ever() -> None:
    """Each failed send was an Error, each Error a failed send: a core was busy with nobody."""

    async def main() -> None:
        recorder = EventRecorder()
        server = new_server()

        def on_error(e: Error) -> None:
            recorder.note("error", e.description)
            server.send_text(e.connection_id, "something went wrong")

        server.on_error = on_error
        async with listening(server):
            server.send_text(7, "nobody")
            await recorder.wait_for("error", 33)
            told = [event for event in recorder.events if "more sends" in event[1]]
            assert len(told) == 1
            for _ in range(500):
                await asyncio.sleep(0)
            assert len(recorder.events) < 100  # 32 in each second, and their sum

    run(main())


def test_a_violation_and_a_loss_are_one_log_line_each(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "shardws")

    async def main() -> None:
        recorder = EventRecorder()
        server = new_server()
        server.on_disconnected = lambda e: recorder.note("disconnected", e.status_code)
        async with listening(server) as url:
            bad = await client(url)
            bad.transport.write(b"\x83\x80\x00\x00\x00\x00")
            assert await recorder.wait_for("disconnected") == [("disconnected", 1002)]
            gone = await client(url)
            gone.transport.abort()
            await recorder.wait_for("disconnected", 2)

    run(main())
    lines = [record.getMessage() for record in caplog.records]
    assert sum("broke the protocol: 1002" in line for line in lines) == 1
    assert sum("ended without a close frame: 1006" in line for line in lines) == 1


@pytest.mark.parametrize("tail", [b"", b"\x88\x82\x00\x00\x00\x00\x03\xe8"], ids=["", "close"])
@pytest.mark.parametrize("raises", [False, True])
def test_data_behind_a_disconnect_in_the_handler_is_not_delivered(
    raises: bool, tail: bytes
) -> None:
    """What one read had brought was delivered after the handler had closed the connection."""

    async def main() -> None:
        recorder = EventRecorder()
        server = new_server()
        server.buffer_message = True

        def on_data_in(e: DataIn) -> None:
            recorder.note("data", e.text)
            server.disconnect(e.connection_id)
            if raises:
                raise RuntimeError

        def on_disconnected(e: Disconnected) -> None:
            recorder.note("disconnected", e.status_code)

        server.on_data_in = on_data_in
        server.on_disconnected = on_disconnected
        async with listening(server) as url:
            ws = await client(url)
            frame = b"\x82\x81\x00\x00\x00\x00"
            ws.transport.write(frame + b"1" + frame + b"2" + frame + b"3" + tail)
            await recorder.wait_for("disconnected")
            assert recorder.events == [("data", b"1"), ("disconnected", 1000)]

    run(main())


def test_data_in_front_of_a_close_frame_of_the_same_read_is_all_delivered() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = new_server()
        server.on_data_in = lambda e: recorder.note("data", e.text)
        server.on_disconnected = lambda e: recorder.note("disconnected", e.status_code)
        async with listening(server) as url:
            ws = await client(url)
            mask = b"\x00\x00\x00\x00"
            frames = [b"\x82\x81" + mask + digit for digit in (b"1", b"2", b"3")]
            ws.transport.write(b"".join(frames) + b"\x88\x82" + mask + b"\x03\xe8")
            await recorder.wait_for("disconnected")
            expected = [("data", b"1"), ("data", b"2"), ("data", b"3"), ("disconnected", 1000)]
            assert recorder.events == expected

    run(main())


def test_a_handler_may_return_anything(caplog: pytest.LogCaptureFixture) -> None:
    """A lambda returns what its call returns: a number was an error, a send became a task."""

    async def main() -> None:
        server = new_server()
        server.buffer_message = True
        recorder = EventRecorder()
        server.on_error = lambda e: recorder.note("error", e.description)

        def echo(e: DataIn) -> SendOutcome:
            return server.send(e.connection_id, e.text)

        server.on_data_in = echo  # type: ignore[assignment]
        server.on_connected = lambda e: 5  # type: ignore[assignment,return-value]
        async with listening(server) as url:
            ws = await client(url)
            await ws.send(b"x")
            assert await receive(ws) == b"x"
            assert await server.send(1, b"y") is Outcome.QUEUED
        assert recorder.events == []

    run(main())
    assert not caplog.records
