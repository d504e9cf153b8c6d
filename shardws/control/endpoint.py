"""The control socket: what a server and the programs that ask it must agree on.

Owns the place of the socket and the bounds of the conversation; opens nothing. The server's side is
shardws_supervisor.control.server, the asking ones are the clients of this package.

    request   {"do": NAME, ...} and a newline
    answer    {"ok": true, ...} or {"ok": false, "error": TEXT, "code": N}, in the order of asking

Several requests may be sent before the first answer, LONGEST_REQUEST bytes of them together.
`code`, a number of errors.ERROR_CODES, is there when the reason has one.
"""

import os
from pathlib import Path
from typing import Final

CONTROL_SOCKET: Final = "control.sock"  # in the run directory
LONGEST_REQUEST: Final = 64 << 10  # bytes: of a line, and of all that wait for their answer
LONGEST_REPLY: Final = 4 << 20  # bytes: of a line, and of all that a client leaves unread
MOST_CLIENTS: Final = 256  # that push; operators find a place beyond that
DEADLINE: Final = 10.0  # seconds for one call of a client; the server gives its shards 5
PATIENCE: Final = 30.0  # seconds a client may be silent; `top` asks every second or two


def default_directory(port: int) -> Path:
    """Return the run directory of the server on a port: in $XDG_RUNTIME_DIR, else in /tmp."""
    base = os.environ.get("XDG_RUNTIME_DIR")
    if base and os.path.isdir(base):
        return Path(base) / f"shardws-{port}"
    return Path("/tmp") / f"shardws-{os.getuid()}-{port}"  # noqa: S108 - made 0700, owner checked


def candidates() -> list[Path]:
    """Return the run directories of this user in the default places that hold a control socket."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    places = [Path("/tmp").glob(f"shardws-{os.getuid()}-*")]  # noqa: S108 - see default_directory
    if runtime:
        places.append(Path(runtime).glob("shardws-*"))
    return sorted(
        path
        for place in places
        for path in place
        if is_ours(path) and (path / CONTROL_SOCKET).exists()
    )


def is_ours(path: Path) -> bool:
    """Tell whether a directory is there and this user's: in /tmp anybody can make one."""
    try:
        return path.lstat().st_uid == os.geteuid()
    except OSError:
        return False
