"""The control socket: operators query the supervisor with one JSON object per line each way.

Owns the clients of the Unix socket (bound_socket); `Commands` carries out the requests. Every
client is bounded: LONGEST_REQUEST bytes of a line and of buffered lines, MOST_AT_ONCE pending
requests, LONGEST_REPLY bytes unread, PATIENCE seconds of silence, MOST_CLIENTS at once
(shardws.control.endpoint) and some beyond that for operators (client_quota); all of them together
MOST_UNREAD. A client that breaks a rule gets one error and is closed; the supervisor's loop never
waits for one. Replies keep the order of the requests. Who requests a change is logged, with the pid
and uid that the kernel reports.

    {"do": "status"}            -> {"ok": true, ...}
    {"do": "scale", "shards": 4} -> {"ok": true} or {"ok": false, "error": "..."}
"""

import contextlib
import json
import selectors
import socket
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shardws.control.endpoint import LONGEST_REPLY, LONGEST_REQUEST, MOST_CLIENTS, PATIENCE
from shardws.log import logger, shown
from shardws_supervisor.control.bound_socket import BoundSocket, KeptSocket
from shardws_supervisor.control.client import Client, KeptClient, peer_of
from shardws_supervisor.control.client_quota import ClientKind, ClientQuota, idlest
from shardws_supervisor.shards.replies import Pending, Reply, Request, guarded, refusal, settled
from shardws_supervisor.system.spawn import Closeable

MOST_AT_ONCE: Final = 32  # pending requests of one client; further ones wait in its buffer
PIECE: Final = 64 << 10  # bytes of replies that are collected for one write
MOST_UNREAD: Final = 32 << 20  # bytes of unread replies of all clients together
DEAF_SECONDS: Final = 1.0  # seconds without accepting, when no descriptor is left
NO_PLACE: Final = 10024  # in errors.ERROR_CODES: too many
TOO_LONG: Final = 135
NOT_DONE: Final = 301
UPGRADED: Final = "the supervisor was upgraded before the shards had replied: ask again"

log = logger("supervisor.control")

Commands = Callable[[Request], Reply | Pending]


@dataclass(frozen=True, slots=True)
class KeptControl:
    """The control socket and its clients, kept over an exec."""

    socket: KeptSocket
    clients: list[KeptClient]


class ControlServer:
    """The socket and its clients in the supervisor's loop."""

    def __init__(
        self,
        path: Path,
        selector: selectors.BaseSelector,
        commands: Commands,
        clock: Callable[[], float],
        pushes: Collection[str] = (),
        family: Callable[[], Collection[int]] = tuple,
        changes: Collection[str] = (),
        kept: KeptControl | None = None,
    ) -> None:
        """Bind and listen, or go on with what is kept; StartError when it cannot be bound.

        `pushes` are the commands refused to clients beyond MOST_CLIENTS; `family` returns the
        pids of children that always have a place; `changes` are the commands that are logged.
        """
        self._selector = selector
        self._commands = commands
        self._clock = clock
        self._pushes = pushes
        self._changes = changes
        self._quota = ClientQuota(family)
        self._clients: set[Client] = set()
        self._unread = 0  # bytes of replies, of all clients
        self._deaf_until = 0.0  # nobody is accepted before this time; 0 while it listens
        self._is_paused = False
        if kept is None:
            self._bound = BoundSocket(path, MOST_CLIENTS)
        else:
            self._bound = BoundSocket.adopt(path, kept.socket)
        self._sock = self._bound.sock
        selector.register(self._sock, selectors.EVENT_READ, self._accept)
        for client in kept.clients if kept else ():
            self._adopt(Client.adopt(client))

    def _adopt(self, client: Client) -> None:
        """Go on with a client; requests that it has sent are processed at its next event."""
        self._clients.add(client)
        self._unread += len(client.unsent)
        client.events = selectors.EVENT_READ | selectors.EVENT_WRITE  # the event comes at once
        self._selector.register(client.sock, client.events, lambda: self._turn(client))

    def pause(self) -> None:
        """Begin no request from now on; those that are pending are finished."""
        self._is_paused = True

    def resume(self) -> None:
        """Begin requests again, those that have arrived meanwhile first."""
        self._is_paused = False
        for client in list(self._clients):
            self._answer(client)

    @property
    def is_quiet(self) -> bool:
        """Whether no reply is pending."""
        return not any(client.waiting for client in self._clients)

    def keep(self) -> KeptControl:
        """Return what the server after an exec needs; pending requests are not kept."""
        return KeptControl(self._bound.keep(), [client.keep() for client in self._clients])

    def refuse_pending(self) -> None:
        """Refuse the requests whose replies an exec would lose."""
        for client in list(self._clients):
            while client in self._clients and client.waiting:
                client.waiting.popleft()
                self._reply(client, refusal(UPGRADED, NOT_DONE))
            self._write_some(client)

    def mend(self) -> bool:
        """Bind again when the socket was removed; StartError when that fails. Clients stay."""
        if self._bound.is_in_place:
            return False
        self._bound = self._bound.successor(MOST_CLIENTS)
        old, self._sock = self._sock, self._bound.sock
        if not self._deaf_until:
            self._selector.unregister(old)
            self._selector.register(self._sock, selectors.EVENT_READ, self._accept)
        old.close()
        return True

    def fds_to_close(self) -> list[Closeable]:
        """Return the descriptors that a forked child must close."""
        return [self._sock, *(client.sock for client in self._clients)]

    def _accept(self) -> None:
        try:
            sock, _ = self._sock.accept()
        except ConnectionError:  # it is gone again
            return
        except OSError:  # no descriptor left: one was freed, so the next turn tries again
            if not self._make_room(ClientKind.ORDINARY):
                self._selector.unregister(self._sock)  # otherwise it would spin the loop
                self._deaf_until = self._clock() + DEAF_SECONDS
            return
        sock.setblocking(False)
        if self._quota.is_taken(ClientKind.ORDINARY, self._clients):
            self._drop_gone()
        peer = peer_of(sock)
        kind = self._quota.kind_for(peer[0], self._clients)
        if kind is not ClientKind.ORDINARY and not self._make_room(kind):
            sock.close()
            return
        client = Client(sock, kind, peer, self._clock())
        self._clients.add(client)
        self._selector.register(sock, selectors.EVENT_READ, lambda: self._turn(client))

    def _make_room(self, kind: ClientKind) -> bool:
        """Free a place of that kind if need be; False when all are in use."""
        if kind is not ClientKind.ORDINARY and not self._quota.is_taken(kind, self._clients):
            return True
        client = idlest(kind, self._clients)
        if client is None:
            return False
        self._drop(client)
        return True

    def _drop_gone(self) -> None:
        """Drop clients that have disconnected: the kernel may report a newcomer first."""
        for client in list(self._clients):
            try:
                is_gone = not client.sock.recv(1, socket.MSG_PEEK)
            except BlockingIOError:
                continue
            except OSError:
                is_gone = True
            if is_gone:
                self._drop(client)

    def _turn(self, client: Client) -> None:
        """Read, process and write for one client, unless an earlier event dropped it."""
        if client not in self._clients:
            return
        room = LONGEST_REQUEST
        if self._is_paused:  # what does not fit waits in the socket: it breaks no rule
            room -= len(client.received)
        try:
            self._write(client)
            if not room:
                return
            data = client.sock.recv(room)
        except BlockingIOError:
            self._answer(client)  # after an exec it may have left some
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
        """Start requests up to the limit, and send the replies that are ready, in order."""
        if client.is_busy:
            return
        client.is_busy = True
        while self._reply_to_first(client) or self._take_line(client):
            pass
        client.is_busy = False
        if client not in self._clients:
            return
        is_too_long = len(client.received) > LONGEST_REQUEST
        if is_too_long:
            what = "requests may wait:" if b"\n" in client.received else "a request is"
            self._reply(client, refusal(f"{what} at most {LONGEST_REQUEST} bytes"))
        self._write_some(client)
        if is_too_long:
            self._drop(client)

    def _take_line(self, client: Client) -> bool:
        """Start the next request; False when there is none, or the limit is reached."""
        if client not in self._clients or len(client.waiting) >= MOST_AT_ONCE:
            return False
        if self._is_paused:
            return False
        end = client.received.find(b"\n")
        if end < 0:
            return False
        line = bytes(client.received[:end])
        del client.received[: end + 1]
        answer = self._reply_to(client, line)
        client.waiting.append(answer)
        answer.then(lambda: self._settled(client))
        return True

    def _settled(self, client: Client) -> None:
        if client in self._clients:
            client.last = self._clock()
            self._answer(client)

    def _reply_to_first(self, client: Client) -> bool:
        """Send the reply to the oldest request if it is ready."""
        if client not in self._clients or not client.waiting or not client.waiting[0].is_settled:
            return False
        self._reply(client, guarded(client.waiting.popleft().reply))
        return True

    def _audit(self, client: Client, request: Request) -> None:
        """Log who requests a change, and which: JSON, truncated and escaped."""
        if request["do"] in self._changes:
            told = {name: value for name, value in request.items() if name != "do"}
            arguments = f" {shown(json.dumps(told))}" if told else ""
            who = (client.uid, client.pid)
            log.info("user %d (pid %d) requests %s%s", *who, request["do"], arguments)

    def _reply_to(self, client: Client, line: bytes) -> Pending:
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):
            return settled(refusal("the request is not valid JSON"))
        if not isinstance(request, dict) or not isinstance(request.get("do"), str):
            return settled(refusal('a request is a JSON object like {"do": "status"}'))
        if client.kind is ClientKind.RESERVED and request["do"] in self._pushes:
            return settled(refusal(f"{MOST_CLIENTS} clients are connected already", NO_PLACE))
        self._audit(client, request)
        pending: list[Pending] = []

        def run() -> Reply:
            answer = self._commands(request)
            if isinstance(answer, Pending):
                pending.append(answer)
                return {}
            return answer

        reply = guarded(run)
        return pending[0] if pending else settled(reply)

    def _reply(self, client: Client, reply: Reply) -> None:
        line = json.dumps(reply).encode() + b"\n"
        if len(line) > LONGEST_REPLY:
            reason = f"the reply is too long: {len(line)} bytes, at most {LONGEST_REPLY}"
            line = json.dumps(refusal(reason, TOO_LONG)).encode() + b"\n"
        client.unsent += line
        self._unread += len(line)
        if len(client.unsent) > PIECE:
            self._write_some(client)
        if len(client.unsent) > LONGEST_REPLY:
            self._drop_unread(client)
        elif self._unread > MOST_UNREAD:
            self._drop_unread(max(self._clients, key=lambda one: len(one.unsent)))

    def _drop_unread(self, client: Client) -> None:
        log.warning("a control client does not read its replies: dropped")
        self._drop(client)

    def _write_some(self, client: Client) -> None:
        if client in self._clients:
            with contextlib.suppress(OSError):  # noticed at the next read
                self._write(client)

    def _write(self, client: Client) -> None:
        with contextlib.suppress(BlockingIOError):
            while client.unsent:
                sent = client.sock.send(client.unsent)
                del client.unsent[:sent]
                self._unread -= sent
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if client.unsent else 0)
        if wanted != client.events:
            client.events = wanted
            self._selector.modify(client.sock, wanted, lambda: self._turn(client))

    def _drop(self, client: Client) -> None:
        if client in self._clients:
            self._clients.remove(client)
            self._unread -= len(client.unsent)
            client.unsent.clear()
            self._selector.unregister(client.sock)
            client.sock.close()
            self._quota.left(self._clients)

    def expire(self, now: float) -> None:
        """Drop clients that have been silent for too long; accept again after a pause."""
        if self._deaf_until and now >= self._deaf_until:
            self._deaf_until = 0.0
            self._selector.register(self._sock, selectors.EVENT_READ, self._accept)
        for client in [client for client in self._clients if now - client.last > PATIENCE]:
            self._drop(client)

    def close(self) -> None:
        """Close all descriptors."""
        for client in list(self._clients):
            self._drop(client)
        if not self._deaf_until:
            self._selector.unregister(self._sock)
        self._sock.close()
