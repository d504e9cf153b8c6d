"""Reports the state of the server to systemd: sd_notify(3) with Type=notify.

Owns what is sent and when. READY=1 when clients can connect, RELOADING=1 and READY=1 around a
reload, STOPPING=1 from the start of a drain, STATUS= for `systemctl status`, WATCHDOG=1 from the
supervisor's own loop at half of WatchdogSec. A message that cannot be sent is dropped: the next
turn sends the state of that time. Without NOTIFY_SOCKET nothing is sent.
"""

import contextlib
import socket
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import Final

STATUS_PERIOD: Final = 5.0  # seconds between two STATUS lines in which only numbers changed
RELOADING: Final = "reloading"
UPGRADING: Final = "upgrading"
SERVING: Final = frozenset({"serving", RELOADING, UPGRADING})
ENDING: Final = frozenset({"draining", "stopping"})

VARIABLES: Final = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")

Environment = MutableMapping[str, str]


@dataclass(frozen=True, slots=True)
class KeptNotifier:
    """What the service manager asked for and was told, kept over an exec."""

    variables: dict[str, str]
    phase: str


class Notifier:
    """Sends notifications to the service manager, if there is one."""

    def __init__(
        self, environment: Environment, pid: int, kept: KeptNotifier | None = None
    ) -> None:
        """Remove the variables from the environment: they are not for the application."""
        environment = dict(kept.variables) if kept else environment
        self._variables = {name: environment[name] for name in VARIABLES if name in environment}
        self._address = address(environment.pop("NOTIFY_SOCKET", ""))
        self._watchdog = watchdog_period(environment, pid)
        self._sock: socket.socket | None = None
        if self._address:
            self._sock = socket.socket(
                socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
            )
        self._phase = kept.phase if kept else ""
        self._status = ""
        self._status_at = float("-inf")
        self._alive_at = float("-inf")

    def update(self, phase: str, describe: Callable[[], str], now: float) -> None:
        """Send what has changed; `phase` is that of `shardws status`, `now` monotonic seconds."""
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

    def keep(self) -> KeptNotifier:
        """Return what the notifier after an exec needs."""
        return KeptNotifier(self._variables, self._phase)

    def _send(self, text: str) -> bool:
        assert self._sock is not None
        with contextlib.suppress(OSError):
            self._sock.sendto(text.encode(), self._address)
            return True
        return False

    def close(self) -> None:
        """Close the descriptor."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None


def transition(old: str, new: str, now: float) -> list[str]:
    """Return the notifications for a change of phase."""
    if new == old:
        return []
    if new in ENDING:
        return [] if old in ENDING else ["STOPPING=1"]
    if new in (RELOADING, UPGRADING):
        if old in (RELOADING, UPGRADING):  # a reload follows the exec of an upgrade
            return []
        # The time is required by Type=notify-reload (systemd 253); others ignore it.
        return ["RELOADING=1", f"MONOTONIC_USEC={int(now * 1e6)}"]
    return ["READY=1"] if new in SERVING else []


def address(given: str) -> str:
    """Return the address in NOTIFY_SOCKET: a path, or an abstract name; "" for none."""
    if given.startswith("@"):
        return "\0" + given[1:]
    return given if given.startswith("/") else ""  # vsock and others are not supported


def watchdog_period(environment: Environment, pid: int) -> float:
    """Return WatchdogSec in seconds; 0 when unset, or meant for another process."""
    text, owner = environment.pop("WATCHDOG_USEC", ""), environment.pop("WATCHDOG_PID", "")
    if not text.isdecimal() or (owner and owner != str(pid)):
        return 0.0
    return int(text) / 1e6
