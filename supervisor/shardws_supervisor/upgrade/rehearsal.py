"""The rehearsal: a child that executes the new version, before anything is given up.

Owns the child and its pipe. The new version does in it all that could fail later: it is imported,
reads the settings, imports the application in a probe, and decodes the state. Its last line is a
JSON object (`Versions`), or the reason why not.
"""

import contextlib
import json
import os
import signal
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Final

from shardws.errors import EXIT_FAILED, StartError
from shardws_supervisor.system import spawn, versions
from shardws_supervisor.upgrade import image

LONGEST: Final = 1 << 20  # bytes of output
ENDS: Final = 400  # characters of a reason


class RehearsalError(StartError):
    """The new version cannot go on; `detail` is all that it has written."""

    def __init__(self, description: str, detail: str = "") -> None:
        self.detail = detail
        super().__init__(description)


@dataclass(frozen=True, slots=True)
class Versions:
    """What a rehearsal reports."""

    version: str
    python: str


def report() -> str:
    """Return the line of success, in the child."""
    mine = versions.report()
    return json.dumps(asdict(Versions(mine["version"], mine["python"])))


class Rehearsal:
    """A running one; `fileno()` is readable when there is something to receive."""

    def __init__(
        self, new: image.Image, state: bytes, ends: float, fds_to_close: Iterable[spawn.Closeable]
    ) -> None:
        """Fork the child, which ends by `ends` in monotonic seconds; OSError."""
        self.ends = ends
        self._output = bytearray()
        self._is_complete = False
        self._reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        document = -1
        try:
            document = image.document_of(state)
            self.pid = spawn.fork(
                lambda: _become(new, document, writer),
                name="shardws-probe",
                fds_to_close=fds_to_close,
                is_group=True,
            )
        except OSError:
            os.close(self._reader)
            raise
        finally:
            os.close(writer)
            if document >= 0:
                os.close(document)

    def fileno(self) -> int:
        return self._reader

    def receive(self) -> bool:
        """Read what has arrived; True when the child has ended, or has written too much."""
        with contextlib.suppress(BlockingIOError):
            while not self._is_complete and len(self._output) <= LONGEST:
                piece = os.read(self._reader, 65536)
                self._output += piece
                self._is_complete = not piece
        return self._is_complete or len(self._output) > LONGEST

    def finish(self) -> Versions:
        """End the child and return what it reported; RehearsalError when it did not succeed."""
        status = self.abandon() if not self._is_complete else self._end()
        text = self._output.decode(errors="replace").strip()
        if len(self._output) > LONGEST:
            raise RehearsalError("the new version writes too much")
        if not self._is_complete:
            raise RehearsalError("the new version was not ready in time", text)
        last = text.rpartition("\n")[2]
        if os.waitstatus_to_exitcode(status):
            reason = last.removeprefix("shardws: ")[:ENDS]
            raise RehearsalError(reason or f"the new version {spawn.ending(status)}", text)
        try:
            return Versions(**json.loads(last))
        except (ValueError, TypeError):
            raise RehearsalError("the new version does not know upgrades", text) from None

    def abandon(self) -> int:
        """End the child without waiting for what it reports; return its wait status."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        return self._end()

    def _end(self) -> int:
        os.close(self._reader)
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        spawn.kill_group(self.pid)
        return os.waitpid(self.pid, 0)[1]


def _become(new: image.Image, document: int, writer: int) -> int:
    """Run in the child: execute the new version, its output into the pipe."""
    os.set_blocking(writer, True)
    os.dup2(writer, 1)
    os.dup2(writer, 2)
    os.set_inheritable(document, True)
    error = new.execute(image.REHEARSE, document, os.environ)
    os.write(2, f"{new.program[0]} cannot be executed: {error.strerror}\n".encode())
    return EXIT_FAILED
