"""Takeovers at random: real routing over simulated links, and the invariants of `checks`.

A seed decides everything. TAKEOVER_SEEDS says how many are run, TAKEOVER_SEED runs one again.
"""

import asyncio
import logging
import os
from random import Random
from typing import Any

import pytest

from tests.unit.routing.takeover.checks import CHECKS, Run
from tests.unit.routing.takeover.process import Process
from tests.unit.routing.takeover.server import Server
from tests.unit.routing.takeover.traffic import Traffic, until_idle
from tests.unit.routing.takeover.virtual_loop import VirtualLoop

SEEDS = int(os.environ.get("TAKEOVER_SEEDS", "120"))
BATCHES = 6
ONE = os.environ.get("TAKEOVER_SEED")
SECONDS = 0.4


async def story(loop: VirtualLoop, seed: int) -> Run:
    """One run: 3 or 4 processes, several takeovers, some deaths."""
    random = Random(seed)
    is_narrow = random.random() < 0.2
    has_kills = random.random() < 0.5
    server = Server(loop, random, 3000 if is_narrow else 16 << 20)
    processes = [await server.start(slot) for slot in range(random.randint(2, 4))]
    traffic = Traffic(server, random)
    for process in processes:
        await process.is_ready.wait()
        for _ in range(random.randint(1, 5)):
            traffic.begin(process, server.connect(process))
    await asyncio.sleep(0.1)
    until = loop.time() + SECONDS
    for process in processes:
        server.spawn(traffic.run(process, until))
    if has_kills:
        server.spawn(kills(server, random, until))
    for _ in range(random.randint(1, 3)):
        await one_takeover(server, traffic, random, until)
    await asyncio.sleep(max(0.0, until - loop.time()) + 1.0)
    await until_idle(server)
    run = Run(server, traffic.book, has_kills, is_narrow)
    for process in server.processes:
        process.mesh.receiver.settle()
    return run


async def one_takeover(server: Server, traffic: Traffic, random: Random, until: float) -> None:
    """A reload, a scale down to another slot, or a successor that joins late."""
    living = [one for one in server.processes if not one.is_dead]
    if len(living) < 2:
        return
    predecessor = random.choice(living)
    if random.random() < 0.7:
        successor = await server.start(predecessor.identity.slot)
        server.spawn(traffic.run(successor, until))
    else:
        successor = random.choice([one for one in living if one is not predecessor])
    if random.random() < 0.3:
        server.spawn(late_joiner(server, traffic, until))
    await server.pause(0.05)
    await server.take_over(predecessor, successor)
    await server.pause(0.05)


async def late_joiner(server: Server, traffic: Traffic, until: float) -> None:
    await server.pause(0.2)
    joiner = await server.start(10 + len(server.all))
    server.connect(joiner)
    await traffic.run(joiner, until)


async def kills(server: Server, random: Random, until: float) -> None:
    for _ in range(random.randint(1, 2)):
        await server.pause(0.5)
        living = [one for one in server.processes if not one.is_dead]
        if len(living) > 1:
            victim: Process = random.choice(living)
            server.kill(victim)


def run_seed(seed: int) -> Server:
    loop = VirtualLoop()
    errors: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: errors.append(context))

    async def main() -> Server:
        run = await story(loop, seed)
        try:
            assert not errors, errors[0]
            for check in CHECKS:
                check(run)
            return run.server
        finally:
            await run.server.stop()

    try:
        return loop.run_until_complete(main())
    finally:
        loop.close()


@pytest.mark.parametrize("batch", range(BATCHES))
def test_random_takeovers(batch: int, caplog: pytest.LogCaptureFixture) -> None:
    """Every invariant holds, whatever happens when."""
    caplog.set_level(logging.CRITICAL)
    seeds = range(batch, SEEDS, BATCHES) if ONE is None else [int(ONE)] * (batch == 0)
    moved = 0
    for seed in seeds:
        try:
            moved += run_seed(seed).moved
        except BaseException as error:
            raise AssertionError(f"TAKEOVER_SEED={seed}: {error}") from error
    assert moved or not seeds
