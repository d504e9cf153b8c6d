"""Frames as a client sends them: masked, and as streams cut into pieces."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from shardws.protocol.session import Frame, Item, Session

KEY = b"\x11\xa2\x33\xc4"


def mask(payload: bytes, key: bytes = KEY) -> bytes:
    """Mask or unmask in the plainest way: the reference for both implementations."""
    return bytes(byte ^ key[index % 4] for index, byte in enumerate(payload))


def length_of(size: int, flag: int = 0x80, form: int | None = None) -> bytes:
    """The length of a frame in its shortest form, or in `form` bytes: 0, 2 or 8."""
    if form is None:
        form = 0 if size < 126 else 2 if size < 65536 else 8
    if form == 0:
        return bytes((flag | size,))
    return bytes((flag | (126 if form == 2 else 127),)) + size.to_bytes(form)


def frame(first: int, payload: bytes = b"", key: bytes = KEY, form: int | None = None) -> bytes:
    """One masked frame."""
    return bytes((first,)) + length_of(len(payload), form=form) + key + mask(payload, key)


def close(code: int | None = None, reason: str = "") -> bytes:
    """The client's close frame."""
    return frame(0x88, b"" if code is None else code.to_bytes(2) + reason.encode())


def chunks_of(data: bytes, size: int) -> Iterator[bytes]:
    """The data in reads of `size` bytes; 0: one read."""
    for at in range(0, len(data), size or len(data) or 1):
        yield data[at : at + (size or len(data))]


def join_fragments(items: list[Item]) -> list[tuple[int, bytes]]:
    """Items with the pieces of each message put together, at the place of its last piece."""
    found: list[tuple[int, bytes]] = []
    parts: list[bytes] = []
    for kind, payload, eom in items:
        if kind >= 8:
            found.append((kind, payload))
            continue
        parts.append(payload)
        if eom:
            found.append((kind, b"".join(parts)))
            parts.clear()
    return found


@dataclass
class SessionOutput:
    """What a session made of a stream."""

    items: list[Item] = field(default_factory=list)
    replies: list[Frame] = field(default_factory=list)

    @property
    def messages(self) -> list[tuple[int, bytes]]:
        return join_fragments(self.items)


def read(session: Session, data: bytes) -> list[Item]:
    """Have a session read all of it, slice by slice."""
    items = session.receive(data)
    while session.has_more:
        items += session.go_on()
    return items


def feed_session(session: Session, data: bytes, size: int = 0) -> SessionOutput:
    """Feed the data in reads of `size` bytes and collect what comes out."""
    heard = SessionOutput()
    for piece in chunks_of(data, size):
        heard.items += read(session, piece)
    heard.replies += session.replies
    session.replies.clear()
    return heard
