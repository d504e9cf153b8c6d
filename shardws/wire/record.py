"""The record of an open connection: what another process needs to serve it on.

Owns the layout, its bounds and its version. Sans-IO. Facts to have before reading:

- It holds no descriptor: that travels beside it. It is made between two steps of a connection, so
  no handler runs, and no message is in progress in either direction but one that can be read again.
- Times are readings of CLOCK_MONOTONIC, which is the same in all processes of a host: timers go on
  by their age, and a pong is known by the reading that its ping carries.
- Whoever reads a record trusts neither its lengths nor its values: RecordError for another version,
  for a field that is out of its bounds, and for bytes that are too few or too many.

    version u16 | fixed fields and the lengths of texts | texts | groups | held data

little-endian, unaligned.
"""

import math
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from shardws import ids
from shardws.errors import RecordError

VERSION: Final = 1

LARGEST: Final = 64 << 20  # bytes of a record; a connection that needs more stays until it has less
LONGEST_TEXT: Final = 255  # bytes of an address, and of the parameters of an extension
LONGEST_HEAD: Final = 1 << 20
LONGEST_GROUP: Final = 1024
MOST_USER_DATA: Final = 1 << 20
LONGEST_CONTROL: Final = 125  # RFC 6455 5.5
MOST_MOVES: Final = 0xFFFF
FORMATS: Final = frozenset({0, 1, 2, 9, 10})  # of DataToSend
DATA_FORMATS: Final = frozenset({1, 2, 10})  # of data that is told

_VERSION: Final = struct.Struct("<H")
# id, port, data format, flags, moves; nine times; size; ahead; ten lengths
_FIXED: Final = struct.Struct("<QHBBH9dqQQ10I")
_LENGTH: Final = struct.Struct("<I")
_HELD: Final = struct.Struct("<BBI")

_ACCEPTS_DATA: Final = 1
_IS_INSIDE: Final = 2
_HAS_TIMEOUT: Final = 4
_HAS_PONG: Final = 8
_HAS_AHEAD: Final = 16
_FLAGS: Final = 31


@dataclass(frozen=True, slots=True)
class Record:
    """One connection; sizes in bytes, times in seconds."""

    id: int
    head: bytes = b""  # the opening request as it came, with the blank line at its end
    remote_host: str = ""
    remote_port: int = 0
    local_address: str = ""
    groups: tuple[str, ...] = ()
    data_format: int = 0  # of DataToSend and SendFile
    timeout: float | None = None  # its own Timeout; None: that of the server
    accepts_data: bool = True  # AcceptData
    deflate: str = ""  # the agreement, as the response to the request had it; "" none
    unread: bytes = b""  # received and not told, as the peer sent it
    held: tuple[tuple[int, bytes, bool], ...] = ()  # (format, data, eom): told when AcceptData is
    unsent: bytes = b""  # framed, and not in the kernel yet
    is_inside_frame: bool = False  # `unsent` may begin inside a frame
    seen: float = 0.0  # when a byte last came in
    active: float = 0.0  # when a byte last went out
    ping_at: float = 0.0  # when the unanswered ping left, which is its payload; 0 none
    ping_from: float = 0.0  # these four: see net.connection.extras
    pong_seen: float = 0.0
    quiet_since: float = 0.0
    ahead: tuple[int, int] | None = None  # what stood in front of that ping: protocol.keepalive
    late_pong: bytes | None = None
    rtt: float = 0.0  # of the last answered ping
    calm_at: float = 0.0  # when frames without content are forgiven
    size: int = 0  # payload of the last message that was sent
    user_data: bytes = b""
    moves: int = 0  # how often it has moved before


def encode(record: Record) -> bytes:
    """Return a record as bytes; RecordError for one that could not be decoded again."""
    _check(record)
    texts = _texts(record)
    groups = [group.encode() for group in record.groups]
    groups_size = sum(_LENGTH.size + len(group) for group in groups)
    held_size = sum(_HELD.size + len(data) for _, data, _ in record.held)
    lengths = (*map(len, texts), groups_size, held_size)
    size = _VERSION.size + _FIXED.size + sum(lengths)
    if size > LARGEST:
        raise RecordError(f"a record of {size} bytes is above the limit of {LARGEST}")
    parts = [_VERSION.pack(VERSION), _FIXED.pack(*_numbers(record), *lengths), *texts]
    for group in groups:
        parts += _LENGTH.pack(len(group)), group
    for data_format, data, eom in record.held:
        parts += _HELD.pack(data_format, eom, len(data)), data
    return b"".join(parts)


def decode(data: bytes) -> Record:
    """Return the record in `data`; RecordError when it is not whole, sound and of this version."""
    if len(data) > LARGEST:
        raise RecordError(f"a record of {len(data)} bytes is above the limit of {LARGEST}")
    version = int.from_bytes(data[: _VERSION.size], "little")
    if version != VERSION:
        raise RecordError(f"record version {version}, this is version {VERSION}")
    try:
        record = _decode(data)
    except (struct.error, UnicodeDecodeError) as error:
        raise RecordError(f"a record that cannot be read: {error}") from None
    _check(record)
    return record


def _texts(record: Record) -> list[bytes]:
    """Return the texts, in their order in the frame."""
    return [
        record.head,
        record.remote_host.encode(),
        record.local_address.encode(),
        record.deflate.encode(),
        record.unread,
        record.unsent,
        record.late_pong or b"",
        record.user_data,
    ]


def _numbers(record: Record) -> Iterable[int | float]:
    """Return the fixed fields, in their order in the frame."""
    flags = (
        _ACCEPTS_DATA * record.accepts_data
        | _IS_INSIDE * record.is_inside_frame
        | _HAS_TIMEOUT * (record.timeout is not None)
        | _HAS_PONG * (record.late_pong is not None)
        | _HAS_AHEAD * (record.ahead is not None)
    )
    return (
        *(record.id, record.remote_port, record.data_format, flags, record.moves),
        *(
            0.0 if record.timeout is None else record.timeout,
            record.seen,
            record.active,
            record.ping_at,
            record.ping_from,
        ),
        *(record.pong_seen, record.quiet_since, record.rtt, record.calm_at),
        record.size,
        *(record.ahead or (0, 0)),
    )


def _decode(data: bytes) -> Record:
    fixed = _FIXED.unpack_from(data, _VERSION.size)
    connection_id, port, data_format, flags, moves = fixed[:5]
    times, size, ahead, lengths = fixed[5:14], fixed[14], fixed[15:17], fixed[17:]
    position = _VERSION.size + _FIXED.size
    if position + sum(lengths) != len(data) or flags & ~_FLAGS:
        raise RecordError("a record with wrong lengths or flags")
    parts: list[bytes] = []
    for length in lengths:
        parts.append(data[position : position + length])
        position += length
    head, remote_host, local_address, deflate, unread, unsent, late_pong, user_data = parts[:8]
    absent = ((_HAS_TIMEOUT, times[0]), (_HAS_PONG, late_pong), (_HAS_AHEAD, any(ahead)))
    if any(value and not flags & flag for flag, value in absent):
        raise RecordError("a record with a value that it says it does not have")
    return Record(
        id=connection_id,
        head=head,
        remote_host=remote_host.decode(),
        remote_port=port,
        local_address=local_address.decode(),
        groups=tuple(group.decode() for group in _decode_groups(parts[8])),
        data_format=data_format,
        timeout=times[0] if flags & _HAS_TIMEOUT else None,
        accepts_data=bool(flags & _ACCEPTS_DATA),
        deflate=deflate.decode(),
        unread=unread,
        held=_decode_held(parts[9]),
        unsent=unsent,
        is_inside_frame=bool(flags & _IS_INSIDE),
        seen=times[1],
        active=times[2],
        ping_at=times[3],
        ping_from=times[4],
        pong_seen=times[5],
        quiet_since=times[6],
        ahead=ahead if flags & _HAS_AHEAD else None,
        late_pong=late_pong if flags & _HAS_PONG else None,
        rtt=times[7],
        calm_at=times[8],
        size=size,
        user_data=user_data,
        moves=moves,
    )


def _decode_groups(data: bytes) -> list[bytes]:
    groups: list[bytes] = []
    position = 0
    while position < len(data):
        (length,) = _LENGTH.unpack_from(data, position)
        position += _LENGTH.size
        groups.append(_part(data, position, length))
        position += length
    return groups


def _decode_held(data: bytes) -> tuple[tuple[int, bytes, bool], ...]:
    held: list[tuple[int, bytes, bool]] = []
    position = 0
    while position < len(data):
        data_format, eom, length = _HELD.unpack_from(data, position)
        position += _HELD.size
        held.append((data_format, _part(data, position, length), _boolean(eom)))
        position += length
    return tuple(held)


def _part(data: bytes, position: int, length: int) -> bytes:
    if position + length > len(data):
        raise RecordError("a record with a length that is too large")
    return data[position : position + length]


def _boolean(value: int) -> bool:
    if value > 1:
        raise RecordError(f"{value} is neither true nor false")
    return bool(value)


def _check(record: Record) -> None:
    """Raise RecordError for a value that no connection has."""
    times = [record.seen, record.active, record.ping_at, record.ping_from, record.pong_seen]
    times += [record.quiet_since, record.rtt, record.calm_at, record.timeout or 0.0]
    texts = (record.remote_host, record.local_address, record.deflate)
    rules = (
        ("id", 0 < record.id <= ids.MAX_ID and record.id & (ids.SERIALS - 1) != 0),
        ("head", len(record.head) <= LONGEST_HEAD),
        ("text", all(len(text.encode(errors="replace")) <= LONGEST_TEXT for text in texts)),
        ("remote_port", 0 <= record.remote_port <= 65535),
        ("groups", _are_groups(record.groups)),
        ("data_format", record.data_format in FORMATS),
        ("held", all(data_format in DATA_FORMATS for data_format, _, _ in record.held)),
        ("held", record.accepts_data is False or not record.held),
        ("time", all(0.0 <= time < math.inf for time in times)),
        ("ahead", record.ahead is None or record.ahead[0] <= record.ahead[1]),
        ("late_pong", len(record.late_pong or b"") <= LONGEST_CONTROL),
        ("size", record.size >= 0),
        ("user_data", len(record.user_data) <= MOST_USER_DATA),
        ("moves", 0 <= record.moves <= MOST_MOVES),
    )
    wrong = next((name for name, is_right in rules if not is_right), None)
    if wrong is not None:
        raise RecordError(f"a record with a {wrong} that no connection has")


def _are_groups(groups: tuple[str, ...]) -> bool:
    sizes = [len(group.encode(errors="replace")) for group in groups]
    return len(set(groups)) == len(groups) and all(0 < size <= LONGEST_GROUP for size in sizes)
