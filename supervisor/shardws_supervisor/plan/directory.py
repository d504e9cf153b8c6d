"""The application's directory: how it is named, and how a process goes there.

Owns the choice of the name and what is first in sys.path. The name counts, not the inode: a deploy
that lets a symbolic link `current` point to another release, or replaces the directory, must be
seen by the next probe and shard, whose own working directory is still the old one. Without
AppDirectory the name is the one the shell went by, $PWD, as long as it leads to where the process
really is.
"""

import importlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace

from shardws.errors import StartError, code_of_errno


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory by its name; `started_in` is where the process began, without symbolic links."""

    name: str
    started_in: str

    def below(self, path: str) -> "Directory":
        """Return another directory, named from here unless `path` is absolute; "" is this one."""
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
        """Go there and have imports look there first; for the child that imports."""
        self.go()
        # `python -m` put the real one there at the start: an old release must not fill the gaps of
        # a new one.
        if sys.path and sys.path[0] in ("", self.started_in):
            del sys.path[0]
        sys.path[:] = [self.name, *(entry for entry in sys.path if entry != self.name)]
        importlib.invalidate_caches()


def current(environ: Mapping[str, str]) -> Directory:
    """Return the current directory as it was named; StartError when it is gone."""
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
