"""Sockets between shards."""

import os
from pathlib import Path

from shardws.routing import unix

ONE_READ = 256_000  # bytes; of uvloop


def test_a_link_holds_less_than_one_read(tmp_path: Path) -> None:
    """A peer that kept a larger buffer full was read 32 times in one turn of the loop."""
    path = str(tmp_path / "link")
    with unix.listen(path) as listening, unix.dial(path, os.getpid()) as dialed:
        accepted, _ = listening.accept()
        with accepted:
            held = 0
            try:
                while True:
                    held += dialed.send(bytes(1 << 20))
            except BlockingIOError:
                pass
            assert 0 < held < ONE_READ
