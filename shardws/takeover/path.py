"""Where a process listens for connections that others give away.

Owns the name of the socket in the run directory, beside that of the mesh.
"""

import os

from shardws.errors import StartError
from shardws.routing.identity import MAX_PATH_BYTES


def takeover_path(run_directory: str, row: int) -> str:
    """Return where the process of a row listens; StartError when the path is too long."""
    path = os.path.join(run_directory, f"takeover-{row}.sock")
    if len(os.fsencode(path)) > MAX_PATH_BYTES:
        raise StartError(f"the run directory's path is too long for a Unix socket: {path}")
    return path
