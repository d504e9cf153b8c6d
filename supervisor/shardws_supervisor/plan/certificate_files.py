"""Whether certificate files have changed: their stamps.

Owns what is compared; reads no content.
"""

from pathlib import Path

from shardws.settings.values import Settings
from shardws.shard import certificates

Stamps = dict[str, tuple[int, int, int]]  # by path: time of change, size, inode


def stamps_of(settings: Settings) -> Stamps:
    """Return the files that the certificates come from as they are now; missing ones left out."""
    found = {}
    for path in certificates.files(settings):
        try:
            status = Path(path).expanduser().stat()
        except OSError:
            continue
        found[path] = (status.st_mtime_ns, status.st_size, status.st_ino)
    return found
