"""Scenarios of an echo over TLS, from a client's socket and back to it, including the kernel.

The client's records are made ahead and what comes back is only counted, so that of the cost of TLS
no more than the server's is in the figure.
"""

import asyncio
import contextlib
import socket
import ssl
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import uvloop

from benchmarks import certificate
from shardws import DataIn, WebSocketServer

AHEAD: Final = 64  # batches whose records are made at a time
TURNS_LIMIT: Final = 10_000  # of the server for one batch
CHUNK: Final = 1 << 20
RECORD_HEADER: Final = 5
RECORD_COST: Final = 1 + 16  # type and tag of a record of TLS 1.3
HEADER: Final = 2  # of a frame from the server


class Client:
    """A client of TLS 1.3 on a socket that does not block."""

    def __init__(self, server: WebSocketServer, turn: Callable[[], None]) -> None:
        self._turn = turn
        self.socket = socket.create_connection(("127.0.0.1", server.local_port))
        self.socket.setblocking(False)
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self._tls = context.wrap_bio(self._in, self._out)

    def handshake(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self.socket.send(self._out.read())
                self._in.write(self.receive(1))
            else:
                return

    def open(self, request: bytes) -> None:
        """Send the opening request and read its answer."""
        self.socket.send(self._out.read() + self.sealed(request))
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            self._in.write(self.receive(1))
            with contextlib.suppress(ssl.SSLWantReadError):
                answer += self._tls.read(CHUNK)

    def sealed(self, data: bytes) -> bytes:
        """Return the record of data."""
        self._tls.write(data)
        return self._out.read()

    def receive_replies(self, size: int) -> None:
        """Read records with `size` bytes of plaintext."""
        missing = size
        while missing > 0:
            found = self.receive(missing)
            while found:
                length = found[3] << 8 | found[4]
                found += (
                    self.receive(rest) if (rest := RECORD_HEADER + length - len(found)) > 0 else b""
                )
                found = found[RECORD_HEADER + length :]
                missing -= length - RECORD_COST
        assert not missing

    def receive(self, size: int) -> bytes:
        """Return at least `size` bytes; TimeoutError when the server never sends them."""
        found = b""
        for _ in range(TURNS_LIMIT):
            try:
                found += self.socket.recv(CHUNK)
            except BlockingIOError:
                self._turn()
            if len(found) >= size:
                return found
        raise TimeoutError(f"{len(found)} of {size} bytes came back")


def echo_server(store: bytes) -> WebSocketServer:
    server = WebSocketServer()
    server.config("BufferMessage=True")
    server.local_host = "127.0.0.1"
    server.use_ssl, server.ssl_cert_store = True, store

    def on_data_in(e: DataIn) -> None:
        server.send(e.connection_id, e.text)

    server.on_data_in = on_data_in
    return server


def store() -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        certificate.make(Path(directory))
        return (Path(directory) / "both.pem").read_bytes()


@contextmanager
def echoing_tls(
    per_batch: int, at_once: int, frame: bytes, payload: int, request: bytes
) -> Iterator[Callable[[int], None]]:
    """Echo `per_batch` frames, each in a record of its own, `at_once` of them in one write."""
    loop = uvloop.new_event_loop()
    server = echo_server(store())

    async def listen() -> None:
        server.listening = True
        await asyncio.sleep(0)

    def turn() -> None:
        loop.call_soon(loop.stop)
        loop.run_forever()

    loop.run_until_complete(listen())
    client = Client(server, turn)
    client.handshake()
    client.open(request)
    ahead: list[bytes] = []

    def make_ahead() -> None:
        for _ in range(AHEAD * per_batch // at_once):
            ahead.append(b"".join([client.sealed(frame) for _ in range(at_once)]))

    def run(batches: int) -> None:
        for _ in range(batches * per_batch // at_once):
            if not ahead:
                make_ahead()
            client.socket.send(ahead.pop(0))
            client.receive_replies(at_once * (HEADER + payload))

    try:
        yield run
    finally:
        client.socket.close()
        loop.run_until_complete(server.shutdown_complete())
        loop.close()
