"""App: settings, start and stop, periodic work, tasks, and serving in this process."""

import asyncio
import gc
import os
import signal
import socket
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from shardws import App, ShardwsError, Start, WebSocket, WebSocketServer
from shardws.errors import StartError
from shardws.settings.keywords import SettingKeywords
from shardws.settings.properties import Property, SettingProperties
from tests.shard.app_clients import new_app, serving
from tests.shard.server_fixture import DEADLINE_S, client, listening, new_server, run, until
from tests.upgrade_request import UPGRADE

ROOT = Path(__file__).parents[2]


def test_every_setting_is_a_keyword() -> None:
    names = {name for name, row in vars(SettingProperties).items() if isinstance(row, Property)}
    assert set(SettingKeywords.__annotations__) == names - {"buffer_message"}


def test_settings_are_checked() -> None:
    app = App()
    assert (app.server.local_host, app.server.local_port) == ("127.0.0.1", 9001)
    assert app.server.buffer_message
    app = App(local_port=80, ping_interval="30s", use_ipv6=0)
    assert (app.server.local_port, app.server.ping_interval) == (80, 30.0)
    with pytest.raises(ShardwsError, match="did you mean local_port") as error:
        App(local_prt=1)  # type: ignore[call-arg]
    assert error.value.code == 214
    with pytest.raises(ShardwsError, match="0 to 65535"):
        App(local_port=70000)
    with pytest.raises(ShardwsError, match="LocalPort"):
        App(LocalPort=1)  # type: ignore[call-arg]
    with pytest.raises(AttributeError):
        app.stat = 1  # type: ignore[attr-defined]


async def handler(ws: WebSocket, **more: Any) -> None:
    pass


async def generator(ws: WebSocket) -> Any:
    yield


@pytest.mark.parametrize(
    ("pattern", "served", "text"),
    [
        ("chat", handler, "must begin with a slash"),
        ("/a{b}", handler, "whole segment"),
        ("/{b:float}", handler, "is not {name}"),
        ("/{a-b}", handler, "is not {name}"),
        ("/{a}/{a}", handler, "occurs twice"),
        ("/{a:path}/b", handler, "must be the last"),
        ("/taken/{x}", handler, "another route"),
        ("/", lambda ws: None, "not async def"),
        ("/", generator, "coroutine function"),
        ("/", 5, "coroutine function"),
        ("/{room}", test_settings_are_checked, "not async def"),
    ],
)
def test_a_route_that_cannot_be_is_an_error(pattern: str, served: Any, text: str) -> None:
    app = App()
    app.route("/taken/{other}")(handler)
    with pytest.raises(ShardwsError, match=text) as error:
        app.route(pattern)(served)
    assert error.value.code == 213


def test_a_handler_must_take_the_parameters() -> None:
    async def no_room(ws: WebSocket) -> None:
        pass

    with pytest.raises(ShardwsError, match=r"called as handler\(ws, room\).*'room'"):
        App().route("/{room}")(no_room)


def test_start_and_stop_enclose_clients_and_tasks() -> None:
    app = new_app()
    told: list[str] = []

    async def forever() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            told.append("task ended")

    def server_start(e: Start) -> None:
        told.append(f"server {e.shard}")

    app.server.on_start = server_start
    app.server.on_stop = lambda e: told.append("server stop")

    @app.on_start
    def first() -> None:
        told.append("first")
        app.state.value = 5
        app.task(forever())

    @app.on_start
    async def second() -> None:
        await asyncio.sleep(0)
        told.append("second")

    app.on_stop(lambda: told.append("last stop"))

    @app.on_stop
    async def broken() -> None:
        told.append("broken stop")
        raise RuntimeError("x")

    @app.route("/")
    async def serve(ws: WebSocket) -> None:
        told.append(f"client {app.state.value}")
        async for _ in ws:
            pass
        told.append("client left")

    async def main() -> None:
        async with serving(app) as url:
            await client(url)
            await until(lambda: "client 5" in told)

    run(main())
    assert told == [
        "server 0", "first", "second", "client 5", "client left", "task ended", "broken stop",
        "last stop", "server stop",
    ]  # fmt: skip


def test_an_on_start_that_raises_is_a_failed_start() -> None:
    app = new_app()

    @app.on_start
    async def start() -> None:
        raise OSError("no database")

    async def main() -> None:
        with pytest.raises(StartError, match=r"on_start raised OSError: no database \(.*life.py:"):
            async with serving(app):
                pass

    run(main())


def test_tasks_need_a_loop_and_their_failures_are_told() -> None:
    app = new_app()
    errors: list[str] = []
    app.server.on_error = lambda e: errors.append(e.description)

    async def fail() -> None:
        raise RuntimeError("x")

    with pytest.raises(ShardwsError, match="no loop yet"):
        app.task(fail())

    async def main() -> None:
        async with serving(app):
            app.task(fail())
            await until(lambda: bool(errors))

    run(main())
    assert errors == ["a task of the app: RuntimeError: x"]


def test_periodic_work_goes_on_whatever_it_raises() -> None:
    app = new_app()
    calls: list[str] = []
    errors: list[str] = []
    app.server.on_error = lambda e: errors.append(e.description)

    @app.every(0.002)
    def plain() -> None:
        calls.append("plain")
        raise RuntimeError("x")

    @app.every(0.002, on="one")
    async def one() -> None:
        await asyncio.sleep(0)
        calls.append("one")

    async def main() -> None:
        async with serving(app):
            await until(lambda: min(calls.count("plain"), calls.count("one")) >= 3)

    run(main())
    assert set(errors) == {
        "every 0.002 s: test_periodic_work_goes_on_whatever_it_raises.<locals>.plain:"
        " RuntimeError: x"
    }


@pytest.mark.parametrize(
    ("seconds", "on", "text"),
    [
        (0, "each", "at least 0.001"),
        (-1, "each", "at least"),
        (float("nan"), "each", "at least"),
        (float("inf"), "each", "at least"),
        ("1", "each", "a number of seconds"),
        (1, "all", '"each" or "one", not \'all\''),
    ],
)
def test_a_period_that_cannot_be_is_an_error(seconds: Any, on: Any, text: str) -> None:
    with pytest.raises(ShardwsError, match=text):
        App().every(seconds, on=on)(lambda: None)
    with pytest.raises(ShardwsError, match="a function"):
        App().every(1)(5)  # type: ignore[type-var]


PROGRAM = """
from shardws import App
app = App(local_port=0)
@app.on_start
def start():
    print(app.server.local_port, flush=True)
@app.on_stop
def stop():
    print("stopped", flush=True)
@app.route("/")
async def echo(ws):
    async for message in ws:
        await ws.send(message)
app.run()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_runs_in_the_program_itself(number: signal.Signals) -> None:
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert program.stdout is not None
    with program:
        port = int(program.stdout.readline())
        with connect(f"ws://127.0.0.1:{port}/", open_timeout=DEADLINE_S) as ws:
            ws.send("x")
            assert ws.recv(timeout=DEADLINE_S) == "x"
        program.send_signal(number)
        assert program.stdout.read() == "stopped\n"
        assert program.wait(DEADLINE_S) == 0


def memory_of(server: WebSocketServer, count: int) -> int:
    """Return the bytes that so many idle clients take in Python, their own sockets left out."""
    taken: list[int] = []

    async def main() -> None:
        async with listening(server):
            await server.ready()
            tracemalloc.start()
            clients = [
                socket.create_connection(("127.0.0.1", server.local_port)) for _ in range(count)
            ]
            for one in clients:
                one.send(UPGRADE)
            await until(lambda: len(server.connections) == count)
            gc.collect()
            taken.append(tracemalloc.get_traced_memory()[0])
            tracemalloc.stop()
            for one in clients:
                one.close()

    run(main())
    return taken[0]


def test_an_idle_client_of_a_route_takes_at_most_4_kib_more() -> None:
    count = 100
    app = new_app()

    @app.route("/")
    async def wait(ws: WebSocket) -> None:
        async for _ in ws:
            pass

    plain = new_server()
    plain.buffer_message = True
    more = (memory_of(app.server, count) - memory_of(plain, count)) / count
    assert more <= 4096


def test_it_works_in_a_program_that_calls_do_events() -> None:
    app = new_app()

    @app.route("/")
    async def echo(ws: WebSocket) -> None:
        async for message in ws:
            await ws.send(message)

    app.server.listening = True
    got: list[str | bytes] = []

    def use() -> None:
        url = f"ws://127.0.0.1:{app.server.local_port}/"
        with connect(url, open_timeout=DEADLINE_S) as ws:
            for text in ("a", "b"):
                ws.send(text)
                got.append(ws.recv(timeout=DEADLINE_S))

    thread = threading.Thread(target=use)
    thread.start()
    while thread.is_alive():
        app.server.do_events()
    app.server.shutdown()
    assert got == ["a", "b"]
