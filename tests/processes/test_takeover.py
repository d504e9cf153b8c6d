"""Takeovers of real servers: clients that talk to each other notice nothing of a reload.

TAKEOVER_CLIENTS and TAKEOVER_RELOADS make it longer; the defaults fit a test run.
"""

import asyncio
import json
import os
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests.processes.conftest import DEADLINE, RunningServer, RunServer

pytestmark = pytest.mark.processes

CLIENTS = int(os.environ.get("TAKEOVER_CLIENTS", "40"))
RELOADS = int(os.environ.get("TAKEOVER_RELOADS", "4"))


@dataclass(eq=False)
class Member:
    """One client: it echoes, and sends numbered messages to its neighbour and to its group."""

    socket: ClientConnection
    id: int
    sent: int = 0  # to the neighbour
    published: int = 0
    asked: int = 0  # echoes
    echoed: int = 0
    heard: Counter[int] = field(default_factory=Counter)  # the next number from each sender
    heard_group: Counter[int] = field(default_factory=Counter)
    resumed: list[dict[str, Any]] = field(default_factory=list)

    def take(self, text: str) -> None:
        """Take a message; each sender's numbers must come in order, none twice, none missing."""
        if not text.startswith("{"):
            assert int(text) == self.echoed, "an echo is lost or doubled"
            self.echoed += 1
            return
        message = json.loads(text)
        assert "error" not in message, message
        if "resumed" in message:
            self.resumed.append(message)
            return
        seen = self.heard_group if "group" in message else self.heard
        number, sender = int(message["text"]), message["from"]
        assert number == seen[sender], f"{number} of {sender}, not {seen[sender]}: {message}"
        seen[sender] += 1


class Crowd:
    """Members in a ring and in one group, all on one server."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        self.members: list[Member] = []
        self.is_over = False
        self._news = asyncio.Event()

    async def join(self, count: int) -> None:
        for _ in range(count):
            socket = await connect(self.server.url, open_timeout=DEADLINE, ping_interval=None)
            hello = json.loads(await socket.recv())
            self.members.append(Member(socket, hello["connection_id"]))
            await socket.send(json.dumps({"join": "all"}))
            await socket.send(json.dumps({"user_data": str(hello["connection_id"])}))
        first = self.members[0].socket
        for _ in range(3):  # an echo of each member: it has joined
            await first.send("x")
            assert await first.recv() == "x"

    async def talk(self, member: Member, neighbour: Member) -> None:
        """Send until it is over, never more than a few messages ahead of what arrives."""
        is_speaker = member is self.members[0]
        while not self.is_over:
            await member.socket.send(str(member.asked))
            member.asked += 1
            await member.socket.send(json.dumps({"to": neighbour.id, "text": str(member.sent)}))
            member.sent += 1
            if is_speaker:
                text = {"group": "all", "text": str(member.published)}
                await member.socket.send(json.dumps(text))
                member.published += 1
            await self.until(
                lambda: (
                    member.echoed == member.asked and neighbour.heard[member.id] >= member.sent - 4
                )
            )

    async def listen(self, member: Member) -> None:
        async for text in member.socket:
            member.take(str(text))
            self._news.set()

    async def until(self, what: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE):
            while not what():
                self._news.clear()
                await self._news.wait()

    @property
    def is_settled(self) -> bool:
        speaker = self.members[0]
        return all(
            neighbour.heard[member.id] == member.sent
            and member.heard_group[speaker.id] == speaker.published
            for member, neighbour in self.pairs()
        )

    def pairs(self) -> list[tuple[Member, Member]]:
        return list(zip(self.members, [*self.members[1:], self.members[0]], strict=True))

    async def run(self, act: Callable[[], Awaitable[None]]) -> None:
        """Talk while `act` runs; whatever is sent must have arrived when it is over."""
        async with asyncio.TaskGroup() as group:
            listening = [group.create_task(self.listen(member)) for member in self.members]
            talking = [group.create_task(self.talk(*pair)) for pair in self.pairs()]
            await act()
            self.is_over = True
            await asyncio.gather(*talking)
            await self.until(lambda: self.is_settled)
            for task in listening:
                task.cancel()
        for member in self.members:
            assert member.socket.close_code is None
            await member.socket.close()


async def progress(crowd: Crowd) -> None:
    """Return when every member has echoed some more."""
    goal = [member.echoed + 5 for member in crowd.members]
    await crowd.until(
        lambda: all(m.echoed >= many for m, many in zip(crowd.members, goal, strict=True))
    )


def has_shards(count: int, report: dict[str, Any]) -> bool:
    """Tell whether there are so many, all of them ready."""
    states = [shard["state"] for shard in report["shards"]]
    return states == ["ready"] * count


def assert_all_was_delivered(server: RunningServer) -> None:
    """Whoever sent heard of no failure, and nothing stayed in doubt."""
    assert "not delivered" not in server.log
    assert "in doubt" not in server.log


async def reload(server: RunningServer) -> dict[str, Any]:
    before = server.status()["reloads"]
    server.ask("reload")
    report = await asyncio.to_thread(
        server.wait_for_status,
        lambda report: report["phase"] == "serving" and report["reloads"] > before,
    )
    last: dict[str, Any] = report["last_reload"]
    assert last["kind"] == "done", last
    return last


async def crowd_through_reloads(server: RunningServer, reloads: int) -> Crowd:
    crowd = Crowd(server)
    await crowd.join(CLIENTS)

    async def act() -> None:
        for _ in range(reloads):
            await progress(crowd)
            last = await reload(server)
            assert (last["moved"], last["unmoved"]) == (CLIENTS, 0)

    await crowd.run(act)
    return crowd


@pytest.mark.parametrize("mode", ["reuseport", "handoff"])
def test_clients_that_talk_to_each_other_notice_no_reload(run_server: RunServer, mode: str) -> None:
    server = run_server("examples.demo:server", "--accept-mode", mode, shards=2)
    before = set(server.shard_pids().values())
    crowd = asyncio.run(crowd_through_reloads(server, RELOADS))
    assert not before & set(server.shard_pids().values())
    for member in crowd.members:
        assert [note["resumed"] for note in member.resumed] == ["reload"] * RELOADS
        assert {note["user_data"] for note in member.resumed} == {str(member.id)}
        assert {note["connection_id"] for note in member.resumed} == {member.id}
    assert server.status()["totals"]["connected"] == CLIENTS
    assert_all_was_delivered(server)


def test_scaling_down_moves_the_connections_of_a_removed_shard(run_server: RunServer) -> None:
    server = run_server("examples.demo:server", shards=4)

    async def scaled() -> Crowd:
        crowd = Crowd(server)
        await crowd.join(CLIENTS)

        async def act() -> None:
            for count in (2, 4, 2):
                await progress(crowd)
                server.ask("scale", shards=count)
                await asyncio.to_thread(server.wait_for_status, partial(has_shards, count))

        await crowd.run(act)
        return crowd

    crowd = asyncio.run(scaled())
    assert_all_was_delivered(server)
    causes = {note["resumed"] for member in crowd.members for note in member.resumed}
    assert causes == {"scale"}


async def upgrade(server: RunningServer) -> None:
    before = server.status()["upgrades"]
    server.ask("upgrade")
    report = await asyncio.to_thread(
        server.wait_for_status,
        lambda report: report["phase"] == "serving" and report["upgrades"] > before,
    )
    assert report["last_upgrade"]["kind"] == "done", report["upgrade_outcome"]


async def replace_shard(server: RunningServer) -> None:
    """Have one shard replaced by itself, as an operator may: TERM to its process."""
    pid = server.shard_pids()[0]
    os.kill(pid, signal.SIGTERM)
    await asyncio.to_thread(
        server.wait_for_status,
        lambda report: (
            report["shards"][0]["state"] == "ready"
            and [process["pid"] != pid for process in report["shards"][0]["processes"]] == [True]
        ),
    )


@pytest.mark.parametrize("change", [upgrade, replace_shard])
def test_other_changes_are_not_noticed_either(
    run_server: RunServer, change: Callable[[RunningServer], Awaitable[None]]
) -> None:
    server = run_server("examples.demo:server", shards=2)

    async def changed() -> Crowd:
        crowd = Crowd(server)
        await crowd.join(CLIENTS)

        async def act() -> None:
            await progress(crowd)
            await change(server)
            await progress(crowd)

        await crowd.run(act)
        return crowd

    crowd = asyncio.run(changed())
    assert_all_was_delivered(server)
    causes = {note["resumed"] for member in crowd.members for note in member.resumed}
    assert causes == ({"upgrade"} if change is upgrade else {"reload"})


def test_reload_mode_drain_closes_them(run_server: RunServer) -> None:
    server = run_server("examples.demo:server", "--reload-mode", "drain", shards=1)

    async def closed() -> int | None:
        async with connect(server.url, open_timeout=DEADLINE) as client:
            await client.recv()
            server.ask("reload")
            async with asyncio.timeout(DEADLINE):
                await client.wait_closed()
            return client.close_code

    assert asyncio.run(closed()) == 1012
    assert server.status()["moved_connections"] == 0
