"""The probe: a short-lived child that imports the application and reports what it set.

Owns the child and the pipe. It runs before the first fork and at each reload, so that broken code
or a bad setting is refused while the running shards keep serving. The child reports one JSON object
and exits: `{"settings": {...}}`, or `{"error", "code", "exit_code", "detail"}`. A deadline covers
an import that never ends; the report is bounded.
"""

import contextlib
import json
import os
import selectors
import signal
import time
import traceback
from collections.abc import Callable, Iterable
from typing import cast

from shardws.errors import EXIT_CANNOT_START, EXIT_FAILED, StartError, code_of_errno
from shardws.log import logger
from shardws.shard.application import Application
from shardws_supervisor.plan import import_tasks
from shardws_supervisor.system import spawn

LONGEST = 4 << 20  # bytes of a report: PEM certificates may be among the settings

log = logger("supervisor.probe")


class ProbeError(StartError):
    """The application cannot be used; `detail` is the traceback, "" when there is none."""

    def __init__(self, description: str, code: int, exit_code: int, detail: str) -> None:
        self.detail = detail
        super().__init__(description, code=code, exit_code=exit_code)


class Probe:
    """A running probe; `fileno()` is readable when there is something to receive."""

    def __init__(
        self,
        load: Callable[[], Application],
        timeout: float,
        fds_to_close: Iterable[spawn.Closeable] = (),
    ) -> None:
        """Fork the child; OSError when fork fails. `timeout` is StartTimeout in seconds."""
        self._timeout = timeout
        self._reader, writer = os.pipe2(os.O_CLOEXEC)
        self.started = time.monotonic()
        try:
            self.pid = spawn.fork(
                lambda: _report(load, writer),
                name="shardws-probe",
                fds_to_close=fds_to_close,
            )
        finally:
            os.close(writer)
        os.set_blocking(self._reader, False)
        self._data = bytearray()
        self._is_complete = False

    def fileno(self) -> int:
        return self._reader

    def receive(self) -> bool:
        """Read what has arrived; True when the report is complete, or too long."""
        with contextlib.suppress(BlockingIOError):
            while not self._is_complete and len(self._data) <= LONGEST:
                piece = os.read(self._reader, 65536)
                self._data += piece
                self._is_complete = not piece
        return self._is_complete or len(self._data) > LONGEST

    def is_late(self, now: float) -> bool:
        return now - self.started >= self._timeout

    def finish(self) -> dict[str, object]:
        """End the child and return the reported settings; ProbeError when it reported an error."""
        os.close(self._reader)
        if not self._is_complete:
            os.kill(self.pid, signal.SIGKILL)
        _, status = os.waitpid(self.pid, 0)
        if len(self._data) > LONGEST:
            raise ProbeError(
                f"its settings are longer than {LONGEST} bytes", 213, EXIT_CANNOT_START, ""
            )
        if not self._is_complete:
            late = f"the application was not imported within StartTimeout ({self._timeout:g} s)"
            raise ProbeError(late, 10060, EXIT_FAILED, "")
        return _settings_of(bytes(self._data), status)

    def abandon(self) -> None:
        """End the child without waiting for its report."""
        os.close(self._reader)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def _report(load: Callable[[], Application], writer: int) -> int:
    """Run in the child: write the report."""
    report: dict[str, object]
    code = 0
    try:
        report = {"settings": load().settings.explicit()}
        for name in import_tasks.found():
            log.warning(
                "%s was started while the application was imported and never runs:"
                " the event loop that serves is created later",
                name,
            )
    except StartError as error:
        code = error.exit_code
        cause = "".join(traceback.format_exception(error.__cause__)) if error.__cause__ else ""
        report = {
            "error": error.description,
            "code": error.code,
            "exit_code": error.exit_code,
            "detail": cause,
        }
    with os.fdopen(writer, "wb") as pipe:
        pipe.write(json.dumps(report).encode())
    return code


def _settings_of(data: bytes, status: int) -> dict[str, object]:
    try:
        report = json.loads(data)
    except ValueError:
        report = None
    if not isinstance(report, dict):
        end = spawn.ending(status)
        raise ProbeError(f"the application {end} while it was imported", 211, EXIT_FAILED, "")
    if "error" in report:
        raise ProbeError(
            str(report["error"]),
            int(report["code"]),
            int(report["exit_code"]),
            str(report["detail"]),
        )
    return cast(dict[str, object], report["settings"])


def run(load: Callable[[], Application], timeout: float) -> dict[str, object]:
    """Run a probe to its end; for the first start, when there is nothing else to serve.

    StartError when it cannot be forked.
    """
    try:
        probe = Probe(load, timeout)
    except OSError as error:
        code = code_of_errno(error.errno)
        raise StartError(f"the probe cannot be forked: {error.strerror}", code=code) from None
    with selectors.DefaultSelector() as selector:
        selector.register(probe, selectors.EVENT_READ)
        while not probe.is_late(time.monotonic()):
            if selector.select(timeout=min(1.0, timeout)) and probe.receive():
                break
    return probe.finish()
