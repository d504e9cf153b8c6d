"""The socket on which one shard listens for its peers, restored when its file disappears.

Owns the socket and its path in the run directory. A cleaner of temporary files may empty that
directory: the socket still listens, but no peer can find it. So the shard checks the path from time
to time and binds again. Another file at the path is kept: it is the socket of a server that took
over the directory, and two servers would replace each other's without end.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable
from typing import Final

from shardws.errors import StartError, code_of_errno
from shardws.log import Adapter
from shardws.routing import unix
from shardws.routing.identity import socket_path

MakeProtocol = Callable[[], asyncio.Protocol]
NO_PLACE: Final = (0, 0)


class MeshSocket:
    """The listening socket of one shard; `watch` must be called periodically."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        run_directory: str,
        row: int,
        accept: MakeProtocol,
        log: Adapter,
    ) -> None:
        self._loop = loop
        self._run_directory = run_directory
        self._row = row
        self._accept = accept
        self._log = log
        self._server: asyncio.AbstractServer | None = None
        self._place = NO_PLACE  # device and inode of our socket's file
        self._binding: asyncio.Task[None] | None = None
        self._told = ""  # the trouble that is in the log already

    @property
    def path(self) -> str:
        """Where it listens; StartError when the path is too long."""
        return socket_path(self._run_directory, self._row)

    async def start(self) -> None:
        """Listen, replacing the socket of a dead process; StartError says why it cannot."""
        path = self.path
        try:
            unix.check_directory(self._run_directory)
            unix.remove(path)
            await self._listen()
        except OSError as error:
            reason = f"cannot listen for other shards on {path}: {error}"
            raise StartError(reason, code=code_of_errno(error.errno)) from error

    async def _listen(self) -> None:
        sock = unix.listen(self.path)
        self._place = _place_of(self.path)
        old = self._server
        self._server = await self._loop.create_unix_server(self._accept, sock=sock)
        if old is not None:
            old.close()  # accepted links stay

    def watch(self) -> None:
        """Bind again when the socket's file is gone."""
        if self._server is None or (self._binding is not None and not self._binding.done()):
            return
        try:
            place = _place_of(self.path)
        except OSError as error:
            self._complain(str(error))
            return
        if place == NO_PLACE:
            self._binding = self._loop.create_task(self._bind_anew())
        elif place != self._place:
            self._complain("another socket is there")

    async def _bind_anew(self) -> None:
        try:
            unix.check_directory(self._run_directory)
            await self._listen()
        except (OSError, StartError) as error:
            self._complain(str(error))
        else:
            self._told = ""
            self._log.warning("%s had been removed: this shard listens there again", self.path)

    def _complain(self, trouble: str) -> None:
        if trouble != self._told:
            self._told = trouble
            self._log.error("other shards cannot find this one on %s: %s", self.path, trouble)

    def close(self) -> None:
        """Stop listening, and remove the socket's file if it is ours."""
        if self._binding is not None:
            self._binding.cancel()
        if self._server is not None:
            self._server.close()
            self._server = None
            with contextlib.suppress(OSError):
                if _place_of(self.path) == self._place:
                    unix.remove(self.path)


def _place_of(path: str) -> tuple[int, int]:
    """Return what identifies the file at a path, NO_PLACE when there is none; OSError."""
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return NO_PLACE
    return found.st_dev, found.st_ino
