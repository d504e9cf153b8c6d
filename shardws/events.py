"""The parameter objects that handlers receive.

Owns their fields and which of them a handler may write.
Order on one connection: ConnectionRequest, SSLConnectionRequest, SSLStatus*,
SSLClientAuthentication, WebSocketOpenRequest, Connected, ReadyToSend, DataIn*, Disconnected.
Connected and Disconnected come exactly once each; a refused opening fires neither. A connection
that moves to another process goes on there with Resumed. Start precedes all events of a shard's
clients, Stop follows them.

Events without writable fields are named tuples: cheap to create once per message, and assigning to
a field raises AttributeError. The others allow exactly the names in `WRITABLE`, each with the check
of its type: a bad value raises at the assignment in the handler, and an exception from a handler
refuses the client (Error 436).
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar, NamedTuple, TypeAlias

from shardws import arguments
from shardws.headers import Headers

FORMAT_AUTOMATIC = 0
FORMAT_TEXT = 1
FORMAT_BINARY = 2
FORMAT_PING = 9
FORMAT_PONG = 10


class Start(NamedTuple):
    """The shard is about to accept its first client; a handler that raises prevents it."""

    shard: int  # the slot, 0 in a single process


class Stop(NamedTuple):
    """The shard ends: its last client is gone, or the time for clients is up."""

    shard: int


class Connected(NamedTuple):
    """The 101 response was written; messages can be sent to the connection."""

    connection_id: int


class Resumed(NamedTuple):
    """A connection goes on here that another process of the server had before.

    It takes the place of Connected in this process, and there is no Disconnected in the other.
    Without a handler for it, Connected and ReadyToSend fire, so that what a process keeps of its
    connections fills by itself.
    """

    connection_id: int
    cause: str  # "reload", "scale", "upgrade" or "crash"
    user_data: bytes
    may_have_lost: bool  # messages that were being handled; only after a crash


class DataIn(NamedTuple):
    """Data of one message: all of it, or one received piece (setting BufferMessage)."""

    connection_id: int
    data_format: int  # 1 text, 2 binary, 10 pong
    text: bytes
    eom: bool  # the last piece of its message

    @property
    def data(self) -> str | bytes:
        """The payload as str for text, as bytes otherwise.

        This holds for pieces of a text message too: a piece ends at a character boundary.
        """
        return self.text.decode() if self.data_format == FORMAT_TEXT else self.text


class ReadyToSend(NamedTuple):
    """The outgoing queue drained below its low mark, or the connection is new."""

    connection_id: int


class Disconnected(NamedTuple):
    """The connection is over; its record can still be read inside the handler."""

    connection_id: int
    status_code: int  # RFC 6455 7.4; 1005 no status given, 1006 lost without a close frame
    description: str


class Error(NamedTuple):
    """A failure that has no caller to raise to."""

    connection_id: int  # 0 when it belongs to none
    error_code: int  # errors.ERROR_CODES
    description: str


class Log(NamedTuple):
    """One log message, by the setting LogLevel."""

    connection_id: int
    log_level: int  # 1 info, 2 verbose, 3 debug
    message: str
    log_type: str  # the level's name: Info, Verbose or Debug


class SSLStatus(NamedTuple):
    """Progress of a TLS handshake."""

    connection_id: int
    message: str


Check: TypeAlias = Callable[[object, str], object]


class Decision:
    """Base of events with fields that a handler may write.

    Writing a value of the wrong type raises UsageError (213).
    """

    __slots__ = ()
    WRITABLE: ClassVar[Mapping[str, Check]] = {}

    def __init__(self, **fields: Any) -> None:
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> None:
        check = self.WRITABLE.get(name)
        if check is None:
            allowed = ", ".join(sorted(self.WRITABLE))
            raise AttributeError(f"{type(self).__name__}.{name} is read-only; writable: {allowed}")
        object.__setattr__(self, name, check(value, f"{type(self).__name__}.{name}"))

    def __repr__(self) -> str:
        names: tuple[str, ...] = self.__slots__
        shown = (f"{name}={_show(getattr(self, name))}" for name in names if "password" not in name)
        return f"{type(self).__name__}({', '.join(shown)})"


def _show(value: object) -> str:
    """Format a value for display; a certificate store may hold a key, so only its size is shown."""
    if isinstance(value, bytes) or (isinstance(value, str) and "-----BEGIN" in value):
        return f"<{len(value)} {'bytes' if isinstance(value, bytes) else 'characters'}>"
    return repr(value)


class ConnectionRequest(Decision):
    """A TCP connection was accepted; it has no id yet."""

    __slots__ = ("accept", "address", "port")
    WRITABLE: ClassVar[Mapping[str, Check]] = {"accept": arguments.boolean}
    address: str
    port: int
    accept: bool


class SSLConnectionRequest(Decision):
    """A ClientHello arrived; the handler may choose another certificate."""

    __slots__ = (
        "cert_password",
        "cert_store",
        "cert_store_type",
        "cert_subject",
        "connection_id",
        "server_name",
        "supported_cipher_suites",
        "supported_signature_algs",
    )
    WRITABLE: ClassVar[Mapping[str, Check]] = {
        "cert_store_type": arguments.number,
        "cert_store": arguments.path_or_content,
        "cert_password": arguments.text,
        "cert_subject": arguments.text,
    }
    connection_id: int
    supported_cipher_suites: str
    supported_signature_algs: str
    server_name: str
    cert_store_type: int
    cert_store: str | bytes
    cert_password: str
    cert_subject: str


class SSLClientAuthentication(Decision):
    """A client presented its certificate, or none; `accept` is preset by the verification."""

    __slots__ = ("accept", "cert_encoded", "cert_issuer", "cert_subject", "connection_id", "status")
    WRITABLE: ClassVar[Mapping[str, Check]] = {"accept": arguments.boolean}
    connection_id: int
    cert_encoded: bytes
    cert_subject: str
    cert_issuer: str
    status: str
    accept: bool


class WebSocketOpenRequest(Decision):
    """A client asks to open a WebSocket; a `status_code` other than 101 refuses it."""

    __slots__ = (
        "connection_id",
        "extensions",
        "host_header",
        "origin_header",
        "request_headers",
        "request_uri",
        "response_body",
        "response_headers",
        "status_code",
        "sub_protocols",
    )
    WRITABLE: ClassVar[Mapping[str, Check]] = {
        "sub_protocols": arguments.text,
        "status_code": arguments.number,
        "response_headers": arguments.text,
        "response_body": arguments.payload,
    }
    connection_id: int
    request_uri: str
    host_header: str
    origin_header: str
    sub_protocols: str  # comma separated; leave exactly one to select it
    extensions: str
    request_headers: str  # "Name: value" lines, CRLF separated, as received
    status_code: int  # 101
    response_headers: str  # further "Name: value" lines for the response
    response_body: str | bytes  # of a refusal; text goes out as UTF-8

    @property
    def headers(self) -> Headers:
        """`request_headers` read: names in any case, repeated fields kept in order."""
        return Headers(self.request_headers)


Handler: TypeAlias = Callable[[Any], Awaitable[None] | None]


class Handlers:
    """The handlers of one application, one attribute for each event; None means no handler.

    They may be replaced or removed at any time: a shard looks them up at each event.
    """

    __slots__ = (
        "on_connected",
        "on_connection_request",
        "on_data_in",
        "on_disconnected",
        "on_error",
        "on_log",
        "on_ready_to_send",
        "on_resumed",
        "on_ssl_client_authentication",
        "on_ssl_connection_request",
        "on_ssl_status",
        "on_start",
        "on_stop",
        "on_web_socket_open_request",
    )

    # Whether a layer above the server keeps state of each client here, so that none can move.
    keeps_clients: ClassVar[bool] = False

    on_connection_request: Handler | None
    on_ssl_connection_request: Handler | None
    on_ssl_status: Handler | None
    on_ssl_client_authentication: Handler | None
    on_web_socket_open_request: Handler | None
    on_connected: Handler | None
    on_resumed: Handler | None
    on_data_in: Handler | None
    on_ready_to_send: Handler | None
    on_disconnected: Handler | None
    on_error: Handler | None
    on_log: Handler | None
    on_start: Handler | None
    on_stop: Handler | None

    def __init__(self) -> None:
        for name in self.__slots__:
            setattr(self, name, None)

    def given(self, name: str) -> Handler | None:
        """Return the handler that the application has set."""
        found: Handler | None = getattr(self, name)
        return found

    def take(self, name: str, handler: Handler | None) -> None:
        """Set the application's handler; a layer above the server may keep it behind its own."""
        setattr(self, name, handler)
