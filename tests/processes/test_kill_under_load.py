"""`kill -9` of a shard under load: the others lose nothing, and nothing reaches a stranger."""

import asyncio
import json
import os
import signal
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests.processes.conftest import DEADLINE, RunningServer, RunServer

pytestmark = pytest.mark.processes

MESSAGES = 1000
KILL_AT = 200
WINDOW = 20
VICTIM = 0


class Member:
    """A client that knows who it is and checks that what it gets is meant for it."""

    def __init__(self, client: ClientConnection, hello: dict[str, Any]) -> None:
        self.client = client
        self.id: int = hello["connection_id"]
        self.shard: int = hello["shard"]
        self.pid: int = hello["pid"]

    async def receive(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(await asyncio.wait_for(self.client.recv(), DEADLINE))
        return message

    async def send(self, to: int, number: int) -> None:
        text = json.dumps({"for": to, "number": number})
        await self.client.send(json.dumps({"to": to, "text": text}))


async def join(server: RunningServer) -> Member:
    client = await connect(server.url, compression=None, open_timeout=DEADLINE)
    return Member(client, json.loads(await asyncio.wait_for(client.recv(), DEADLINE)))


async def members_on_each_shard(server: RunningServer, shards: int, each: int) -> list[Member]:
    """Connect until every shard has at least `each` members."""
    members: list[Member] = []
    while any(sum(m.shard == shard for m in members) < each for shard in range(shards)):
        assert len(members) < 400, "the kernel leaves a shard out"
        members.append(await join(server))
    return members


async def stream(sender: Member, receiver: Member, reached: asyncio.Event) -> None:
    """Send numbered messages, WINDOW on the way; all arrive once, in order, at the right one."""
    sent = 0
    for number in range(MESSAGES):
        while sent < min(number + WINDOW, MESSAGES):
            await sender.send(receiver.id, sent)
            sent += 1
        message = await receiver.receive()
        assert message["from"] == sender.id
        assert json.loads(message["text"]) == {"for": receiver.id, "number": number}
        if number == KILL_AT:
            reached.set()


async def pester(sender: Member, target: int, reached: asyncio.Event) -> set[int]:
    """Send to a connection of the victim until it is gone; return the error codes on the way."""
    codes: set[int] = set()
    await asyncio.wait_for(reached.wait(), DEADLINE)
    number = 0
    while 1117 not in codes:
        await sender.send(target, number)
        await sender.client.send("mark")  # echoed behind an answer that is known at once
        number += 1
        while True:
            answer = await asyncio.wait_for(sender.client.recv(), DEADLINE)
            if answer == "mark":
                break
            failure = json.loads(answer)
            assert failure["to"] == target
            codes.add(failure["error"])
    return codes


async def kill_one(server: RunningServer) -> None:
    members = await members_on_each_shard(server, shards=4, each=4)
    victims = [m for m in members if m.shard == VICTIM]
    others = [m for m in members if m.shard != VICTIM]
    by_shard = {shard: [m for m in others if m.shard == shard] for shard in (1, 2, 3)}
    pairs = [
        (by_shard[a].pop(), by_shard[b].pop())
        for a, b in ((1, 2), (2, 3), (3, 1), (2, 1), (3, 2), (1, 3))
    ]
    pesterers = [m for left in by_shard.values() for m in left][:3]
    reached = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for sender, receiver in pairs:
            group.create_task(stream(sender, receiver, reached))
        pestering = [group.create_task(pester(m, victims[0].id, reached)) for m in pesterers]
        await asyncio.wait_for(reached.wait(), DEADLINE)
        os.kill(victims[0].pid, signal.SIGKILL)
    for task in pestering:
        assert task.result() <= {1117, 10065}
    for victim in victims:
        await asyncio.wait_for(victim.client.wait_closed(), DEADLINE)
    await successor_serves(server, victims, pairs[0][0])
    for member in others:
        await member.client.close()


async def successor_serves(server: RunningServer, victims: list[Member], witness: Member) -> None:
    """The slot has another process with other ids; the old ids are gone for all."""
    for _ in range(400):
        newcomer = await join(server)
        if newcomer.shard == VICTIM:
            break
        await newcomer.client.close()
    assert newcomer.shard == VICTIM
    assert newcomer.pid != victims[0].pid
    assert newcomer.id not in {victim.id for victim in victims}
    await witness.send(newcomer.id, 1)
    assert (await newcomer.receive())["from"] == witness.id
    for sender in (witness, newcomer):
        for victim in victims:
            await sender.send(victim.id, 2)
            assert await sender.receive() == {"error": 1117, "to": victim.id}
    await newcomer.client.close()


def test_a_killed_shard_under_load_harms_nobody_else(run_server: RunServer) -> None:
    server = run_server(shards=4)
    asyncio.run(kill_one(server))
    assert len(server.shard_pids()) == 4
