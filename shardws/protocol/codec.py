"""The choice between the two implementations of the codec.

Owns the choice and the contract as types; `frames` documents it. `IMPLEMENTATION` is "c" when the
extension was built, else "python"; SHARDWS_CODEC=python in the environment forces Python. This is
the one file of the protocol room that reads the environment.
"""

import os
from collections.abc import Callable
from typing import Final, Protocol

from shardws.protocol import frames
from shardws.protocol.frames import Frame, Head, Item, header

__all__ = [
    "IMPLEMENTATION",
    "Filler",
    "Frame",
    "Head",
    "Item",
    "close_payload",
    "continuations",
    "head",
    "header",
    "join",
    "parse",
    "select",
    "unmask",
]


class Filling(Protocol):
    """What both `Filler` types offer; see `frames.Filler`."""

    @property
    def missing(self) -> int: ...
    def feed(self, data: bytes, start: int, /) -> int: ...
    def taken(self) -> bytes: ...
    def finish(self) -> bytes: ...


class Implementation(Protocol):
    """What both modules offer."""

    @property
    def IMPLEMENTATION(self) -> str: ...
    @property
    def Filler(self) -> Callable[[int, int, bytes], Filling]: ...
    @property
    def CONTRACT(self) -> int: ...
    def parse(
        self, data: bytes, max_size: int, start: int = ..., limit: int = ..., /
    ) -> tuple[list[Item], int, int]: ...
    def continuations(
        self, data: bytes, room: int, start: int = ..., limit: int = ..., /
    ) -> tuple[list[bytes], int, bool]: ...
    def close_payload(self, data: bytes, /) -> bytes | None: ...
    def head(
        self, data: bytes, max_header_bytes: int, max_line_bytes: int, max_headers: int, /
    ) -> Head | None: ...
    def join(self, frames: list[Frame], /) -> bytes: ...
    def unmask(self, data: bytes, start: int, stop: int, key: bytes, /) -> bytes: ...


def select(forced: str) -> Implementation:
    """Return the implementation to use: the C one unless "python" is forced or it was not built.

    ImportError when "c" is forced and the extension is not there; ValueError for another word.
    """
    if forced not in ("", "c", "python"):
        raise ValueError(f"SHARDWS_CODEC is {forced!r}; it may be 'c' or 'python'")
    if forced != "python":
        try:
            from shardws.protocol import _frames

            if _frames.CONTRACT != frames.CONTRACT:  # it was built of other source
                raise ImportError("_frames keeps another contract")
        except (ImportError, AttributeError) as error:
            if forced == "c":
                raise ImportError("_frames was not built of this source") from error
        else:
            return _frames
    return frames


implementation: Final = select(os.environ.get("SHARDWS_CODEC", ""))
IMPLEMENTATION: Final = implementation.IMPLEMENTATION
parse: Final = implementation.parse
continuations: Final = implementation.continuations
close_payload: Final = implementation.close_payload
head: Final = implementation.head
join: Final = implementation.join
unmask: Final = implementation.unmask
Filler: Final = implementation.Filler
