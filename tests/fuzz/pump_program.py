"""A server and one client in a process, for fuzz_pump: inputs in, transcripts out.

The implementation is that of SHARDWS_CODEC. A Program and a Transcript are pickled, as plain
tuples, over the standard streams.

A client sends the input's stream over loopback TCP in the input's pieces. The handler does with
each message what the input says. A second client has a message under way all the time, so that a
turn inside a turn finds something to do; its echo must come.
"""

import asyncio
import contextlib
import fcntl
import pickle
import socket
import sys
import termios
from collections.abc import Awaitable, Callable
from typing import Any, BinaryIO, Final, NamedTuple

import uvloop

from shardws import DataIn, Disconnected, Error, WebSocketServer
from shardws.net import pump
from shardws.net.connection import Connection
from shardws.net.connection.states import OPEN
from tests.unit.protocol.client_frames import frame
from tests.upgrade_request import UPGRADE

DEADLINE_S: Final = 20.0
QUIET_TURNS: Final = 6  # of the loop, without anything to do
MOST: Final = 1 << 17  # bytes of a message
HIGH_MARK: Final = 64 << 20  # never reached: how fast the kernel takes it differs
ENDED: Final = ("ended by a handler",)  # what had been read behind its message may be told or not
SEND_ERRORS: Final = (1117, 1120)  # of what is sent while the connection ends
LARGE: Final = b"L" * 70_000


class Program(NamedTuple):
    """What one input says."""

    stream: bytes
    cuts: list[int]
    actions: list[int]  # numbers of Bench.actions, for one message after the other, in a circle
    is_buffered: bool


class Transcript(NamedTuple):
    """What came of it."""

    events: list[tuple[Any, ...]]
    received: bytes
    is_cut: bool  # by a reset or an abort: received may lack its end
    is_late: bool  # a handler went on later, or closed


class Bench:
    """The server; one input at a time."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        server = self.server = WebSocketServer()
        server.local_host = "127.0.0.1"
        server.max_message_size = MOST
        server.out_high_mark = HIGH_MARK
        server.on_data_in = self.on_data_in
        server.on_error = self.on_error
        server.on_disconnected = self.on_disconnected
        server.listening = True
        shard: Any = server._shard
        self.shard = shard
        self.actions: list[Callable[[DataIn], Awaitable[None] | None]] = [
            *(self.echo, self.echo, self.echo, self.ignore, self.send_some, self.send_large),
            *(self.fail, self.turn, self.pause, self.echo_later, self.disconnect, self.abort),
            self.fail_later,
        ]

    # -- handlers ------------------------------------------------------------------------------

    def on_data_in(self, event: DataIn) -> Awaitable[None] | None:
        if event.connection_id == self.neighbour_id:
            self.server.send(event.connection_id, event.text)
            return None
        self.pieces.append(event.text)
        if not event.eom:
            return None
        text = b"".join(self.pieces)
        self.pieces.clear()
        self.events.append(("data", event.data_format, text))
        number = self.program.actions[self.messages % len(self.program.actions)]
        self.messages += 1
        return self.actions[number](event._replace(text=text))

    def on_error(self, event: Error) -> None:
        if event.error_code not in SEND_ERRORS:  # told in a later turn: before or behind the end
            self.events.append(("error", event.error_code))

    def on_disconnected(self, event: Disconnected) -> None:
        if event.connection_id != self.neighbour_id:
            self.events.append(("disconnected", event.status_code, event.description))

    def echo(self, event: DataIn) -> None:
        self.server.send(event.connection_id, event.text)

    def ignore(self, event: DataIn) -> None:
        pass

    def send_some(self, event: DataIn) -> None:
        for payload in (b"", b"some", event.text, b"x" * 126):
            self.server.send(event.connection_id, payload)

    def send_large(self, event: DataIn) -> None:
        self.server.send(event.connection_id, LARGE)
        self.server.send(event.connection_id, b"behind")

    def fail(self, event: DataIn) -> None:
        raise LookupError("the application's")

    def turn(self, event: DataIn) -> None:
        """A turn of the pump inside a turn, as a loop within a handler makes it."""
        self.server.send(event.connection_id, b"before")
        self.shard.pump.turn()
        self.server.send(event.connection_id, b"after")

    def pause(self, event: DataIn) -> None:
        self.is_late = True
        connection = self.server.connections[event.connection_id]
        connection.accept_data = False
        self.server.send(event.connection_id, event.text)
        self.later += 1
        self.loop.call_soon(self.loop.call_soon, self.go_on, event.connection_id)

    def go_on(self, connection_id: int) -> None:
        self.later -= 1
        if connection_id in self.server.connections:
            self.server.connections[connection_id].accept_data = True

    async def echo_later(self, event: DataIn) -> None:
        self.is_late = True
        await asyncio.sleep(0)
        self.server.send(event.connection_id, event.text)

    async def fail_later(self, event: DataIn) -> None:
        self.is_late = True
        await asyncio.sleep(0)
        raise LookupError("the application's")

    def disconnect(self, event: DataIn) -> None:
        self.is_late = True
        self.events.append(ENDED)
        self.server.send(event.connection_id, b"last")
        self.server.disconnect(event.connection_id, 3001, "by the handler")

    def abort(self, event: DataIn) -> None:
        self.is_cut = True
        self.events.append(ENDED)
        self.connection.abort()

    # -- one input -----------------------------------------------------------------------------

    async def start(self) -> None:
        """Open the neighbour's connection."""
        self.neighbour_id = 0
        self.neighbour, connection = await self.connect()
        self.neighbour_id = connection.id

    async def connect(self) -> tuple[socket.socket, Connection]:
        before = set(self.shard.connections)
        client = socket.create_connection(("127.0.0.1", self.server.local_port))
        client.setblocking(False)
        await self.loop.sock_sendall(client, UPGRADE)
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += await self.loop.sock_recv(client, 1)
        (connection,) = set(self.shard.connections) - before
        return client, connection

    async def run(self, program: Program) -> Transcript:
        self.program, self.messages, self.later = program, 0, 0
        self.is_cut = self.is_late = False
        self.events: list[tuple[Any, ...]] = []
        self.pieces: list[bytes] = []
        self.server.buffer_message = program.is_buffered
        async with asyncio.timeout(DEADLINE_S):
            client, self.connection = await self.connect()
            await self.loop.sock_sendall(self.neighbour, frame(0x82, b"neighbour"))
            received = await self.talk(client)
            client.close()
            await self.until(self.is_over)
            await self.neighbours_echo()
        return Transcript(self.events, received, self.is_cut, self.is_late)

    async def talk(self, client: socket.socket) -> bytes:
        """Send everything, see it worked, send FIN; return what comes until the end."""
        reading = self.loop.create_task(self.read(client))
        with contextlib.suppress(OSError):  # the server has ended it
            for piece in pieces(self.program):
                await self.loop.sock_sendall(client, piece)
                await asyncio.sleep(0)
            await self.quiet(client, reading)
            client.shutdown(socket.SHUT_WR)
        return await reading

    async def read(self, client: socket.socket) -> bytes:
        received = bytearray()
        try:
            while more := await self.loop.sock_recv(client, 1 << 16):
                received += more
        except OSError:
            self.is_cut = True
        return bytes(received)

    async def quiet(self, client: socket.socket, reading: "asyncio.Task[bytes]") -> None:
        """Wait until the server has nothing to do for this connection, or it is over."""
        turns, connection = 0, self.connection
        while turns < QUIET_TURNS and not reading.done():
            await asyncio.sleep(0)
            is_busy = self.later or connection.holds or connection.has_input or connection.waiting
            turns = 0 if is_busy or unread(client, connection) else turns + 1

    def is_over(self) -> bool:
        """Whether the end was told, and nothing refers to the connection any more."""
        is_told = any(event[0] == "disconnected" for event in self.events)
        return is_told and self.connection not in self.shard.connections

    async def until(self, what: Callable[[], bool]) -> None:
        while not what():  # noqa: ASYNC110  the loop is turned, nothing is waited for
            await asyncio.sleep(0)

    async def neighbours_echo(self) -> None:
        echo = b""
        while len(echo) < 11:
            more = await self.loop.sock_recv(self.neighbour, 11 - len(echo))
            assert more, "the neighbour's connection was ended"
            echo += more
        assert echo == b"\x82\x09neighbour"


def unread(client: socket.socket, connection: Connection) -> bool:
    """Tell whether something is under way to an open connection, or waits in its socket."""
    if connection.state != OPEN:
        return False
    return any(
        int.from_bytes(fcntl.ioctl(fd, request, bytes(4)), sys.byteorder)
        for fd, request in (
            (client.fileno(), termios.TIOCOUTQ),
            (connection.get_extra_info("socket").fileno(), termios.FIONREAD),
        )
    )


def pieces(program: Program) -> list[bytes]:
    """Cut the stream: by the sizes in a circle, whole without any."""
    found, at, turn = [], 0, 0
    while at < len(program.stream):
        size = program.cuts[turn % len(program.cuts)] if program.cuts else len(program.stream)
        found.append(program.stream[at : at + size])
        at, turn = at + size, turn + 1
    return found


async def serve(inputs: BinaryIO, transcripts: BinaryIO) -> None:
    """Answer each program, until the input ends."""
    bench = Bench()
    await bench.start()
    pickle.dump(pump.IMPLEMENTATION, transcripts)
    transcripts.flush()
    while True:
        try:
            program = Program(*pickle.load(inputs))
        except EOFError:
            return
        pickle.dump(tuple(await bench.run(program)), transcripts)
        transcripts.flush()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(sys.stdin.buffer, sys.stdout.buffer))
