"""A program's side of the control socket: find the server, ask, wait for the answer.

Owns the search for the run directory, the connection and its deadline; knows no command. Blocking:
for command lines. Whatever goes wrong is a StartError with one line that says what to do.
"""

import json
import os
import socket
from pathlib import Path
from typing import Any

from shardws.control import endpoint
from shardws.errors import EXIT_FAILED, ShardwsError, StartError

DEADLINE = 10.0  # seconds for one answer
LONGEST_REPLY = 8 << 20


class Refused(ShardwsError):
    """The server answered that it will not, and why."""


def find(run_directory: str, port: int | None) -> Path:
    """Return the run directory of the server that is meant; StartError when it is not clear."""
    if run_directory:
        return Path(run_directory)
    if port is not None:
        return endpoint.default_directory(port)
    found = [path for path in endpoint.candidates() if is_alive(path)]
    if not found:
        raise StartError(
            "no server of yours runs here (name it with --run-dir or --local-port)",
            exit_code=EXIT_FAILED,
        )
    if len(found) > 1:
        listed = ", ".join(str(path) for path in found)
        raise StartError(
            f"several servers run: choose with --local-port or --run-dir: {listed}", exit_code=2
        )
    return found[0]


def is_alive(path: Path) -> bool:
    """Tell whether somebody listens on the control socket of a run directory."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(DEADLINE)
        try:
            sock.connect(str(path / endpoint.CONTROL_SOCKET))
        except OSError:
            return False
        return True


class Client:
    """A connection to one server, kept for several questions."""

    def __init__(self, path: Path) -> None:
        """Connect; StartError when no server runs there."""
        self.path = path
        self._sock = socket.socket(socket.AF_UNIX)
        self._sock.settimeout(DEADLINE)
        self._rest = b""
        self._has_answered = False
        try:
            self._sock.connect(os.fspath(path / endpoint.CONTROL_SOCKET))
        except OSError as error:
            self._sock.close()
            raise StartError(self._why(error), exit_code=EXIT_FAILED) from None

    def _why(self, error: OSError) -> str:
        if isinstance(error, PermissionError):
            return f"the server in {self.path} belongs to another user"
        return f"no server runs in {self.path}"

    def _why_not(self, error: Exception) -> str:
        if isinstance(error, TimeoutError):
            return f"the server in {self.path} does not answer"
        if self._has_answered:
            return f"the server in {self.path} has gone"
        most = endpoint.MOST_CLIENTS
        return f"the server in {self.path} has gone, or serves {most} clients already"

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Ask and return the answer; Refused with the reason, StartError when it is gone."""
        try:
            self._sock.sendall(json.dumps({"do": do, **arguments}).encode() + b"\n")
            reply: dict[str, Any] = json.loads(self._line())
        except (OSError, ValueError) as error:
            raise StartError(self._why_not(error), exit_code=EXIT_FAILED) from None
        self._has_answered = True
        if not reply.pop("ok", False):
            raise Refused(str(reply.get("error", "refused")))
        return reply

    def _line(self) -> bytes:
        while b"\n" not in self._rest:
            data = self._sock.recv(1 << 16)
            if not data or len(self._rest) > LONGEST_REPLY:
                raise ConnectionResetError
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    def close(self) -> None:
        self._sock.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
