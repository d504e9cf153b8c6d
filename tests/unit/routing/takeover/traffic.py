"""What the simulated application sends, and the book that is kept of it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from shardws.errors import ShardwsError
from shardws.outcomes import Outcome, SendOutcome
from tests.unit.routing.takeover.process import Client, Process
from tests.unit.routing.takeover.server import Server

GROUPS = ("a", "b", "c")
STEADY_SECONDS = 3.0  # after which every shard has heard of a join
MEETING_SECONDS = 0.3  # after which every shard knows a new one


@dataclass
class Sent:
    """One message to one, some or all."""

    text: bytes
    sender: Process
    number: int
    at: float
    result: SendOutcome
    client: Client | None = None
    group: str = ""
    members: frozenset[int] = frozenset()  # ids that it must reach
    awaited: Outcome | None = None

    @property
    def outcome(self) -> Outcome | None:
        return self.result.outcome


@dataclass
class Membership:
    """What is known of one connection and one group."""

    is_steady: bool = False  # joined, and nobody is about to let it leave
    joined_at: float = 0.0
    by: Process | None = None
    has_ever_joined: bool = False
    busy: int = 0  # joins and leaves under way


@dataclass
class Book:
    """All that was sent."""

    sent: list[Sent] = field(default_factory=list)
    members: dict[tuple[int, str], Membership] = field(default_factory=dict)

    def membership(self, client: Client, group: str) -> Membership:
        return self.members.setdefault((client.id, group), Membership())


class Piecewise:
    """A source that has its content in pieces, some of them late."""

    def __init__(self, server: Server, content: bytes) -> None:
        self.wake: Callable[[], None] = lambda: None
        self.outcome: Outcome | None = None
        self._server = server
        self._content = content
        self._begun = False

    def read(self, limit: int) -> bytes | None:
        if self._begun and self._server.random.random() < 0.2 and self._content:
            self._server.loop.call_later(0.01, self._wake)
            return None
        self._begun = True
        piece, self._content = self._content[:limit], self._content[limit:]
        return piece

    def _wake(self) -> None:
        self.wake()

    def finish(self, outcome: Outcome) -> None:
        self.outcome = outcome


class Traffic:
    """Sends at random, from every process to every client."""

    def __init__(self, server: Server, random: Random) -> None:
        self.book = Book()
        self._server = server
        self._random = random

    def begin(self, process: Process, client: Client) -> None:
        """Put a new client into some groups, long before anything is sent."""
        for group in self._random.sample(GROUPS, 2):
            process.router.join(client.id, group)
            known = self.book.membership(client, group)
            known.is_steady = known.has_ever_joined = True
            known.joined_at = -STEADY_SECONDS

    def text(self, process: Process, more: int = 0) -> tuple[bytes, int]:
        process.number += 1
        head = b"%d %d " % (process.incarnation, process.number)
        return head + b"x" * more, process.number

    async def run(self, process: Process, until: float) -> None:
        """Be the application of one process."""
        actions = [self.send, self.send, self.send, self.publish, self.broadcast, self.change]
        actions += [self.stream, self.query, self.close]
        weights = [9, 9, 9, 6, 1, 3, 1, 1, 0.2]
        await process.is_ready.wait()
        while not process.is_dead and self._server.loop.time() < until:
            for _ in range(self._random.choice((1, 1, 4))):
                action = self._random.choices(actions, weights)[0]
                if process.lives():
                    await action(process)
            await self._server.pause(self._random.choice((0.001, 0.02)))

    def _client(self) -> Client:
        return self._random.choice(self._server.clients)

    async def _note(self, sent: Sent, *, awaits: bool) -> None:
        self.book.sent.append(sent)
        if awaits and not sent.sender.is_dead:
            self._server.spawn(self._await(sent))

    async def _await(self, sent: Sent) -> None:
        sent.awaited = await sent.result

    async def send(self, process: Process) -> None:
        client = self._client()
        text, number = self.text(process)
        if self._random.random() < 0.8:
            result = process.router.send(client.id, 1, text)
        else:
            result = process.router.send_formatted(client.id, text)
        sent = Sent(text, process, number, self._server.loop.time(), result, client)
        await self._note(sent, awaits=self._random.random() < 0.5)

    async def stream(self, process: Process) -> None:
        client = self._client()
        text, number = self.text(process, self._random.choice((0, 1000, 200_000)))
        source = Piecewise(self._server, text)
        result = process.router.stream(client.id, 1, source)
        sent = Sent(text, process, number, self._server.loop.time(), result, client)
        await self._note(sent, awaits=True)

    async def publish(self, process: Process) -> None:
        group = self._random.choice(GROUPS)
        text, number = self.text(process)
        now = self._server.loop.time()
        members = set()
        for client in self._server.clients:
            known = self.book.membership(client, group)
            is_heard = known.by is process or now - known.joined_at > STEADY_SECONDS
            if known.is_steady and is_heard:
                members.add(client.id)
        result = process.router.publish(group, 1, text)
        ids = frozenset(members)
        await self._note(Sent(text, process, number, now, result, None, group, ids), awaits=False)

    async def broadcast(self, process: Process) -> None:
        text, number = self.text(process)
        now = self._server.loop.time()
        clients = self._server.clients
        ids = frozenset(one.id for one in clients if one.born < now - MEETING_SECONDS)
        result = process.router.broadcast(1, text)
        await self._note(Sent(text, process, number, now, result, None, "", ids), awaits=False)

    async def change(self, process: Process) -> None:
        """Join or leave; group c is only ever joined."""
        client, group = self._client(), self._random.choice(GROUPS)
        known = self.book.membership(client, group)
        if known.busy:
            return
        known.busy += 1
        if group != "c" and self._random.random() < 0.4:
            known.is_steady = False
            self._mark_unsteady(client, group)
            result = process.router.leave(client.id, group)
        else:
            known.has_ever_joined = True
            result = process.router.join(client.id, group)
            self._server.spawn(self._joined(process, known, result))
            return
        self._server.spawn(self._left(known, result))

    def _mark_unsteady(self, client: Client, group: str) -> None:
        """What was published lately may or may not arrive before a leave."""
        recent = self._server.loop.time() - STEADY_SECONDS
        for sent in self.book.sent:
            if sent.group == group and sent.at > recent:
                sent.members -= {client.id}

    async def _joined(self, process: Process, known: Membership, result: SendOutcome) -> None:
        outcome = await result
        known.busy -= 1
        if outcome is Outcome.QUEUED and not process.is_dead:
            if not known.is_steady:
                known.joined_at, known.by = self._server.loop.time(), process
            known.is_steady = True

    async def _left(self, known: Membership, result: SendOutcome) -> None:
        await result
        known.busy -= 1

    async def query(self, process: Process) -> None:
        client = self._client()
        self._server.spawn(self._ask(process, client))

    async def _ask(self, process: Process, client: Client) -> None:
        try:
            reply = await process.router.query(client.id, "x")
        except ShardwsError:
            return
        assert reply == b"%d" % client.id

    async def close(self, process: Process) -> None:
        process.router.disconnect(self._client().id)


async def until_idle(server: Server) -> None:
    """Let what is under way come to its end."""
    for _ in range(40):
        await asyncio.sleep(1.0)
        if not any(one.leftovers() for one in server.all if not one.is_dead):
            return
