"""A client that leaves while a handler or a decision runs, and one that reads slowly."""

import asyncio
import socket
import struct
from typing import Any

import pytest

from shardws import ConnectionRequest, DataIn, Disconnected, WebSocketOpenRequest, WebSocketServer
from tests.shard.raw_client import RawClient
from tests.shard.recording_server import recording_server
from tests.shard.server_fixture import DEADLINE_S, EventRecorder, listening, new_server, run, until
from tests.unit.protocol.client_frames import close, frame
from tests.upgrade_request import UPGRADE

MIB = 1 << 20


def reset(client: RawClient) -> None:
    """End TCP with a reset, as a process does that is killed with unread bytes."""
    sock = client.writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.writer.close()


@pytest.mark.parametrize("is_reset", [False, True])
@pytest.mark.parametrize("cancels", [False, True])
def test_a_client_that_leaves_is_noticed_while_an_async_handler_runs(
    is_reset: bool, cancels: bool
) -> None:
    """Nothing was read meanwhile, its end neither: Disconnected came as late as the handler."""

    async def main() -> None:
        recorder = EventRecorder()
        server = recording_server(recorder, out_high_mark=256 * 1024)
        server.cancel_on_disconnect = cancels
        gate = asyncio.Event()

        async def on_data_in(e: DataIn) -> None:
            recorder.note("begins", e.text)
            try:
                await gate.wait()
            except asyncio.CancelledError:
                recorder.note("cancelled")
                raise
            recorder.note("ends")

        server.on_data_in = on_data_in
        async with listening(server):
            async with RawClient(server, recorder) as client:
                client.writer.write(frame(0x82, b"work") + frame(0x82, b"more"))
                await recorder.wait_for("begins")
                if is_reset:
                    reset(client)
            if cancels:
                await recorder.wait_for("disconnected")
            # Nothing tells the application that the end was noticed.
            while not cancels and server.connections[client.id].connected:  # noqa: ASYNC110
                await asyncio.sleep(0)
            gate.set()
            assert await recorder.wait_for("disconnected") == [("disconnected", 1006)]
        names = [event[0] for event in recorder.events if event[0] not in ("ready", "connected")]
        work = ["begins", "cancelled"] if cancels else ["begins", "ends"] * 2
        assert names == [*work, "disconnected"]

    run(main())


def test_a_client_that_leaves_is_noticed_while_its_opening_is_decided_on() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = recording_server(recorder, out_high_mark=256 * 1024)
        server.cancel_on_disconnect = True

        async def on_web_socket_open_request(e: WebSocketOpenRequest) -> None:
            recorder.note("asked")
            try:
                await asyncio.Event().wait()
            finally:
                recorder.note("cancelled")

        server.on_web_socket_open_request = on_web_socket_open_request
        async with listening(server):
            _, writer = await asyncio.open_connection("127.0.0.1", server.local_port)
            writer.write(UPGRADE)
            await recorder.wait_for("asked")
            writer.close()
            await recorder.wait_for("cancelled")
        assert [event[0] for event in recorder.events] == ["asked", "cancelled"]

    run(main())


@pytest.mark.parametrize("name", ["on_connection_request", "on_web_socket_open_request"])
def test_what_comes_while_an_opening_is_decided_on_is_read_then(name: str) -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = recording_server(recorder, out_high_mark=256 * 1024)
        server.on_data_in = lambda e: recorder.note("data", e.text)
        gate = asyncio.Event()

        async def decide(e: ConnectionRequest | WebSocketOpenRequest) -> None:
            recorder.note("asked")
            await gate.wait()

        setattr(server, name, decide)
        async with listening(server):
            _, writer = await asyncio.open_connection("127.0.0.1", server.local_port)
            writer.write(UPGRADE + frame(0x82, b"0"))
            await recorder.wait_for("asked")
            for number in range(1, 30):
                writer.write(frame(0x82, b"%d" % number))
                await asyncio.sleep(0)
            gate.set()
            await recorder.wait_for("data", 30)
            writer.close()
            await recorder.wait_for("disconnected")
        told = [event[1] for event in recorder.events if event[0] == "data"]
        assert told == [b"%d" % number for number in range(30)]

    run(main())


def test_a_close_frame_is_answered_though_a_handler_runs_once_we_have_closed() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = recording_server(recorder, out_high_mark=256 * 1024)
        server.close_timeout = 0.4
        gate = asyncio.Event()

        async def on_data_in(e: DataIn) -> None:
            recorder.note("begins")
            await gate.wait()

        server.on_data_in = on_data_in
        async with listening(server), RawClient(server, recorder) as client:
            client.writer.write(frame(0x82, b"work"))
            await recorder.wait_for("begins")
            server.disconnect(client.id)
            assert (await client.frame())[0] == 0x88
            client.writer.write(close(1000))
            # The server ends TCP: it has seen the answer. (It waits no longer than CloseTimeout.)
            assert await asyncio.wait_for(client.reader.read(), DEADLINE_S) == b""
            gate.set()
            assert await recorder.wait_for("disconnected") == [("disconnected", 1000)]

    run(main())


# -- slow readers --------------------------------------------------------------------------------


class SlowReader:
    """A client with small buffers that takes what was sent bit by bit, and sends nothing."""

    def __init__(self, port: int) -> None:
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        self.sock.setblocking(False)
        self.port = port
        self.taken = 0

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        await loop.sock_connect(self.sock, ("127.0.0.1", self.port))
        await loop.sock_sendall(self.sock, UPGRADE + frame(0x82, b"go"))

    async def take(self, size: int, pause: float) -> bool:
        """Take so many bytes at a steady pace; False when TCP ended before."""
        loop = asyncio.get_running_loop()
        while self.taken < size:
            data = await asyncio.wait_for(loop.sock_recv(self.sock, 16384), DEADLINE_S)
            self.taken += len(data)
            if not data:
                return False
            await asyncio.sleep(pause)
        return True


def sending(server: WebSocketServer, size: int, after: Any = None) -> None:
    def on_data_in(e: DataIn) -> None:
        for _ in range(size // 50_000):
            server.send(e.connection_id, bytes(50_000))
        if after is not None:
            after(e.connection_id)

    server.on_data_in = on_data_in


@pytest.mark.parametrize(
    ("setting", "seconds"), [("ping_timeout", 0.6), ("default_timeout", 1), ("close_timeout", 0.6)]
)
def test_who_takes_what_was_sent_lives_however_slowly(setting: str, seconds: float) -> None:
    """It was cut in the middle: life was read off what it sent alone (F01)."""

    async def main() -> None:
        recorder = EventRecorder()
        server = recording_server(recorder, out_high_mark=256 * 1024)
        server.out_high_mark = 8 * MIB
        server.out_buffer_size = 32768
        server.ping_interval = 0.3 if setting == "ping_timeout" else 0
        setattr(server, setting, seconds)
        size = 2_500_000
        closes = setting == "close_timeout"
        after = (lambda who: server.disconnect(who)) if closes else None
        sending(server, size, after)
        async with listening(server):
            reader = SlowReader(server.local_port)
            await reader.open()
            # Some 3 s: several times what ends a connection on which nothing moves.
            assert await reader.take(size, 0.02), f"cut after {reader.taken} bytes"
            if closes:
                loop = asyncio.get_running_loop()
                await loop.sock_sendall(reader.sock, close(1000))
                assert await recorder.wait_for("disconnected") == [("disconnected", 1000)]
            reader.sock.close()
            await recorder.wait_for("disconnected")

    run(main())


@pytest.mark.parametrize(
    ("setting", "seconds", "code"),
    [("ping_timeout", 0.6, 1006), ("default_timeout", 1, 1006), ("close_timeout", 0.6, 1006)],
)
def test_who_takes_nothing_is_given_up_all_the_same(
    setting: str, seconds: float, code: int
) -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = recording_server(recorder, out_high_mark=256 * 1024)
        server.out_high_mark = 8 * MIB
        server.out_buffer_size = 32768
        server.close_timeout = 0.6
        server.ping_interval = 0.3 if setting == "ping_timeout" else 0
        setattr(server, setting, seconds)
        closes = setting == "close_timeout"
        after = (lambda who: server.disconnect(who)) if closes else None
        sending(server, 2_500_000, after)
        async with listening(server):
            reader = SlowReader(server.local_port)
            await reader.open()
            assert await recorder.wait_for("disconnected") == [("disconnected", code)]
            reader.sock.close()

    run(main())


def test_a_message_that_is_not_completed_ends_its_connection() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = new_server()
        server.buffer_message = True
        server.message_timeout = 0.3
        server.on_connected = lambda e: recorder.note("connected", e.connection_id)
        server.on_disconnected = lambda e: recorder.note("disconnected", e.status_code)
        server.on_error = lambda e: recorder.note("error", e.description)
        async with listening(server), RawClient(server, recorder) as client:
            client.writer.write(frame(0x82, bytes(1000))[:500])
            first, payload = await client.frame()
            assert (first, payload[:2]) == (0x88, (1008).to_bytes(2))
            client.writer.close()
            await recorder.wait_for("disconnected")
        assert ("disconnected", 1008) in recorder.events
        assert ("error", "message not completed in time") in recorder.events

    run(main())


@pytest.mark.parametrize("closes", [False, True])
def test_a_handler_that_raises_leaves_or_closes_its_client(closes: bool) -> None:
    """Its client was left without a word; now it may be told 1011."""

    async def main() -> None:
        recorder = EventRecorder()
        server = recording_server(recorder, out_high_mark=256 * 1024)
        server.on_handler_error = "close" if closes else "ignore"

        def on_data_in(e: DataIn) -> None:
            if e.text == b"bad":
                raise KeyError("x")
            server.send(e.connection_id, e.text)

        server.on_data_in = on_data_in
        async with listening(server), RawClient(server, recorder) as client:
            client.writer.write(frame(0x82, b"bad") + frame(0x82, b"good"))
            first, payload = await client.frame()
            if closes:
                assert (first, payload) == (0x88, (1011).to_bytes(2) + b"the application failed")
            else:
                assert (first, payload) == (0x82, b"good")

    run(main())


def test_what_handles_the_end_is_not_cancelled_when_tcp_ends_too() -> None:
    """The WebSocket is over at once, with no wait for the client's close frame; TCP lingers."""

    async def main() -> None:
        recorder = EventRecorder()
        server = recording_server(recorder)
        server.cancel_on_disconnect = True
        server.wait_for_close_response = False
        gate = asyncio.Event()

        async def on_data_in(e: DataIn) -> None:
            recorder.note("begins")
            try:
                await asyncio.Event().wait()
            finally:
                recorder.note("cancelled")

        async def on_disconnected(e: Disconnected) -> None:
            recorder.note("disconnected", e.status_code)
            await gate.wait()
            recorder.note("path", server.connections[e.connection_id].request_uri)

        server.on_data_in = on_data_in
        server.on_disconnected = on_disconnected
        async with listening(server):
            assert server._shard is not None
            async with RawClient(server, recorder) as client:
                client.writer.write(frame(0x82, b"work") + frame(0x82, b"more"))
                await recorder.wait_for("begins")
                server.disconnect(client.id)
                assert await recorder.wait_for("disconnected") == [("disconnected", 1000)]
                client.writer.write(frame(0x82, b"late"))
            connections = server._shard.connections
            await until(lambda: not connections)
            gate.set()
            await recorder.wait_for("path")
            await until(lambda: client.id not in server.connections)
        names = [event[0] for event in recorder.events if event[0] not in ("ready", "connected")]
        assert names == ["begins", "cancelled", "disconnected", "path"]

    run(main())


@pytest.mark.parametrize("pauses_again", [False, True])
def test_what_a_client_sent_before_it_left_is_told_in_order_though_paused(
    pauses_again: bool,
) -> None:
    """What was kept unparsed came first; a pause of a client that has left held back its end."""
    count = 60

    async def main() -> None:
        recorder = EventRecorder()
        server = recording_server(recorder)

        def on_data_in(e: DataIn) -> None:
            recorder.note("told", int(e.text))
            if pauses_again or recorder.count("told") == 1:
                server.connections[e.connection_id].accept_data = False

        server.on_data_in = on_data_in
        async with listening(server):
            async with RawClient(server, recorder) as client:
                client.writer.write(b"".join(frame(0x82, b"%d" % n) for n in range(count)))
                await recorder.wait_for("told")
            await recorder.wait_for("disconnected")
        told = [event[1] for event in recorder.events if event[0] in ("told", "disconnected")]
        assert told[:count] == list(range(count))
        assert [event[0] for event in recorder.events][-1] == "disconnected"

    run(main())
