"""The application's directory: its name, and how a process changes to it.

Owns the choice of the name and the first entry of sys.path. The name counts, not the inode: a
deployment that points a symbolic link `current` to another release, or replaces the directory, must
be seen by the next probe and shard, whose own working directory is still the old one. Without
AppDirectory the name is the shell's, $PWD, as long as it leads to the real working directory.
"""

import importlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace

from shardws.errors import StartError, code_of_errno


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory by name; `started_in` is the initial working directory, symlinks resolved."""

    name: str
    started_in: str

    def below(self, path: str) -> "Directory":
        """Return the directory at `path`, relative to this one; "" is this one."""
        return replace(self, name=os.path.join(self.name, path) if path else self.name)

    def go(self) -> None:
        """Make it the current directory; StartError when it cannot be entered."""
        try:
            os.chdir(self.name)
        except OSError as error:
            raise StartError(
                f"the directory {self.name} cannot be entered: {error.strerror}",
                code=code_of_errno(error.errno),
            ) from None
        os.environ["PWD"] = self.name

    def enter(self) -> None:
        """Change to it and put it first in sys.path; for the child that imports."""
        self.go()
        # `python -m` added the resolved path at the start: modules missing from a new release must
        # not be imported from the old one.
        if sys.path and sys.path[0] in ("", self.started_in):
            del sys.path[0]
        sys.path[:] = [self.name, *(entry for entry in sys.path if entry != self.name)]
        importlib.invalidate_caches()


def current(environ: Mapping[str, str]) -> Directory:
    """Return the current directory under its shell name; StartError when it is gone."""
    try:
        here = os.getcwd()
    except OSError as error:
        raise StartError(f"the current directory is gone: {error.strerror}") from None
    name = environ.get("PWD", "")
    try:
        is_same = os.path.isabs(name) and os.path.samefile(name, here)
    except OSError:
        is_same = False
    return Directory(name if is_same else here, here)
