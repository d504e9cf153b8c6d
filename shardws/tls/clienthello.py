"""The ClientHello: a bounded reader of the first message of a TLS client (RFC 8446 4.1.2).

Owns the parsing; OpenSSL reads the same bytes again. It runs only where a certificate is chosen by
what the client offers. Facts: a current client sends 1.5 KiB by default (an ML-KEM share), so the
hello arrives in several pieces; a hello may also be split over several records. GREASE values (RFC
8701) are ignored. With ECH only the outer name is seen.
"""

from typing import Final, NamedTuple

from shardws.errors import PeerError
from shardws.tls import algorithms, suites

LIMIT: Final = 65536
RECORD_HEADER: Final = 5
HANDSHAKE: Final = 22
CLIENT_HELLO: Final = 1
MAX_FRAGMENT: Final = 16384
TLS13: Final = 0x0304
KEY_NAME: Final = 16  # OpenSSL's tickets begin with the name of their key

SERVER_NAME: Final = 0
GROUPS: Final = 10
SIGNATURES: Final = 13
ALPN: Final = 16
TICKET: Final = 35
PRE_SHARED_KEY: Final = 41
VERSIONS: Final = 43


class Hello(NamedTuple):
    """What a client offers, in its order, without GREASE."""

    suites: tuple[int, ...]
    signatures: tuple[int, ...] = ()
    groups: tuple[int, ...] = ()
    server_name: str = ""  # lower case, without a dot at the end
    protocols: tuple[str, ...] = ()  # ALPN
    versions: tuple[int, ...] = ()
    ticket_key: bytes = b""  # name of the key that sealed the ticket offered

    @property
    def is_modern(self) -> bool:
        """Whether the client offers TLS 1.3."""
        return TLS13 in self.versions

    def suite_names(self) -> str:
        return ",".join(suites.name_of(number) for number in self.suites)

    def signature_names(self) -> str:
        return ",".join(algorithms.signature_name(number) for number in self.signatures)

    def group_names(self) -> str:
        return ",".join(algorithms.group_name(number) for number in self.groups)


class HelloReader:
    """Collects bytes until the hello is whole; `data` is all that was received."""

    __slots__ = ("_at", "_message", "data")

    def __init__(self) -> None:
        self.data = bytearray()
        self._message = bytearray()
        self._at = 0  # first byte not yet taken from data

    def receive(self, data: bytes) -> Hello | None:
        """Return the hello when it is complete; PeerError 280 when the bytes cannot be one."""
        self.data += data
        while self._take_record():
            message = self._message
            if message and message[0] != CLIENT_HELLO:
                raise PeerError("the first TLS message is no ClientHello", code=280)
            if len(message) < 4:
                continue
            size = int.from_bytes(message[1:4], "big")
            if size > LIMIT:
                raise PeerError(f"a ClientHello of {size} bytes", code=280)
            if len(message) >= 4 + size:
                return parse(bytes(message[4 : 4 + size]))
        if len(self.data) > LIMIT:
            raise PeerError(f"no whole ClientHello in {LIMIT} bytes", code=280)
        return None

    def _take_record(self) -> bool:
        """Move one whole record into the message; False when it is incomplete."""
        at, data = self._at, self.data
        head = bytes(data[at : at + RECORD_HEADER])
        if head and (head[0] != HANDSHAKE or head[1:2] not in (b"", b"\x03")):
            raise PeerError("the first bytes are not TLS", code=280)
        if len(head) < RECORD_HEADER:
            return False
        size = head[3] << 8 | head[4]
        if not 0 < size <= MAX_FRAGMENT:
            raise PeerError(f"a handshake record of {size} bytes", code=280)
        end = at + RECORD_HEADER + size
        if len(data) < end:
            return False
        self._message += data[at + RECORD_HEADER : end]
        self._at = end
        return True


def parse(body: bytes) -> Hello:
    """Read the body of a ClientHello; PeerError 280 when it is malformed."""
    fields = _Fields(body)
    fields.take(2 + 32)  # legacy version, random
    fields.block(1)  # session id
    offered = _numbers(fields.block(2))
    fields.block(1)  # compression methods
    hello = Hello(offered)
    if not fields.has_more:
        return hello
    extensions = _Fields(fields.block(2))
    while extensions.has_more:
        kind = extensions.number(2)
        hello = _with_extension(hello, kind, _Fields(extensions.block(2)))
    return hello


def _with_extension(hello: Hello, kind: int, fields: "_Fields") -> Hello:
    if kind == SERVER_NAME:
        return hello._replace(server_name=_server_name(fields))
    if kind == GROUPS:
        return hello._replace(groups=_numbers(fields.block(2)))
    if kind == SIGNATURES:
        return hello._replace(signatures=_numbers(fields.block(2)))
    if kind == VERSIONS:
        return hello._replace(versions=_numbers(fields.block(1)))
    if kind == ALPN:
        return hello._replace(protocols=_protocols(_Fields(fields.block(2))))
    if kind == TICKET:
        return hello._replace(ticket_key=fields.rest()[:KEY_NAME]) if fields.has_more else hello
    if kind == PRE_SHARED_KEY:
        identities = _Fields(fields.block(2))
        return hello._replace(ticket_key=identities.block(2)[:KEY_NAME])
    return hello


def _server_name(fields: "_Fields") -> str:
    """Return the first host name; "" when it is not ASCII text."""
    names = _Fields(fields.block(2))
    while names.has_more:
        kind, name = names.number(1), names.block(2)
        if kind == 0:
            text = name.decode("ascii", "replace").lower().removesuffix(".")
            return text if text.isprintable() and len(text) <= 255 and text.isascii() else ""
    return ""


def _protocols(fields: "_Fields") -> tuple[str, ...]:
    found = []
    while fields.has_more:
        found.append(fields.block(1).decode("latin-1"))
    return tuple(name for name in found if not _is_grease(int.from_bytes(name.encode(), "big")))


def _numbers(data: bytes) -> tuple[int, ...]:
    if len(data) % 2:
        raise PeerError("an odd list in the ClientHello", code=280)
    pairs = (data[at] << 8 | data[at + 1] for at in range(0, len(data), 2))
    return tuple(number for number in pairs if not _is_grease(number))


def _is_grease(number: int) -> bool:
    return number & 0x0F0F == 0x0A0A and number >> 8 == number & 0xFF


class _Fields:
    """Takes values from the front; PeerError 280 when the bytes end too early."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def has_more(self) -> bool:
        return self._at < len(self._data)

    def take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._data):
            raise PeerError("a cut ClientHello", code=280)
        taken, self._at = self._data[self._at : end], end
        return taken

    def number(self, width: int) -> int:
        return int.from_bytes(self.take(width), "big")

    def block(self, width: int) -> bytes:
        """Take a block whose length stands before it in `width` bytes."""
        return self.take(self.number(width))

    def rest(self) -> bytes:
        return self.take(len(self._data) - self._at)
