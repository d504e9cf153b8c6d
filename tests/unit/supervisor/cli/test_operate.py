"""operate: what each command says, and that a reply of any other shape is one line."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shardws.control import endpoint
from shardws_supervisor.cli import main
from tests.unit.supervisor.cli.test_display import report, row, shard

Serve = Callable[..., None]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Answer one request after the other, over as many connections as come."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / endpoint.CONTROL_SOCKET))
    listener.listen()
    threads: list[threading.Thread] = []

    def run(replies: list[Any]) -> None:
        sock, _ = listener.accept()
        with sock, sock.makefile("rb") as stream:
            for reply in replies:
                stream.readline()
                sock.sendall(json.dumps(reply).encode() + b"\n")
        listener.close()

    def start(*replies: Any) -> None:
        threads.append(threading.Thread(target=run, args=(list(replies),)))
        threads[-1].start()

    yield start
    for thread in threads:
        thread.join(20)
    listener.close()


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command; return its exit code, what it wrote, what it complained of."""

    def call(*arguments: str) -> tuple[int, str, str]:
        code = main.main([*arguments, "--run-dir", str(tmp_path)])
        told = capsys.readouterr()
        return code, told.out, told.err

    return call


SAID: dict[str, tuple[list[str], dict[str, Any], str]] = {
    "scale": (["scale", "4"], {"shards": 4}, "scaling to 4 shards\n"),
    "drain": (["drain"], {"phase": "draining"}, "the server is draining\n"),
    "stop": (["stop"], {"phase": "draining"}, "the server has stopped\n"),
    "stop at once": (["stop", "--no-wait"], {"phase": "stopping"}, "the server is stopping\n"),
    "reopen-logs": (["reopen-logs"], {}, "the log file was reopened\n"),
    "disconnect": (
        ["disconnect", "7"],
        {"outcome": "QUEUED"},
        "close 1000 to connection 7: QUEUED\n",
    ),
    "kick": (
        ["kick", "7", "--code", "4001"],
        {"outcome": "QUEUED"},
        "close 4001 to connection 7: QUEUED\n",
    ),
    "by address": (
        ["disconnect", "--ip", "::1"],
        {"count": 2, "silent_shards": 1},
        "2 connections closed, 1 shards did not reply\n",
    ),
    "send": (["send", "7", "x"], {"outcome": "WRITTEN"}, "WRITTEN\n"),
}


@pytest.mark.parametrize("name", SAID)
def test_each_command_says_what_it_did(serve: Serve, run: Run, name: str) -> None:
    arguments, reply, words = SAID[name]
    serve({"ok": True, **reply})
    assert run(*arguments) == (0, words, "")


def test_a_send_that_did_not_arrive(serve: Serve, run: Run) -> None:
    serve({"ok": True, "outcome": "FULL"})
    assert run("send", "7", "x") == (1, "FULL\n", "")


def test_a_refusal_is_its_reason_without_escapes(serve: Serve, run: Run) -> None:
    serve({"ok": False, "error": "no \x1b[31mred", "code": 213})
    assert run("drain") == (1, "", "shardws: no \\x1b[31mred\n")


def test_a_reload_that_failed(serve: Serve, run: Run) -> None:
    ended = {"reloads": 2, "reload_outcome": "no\x1b", "last_reload": {"kind": "refused"}}
    serve({"ok": True, "reloads": 1}, {"ok": True, **report(1.0, **ended)})
    assert run("reload") == (1, "", "no\\x1b\n")


ENDED = {"upgrades": 1, "upgrade_outcome": "so\x1b", "last_upgrade": {"kind": "done"}}


def test_an_upgrade_waits_for_its_outcome(serve: Serve, run: Run) -> None:
    serve(
        {"ok": True, "upgrades": 1},
        {"ok": True, **report(1.0, phase="upgrading", upgrades=1)},
        {"ok": True, **report(2.0, **ENDED)},
    )
    assert run("upgrade") == (0, "so\\x1b\n", "")


def test_an_upgrade_that_was_refused(serve: Serve, run: Run) -> None:
    ended = {**ENDED, "last_upgrade": {"kind": "refused"}}
    serve({"ok": True, "upgrades": 1}, {"ok": True, **report(1.0, **ended)})
    assert run("upgrade") == (1, "", "so\\x1b\n")


def test_a_rehearsal_is_not_for_operators(run: Run) -> None:
    code, out, err = run("rehearse-upgrade", "app:server")
    assert (code, out) == (1, "")
    assert "for a running server" in err


def test_status_and_conn_do_not_play_with_the_terminal(serve: Serve, run: Run) -> None:
    """S07: the escapes of a planted server's reply reached the terminal."""
    serve({"ok": True, **report(1.0, shard(0, state="re\x1b[31mady"), url="ws://\x1b]0;x\x07")})
    code, out, _ = run("status")
    assert code == 0
    assert "\x1b" not in out
    assert "re\\x1b[31mady" in out


def test_conn_shows_any_object(serve: Serve, run: Run) -> None:
    serve({"ok": True, "id": 7, "na\x1bme": "\x1b[2J"})
    code, out, _ = run("conn", "7")
    assert (code, out) == (0, "id        7\nna\\x1bme  \\x1b[2J\n")


def test_the_next_pages(serve: Serve, run: Run) -> None:
    page = {"total": 900, "connections": [row()], "next": [12345, 1 << 35]}
    serve({"ok": True, **page})
    code, out, _ = run("conns", "--limit", "1")
    assert code == 0
    assert out.splitlines()[-3:] == [
        "older ones of shard 0: --after 12345",
        "older ones of shard 1: --after 34359738368",
        "1 of 900 connections",
    ]


ODD: dict[str, tuple[list[str], Any]] = {
    "status without shards": (["status"], {"url": "x"}),
    "status of words": (["status"], report(1.0, shard(0, rss="many"))),
    "status of nan": (["status"], report(float("nan"))),
    "status beyond counting": (["status"], report(10**400)),
    "status with true for a number": (["status", "--json"], report(1.0, pid=True)),
    "status with certificates of another kind": (["status"], report(1.0, tls={"protocols": [5]})),
    "status with a list for an object": (["status"], report(1.0, auxiliaries=[[]])),
    "top": (["top", "--count=1", "--interval=0.1"], {"shards": {}}),
    "reload": (["reload"], {}),
    "scale": (["scale", "4"], {"shards": "4"}),
    "drain": (["drain"], {"phase": None}),
    "stop": (["stop"], {}),
    "conns without a list": (["conns"], {"total": 1, "connections": {}}),
    "conns with half a row": (["conns", "--json"], {"total": 1, "connections": [{"id": 1}]}),
    "conns with an id that is none": (["conns"], {"total": 1, "connections": [], "next": [-1]}),
    "send": (["send", "7", "x"], {}),
    "send of a list": (["send", "7", "x"], {"outcome": ["QUEUED"]}),
    "disconnect": (["disconnect", "7"], {"outcome": "\x1b"}),
    "by address": (["kick", "--ip", "::1"], {"count": "2"}),
}


@pytest.mark.parametrize("name", ODD)
def test_a_reply_of_another_shape_is_one_line(serve: Serve, run: Run, name: str) -> None:
    """S07: KeyError, TypeError and OverflowError, each with its traceback."""
    arguments, reply = ODD[name]
    serve({"ok": True, **reply})
    code, out, err = run(*arguments)
    assert (code, out) == (1, "")
    assert err.startswith("shardws: the server gave an answer of another kind")
    assert err.count("\n") == 1


@pytest.mark.parametrize("reply", [[], "ok", {"ok": 1}, None])
def test_what_is_no_reply_is_one_line(serve: Serve, run: Run, reply: Any) -> None:
    serve(reply)
    code, out, err = run("status")
    assert (code, out) == (1, "")
    assert err.endswith(" is no server of this kind\n")
