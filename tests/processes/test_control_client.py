"""shardws.control against a real server: its shards, their deaths, reloads and its end."""

import asyncio
import json
import os
import signal
from collections.abc import Awaitable, Callable

import pytest

from shardws.control import Client, connect
from shardws.errors import ControlError, Refused
from shardws.outcomes import Outcome
from tests.proc import is_alive
from tests.processes.conftest import (
    DEADLINE,
    RunningServer,
    RunServer,
    assert_echo,
    connect_to_shard,
    eventually,
)

pytestmark = pytest.mark.processes


def run(server: RunningServer, test: Callable[[Client], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(DEADLINE), connect(server.run_dir) as client:
            await test(client)

    asyncio.run(bounded())


def test_each_way_to_reach_connections_of_two_shards(run_server: RunServer) -> None:
    server = run_server(shards=2)
    (one, hello), (two, other) = (connect_to_shard(server, slot) for slot in (0, 1))
    two.send(json.dumps({"join": "news"}))
    assert_echo(two, "ping")

    async def calls(client: Client) -> None:
        for who, its in ((one, hello), (two, other)):
            assert await client.send(its["connection_id"], "text é\n") is Outcome.QUEUED
            assert who.recv(timeout=DEADLINE) == "text é\n"
            assert await client.send(its["connection_id"], b"\x00\xff") is Outcome.QUEUED
            assert who.recv(timeout=DEADLINE) == b"\x00\xff"
        assert await client.publish("news", "members") is Outcome.QUEUED
        assert await client.broadcast("all") is Outcome.QUEUED
        assert one.recv(timeout=DEADLINE) == "all"
        assert two.recv(timeout=DEADLINE) == "members"
        assert two.recv(timeout=DEADLINE) == "all"
        connection_list = await client.connections()
        assert {row["id"] for row in connection_list.connections} == {
            hello["connection_id"],
            other["connection_id"],
        }
        assert (connection_list.total, connection_list.silent_shards) == (2, 0)
        assert (await client.connections(shard=1)).connections[0]["id"] == other["connection_id"]
        assert (await client.connection(other["connection_id"]))["group_names"] == ["news"]
        assert (await client.status())["ready"]

    run(server, calls)


def test_what_is_not_there(run_server: RunServer) -> None:
    server = run_server(shards=1)
    one, hello = connect_to_shard(server, 0)
    identity = hello["connection_id"]

    async def calls(client: Client) -> None:
        assert await client.send(identity + 1, "x") is Outcome.GONE
        assert await client.send(0, "x") is Outcome.GONE
        assert await client.disconnect(1 << 60) is Outcome.GONE
        with pytest.raises(Refused, match="no such connection") as caught:
            await client.connection(identity + 1)
        assert caught.value.code == 1117
        with pytest.raises(Refused, match="cannot carry the code 1005") as caught:
            await client.disconnect(identity, 1005)
        assert caught.value.code == 213
        assert await client.disconnect(identity, 4000, "off you go") is Outcome.QUEUED
        with pytest.raises(Exception, match="4000"):
            one.recv(timeout=DEADLINE)
        assert await client.kick("127.0.0.1") == 0

    run(server, calls)


def test_a_client_that_does_not_read_is_full(run_server: RunServer) -> None:
    server = run_server("examples.demo:server", "--out-high-mark", "64KiB", "--out-low-mark", "1k")
    _, hello = connect_to_shard(server, 0)

    async def calls(client: Client) -> None:
        outcome = Outcome.QUEUED
        sends = 0
        while outcome is Outcome.QUEUED:  # until the buffers of the kernel and the client are full
            outcome = await client.send(hello["connection_id"], os.urandom(40_000))
            sends += 1
        assert outcome is Outcome.FULL
        assert sends > 1

    run(server, calls)


def test_thousands_of_sends_arrive_in_order(run_server: RunServer) -> None:
    server = run_server(shards=2)
    clients = [connect_to_shard(server, slot) for slot in (0, 1)]

    async def calls(client: Client) -> None:
        sends = [
            client.send(hello["connection_id"], str(number))
            for number in range(3000)
            for _, hello in clients
        ]
        outcomes = await asyncio.gather(*sends)
        assert set(outcomes) == {Outcome.QUEUED}

    run(server, calls)
    for who, _ in clients:
        assert [who.recv(timeout=DEADLINE) for _ in range(3000)] == list(map(str, range(3000)))


def test_a_shard_is_killed_under_sends(run_server: RunServer) -> None:
    """Each send has one outcome; what the other shard's connection was sent is all there."""
    server = run_server(shards=2)
    (_, doomed), (lucky, other) = (connect_to_shard(server, slot) for slot in (0, 1))
    to_lucky = 0

    async def calls(client: Client) -> None:
        nonlocal to_lucky
        outcomes: list[Outcome] = []

        async def push() -> None:
            nonlocal to_lucky
            while not outcomes or outcomes[-1] is Outcome.QUEUED:
                batch = [client.send(doomed["connection_id"], "x") for _ in range(50)]
                batch.append(client.send(other["connection_id"], str(to_lucky)))
                *got, last = await asyncio.gather(*batch)
                assert last is Outcome.QUEUED
                to_lucky += 1
                outcomes.extend(got)
                if to_lucky == 20:
                    os.kill(doomed["pid"], signal.SIGKILL)

        await push()
        ends = {outcome for outcome in outcomes if outcome is not Outcome.QUEUED}
        assert ends <= {Outcome.GONE, Outcome.UNREACHABLE}
        first = next(at for at, outcome in enumerate(outcomes) if outcome is not Outcome.QUEUED)
        assert Outcome.QUEUED not in outcomes[first:], "nothing arrives after the death"
        assert await client.send(doomed["connection_id"], "x") is Outcome.GONE

    run(server, calls)
    assert [lucky.recv(timeout=DEADLINE) for _ in range(to_lucky)] == list(
        map(str, range(to_lucky))
    )
    server.wait_for_status(lambda report: report["ready"] and len(report["shards"]) == 2)


def test_a_reload_under_sends_loses_none_of_the_client_s_answers(run_server: RunServer) -> None:
    server = run_server(shards=2)
    pids = server.shard_pids()

    async def calls(client: Client) -> None:
        await client.ask("reload")
        while (await client.status())["phase"] == "reloading":
            outcome = await client.broadcast("x")
            assert outcome is Outcome.QUEUED

    run(server, calls)
    assert not set(server.shard_pids().values()) & set(pids.values())


def test_the_server_ends_and_another_comes(run_server: RunServer) -> None:
    server = run_server(shards=1)

    async def calls() -> None:
        async with asyncio.timeout(2 * DEADLINE), connect(server.run_dir) as client:
            assert (await client.status())["ready"]
            server.signal(signal.SIGKILL)
            eventually(lambda: not is_alive(server.pid))
            with pytest.raises(ControlError, match=r"no server runs in|has gone"):
                await client.broadcast("x")
            second = await asyncio.to_thread(run_server, shards=1, run_dir=server.run_dir)
            _, hello = await asyncio.to_thread(connect_to_shard, second, 0)
            assert await client.send(hello["connection_id"], "x") is Outcome.QUEUED

    asyncio.run(calls())
