"""What an application may do to its process, and what of it reaches the server."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes.conftest import (
    DEADLINE,
    ROOT,
    RunServer,
    WriteApp,
    eventually,
)

pytestmark = pytest.mark.processes

RELEASE = """
from shardws import WebSocketServer
server = WebSocketServer()
server.on_connected = lambda e: server.send_text(e.connection_id, {name!r})
"""


@pytest.fixture
def releases(tmp_path: Path) -> Path:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "app.py").write_text(RELEASE.format(name=name))
    (tmp_path / "current").symlink_to("one")
    return tmp_path


def turn(link: Path, target: str) -> None:
    """Let a link point elsewhere at once, as a deploy does."""
    new = link.with_name("new")
    new.symlink_to(target)
    new.rename(link)


@pytest.mark.parametrize("is_named_by_option", [False, True])
def test_a_reload_follows_the_link_to_the_release(
    run_server: RunServer, releases: Path, is_named_by_option: bool
) -> None:
    """It said that the shards were replaced, and served the old release."""
    current = releases / "current"
    options = ("--app-dir", str(current)) if is_named_by_option else ()
    cwd = releases if is_named_by_option else current
    server = run_server("app:server", *options, cwd=cwd, env={"PWD": str(cwd)}, shards=1)
    assert server.connect().recv(timeout=DEADLINE) == "one"
    turn(current, "two")
    (releases / "one" / "app.py").unlink()
    (releases / "one").rename(releases / "gone")
    server.signal(signal.SIGHUP)
    server.wait_for_line("reloaded: 1 shard replaced")
    assert server.connect().recv(timeout=DEADLINE) == "two"
    (releases / "two").rename(releases / "gone as well")
    server.signal(signal.SIGHUP)
    server.wait_for_line("reload refused: the directory .*current cannot be entered: No such file")
    assert server.connect().recv(timeout=DEADLINE) == "two"


def test_logging_of_the_application_leaves_the_servers_alone(
    run_server: RunServer, write_app: WriteApp
) -> None:
    """The shards' lines ended with the first dictConfig, as in every Django settings file."""
    reference = write_app("""
import logging.config
logging.config.dictConfig({"version": 1, "root": {"level": "INFO"}})
from shardws import WebSocketServer
server = WebSocketServer()
def on_connected(e):
    raise ValueError("boom\\n2026-01-31T12:00:00.000Z info forged")
server.on_connected = on_connected
""")
    server = run_server(reference, shards=1)
    server.connect()
    server.wait_for_line("ValueError: boom$")
    server.wait_for_line("^    2026-01-31T12:00:00.000Z info forged$")


def test_an_import_may_take_as_long_as_start_timeout(
    run_server: RunServer, launch: RunServer, write_app: WriteApp, tmp_path: Path
) -> None:
    """The probe had a deadline of its own."""
    os.mkfifo(tmp_path / "gate")
    reference = write_app("open('gate').close()\n" + RELEASE.format(name="late"))
    late = launch(reference, "--start-timeout", "1s", shards=1)
    assert late.wait_for_exit() == 1
    late.wait_for_line(r"^shardws: the application was not imported within StartTimeout \(1 s\)$")


CHILDREN = """
import json, os, signal, subprocess, sys
from shardws import WebSocketServer
server = WebSocketServer()
NUMBERS = [signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGTTIN,
           signal.SIGTTOU, signal.SIGTERM]
def on_connected(e):
    ends = []
    for number in NUMBERS:
        child = subprocess.Popen([sys.executable, "-c", "print(1, flush=True); input()"],
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 stderr=subprocess.DEVNULL)
        child.stdout.readline()
        child.send_signal(number)
        stopped = number in (signal.SIGTTIN, signal.SIGTTOU)
        status = os.waitpid(child.pid, os.WUNTRACED)[1]
        ends.append(os.WIFSTOPPED(status) if stopped else os.WIFSIGNALED(status))
        if stopped:
            child.kill()
    pid = os.fork()
    if not pid:
        signal.pause()
        os._exit(0)
    os.kill(pid, signal.SIGTERM)
    ends.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGTERM)
    server.send_text(e.connection_id, json.dumps([ends, "SHARDWS_ADMIN_TOKEN" in os.environ]))
server.on_connected = on_connected
"""


def test_what_a_handler_starts_heeds_signals_and_sees_no_secrets(
    run_server: RunServer, write_app: WriteApp
) -> None:
    """A child could not be ended by INT: it inherited that the shard ignores it."""
    server = run_server(
        write_app(CHILDREN), shards=1, env={"SHARDWS_ADMIN_TOKEN": "0123456789abcdef"}
    )
    pid = server.shard_pids()[0]
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        os.kill(pid, number)
    assert server.connect().recv(timeout=DEADLINE) == "[" + str([True] * 8).lower() + ", false]"
    assert server.shard_pids()[0] == pid


def test_a_task_that_was_begun_at_the_import_is_told(
    run_server: RunServer, write_app: WriteApp
) -> None:
    reference = write_app("""
import asyncio
from shardws import WebSocketServer
server = WebSocketServer()
async def ticker():
    await asyncio.sleep(1)
loop = asyncio.new_event_loop()
task = loop.create_task(ticker())
""")
    server = run_server(reference, shards=1)
    server.wait_for_line(r"warning .*ticker \(.*app.py:5\) was started while the application was")
    assert server.log.count("was started while") == 1


def test_a_codec_that_is_none_is_one_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "shardws_supervisor", "run", "app:server"],
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'supervisor'}", "SHARDWS_CODEC": "foo"},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    told = "shardws: SHARDWS_CODEC is 'foo'; it may be 'c' or 'python'\n"
    assert (done.returncode, done.stderr) == (2, told)


def test_stdout_that_cannot_be_written_is_one_line(run_server: RunServer) -> None:
    server = run_server(shards=1)
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "shardws_supervisor", "status", "--run-dir", server.run_dir],
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'supervisor'}"},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
    told = "shardws: standard output: No space left on device\n"
    assert (done.returncode, done.stderr) == (1, told)


def test_a_server_without_standard_descriptors_serves(tmp_path: Path) -> None:
    """stderr closed was the end without a word; its number would have been a client's socket."""
    run_dir, port = tmp_path / "run", tmp_path / "log"
    command = [sys.executable, "-m", "shardws_supervisor", "run", "examples.demo:server"]
    options = ["--local-host", "127.0.0.1", "--local-port", "0", "--shards", "1"]
    files = ["--run-dir", str(run_dir), "--log-file", str(port)]
    process = subprocess.Popen(
        ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *command, *options, *files],
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'supervisor'}"},
        cwd=tmp_path,
    )
    try:
        eventually(lambda: port.exists() and "listening on" in port.read_text())
        links = [os.readlink(f"/proc/{process.pid}/fd/{file}") for file in (0, 1, 2)]
        assert links == ["/dev/null"] * 3
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
