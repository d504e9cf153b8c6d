"""notify: what systemd hears, and when."""

import os
import socket
from pathlib import Path

import pytest

from shardws_supervisor.system.notify import Notifier, address, transition, watchdog_period
from tests.unit.supervisor.over_exec import over_exec


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        ("", "starting", []),
        ("starting", "starting", []),
        ("starting", "serving", ["READY=1"]),
        ("serving", "reloading", ["RELOADING=1", "MONOTONIC_USEC=2500000"]),
        ("reloading", "serving", ["READY=1"]),
        ("reloading", "draining", ["STOPPING=1"]),
        ("serving", "draining", ["STOPPING=1"]),
        ("draining", "stopping", []),
        ("starting", "stopping", ["STOPPING=1"]),
    ],
)
def test_transitions(old: str, new: str, lines: list[str]) -> None:
    assert transition(old, new, 2.5) == lines


@pytest.mark.parametrize(
    ("given", "used"),
    [("", ""), ("/run/notify", "/run/notify"), ("@name", "\0name"), ("vsock:2:1", "")],
)
def test_addresses(given: str, used: str) -> None:
    assert address(given) == used


@pytest.mark.parametrize(
    ("environment", "period"),
    [
        ({}, 0.0),
        ({"WATCHDOG_USEC": "3000000"}, 3.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "7"}, 3.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "8"}, 0.0),
        ({"WATCHDOG_USEC": "soon"}, 0.0),
    ],
)
def test_watchdog_is_for_this_process(environment: dict[str, str], period: float) -> None:
    assert watchdog_period(environment, 7) == period
    assert environment == {}


class Manager:
    """A fake of systemd's end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.sock.bind(str(path))

    def heard(self) -> list[str]:
        lines: list[str] = []
        while True:
            try:
                lines += self.sock.recv(4096).decode().split("\n")
            except BlockingIOError:
                return lines


def test_a_life(tmp_path: Path) -> None:
    manager = Manager(tmp_path / "n")
    environment = {"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "4000000", "HOME": "/"}
    notifier = Notifier(environment, os.getpid())
    assert environment == {"HOME": "/"}, "the application must not see them"
    notifier.update("starting", lambda: "starting", 0.0)
    assert manager.heard() == ["STATUS=starting", "WATCHDOG=1"]
    notifier.update("serving", lambda: "2 shards", 1.0)
    assert manager.heard() == ["READY=1", "STATUS=2 shards"]
    notifier.update("serving", lambda: "3 clients", 1.5)
    assert manager.heard() == [], "numbers alone can wait"
    notifier.update("serving", lambda: "3 clients", 2.0)
    assert manager.heard() == ["WATCHDOG=1"]
    notifier.update("serving", lambda: "4 clients", 6.5)
    assert manager.heard() == ["STATUS=4 clients", "WATCHDOG=1"]
    notifier.update("draining", lambda: "4 clients", 6.6)
    assert manager.heard() == ["STOPPING=1"]
    notifier.close()
    notifier.update("stopping", lambda: "", 7.0)
    manager.sock.close()


def test_what_could_not_be_sent_is_said_again(tmp_path: Path) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "n")}, 1)
    notifier.update("serving", lambda: "well", 0.0)  # nobody is there
    manager = Manager(tmp_path / "n")
    notifier.update("serving", lambda: "well", 0.1)
    assert manager.heard() == ["READY=1", "STATUS=well"]
    notifier.close()
    manager.sock.close()


def test_nobody_to_tell() -> None:
    notifier = Notifier({"WATCHDOG_USEC": "1"}, 1)
    notifier.update("serving", lambda: "well", 0.0)
    notifier.close()


def test_it_goes_on_over_an_exec(tmp_path: Path) -> None:
    """RELOADING is sent once: by the old version, for the reload of the new one too."""
    manager = Manager(tmp_path / "n")
    variables = {"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "4000000"}
    notifier = Notifier(dict(variables), 1)
    notifier.update("serving", lambda: "well", 0.0)
    notifier.update("upgrading", lambda: "well", 1.0)
    assert manager.heard() == [
        "READY=1", "STATUS=well", "WATCHDOG=1", "RELOADING=1", "MONOTONIC_USEC=1000000",
    ]  # fmt: skip
    kept = over_exec(notifier.keep())
    notifier.close()
    again = Notifier({"NOTIFY_SOCKET": "/other"}, 1, kept)
    again.update("upgrading", lambda: "well", 2.0)
    assert manager.heard() == ["STATUS=well", "WATCHDOG=1"]
    again.update("reloading", lambda: "well", 3.0)
    again.update("serving", lambda: "well", 3.5)
    assert manager.heard() == ["READY=1"]
    assert again.keep().variables == variables
    again.close()
    manager.sock.close()
