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
from shardws.stats import HANDLER_ERRORS, Stats

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

        self.disconnected: list[tuple[int, str]] = []

    def disconnect(self, code: int, reason: str) -> None:
        self.disconnected.append((code, reason))

    def drop_input(self) -> None:
        pass

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


class OwnError(BaseException):
    """Not even an Exception."""


class SpeechlessError(Exception):
    """Its text cannot be had."""

    def __str__(self) -> str:
        raise KeyboardInterrupt


ANY_ERROR = [
    KeyError("x"),
    SystemExit(3),
    asyncio.CancelledError(),
    KeyboardInterrupt("stop"),
    GeneratorExit("over"),
    OwnError("mine"),
]


@pytest.mark.parametrize("error", ANY_ERROR, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("is_async", [False, True])
def test_whatever_a_handler_raises_is_an_error_event(error: BaseException, is_async: bool) -> None:
    """KeyboardInterrupt ended the shard or cut the client, SystemExit ended the loop (W11)."""

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


@pytest.mark.parametrize("is_async", [False, True])
def test_an_exception_without_a_text_is_an_error_event_too(is_async: bool) -> None:
    """Its str() broke through the dispatcher: the client was cut, and nobody was told (F06)."""

    async def main() -> None:
        stage = Stage()
        told: list[str] = []
        stage.handlers.on_error = lambda e: told.append(e.description)
        raiser = raise_later if is_async else raise_it
        stage.handlers.on_data_in = lambda e: raiser(SpeechlessError())
        stage.fire("on_data_in")
        await stage.dispatch.tasks.settle(DEADLINE_S)
        text = "SpeechlessError (its text cannot be had: KeyboardInterrupt)"
        assert told == [f"on_data_in: {text}"]

    run(main())


@pytest.mark.parametrize("name", ["on_error", "on_log", "on_disconnected"])
def test_an_event_of_no_connection_here_lets_nothing_through(name: str) -> None:
    """One on_disconnected that raised ended the report of lost connections, and the shard (F06)."""

    async def main() -> None:
        stage = Stage()
        setattr(stage.handlers, name, lambda e: raise_it(SpeechlessError()))
        for _ in range(5):
            stage.dispatch.fire_remote(name, END)
        assert stage.dispatch.row[HANDLER_ERRORS] == 5

    run(main())


def test_a_handler_that_is_closed_by_the_interpreter_is_no_error() -> None:
    """Its GeneratorExit must go on: a coroutine that ignores it is a RuntimeError."""
    told: list[object] = []

    async def main() -> None:
        stage = Stage()
        stage.handlers.on_error = told.append
        endless: Any = asyncio.Event().wait()
        work = stage.dispatch._guard(endless, told.append)
        work.send(None)
        asyncio.get_running_loop().call_soon(work.close)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    run(main())
    assert told == []


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("closes", [False, True])
def test_a_client_whose_handler_raised_is_closed_if_that_is_wanted(
    is_async: bool, closes: bool
) -> None:
    async def main() -> None:
        stage = Stage()
        stage.dispatch.closes_on_error = closes
        stage.handlers.on_data_in = lambda e: (raise_later if is_async else raise_it)(KeyError())
        stage.fire("on_data_in")
        await stage.dispatch.tasks.settle(DEADLINE_S)
        stage.handlers.on_ready_to_send = lambda e: raise_it(KeyError())
        stage.dispatch.fire_remote("on_ready_to_send", DATA)  # of a connection elsewhere
        told = [(1011, "the application failed")] if closes else []
        assert cast(FakeConnection, stage.connection).disconnected == told

    run(main())


@pytest.mark.parametrize("cancels", [False, True])
def test_a_handler_is_cancelled_when_its_client_has_gone_if_that_is_wanted(cancels: bool) -> None:
    async def main() -> None:
        stage = Stage()
        stage.dispatch.cancels_on_disconnect = cancels
        gate = asyncio.Event()

        async def on_data_in(e: DataIn) -> None:
            stage.did.append("begins")
            try:
                await gate.wait()
            finally:
                stage.did.append("ends")

        stage.handlers.on_data_in = on_data_in
        stage.handlers.on_disconnected = lambda e: stage.did.append("disconnected")
        stage.fire("on_data_in", "on_data_in")
        await asyncio.sleep(0)
        stage.dispatch.left(stage.connection)
        stage.dispatch.lost(stage.connection, Ending(1006, "", False))
        for _ in range(5):
            await asyncio.sleep(0)
        assert stage.did == (["begins", "ends", "disconnected"] if cancels else ["begins"])
        gate.set()
        await stage.dispatch.tasks.settle(DEADLINE_S)
        assert stage.did == ["begins", "ends"] * (1 if cancels else 2) + ["disconnected"]
        assert stage.connection in stage.forgotten

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
