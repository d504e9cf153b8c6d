"""A connection that moves: out of this process, back when the other one does not take it, or in.

Owns what can move and what cannot, and the way between a Connection and its record. Facts to have
before reading:

- Exported, a connection is MOVED: its socket is neither read nor written here, but the descriptor
  stays open. `take_back` undoes it. `let_go` closes the descriptor, without shutdown(2): the other
  process has the same TCP connection.
- It can be exported between two of its steps only. `wait_to_move` has it do no further step when
  the handler that runs is done, and keeps what comes meanwhile; `Connection.stay` undoes that.
- A transport of the event loop gives its socket away when it has nothing left to write: it does not
  give back what it has not written. A wire with a socket of its own gives away both.
"""

import enum
from dataclasses import dataclass
from typing import Final

from shardws.errors import RecordError
from shardws.events import DataIn
from shardws.net.connection.connection import Connection
from shardws.net.connection.extras import Extras
from shardws.net.connection.owner import Owner
from shardws.net.connection.resumed import Resumed
from shardws.net.connection.states import (
    BLOCKED_PARTS,
    HOLD_APPLICATION,
    MOVED,
    OPEN,
    STOP_CLOSED,
    STOP_HELD,
    STOP_MOVING,
    STOP_OVER,
    STOP_TURN,
)
from shardws.net.tls import TLSTransport
from shardws.protocol.deflate import Profile, restore
from shardws.protocol.frames import FIN, PONG
from shardws.protocol.keepalive import Ahead
from shardws.protocol.request import Request
from shardws.protocol.session import Session
from shardws.wire import record as records
from shardws.wire.record import Record

MOST_WAITING: Final = 32 << 20  # bytes that wait in either direction: a record holds them

FIN_PONG: Final = FIN | PONG


class Stay(enum.StrEnum):
    """Why a connection cannot move; the first three never change."""

    TLS = "tls"  # its state is inside OpenSSL
    DEFLATE = "deflate"  # the windows of its compressors cannot be copied
    CLOSING = "closing"  # it is over, or about to be
    OPENING = "opening"
    HANDLER = "handler"  # one of its handlers runs
    MESSAGE = "message"  # one that arrives in pieces is not whole
    PARTS = "parts"  # one that leaves in parts has not left: a file, or of announced length
    QUEUE = "queue"  # what it has to write cannot be taken along yet

    @property
    def is_final(self) -> bool:
        return self in (Stay.TLS, Stay.DEFLATE, Stay.CLOSING)


@dataclass(frozen=True, slots=True)
class Export:
    """A connection on its way: the descriptor stays its own until it is let go."""

    connection: Connection
    fd: int
    data: bytes  # the record


def hindrance(connection: Connection) -> Stay | None:
    """Return why a connection cannot move now; None when nothing is known."""
    session = connection.session
    if connection.is_opening:
        return Stay.OPENING
    if connection.state != OPEN or session is None or connection.stops & (STOP_CLOSED | STOP_OVER):
        return Stay.CLOSING
    if isinstance(connection.transport, TLSTransport):
        return Stay.TLS
    if session.deflate is not None and session.deflate.keeps_context:
        return Stay.DEFLATE
    if connection.blocked & BLOCKED_PARTS:
        return Stay.PARTS
    if connection.holds & ~HOLD_APPLICATION:
        return Stay.HANDLER
    if session.unread is None:
        return Stay.MESSAGE
    most = MOST_WAITING if connection.transport is None else 0
    return Stay.QUEUE if connection.queued > most else None


def wait_to_move(connection: Connection) -> None:
    """Have a connection do no further step here once its handler is done."""
    connection.stops |= STOP_MOVING


def export(connection: Connection) -> Export | Stay:
    """Detach a connection and return it with its record, or why that cannot be done now."""
    stay = hindrance(connection)
    if stay is not None:
        return stay
    taken = connection.detach()
    if taken is None:  # while its last bytes were written it may have been lost, too
        return Stay.QUEUE if connection.state == OPEN else Stay.CLOSING
    fd, unread, unsent, is_inside = taken
    connection.pause_reading()
    connection.state = MOVED
    if fd < 0:
        fd = connection.get_extra_info("socket").fileno()
    try:
        return Export(
            connection, fd, records.encode(_record(connection, unread, unsent, is_inside))
        )
    except RecordError:  # too large
        take_back(connection)
        return Stay.QUEUE


def _record(connection: Connection, unread: bytes, unsent: bytes, is_inside: bool) -> Record:
    session, request = connection.session, connection.request
    assert session is not None
    extras = connection.extras or Extras()
    resumed = connection.resumed
    return Record(
        id=connection.id,
        head=b"" if request is None else request.raw,
        remote_host=connection.remote_host,
        remote_port=connection.remote_port,
        local_address=connection.local_address,
        groups=tuple(connection.groups or ()),
        data_format=extras.data_format,
        timeout=extras.timeout,
        accepts_data=not connection.holds & HOLD_APPLICATION,
        deflate="" if session.deflate is None else session.deflate.parameters,
        unread=(session.unread or b"") + extras.raw + unread,
        held=tuple(tuple(event[1:]) for _, event in connection.backlog or ()),
        unsent=unsent,
        is_inside_frame=is_inside,
        seen=connection.seen,
        active=connection.active,
        ping_at=connection.ping_at,
        ping_from=extras.ping_from,
        pong_seen=extras.pong_seen,
        quiet_since=extras.quiet_since,
        ahead=None if extras.ahead is None else extras.ahead.state,
        late_pong=None if extras.late_pong is None else bytes(extras.late_pong[1]),
        rtt=connection.rtt,
        calm_at=session.calm_at or 0.0,
        size=connection.size,
        user_data=connection.user_data,
        moves=min(records.MOST_MOVES - 1, 0 if resumed is None else resumed.moves),
    )


def take_back(connection: Connection) -> None:
    """Serve an exported connection again: the other process did not take it."""
    connection.state = OPEN
    connection.retake()
    connection.expire_at(connection.owner.now)
    connection.stay()


def let_go(connection: Connection) -> None:
    """Forget an exported connection: the other process has it."""
    transport = connection.transport
    connection.release()
    if transport is not None:
        transport.abort()  # closes the descriptor; connection_lost finds it MOVED
    connection.session = None
    connection.request = None
    connection.extras = None
    connection.backlog = None
    connection.groups = None


def adopt(
    owner: Owner[Connection], record: Record, resumed: Resumed, profile: Profile
) -> Connection:
    """Return the connection that a record describes; it has no socket yet.

    RecordError when its compression cannot be gone on with.
    """
    try:
        deflate = restore(record.deflate, profile) if record.deflate else None
    except ValueError as error:
        raise RecordError(str(error)) from None
    connection = Connection(owner)
    shared = owner.interned.shared
    connection.id = record.id
    connection.request = Request(record.head) if record.head else None
    connection.remote_host, connection.remote_port = shared(record.remote_host), record.remote_port
    connection.local_address = shared(record.local_address)
    connection.groups = set(record.groups) or None
    connection.user_data = record.user_data
    connection.resumed = resumed
    connection.was_opened = True
    connection.rtt = record.rtt
    connection.size = record.size
    _restore_session(connection, Session(connection.config.session, deflate), record)
    _restore_times(connection, record)
    _restore_extras(connection, record)
    return connection


def _restore_session(connection: Connection, session: Session, record: Record) -> None:
    config = connection.config
    session.calm_at = record.calm_at or None
    connection.session = session
    connection.is_plain = session.is_plain
    connection.is_at_rest = session.is_at_rest
    connection.max_size = session.config.max_message_size
    connection.high_mark, connection.low_mark = config.high_mark, config.low_mark
    connection.stops = STOP_TURN  # until `begin`
    connection.state = OPEN
    if not record.accepts_data:
        connection.holds = HOLD_APPLICATION
        connection.stops |= STOP_HELD
        held = [("on_data_in", DataIn(record.id, *one)) for one in record.held]
        connection.backlog = held or None


def _restore_times(connection: Connection, record: Record) -> None:
    """Have timers go on; a time that has not come yet would stop them, so it counts as now."""
    now = connection.owner.clock()
    connection.seen = min(now, record.seen)
    connection.active = min(now, record.active)
    connection.ping_at = record.ping_at if record.ping_at <= now else 0.0


def _restore_extras(connection: Connection, record: Record) -> None:
    rare = (record.data_format, record.unread, record.ahead, record.ping_from)
    if not any((*rare, record.pong_seen, record.quiet_since)) and (
        record.timeout is None and record.late_pong is None
    ):
        return
    connection.extras = Extras(
        data_format=record.data_format,
        timeout=record.timeout,
        pong_seen=record.pong_seen,
        quiet_since=record.quiet_since,
        raw=bytearray(record.unread),
        late_pong=None if record.late_pong is None else (FIN_PONG, record.late_pong),
        ahead=None if record.ahead is None else Ahead.restored(*record.ahead),
        ping_from=record.ping_from,
    )
