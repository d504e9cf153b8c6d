"""What becomes of an opening request, as one comparable value, with either implementation."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from shardws.errors import HandshakeError
from shardws.protocol import codec, frames
from shardws.protocol.handshake import HandshakeConfig, HandshakeReader, Hosts, Origins
from shardws.protocol.request import OpeningFields
from shardws.protocol.response import accept, refuse

# As an application may set them, and limits that heads of a few hundred bytes reach.
CONFIGS = (
    HandshakeConfig(),
    HandshakeConfig(max_header_bytes=300, max_line_bytes=64, max_headers=6),
    HandshakeConfig(
        origins=Origins.parse("https://example.com"), hosts=Hosts.parse("example.com, loopback")
    ),
    HandshakeConfig(hosts=Hosts.parse("loopback", for_pages_only=True)),
)


class Outcome(NamedTuple):
    """A request and what it is answered, or a refusal; nothing: more bytes are needed."""

    raw: bytes = b""
    fields: OpeningFields | None = None
    rest: bytes = b""
    answer: bytes = b""
    detail: str = ""  # of a refusal


def outcome(reader: HandshakeReader, pieces: Iterable[bytes]) -> Outcome:
    """Put pieces into a reader, until there is an outcome."""
    for piece in pieces:
        try:
            request = reader.receive(piece)
        except HandshakeError as error:
            return Outcome(answer=refuse(error), detail=f"{error.description}: {error.detail}")
        if request is not None:
            assert reader.fields is not None
            answer = accept(reader.fields)
            assert answer == accept(request)
            return Outcome(request.raw, reader.fields, reader.rest, answer)
    return Outcome()


def by_python(pieces: Iterable[bytes], config: HandshakeConfig) -> Outcome:
    """Return what the reader in Python makes of it."""
    return _with(frames.head, pieces, config)


def by_c(pieces: Iterable[bytes], config: HandshakeConfig) -> Outcome:
    """Return what comes of it when C has the first look."""
    return _with(codec.select("").head, pieces, config)


def _with(
    head: Callable[..., codec.Head | None], pieces: Iterable[bytes], config: HandshakeConfig
) -> Outcome:
    in_use = codec.head
    setattr(codec, "head", head)  # noqa: B010  # it is Final
    try:
        return outcome(HandshakeReader(config), pieces)
    finally:
        setattr(codec, "head", in_use)  # noqa: B010
