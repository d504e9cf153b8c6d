"""The process image: how this program was started, and how it is executed again.

Owns the command lines, the variable that names the document with the state, and the exec itself.
All is taken by name from the directory of the start, so a link that points to another release
meanwhile leads to that. A script that the kernel executed, such as .venv/bin/shardws, is executed
itself: its first line names the interpreter, which may be another one in another release.
"""

import contextlib
import os
import sys
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Final

from shardws_supervisor.system.kept import KeptError
from shardws_supervisor.upgrade.state import LONGEST

VARIABLE: Final = "SHARDWS_ADOPT"  # DESCRIPTOR:PID, as LISTEN_PID is only for that process
RUN: Final = "run"
REHEARSE: Final = "rehearse-upgrade"  # a version without upgrades does not know it, and refuses


@dataclass(frozen=True, slots=True)
class Image:
    """A command line in two parts, and where it was given."""

    program: tuple[str, ...]  # the script, or the interpreter, its options, and script or module
    arguments: tuple[str, ...]  # those of `shardws run`
    directory: str

    def command(self, name: str) -> list[str]:
        """Return the command line with another command in place of `run`."""
        return [*self.program, name, *self.arguments]

    def execute(self, name: str, document: int, environment: Mapping[str, str]) -> OSError:
        """Replace this process by the program; return what went wrong, only then."""
        given = {**environment, VARIABLE: f"{document}:{os.getpid()}", "PWD": self.directory}
        try:
            here = os.open(".", os.O_PATH | os.O_CLOEXEC)  # it may have no name any more
        except OSError as error:
            return error
        try:
            os.chdir(self.directory)
            os.execve(self.program[0], self.command(name), given)  # noqa: S606 - no shell is wanted
        except OSError as error:
            os.fchdir(here)
            return error
        finally:
            os.close(here)


def of_this_process(directory: str) -> Image | None:
    """Return how to start it again; None when it was not started as `shardws run`."""
    return found(sys.orig_argv, sys.argv, sys.executable, directory)


def found(
    original: Sequence[str], arguments: Sequence[str], executable: str, directory: str
) -> Image | None:
    """Return how to start a process again, from how Python says that it was started."""
    own = list(arguments[1:])
    program = list(original[: len(original) - len(own)])
    if own[:1] != [RUN] or [*program, *own] != list(original) or not executable or not program:
        return None
    if len(program) == 2 and _names_interpreter(os.path.join(directory, program[1]), program[0]):
        return Image((program[1],), tuple(own[1:]), directory)
    return Image((executable, *program[1:]), tuple(own[1:]), directory)


def _names_interpreter(script: str, interpreter: str) -> bool:
    """Tell whether a script leads to that interpreter by itself.

    Where the path is too long for a first line, pip writes a script that is a shell's first.
    """
    try:
        with open(script, "rb") as file:
            first, second = file.readline(1024), file.readline(1024)
    except OSError:
        return False
    wanted = os.fsencode(interpreter)
    is_by_shell = first == b"#!/bin/sh\n" and second.startswith(b"'''exec' ") and wanted in second
    return first.rstrip() == b"#!" + wanted or is_by_shell


def document_of(data: bytes) -> int:
    """Return a descriptor from which `taken` reads; OSError."""
    document = os.memfd_create("shardws-state", os.MFD_CLOEXEC)
    with open(document, "wb", closefd=False) as file:
        file.write(data)
    return document


def taken(environment: MutableMapping[str, str], pid: int) -> bytes | None:
    """Return the document passed to process `pid`, None when there is none; KeptError."""
    number, _, owner = environment.pop(VARIABLE, "").partition(":")
    if not number.isdecimal() or owner != str(pid):
        return None
    document = int(number)
    try:
        size = os.fstat(document).st_size
        if size > LONGEST:
            raise KeptError(f"the state has {size} bytes, at most {LONGEST} are read")
        with open(document, "rb") as file:
            file.seek(0)
            return file.read()
    except OSError as error:
        raise KeptError(f"the state cannot be read: {error.strerror}") from None


def let_pass(descriptors: Iterable[int]) -> None:
    """Have descriptors survive an exec; OSError when one is not open."""
    for descriptor in descriptors:
        os.set_inheritable(descriptor, True)


def let_none_pass(descriptors: Iterable[int]) -> None:
    """Take that back."""
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            os.set_inheritable(descriptor, False)
