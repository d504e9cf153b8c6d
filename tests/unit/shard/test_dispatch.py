"""The order of handlers, and what becomes of those that still run at the end."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, cast

import pytest

from shardws.events import DataIn, Disconnected, Handlers
from shardws.log import shard_logger
from shardws.net.connection import Connection
from shardws.net.connection.states import LOST
from shardws.protocol.session import Ending
from shardws.shard.dispatch import Dispatcher
from shardws.shard.turns import Turns
from shardws.stats import Stats

DEADLINE_S = 10.0
DATA = DataIn(1, 1, b"", True)
END = Disconnected(1, 1006, "")


class FakeOwner:
    now = 0.0


class FakeConnection:
    """What a dispatcher looks at, after the socket is gone."""

    def __init__(self) -> None:
        self.id = 1
        self.holds = 0
        self.state = LOST
        self.active = 0.0
        self.was_opened = True
        self.backlog: list[tuple[str, Any]] | None = None
        self.task: asyncio.Task[None] | None = None
        self.owner = FakeOwner()

        self.has_input = False

    def wait(self) -> None:
        pass

    def go_on(self) -> None:
        pass


class Stage:
    """A dispatcher, one connection, and what its handlers did."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.handlers = Handlers()
        self.ended: list[Connection] = []
        self.forgotten: list[Connection] = []
        self.dispatch = Dispatcher(
            loop,
            self.handlers,
            Stats(1).row(0),
            shard_logger("shard", 0),
            ended=self.ended.append,
            forget=self.forgotten.append,
            turns=Turns(loop, shard_logger("shard", 0)),
        )
        self.connection = cast(Connection, FakeConnection())
        self.did: list[str] = []

    def fire(self, *names: str) -> None:
        for name in names:
            self.dispatch.fire(self.connection, name, END if name == "on_disconnected" else DATA)

    async def slowly(self, what: str) -> None:
        self.did.append(f"{what} begins")
        for _ in range(5):
            await asyncio.sleep(0)
        self.did.append(f"{what} ends")


def run(main: Coroutine[Any, Any, None]) -> None:
    async def within_a_deadline() -> None:
        async with asyncio.timeout(DEADLINE_S):
            await main

    asyncio.run(within_a_deadline())


def test_settle_waits_for_what_a_finished_handler_let_begin() -> None:
    """It waited for the tasks of one moment and cancelled on_disconnected, which came after."""

    async def main() -> None:
        stage = Stage()
        gate = asyncio.Event()

        async def on_data_in(e: DataIn) -> None:
            await gate.wait()

        stage.handlers.on_data_in = on_data_in
        stage.handlers.on_disconnected = lambda e: stage.slowly("end")
        stage.fire("on_data_in", "on_disconnected")
        asyncio.get_running_loop().call_soon(gate.set)
        await stage.dispatch.tasks.settle(DEADLINE_S)
        assert stage.did == ["end begins", "end ends"]
        assert stage.forgotten == [stage.connection]

    run(main())


def test_settle_lets_the_end_run_behind_a_handler_that_never_returns() -> None:
    """With no time left, on_disconnected was cancelled before its first step."""

    async def main() -> None:
        stage = Stage()

        async def on_data_in(e: DataIn) -> None:
            stage.did.append("data begins")
            await asyncio.Event().wait()

        stage.handlers.on_data_in = on_data_in
        stage.handlers.on_disconnected = lambda e: stage.slowly("end")
        stage.fire("on_data_in", "on_data_in", "on_disconnected")
        await asyncio.sleep(0)
        await stage.dispatch.tasks.settle(0.0, DEADLINE_S)
        assert stage.did == ["data begins", "end begins", "end ends"]
        assert not stage.dispatch.tasks

    run(main())


def test_settle_cancels_an_end_that_never_returns() -> None:
    async def main() -> None:
        stage = Stage()

        async def on_disconnected(e: Disconnected) -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                stage.did.append("cancelled")
                raise

        stage.handlers.on_disconnected = on_disconnected
        stage.fire("on_disconnected")
        await stage.dispatch.tasks.settle(0.0, 0.05)
        assert stage.did == ["cancelled"]
        assert not stage.dispatch.tasks

    run(main())


@pytest.mark.parametrize("seconds", [0.0, DEADLINE_S])
def test_settle_without_tasks_returns_at_once(seconds: float) -> None:
    async def main() -> None:
        stage = Stage()
        loop = asyncio.get_running_loop()
        begin = loop.time()
        await stage.dispatch.tasks.settle(seconds)
        assert loop.time() - begin < DEADLINE_S / 2

    run(main())


def raise_it(error: BaseException) -> None:
    raise error


async def raise_later(error: BaseException) -> None:
    await asyncio.sleep(0)
    raise error


@pytest.mark.parametrize("error", [KeyError("x"), SystemExit(3), asyncio.CancelledError()])
@pytest.mark.parametrize("is_async", [False, True])
def test_whatever_a_handler_raises_is_an_error_event(error: BaseException, is_async: bool) -> None:
    """SystemExit ended the loop, and CancelledError passed for our own: neither was an Error."""

    async def main() -> None:
        stage = Stage()
        told: list[tuple[int, str]] = []
        stage.handlers.on_error = lambda e: told.append((e.error_code, e.description))
        stage.handlers.on_data_in = lambda e: (raise_later if is_async else raise_it)(error)
        stage.fire("on_data_in")
        await stage.dispatch.tasks.settle(DEADLINE_S)
        text = f"on_data_in: {type(error).__name__}: {error}"
        assert told == [(436, text)]

    run(main())


def test_a_handler_that_the_end_cancels_is_no_error() -> None:
    async def main() -> None:
        stage = Stage()
        told: list[object] = []
        stage.handlers.on_error = told.append

        async def on_data_in(e: DataIn) -> None:
            await asyncio.Event().wait()

        stage.handlers.on_data_in = on_data_in
        stage.fire("on_data_in")
        await stage.dispatch.tasks.settle(0.0)
        assert told == []

    run(main())


def test_a_handler_that_outlives_its_client_is_told() -> None:
    """A handler that never returns kept its connection for ever, and nobody knew."""

    async def main() -> None:
        stage = Stage()
        told = asyncio.Event()
        lines: list[str] = []

        def watch(connection_id: int, level: int, text: str, name: str) -> None:
            lines.append(text)
            told.set()

        stage.dispatch.log.watch(watch, logging.WARNING)
        stage.dispatch.tasks.patience = 0.01

        async def on_data_in(e: DataIn) -> None:
            await told.wait()

        stage.handlers.on_data_in = on_data_in
        stage.fire("on_data_in")
        stage.dispatch.lost(stage.connection, Ending(1000, "", True))
        await stage.dispatch.tasks.settle(DEADLINE_S)
        assert lines == ["a handler of connection 1 still runs 0.01 s after its client has gone"]

    run(main())
