"""Connections that move between two processes, and processes that are killed meanwhile."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from shardws.routing.identity import incarnation
from shardws.takeover.giving import Successor
from tests.shard.moving_fixture import Pair, echoing, pair
from tests.shard.server_fixture import DEADLINE_S, client, receive, run, until

GENERATION = 3  # of the other process; its row is that of the pair's second side
MOVES = 20


class OtherProcess:
    """The other process, in the place of the second side of a pair."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.successor = Successor(1, incarnation(0, 0, GENERATION), process.pid)

    async def line(self) -> bytes:
        assert self._process.stdout is not None
        return await asyncio.wait_for(self._process.stdout.readline(), DEADLINE_S)

    async def give(self, to: Successor) -> Any:
        """Have it give all that it has."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"%d %d %d\n" % to)
        return json.loads(await self.line())

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)


@contextlib.asynccontextmanager
async def other_process(two: Pair) -> AsyncIterator[OtherProcess]:
    two.new.taking.close()
    program = (sys.executable, "-m", "tests.shard.moving_process")
    process = await asyncio.create_subprocess_exec(
        *program,
        *(two.old.directory, str(GENERATION)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    other = OtherProcess(process)
    try:
        assert await other.line() == b"ready\n"
        yield other
    finally:
        with contextlib.suppress(ProcessLookupError):
            other.kill()
        await process.communicate()


async def give(two: Pair, to: OtherProcess) -> tuple[int, dict[str, int]]:
    giving = two.old.giving(two.new)
    giving._successor = to.successor
    return await giving.run(5.0)


def test_a_client_that_never_pauses_goes_back_and_forth(tmp_path: Path) -> None:
    async def main() -> None:
        async with pair(tmp_path, echoing) as two, other_process(two) as other:
            ws = await client(two.url)
            is_over = asyncio.Event()
            sent = 0

            async def send() -> None:
                nonlocal sent
                while not is_over.is_set():
                    for _ in range(16):
                        await ws.send(str(sent))
                        sent += 1
                    await asyncio.sleep(0)
                await ws.send("end")

            async def read() -> list[str]:
                found = []
                while (text := await receive(ws)) != "end":
                    found.append(str(text))
                return found

            sending, reading = asyncio.create_task(send()), asyncio.create_task(read())
            for _ in range(MOVES // 2):
                assert await give(two, other) == (1, {})
                assert await other.give(two.old.successor) == [1, {}]
                await two.old.recorder.wait_for("resumed")
            is_over.set()
            await sending
            assert await reading == [str(number) for number in range(sent)]
            resumed = two.old.recorder.named("resumed")
            assert resumed == [("resumed", "upgrade", b"", False)] * (MOVES // 2)
            assert two.old.recorder.count("disconnected") == 0
            await ws.close()

    run(main())


def test_a_client_stays_connected_when_its_former_process_ends(tmp_path: Path) -> None:
    """The other process gives it back, and is killed at once."""

    async def main() -> None:
        async with pair(tmp_path, echoing) as two, other_process(two) as other:
            ws = await client(two.url)
            assert await give(two, other) == (1, {})
            assert await other.give(two.old.successor) == [1, {}]
            other.kill()
            await ws.send("alive")
            assert await receive(ws) == "alive"
            await ws.close()

    run(main())


def test_a_taker_that_is_stopped_and_killed_has_taken_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with pair(tmp_path, echoing) as two, other_process(two) as other:
            ws = await client(two.url)
            os.kill(other.successor.pid, signal.SIGSTOP)
            giving = asyncio.create_task(give(two, other))
            await until(lambda: not two.old.shard.connections)
            await ws.send("meanwhile")
            other.kill()
            assert await giving == (0, {"unanswered": 1})
            assert await receive(ws) == "meanwhile"
            await ws.close()

    run(main())
