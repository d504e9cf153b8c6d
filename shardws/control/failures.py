"""What the clients of the control socket say when they have no answer.

Owns the words and the code of each ControlError; `path` is the run directory. `was_sent` is False
only when the server surely did nothing (errors.ControlError).
"""

from pathlib import Path
from typing import Final

from shardws.control.endpoint import MOST_CLIENTS
from shardws.errors import ControlError

CHOOSE: Final = 213
NOT_OURS: Final = 10013
SILENT: Final = 10060


def none_runs(path: Path) -> ControlError:
    """Nobody listens there."""
    return ControlError(f"no server runs in {path}")


def none_found() -> ControlError:
    """The search found none."""
    return ControlError("no server of yours runs here (name its run directory or its port)")


def several_found(paths: list[Path]) -> ControlError:
    """The search found more than one."""
    listed = ", ".join(map(str, paths))
    reason = f"several servers run: choose one by its port or its run directory: {listed}"
    return ControlError(reason, code=CHOOSE)


def not_ours(path: Path) -> ControlError:
    """The directory, or who listens in it, is another user's."""
    return ControlError(f"the server in {path} belongs to another user", code=NOT_OURS)


def silent(path: Path | None, seconds: float, *, was_sent: bool) -> ControlError:
    """There was no answer in time."""
    reason = f"the server in {path} did not answer in {seconds:g} s"
    return ControlError(reason, code=SILENT, was_sent=was_sent)


def gone(path: Path, *, has_answered: bool, was_sent: bool = True) -> ControlError:
    """It ended the connection: before its first answer perhaps because it has too many."""
    beside = "" if has_answered else f", or serves {MOST_CLIENTS} clients already"
    return ControlError(f"the server in {path} has gone{beside}", was_sent=was_sent)


def no_server(path: Path) -> ControlError:
    """What arrived is no reply."""
    return ControlError(f"what listens in {path} is no server of this kind", was_sent=True)


def too_long(path: Path) -> ControlError:
    """What arrived is more than a reply may have."""
    return ControlError(f"the server in {path} sent a line without end", was_sent=True)


def other_kind(what: str = "") -> ControlError:
    """A reply, but not one to that request; `what` is missing in it, or of another type."""
    beside = f": {what}" if what else ""
    return ControlError(f"the server gave an answer of another kind{beside}", was_sent=True)


def closed() -> ControlError:
    """The program closed its client while a request was under way."""
    return ControlError("this client was closed")
