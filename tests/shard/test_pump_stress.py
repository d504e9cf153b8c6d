"""No message and no wake-up is lost, whatever clients do: depths, sizes, pauses, kills.

PUMP_STRESS is the number of messages for each implementation (make sure of a minute per million),
PUMP_SEED the seed, which a failure names.
"""

import asyncio
import collections
import contextlib
import os
import random
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator

import pytest
import uvloop

from tests.shard.server_fixture import DEADLINE_S
from tests.upgrade_request import UPGRADE

MESSAGES = int(os.environ.get("PUMP_STRESS", "20000"))
SEED = int(os.environ.get("PUMP_SEED", "0")) or random.randrange(1 << 32)
CLIENTS = 24  # at a time
WINDOW_BYTES = 600_000  # on their way: below OutHighMark, so that no echo is refused
NO_KEY = bytes(4)  # a mask like any other, but a payload is as it was
LONGEST = 300_000


def frame(first: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        head = struct.pack(">BB", first, 0x80 | size)
    elif size < 65536:
        head = struct.pack(">BBH", first, 0xFE, size)
    else:
        head = struct.pack(">BBQ", first, 0xFF, size)
    return head + NO_KEY + payload


def frames(random_: random.Random, payload: bytes) -> bytes:
    """Return a message: as one frame as a rule, at times in fragments or behind a ping."""
    dice = random_.random()
    if dice < 0.03:
        cut = random_.randrange(len(payload) + 1)
        return frame(0x02, payload[:cut]) + frame(0x89, b"in it") + frame(0x80, payload[cut:])
    return (frame(0x89, b"before") if dice < 0.06 else b"") + frame(0x82, payload)


class Client:
    """One connection: what it has sent comes back, once and in order."""

    def __init__(self, number: int) -> None:
        self.random = random.Random(SEED * 1_000_003 + number)
        self.left = self.random.randrange(20, 400)  # messages to send
        self.depth = self.random.choice((1, 1, 2, 8, 64, 200))
        self.is_large = self.random.random() < 0.2
        self.is_slow = self.random.random() < 0.2
        self.end = self.random.choice(("close", "close", "close", "kill", "half-close"))
        self.sent: collections.deque[bytes] = collections.deque()
        self.pending_bytes = 0
        self.received = 0
        self.serial = number << 32

    def message(self) -> bytes:
        self.serial += 1
        size = self.random.choice((0, 10, 117, 118, 600))
        if self.is_large and self.random.random() < 0.3:
            size = self.random.randrange(LONGEST)
        return struct.pack(">Q", self.serial) + bytes([self.serial & 0xFF]) * size

    def fill(self) -> bytes:
        """Return what the window has room for."""
        data = []
        while self.left and len(self.sent) < self.depth and self.pending_bytes < WINDOW_BYTES:
            message = self.message()
            self.left -= 1
            self.sent.append(message)
            self.pending_bytes += len(message)
            data.append(frames(self.random, message))
        return b"".join(data)

    async def run(self, port: int) -> int:
        """Return how many messages came back."""
        async with asyncio.timeout(DEADLINE_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 16)
            writer.write(UPGRADE)
            await reader.readuntil(b"\r\n\r\n")
        try:
            await self.talk(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        return self.received

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        kill_at = self.random.randrange(self.left) if self.end == "kill" else -1
        while self.left or self.sent:
            data = self.fill()
            if data and self.random.random() < 0.1:  # a frame comes in two reads of the server
                cut = self.random.randrange(len(data))
                writer.write(data[:cut])
                await asyncio.sleep(0)
                data = data[cut:]
            writer.write(data)
            if self.is_slow and self.random.random() < 0.05:
                await asyncio.sleep(self.random.random() * 0.01)
            await self.take(reader)
            if self.received == kill_at:
                self.reset(writer)
                return
        if self.end == "half-close":
            writer.write_eof()
            async with asyncio.timeout(DEADLINE_S):
                await reader.read()

    async def take(self, reader: asyncio.StreamReader) -> None:
        """Read the next message and compare it."""
        while True:
            async with asyncio.timeout(DEADLINE_S):
                first, payload = await self.next_frame(reader)
            if first != 0x8A:
                break
        expected = self.sent.popleft()
        assert (first, len(payload)) == (0x82, len(expected))
        assert payload == expected
        self.pending_bytes -= len(expected)
        self.received += 1

    @staticmethod
    async def next_frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
        first, size = await reader.readexactly(2)
        if size == 126:
            (size,) = struct.unpack(">H", await reader.readexactly(2))
        elif size == 127:
            (size,) = struct.unpack(">Q", await reader.readexactly(8))
        return first, await reader.readexactly(size)

    @staticmethod
    def reset(writer: asyncio.StreamWriter) -> None:
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()


async def stress(port: int) -> int:
    """Keep CLIENTS clients busy until MESSAGES messages came back; return how many did."""
    numbers = iter(range(1 << 30))
    received = 0

    async def clients() -> None:
        nonlocal received
        while received < MESSAGES:
            arrived = await Client(next(numbers)).run(port)
            received += arrived

    async with asyncio.TaskGroup() as group:
        for _ in range(CLIENTS):
            group.create_task(clients())
    return received


@contextlib.contextmanager
def echo_server(codec: str) -> Iterator[int]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.shard.echo_program"],
        env={**os.environ, "SHARDWS_CODEC": codec},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            port, implementation = process.stdout.readline().split()
            assert implementation == (codec or "c")
            yield int(port)
        finally:
            process.stdin.close()
            try:
                code = process.wait(DEADLINE_S)
            finally:
                process.kill()
    assert code == 0


@pytest.mark.timeout(60 + MESSAGES // 500)
@pytest.mark.parametrize("codec", ["c", "python"])
def test_every_message_comes_back_once_and_in_order(codec: str) -> None:
    if codec == "c":
        pytest.importorskip("shardws.net.pump._pump", exc_type=ImportError)
    print(f"PUMP_SEED={SEED}")
    with (
        echo_server(codec) as port,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        assert runner.run(stress(port)) >= MESSAGES
