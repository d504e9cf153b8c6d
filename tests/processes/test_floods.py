"""Floods of two clients while a third one's echoes keep coming, and no shard dies.

HeartbeatTimeout is 3 s and a flood lasts longer: before there were slices and turns, one of these
clients alone stopped a shard until the watchdog killed it, again and again (S01).
"""

import contextlib
import re
import select
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.processes.conftest import DEADLINE, RunningServer, RunServer
from tests.processes.tls_client import Authority
from tests.unit.protocol.client_frames import frame

pytestmark = pytest.mark.processes

HEARTBEAT_S = 3
FLOOD_S = HEARTBEAT_S + 1
FLOODERS = 2
MOST_MIB = 16  # that one of them may make a shard hold
MIB = 1 << 20
REQUEST = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
)


def pack(plain: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (packer.compress(plain) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]


HALVES = pack(b"x" * 100)
# name: what begins a connection's flood, what is repeated, whether it is a storm
FLOODS = {
    "1 KiB that inflates to 1 MiB": (b"", frame(0xC2, pack(bytes(MIB - 100))), False),
    "compressed, in two fragments": (
        b"",
        frame(0x42, HALVES[:3]) + frame(0x80, HALVES[3:]),
        False,
    ),
    "empty pings": (b"", frame(0x89), True),
    "pongs": (b"", frame(0x8A, b"pong"), True),
    "empty fragments": (frame(0x02), frame(0x00), True),
    "fragments of one byte": (frame(0x02), frame(0x00, b"x"), False),
}


class Flooder:
    """Connects, floods, and connects again when it was thrown out, until it is told to stop."""

    def __init__(self, server: RunningServer, name: str, context: ssl.SSLContext | None) -> None:
        self._address = (server.host, server.port)
        self._context = context
        begin, unit, _ = FLOODS[name]
        self._begin = begin + unit
        self._block = unit * (100_000 // len(unit))
        self.sent = 0
        self._is_over = False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._is_over:
            with contextlib.suppress(OSError), self._connect() as sock:
                sock.sendall(REQUEST)
                sock.recv(65536)
                sock.sendall(self._begin)
                sock.settimeout(0.0)
                self._flood(sock)

    def _connect(self) -> socket.socket:
        sock = socket.create_connection(self._address, DEADLINE)
        if self._context is None:
            return sock
        return self._context.wrap_socket(sock, server_hostname=self._address[0])

    def _flood(self, sock: socket.socket) -> None:
        """Send as much as goes, whole units, and throw away what comes."""
        left = memoryview(self._block)
        while not self._is_over:
            select.select([sock], [sock], [], 0.1)
            with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError):
                if not sock.recv(MIB):
                    return
            with contextlib.suppress(BlockingIOError, ssl.SSLWantWriteError):
                sent = sock.send(left)
                self.sent += sent
                left = left[sent:] or memoryview(self._block)

    def stop(self) -> None:
        self._is_over = True
        self._thread.join(DEADLINE)


@contextlib.contextmanager
def flooding(
    server: RunningServer, name: str, context: ssl.SSLContext | None
) -> Iterator[list[Flooder]]:
    flooders = [Flooder(server, name, context) for _ in range(FLOODERS)]
    try:
        yield flooders
    finally:
        for flooder in flooders:
            flooder.stop()


def resident(pid: int) -> int:
    """The memory of a process in MiB."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) // 1024


@pytest.mark.parametrize("way", ["c", "python", "c over TLS"])
@pytest.mark.parametrize("name", FLOODS)
def test_others_are_served_while_a_flood_runs(
    run_server: RunServer, tmp_path: Path, name: str, way: str
) -> None:
    options = ["--heartbeat-timeout", f"{HEARTBEAT_S}s"]
    context: ssl.SSLContext | None = None
    secured: dict[str, Any] = {}
    if way == "c over TLS":
        authority = Authority(tmp_path)
        authority.store("demo")
        options += ["--use-ssl", "--ssl-cert-store", "demo.pem"]
        context = authority.context()
        secured["ssl"] = context
    env = {"SHARDWS_CODEC": way.split()[0]}
    server = run_server("examples.echo:server", *options, shards=1, env=env)
    client = server.connect(**secured)
    pids = server.shard_pids()
    before = resident(pids[0])
    with flooding(server, name, context) as flooders:
        end = time.monotonic() + FLOOD_S
        number = most = 0
        while time.monotonic() < end:
            number += 1
            client.send(f"{number}")
            assert client.recv(timeout=DEADLINE) == f"{number}"
            most = max(most, resident(pids[0]))
        assert all(flooder.sent for flooder in flooders)
        if FLOODS[name][2]:
            server.wait_for_line("broke the protocol: 1008 too many pings, pongs or empty")
    assert server.shard_pids() == pids
    assert "SIGABRT" not in server.log
    assert most - before < FLOODERS * MOST_MIB
