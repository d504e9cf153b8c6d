"""Detects changed certificate files by their stat values; does not read them."""

from pathlib import Path

from shardws.settings.values import Settings
from shardws.shard import certificates

Stamps = dict[str, tuple[int, int, int]]  # by path: modification time, size, inode


def stamps_of(settings: Settings) -> Stamps:
    """Return the stamps of the certificate files; missing files are left out."""
    found = {}
    for path in certificates.files(settings):
        try:
            status = Path(path).expanduser().stat()
        except OSError:
            continue
        found[path] = (status.st_mtime_ns, status.st_size, status.st_ino)
    return found
