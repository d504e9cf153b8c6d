"""The disk: the one module of this package that reads and writes files.

Owns the size limits and the error texts about a path.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from shardws.errors import TLSSetupError

# A bundle of all public CAs is 0.25 MiB; a store beyond this is a mistake, such as a log file.
MAX_BYTES: Final = 16 << 20
MAX_FILES: Final = 10_000


def read(path: str, code: int) -> bytes:
    """Return the bytes of a file; TLSSetupError(code) says why it cannot be read."""
    try:
        with Path(path).expanduser().open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise TLSSetupError(code, f"cannot read {path!r}: {reason}") from error
    if len(data) > MAX_BYTES:
        raise TLSSetupError(code, f"{path!r} is larger than {MAX_BYTES} bytes")
    return data


def exists(path: str) -> bool:
    """Tell whether `path` names a file."""
    return Path(path).expanduser().is_file()


def names_in(directory: str, code: int) -> list[str]:
    """Return the paths of the files in a directory, sorted; TLSSetupError(code) if there is none.

    Hashed links (`openssl rehash`) and the files they name come once.
    """
    folder = Path(directory).expanduser()
    try:
        found = {entry.resolve() for entry in folder.iterdir() if entry.is_file()}
    except OSError as error:
        raise TLSSetupError(code, f"cannot read {directory!r}: {error.strerror}") from error
    if len(found) > MAX_FILES:
        raise TLSSetupError(code, f"{directory!r} holds more than {MAX_FILES} files")
    return [str(path) for path in sorted(found)]


@contextmanager
def as_file(data: bytes) -> Iterator[str]:
    """Provide a temporary file with public data for a call that accepts only a path."""
    with tempfile.NamedTemporaryFile(prefix="shardws-") as file:
        file.write(data)
        file.flush()
        yield file.name
