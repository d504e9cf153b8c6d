"""Turns settings into the plain configurations of the packages below.

Owns the translation, done at the start of a shard and again when a live setting changes.
"""

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final, NamedTuple

from shardws import arguments
from shardws.errors import UsageError
from shardws.net.config import ConnectionConfig, Policy
from shardws.net.connection import Connection
from shardws.net.options import UNTOUCHED, SocketOptions
from shardws.protocol.handshake import HandshakeConfig, Hosts, Origins
from shardws.protocol.hosts import LOOPBACK
from shardws.protocol.keepalive import Keepalive
from shardws.protocol.session import SessionConfig
from shardws.settings import cross_checks, table
from shardws.settings.row import Row
from shardws.settings.values import Settings

# Settings that belong to a connection, and the view property of each.
OF_A_CONNECTION: Final[dict[Row[Any], str]] = {
    table.CONNECTION_UID: "uid",
    table.MESSAGE_LENGTH: "message_length",
}
AUTOMATIC: Final = "auto"  # of AllowedHosts


class Binding(NamedTuple):
    """Where to listen."""

    host: str
    port: int
    use_ipv6: int
    is_exclusive: bool
    backlog: int


def binding(settings: Settings) -> Binding:
    """Return where to listen."""
    return Binding(
        host=settings[table.LOCAL_HOST],
        port=settings[table.LOCAL_PORT],
        use_ipv6=settings[table.USE_IPV6],
        is_exclusive=settings[table.BIND_EXCLUSIVELY],
        backlog=settings[table.CONNECTION_BACKLOG],
    )


def begin_listening(settings: Settings, port: int, *, is_forked: bool = False) -> None:
    """Enter the listening phase; LocalPort reads as the actual port."""
    if port:
        settings.resolve(table.LOCAL_PORT, port)
    settings.begin_listening(is_forked=is_forked)


def connection_config(settings: Settings) -> ConnectionConfig:
    """Return what all connections of a shard share."""
    high = settings[table.OUT_HIGH_MARK]
    return ConnectionConfig(
        session=session_config(settings),
        handshake=handshake_config(settings),
        keepalive=Keepalive(
            interval=settings[table.PING_INTERVAL],
            timeout=settings[table.PING_TIMEOUT],
        ),
        high_mark=high,
        low_mark=min(settings[table.OUT_LOW_MARK], high),
        policy=Policy[settings[table.OUT_POLICY].upper()],
        open_timeout=float(settings[table.DEFAULT_CONNECTION_TIMEOUT]),
        close_timeout=settings[table.CLOSE_TIMEOUT],
        idle_timeout=float(settings[table.DEFAULT_TIMEOUT]),
        options=socket_options(settings),
    )


def socket_options(settings: Settings) -> SocketOptions:
    """Return the socket options of accepted connections; milliseconds are rounded up."""
    options = SocketOptions(
        no_delay=settings[table.TCP_NO_DELAY],
        receive_buffer=settings[table.IN_BUFFER_SIZE],
        send_buffer=settings[table.OUT_BUFFER_SIZE],
        idle_time=math.ceil(settings[table.KEEP_ALIVE_TIME] / 1000),
        probe_interval=math.ceil(settings[table.KEEP_ALIVE_INTERVAL] / 1000),
        probe_count=settings[table.KEEP_ALIVE_RETRY_COUNT],
    )
    return UNTOUCHED if options == UNTOUCHED else options


def followed(old: ConnectionConfig, new: ConnectionConfig) -> ConnectionConfig:
    """Return the config of an open connection with the live settings of a new one."""
    session = replace(
        old.session,
        buffer_message=new.session.buffer_message,
        wait_for_close=new.session.wait_for_close,
    )
    return replace(old, session=session, close_timeout=new.close_timeout)


def follow(connections: Iterable[Connection], new: ConnectionConfig) -> None:
    """Apply the live settings of a new config to open connections."""
    known: dict[int, ConnectionConfig] = {}  # few configs, perhaps many connections
    for connection in connections:
        old = connection.config
        if id(old) not in known:
            known[id(old)] = followed(old, new)
        connection.config = known[id(old)]
        if connection.session is not None:
            connection.session.config = connection.config.session


def timeout_of(value: object) -> float:
    """Return a Timeout as a connection holds it, in seconds; SettingError (213)."""
    return float(table.DEFAULT_TIMEOUT.accept(value))


def length_of(value: object) -> int:
    """Return a MessageLength in bytes; SettingError (213)."""
    return table.MESSAGE_LENGTH.accept(value)


def user_data_of(settings: Settings, value: object) -> bytes:
    """Return user data as a connection holds it; UsageError (213)."""
    data = arguments.content(value, "user_data")
    most = settings[table.MAX_USER_DATA]
    if len(data) > most:
        text = f"user_data of {len(data)} bytes is above MaxUserData, {most}"
        raise UsageError(text, code=213)
    return data


def goodbye(settings: Settings) -> tuple[int, str]:
    """Return code and reason that Disconnect sends."""
    return settings[table.DISCONNECT_STATUS_CODE], settings[table.DISCONNECT_STATUS_DESCRIPTION]


def session_config(settings: Settings) -> SessionConfig:
    """Return the limits and options of a session."""
    return SessionConfig(
        max_message_size=settings[table.MAX_MESSAGE_SIZE],
        buffer_message=settings[table.BUFFER_MESSAGE],
        max_frame_size=settings[table.MAX_FRAME_SIZE],
        deflate_min_size=settings[table.DEFLATE_MIN_SIZE],
        wait_for_close=settings[table.WAIT_FOR_CLOSE_RESPONSE],
    )


def handshake_config(settings: Settings) -> HandshakeConfig:
    """Return the limits of an opening request, and the hosts and origins it may have."""
    return HandshakeConfig(
        max_header_bytes=settings[table.MAX_HEADER_BYTES],
        max_headers=settings[table.MAX_HEADERS],
        origins=Origins.parse(settings[table.ALLOWED_ORIGINS]),
        hosts=hosts(settings),
    )


def hosts(settings: Settings) -> Hosts:
    """Return the host names a request may have.

    The default applies to web pages only: programs may use any name, and a page cannot omit its
    Origin. The operator's list applies to all.
    """
    given = settings[table.ALLOWED_HOSTS]
    if given.lower() != AUTOMATIC:
        return Hosts.parse(given)
    if cross_checks.is_for_this_host_alone(settings):
        return Hosts.parse(LOOPBACK, for_pages_only=True)
    return Hosts()
