"""Telling systemd how the server is: sd_notify(3) with Type=notify.

Owns what is sent and when; knows no process. READY=1 when clients can connect, RELOADING=1 and
READY=1 around a reload, STOPPING=1 from the begin of a drain, STATUS= for `systemctl status`,
WATCHDOG=1 from the supervisor's own loop at half of WatchdogSec. A message that cannot be sent is
lost and nothing waits for it: the next turn says what is true then. Without NOTIFY_SOCKET nothing
is ever sent.
"""

import contextlib
import socket
from collections.abc import Callable, MutableMapping
from typing import Final

STATUS_PERIOD: Final = 5.0  # seconds between two lines of numbers alone
RELOADING: Final = "reloading"
SERVING: Final = frozenset({"serving", RELOADING})
ENDING: Final = frozenset({"draining", "stopping"})

Environment = MutableMapping[str, str]


class Notifier:
    """Speaks to whoever started the server, if it listens."""

    def __init__(self, environment: Environment, pid: int) -> None:
        """Take the variables out of the environment: they are not for the application."""
        self._address = address(environment.pop("NOTIFY_SOCKET", ""))
        self._watchdog = watchdog_period(environment, pid)
        self._sock: socket.socket | None = None
        if self._address:
            self._sock = socket.socket(
                socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
            )
        self._phase = ""
        self._status = ""
        self._status_at = float("-inf")
        self._alive_at = float("-inf")

    def update(self, phase: str, describe: Callable[[], str], now: float) -> None:
        """Tell what has changed; `phase` is that of `shardws status`, `now` monotonic seconds."""
        if self._sock is None:
            return
        lines = transition(self._phase, phase, now)
        is_due = bool(lines) or now - self._status_at >= STATUS_PERIOD
        status = describe() if is_due else self._status
        if status != self._status:
            lines.append(f"STATUS={status}")
        is_alive_due = bool(self._watchdog) and now - self._alive_at >= self._watchdog / 2
        if is_alive_due:
            lines.append("WATCHDOG=1")
        if lines and self._send("\n".join(lines)):
            self._phase = phase
            if is_due:
                self._status, self._status_at = status, now
            if is_alive_due:
                self._alive_at = now

    def _send(self, text: str) -> bool:
        assert self._sock is not None
        with contextlib.suppress(OSError):
            self._sock.sendto(text.encode(), self._address)
            return True
        return False

    def close(self) -> None:
        """Let go of the descriptor."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None


def transition(old: str, new: str, now: float) -> list[str]:
    """Return what the manager must hear of a change of phase."""
    if new == old:
        return []
    if new in ENDING:
        return [] if old in ENDING else ["STOPPING=1"]
    if new == RELOADING:
        # The time is for Type=notify-reload (systemd 253), which asks for it; others ignore it.
        return ["RELOADING=1", f"MONOTONIC_USEC={int(now * 1e6)}"]
    return ["READY=1"] if new in SERVING else []


def address(given: str) -> str:
    """Return the address of NOTIFY_SOCKET: a path, or a name of the abstract kind; "" for none."""
    if given.startswith("@"):
        return "\0" + given[1:]
    return given if given.startswith("/") else ""  # vsock and others are not for us


def watchdog_period(environment: Environment, pid: int) -> float:
    """Return WatchdogSec in seconds; 0 when there is none, or it is another process's."""
    text, owner = environment.pop("WATCHDOG_USEC", ""), environment.pop("WATCHDOG_PID", "")
    if not text.isdecimal() or (owner and owner != str(pid)):
        return 0.0
    return int(text) / 1e6
