"""The control socket: operators ask the supervisor, one JSON object a line each way.

Owns the Unix socket (0600, in the 0700 run directory) and its clients; knows no command: a
`Commands` answers. Every client is bounded: LONGEST_REQUEST of a line, LONGEST_REPLY unread,
PATIENCE seconds without a whole request, MOST_CLIENTS at once. What a client does wrong, it is told
once and closed; the supervisor's loop never waits for one.

    {"do": "status"}            -> {"ok": true, ...}
    {"do": "scale", "shards": 4} -> {"ok": true} or {"ok": false, "error": "..."}
"""

import contextlib
import json
import os
import selectors
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from shardws.errors import ShardwsError, StartError
from shardws.log import logger
from shardws_supervisor.spawn import Closeable

LONGEST_REQUEST: Final = 64 << 10
LONGEST_REPLY: Final = 4 << 20
MOST_CLIENTS: Final = 32
PATIENCE: Final = 30.0  # seconds; `top` asks every second or two

Request = dict[str, Any]
Reply = dict[str, Any]

log = logger("supervisor.control")


class Pending:
    """A reply that comes later; the client's next request waits for it."""

    def __init__(self) -> None:
        self._make: Callable[[], Reply] | None = None
        self._then: Callable[[], None] | None = None

    def fill(self, make: Callable[[], Reply]) -> None:
        """Settle it: `make` returns the reply, or raises as a command does."""
        self._make = make
        if self._then is not None:
            self._then()

    def then(self, call: Callable[[], None]) -> None:
        """Have `call` called when it is settled, at once when it is already."""
        self._then = call
        if self._make is not None:
            call()

    def reply(self) -> Reply:
        """Return the reply of what is settled, or raise."""
        assert self._make is not None
        return self._make()


Commands = Callable[[Request], Reply | Pending]


class Client:
    """One connection of an operator's program."""

    __slots__ = ("is_waiting", "last", "received", "sock", "unsent")

    def __init__(self, sock: socket.socket, now: float) -> None:
        self.sock = sock
        self.last = now
        self.received = bytearray()
        self.unsent = bytearray()
        self.is_waiting = False  # for a Pending


class Control:
    """The socket and its clients in the supervisor's loop."""

    def __init__(
        self,
        path: Path,
        selector: selectors.BaseSelector,
        commands: Commands,
        clock: Callable[[], float],
    ) -> None:
        """Bind and listen; StartError when the path cannot be bound."""
        self._selector = selector
        self._commands = commands
        self._clock = clock
        self._clients: set[Client] = set()
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        mask = os.umask(0o177)  # 0600 from the first moment, not after a chmod
        try:
            self._sock.bind(str(path))
            self._sock.listen(MOST_CLIENTS)
        except OSError as error:
            self._sock.close()
            raise StartError(f"control socket {path}: {error.strerror}") from None
        finally:
            os.umask(mask)
        selector.register(self._sock, selectors.EVENT_READ, self._accept)

    def foreign(self) -> list[Closeable]:
        """Return the descriptors a forked child must let go of."""
        return [self._sock, *(client.sock for client in self._clients)]

    def _accept(self) -> None:
        try:
            sock, _ = self._sock.accept()
        except OSError:  # it is gone again, or there are no descriptors: the next turn tries again
            return
        if len(self._clients) >= MOST_CLIENTS:
            sock.close()
            return
        sock.setblocking(False)
        client = Client(sock, self._clock())
        self._clients.add(client)
        self._selector.register(sock, selectors.EVENT_READ, lambda: self._turn(client))

    def _turn(self, client: Client) -> None:
        """Read, answer and write for one client."""
        try:
            self._write(client)
            data = client.sock.recv(LONGEST_REQUEST)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(client)
            return
        client.last = self._clock()
        client.received += data
        self._answer(client)

    def _answer(self, client: Client) -> None:
        """Answer each whole line; a client that leaves answers unread is dropped."""
        while client in self._clients and not client.is_waiting and b"\n" in client.received:
            line, _, rest = bytes(client.received).partition(b"\n")
            client.received[:] = rest
            answer = self._reply_to(line)
            if isinstance(answer, Pending):
                self._wait_for(client, answer)
            else:
                self._reply(client, answer)
        if len(client.received) > LONGEST_REQUEST and client in self._clients:
            self._reply(client, refusal(f"a request is at most {LONGEST_REQUEST} bytes"))
            self._drop(client)

    def _wait_for(self, client: Client, pending: Pending) -> None:
        """Answer when the answer is there, then go on with what the client asked meanwhile."""

        def settled() -> None:
            client.is_waiting = False
            if client in self._clients:
                client.last = self._clock()
                self._reply(client, _guarded(pending.reply))
                self._answer(client)

        client.is_waiting = True
        pending.then(settled)

    def _reply_to(self, line: bytes) -> Reply | Pending:
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):
            return refusal("the request is no JSON")
        if not isinstance(request, dict) or not isinstance(request.get("do"), str):
            return refusal('a request is a JSON object like {"do": "status"}')
        pending: list[Pending] = []

        def run() -> Reply:
            answer = self._commands(request)
            if isinstance(answer, Pending):
                pending.append(answer)
                return {}
            return answer

        reply = _guarded(run)
        return pending[0] if pending else reply

    def _reply(self, client: Client, reply: Reply) -> None:
        client.unsent += json.dumps(reply).encode() + b"\n"
        if len(client.unsent) > LONGEST_REPLY:
            log.warning("a control client does not read its answers and is dropped")
            self._drop(client)
            return
        with contextlib.suppress(OSError):  # seen when it is read from
            self._write(client)

    def _write(self, client: Client) -> None:
        with contextlib.suppress(BlockingIOError):
            while client.unsent:
                sent = client.sock.send(client.unsent)
                del client.unsent[:sent]
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if client.unsent else 0)
        self._selector.modify(client.sock, wanted, lambda: self._turn(client))

    def _drop(self, client: Client) -> None:
        if client in self._clients:
            self._clients.remove(client)
            self._selector.unregister(client.sock)
            client.sock.close()

    def expire(self, now: float) -> None:
        """Drop clients that have been silent for too long."""
        for client in [client for client in self._clients if now - client.last > PATIENCE]:
            self._drop(client)

    def close(self) -> None:
        """Close all descriptors."""
        for client in list(self._clients):
            self._drop(client)
        self._selector.unregister(self._sock)
        self._sock.close()


def refusal(reason: str) -> Reply:
    """Return the reply to a request that cannot be served."""
    return {"ok": False, "error": reason}


def _guarded(make: Callable[[], Reply]) -> Reply:
    """Return a reply with its "ok"; what a command raises becomes a refusal."""
    try:
        return {"ok": True, **make()}
    except ShardwsError as error:
        return refusal(error.description)
    except (ValueError, TypeError) as error:
        return refusal(str(error))
