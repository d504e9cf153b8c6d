"""A server embedded in a do_events program, and clients of it in threads."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from websockets.sync.client import ClientConnection, connect

from tests.shard.server_fixture import DEADLINE_S, new_server
from tests.upgrade_request import UPGRADE

BIG = bytes(8 << 20)  # more than the kernel's buffers and the queue together


class EmbeddedServer:
    """A server that runs within do_events(), and its events in their order."""

    def __init__(self) -> None:
        self.server = new_server()
        self.server.buffer_message = True
        self.server.out_high_mark = 64 * 1024
        self.server.out_low_mark = 16 * 1024
        self.events: list[tuple[Any, ...]] = []
        self.server.on_connected = lambda e: self.events.append(("connected", e.connection_id))
        self.server.on_disconnected = lambda e: self.events.append(("disconnected", e.status_code))
        self.server.on_error = lambda e: self.events.append(("error", e.error_code))

    def run_until(self, what: Callable[[], object]) -> None:
        """Call do_events until something is true."""
        end = time.monotonic() + DEADLINE_S
        while not what():
            assert time.monotonic() < end, self.events
            self.server.do_events()

    def count(self, name: str) -> int:
        return len([event for event in self.events if event[0] == name])

    @property
    def ids(self) -> list[int]:
        return [event[1] for event in self.events if event[0] == "connected"]

    def answer(self, request: bytes = UPGRADE) -> bytes:
        """Return all that a client gets that says this, until the server ends the connection."""
        found: list[bytes] = []
        with socket.create_connection(("127.0.0.1", self.server.local_port)) as sock:
            sock.sendall(request)
            sock.setblocking(False)

            def has_ended() -> bool:
                with contextlib.suppress(BlockingIOError):
                    found.append(sock.recv(65536))
                return bool(found) and not found[-1]

            self.run_until(has_ended)
        return b"".join(found)

    @contextlib.contextmanager
    def nonreading_client(self) -> Iterator[int]:
        """Connect a client that never reads, with small buffers; yields its id."""
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect(("127.0.0.1", self.server.local_port))
            sock.sendall(UPGRADE)
            before = self.count("connected")
            self.run_until(lambda: self.count("connected") > before)
            self.nonreading_socket = sock
            yield self.ids[-1]


@contextlib.contextmanager
def client_thread(
    embedded: EmbeddedServer, use: Callable[[ClientConnection], None]
) -> Iterator[None]:
    """Run a client in a thread; what it raises is raised here."""
    failures: list[BaseException] = []

    def run_client() -> None:
        try:
            url = f"ws://127.0.0.1:{embedded.server.local_port}"
            with connect(url, compression=None, max_size=None) as ws:
                use(ws)
        except BaseException as error:  # noqa: BLE001  raised again in the test's own thread
            failures.append(error)

    thread = threading.Thread(target=run_client)
    thread.start()
    yield
    embedded.run_until(lambda: not thread.is_alive())
    thread.join()
    if failures:
        raise failures[0]
