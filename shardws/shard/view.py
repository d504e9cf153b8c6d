"""One connection of this shard as the application sees and sets it.

Owns the names and the checks of values that are set; the rest is delegated. A view stays valid
until Disconnected has been handled; afterwards it returns the last known values, but no new view
can be obtained.
"""

from collections.abc import Callable
from functools import wraps
from typing import Protocol, TypeAlias, TypeVar

from shardws import arguments, ids
from shardws.errors import StateError, UsageError
from shardws.headers import Headers
from shardws.net.connection import Connection
from shardws.net.connection.states import HOLD_APPLICATION, LOST, OPEN
from shardws.protocol.request import Request
from shardws.routing.router import Router
from shardws.settings.values import Settings
from shardws.shard import configuration, negotiated
from shardws.shard.context import ShardContext
from shardws.shard.dispatch import Dispatcher
from shardws.shard.thread_calls import ThreadCalls
from shardws.tls.negotiated import Negotiated

FORMATS = (0, 1, 2, 9, 10)


class ViewedShard(Protocol):
    """What a view of a connection needs of the shard."""

    @property
    def context(self) -> ShardContext: ...
    @property
    def settings(self) -> Settings: ...
    @property
    def dispatch(self) -> Dispatcher: ...
    @property
    def router(self) -> Router: ...
    @property
    def calls(self) -> ThreadCalls: ...


V = TypeVar("V")
Setter: TypeAlias = Callable[["ConnectionView", V], None]


def on_the_loop(setter: Setter[V]) -> Setter[V]:
    """Make a setter run on the thread of the shard's loop; other threads wait for it."""

    @wraps(setter)
    def run(view: "ConnectionView", value: V) -> None:
        calls = view._shard.calls
        if calls.thread.is_here:
            setter(view, value)
        else:
            calls.ask(lambda: setter(view, value))

    return run


class ConnectionView:
    """The properties of one connection; any thread may read and set them."""

    __slots__ = ("_connection", "_shard")

    def __init__(self, shard: ViewedShard, connection: Connection) -> None:
        self._shard = shard
        self._connection = connection

    # -- identity --------------------------------------------------------------------------

    @property
    def connection_id(self) -> int:
        """The ConnectionId."""
        return self._connection.id

    @property
    def uid(self) -> str:
        """Text that names the connection uniquely over hosts and restarts."""
        return ids.uid(self._shard.context.boot_nonce, self._connection.id)

    @property
    def shard(self) -> int:
        """The slot of the shard that owns it."""
        return self._shard.context.slot

    @property
    def remote_host(self) -> str:
        """The client's IP address; of a trusted proxy's client, the client's own."""
        return self._connection.remote_host

    @property
    def remote_port(self) -> int:
        """The client's port; 0 when a proxy did not give it."""
        return self._connection.remote_port

    @property
    def local_address(self) -> str:
        """The local IP address that the client connected to."""
        return self._connection.local_address

    # -- opening request -------------------------------------------------------------------

    @property
    def _request(self) -> Request:
        return self._connection.request or Request(b"GET / HTTP/1.1\r\n\r\n")

    @property
    def host(self) -> str:
        """The Host header."""
        return self._request.host

    @property
    def origin(self) -> str:
        """The Origin header, "" if there is none."""
        return self._request.origin

    @property
    def request_uri(self) -> str:
        """The request target with its query."""
        return self._request.target

    @property
    def request_headers(self) -> str:
        """ "Name: value" lines as received, CRLF between them."""
        return self._request.headers_text

    @property
    def headers(self) -> Headers:
        """`request_headers` read: names in any case, repeated fields kept in order."""
        return Headers(self.request_headers)

    @property
    def sub_protocols(self) -> str:
        """The sub-protocols the client offered, comma separated."""
        return self._request.sub_protocols

    @property
    def negotiated(self) -> Negotiated:
        """The negotiated TLS parameters; empty texts and zeros without TLS."""
        return negotiated.of(self._connection)

    # -- state -----------------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """Whether it is open. Setting False disconnects; True raises StateError (211)."""
        return self._connection.state == OPEN

    @connected.setter
    @on_the_loop
    def connected(self, wanted: bool) -> None:
        if arguments.boolean(wanted, "connected"):
            raise StateError("a client connects, not the server: only False can be set")
        code, reason = configuration.goodbye(self._shard.settings)
        self._shard.router.disconnect(self._connection.id, code, reason)

    @property
    def accept_data(self) -> bool:
        """Whether its data is told. False holds it back: 64 KiB here, the rest in TCP."""
        return not self._connection.holds & HOLD_APPLICATION

    @accept_data.setter
    @on_the_loop
    def accept_data(self, wanted: bool) -> None:
        if arguments.boolean(wanted, "accept_data") == self.accept_data:
            return
        if wanted:
            self._shard.dispatch.release(self._connection, HOLD_APPLICATION)
        elif self._connection.state != LOST:  # then it would hold back the end
            self._shard.dispatch.take(self._connection, HOLD_APPLICATION)

    @property
    def ready_to_send(self) -> bool:
        """False from the high mark of the outgoing queue until it drains below the low mark."""
        return self._connection.is_ready

    @property
    def bytes_sent(self) -> int:
        """Payload bytes of the last send that reached the kernel; 0 when Timeout is above 0."""
        return 0 if self._connection.timeout else self._connection.bytes_sent

    @property
    def round_trip(self) -> float:
        """Round-trip time of the last ping in seconds; 0 before the first."""
        return self._connection.rtt

    @property
    def user_data(self) -> bytes:
        """Bytes of the application that stay with the connection when it moves; b"" at first.

        Setting more than MaxUserData bytes raises UsageError (213).
        """
        return self._connection.user_data

    @user_data.setter
    @on_the_loop
    def user_data(self, wanted: bytes | bytearray | memoryview) -> None:
        self._connection.user_data = configuration.user_data_of(self._shard.settings, wanted)

    @property
    def resumed(self) -> int:
        """How often it has moved from one process to another with its client connected."""
        origin = self._connection.resumed
        return 0 if origin is None else origin.moves

    # -- sending ---------------------------------------------------------------------------

    @property
    def data_format(self) -> int:
        """0 automatic, 1 text, 2 binary, 9 ping, 10 pong: of DataToSend and SendFile."""
        extras = self._connection.extras
        return 0 if extras is None else extras.data_format

    @data_format.setter
    @on_the_loop
    def data_format(self, wanted: int) -> None:
        if arguments.number(wanted, "DataFormat") not in FORMATS:
            raise UsageError(f"DataFormat is one of {FORMATS}, not {wanted!r:.40}", code=213)
        if wanted != self.data_format:
            self._connection.extra().data_format = wanted

    @property
    def message_length(self) -> int:
        """Announced length of the message that the next sends form; 0 for none.

        Bytes beyond it raise UsageError (213). Setting it within a message raises StateError.
        """
        extras = self._connection.extras
        return 0 if extras is None or extras.multipart is None else extras.multipart.announced

    @message_length.setter
    @on_the_loop
    def message_length(self, size: int) -> None:
        self._connection.multipart.announce(configuration.length_of(size))

    @property
    def timeout(self) -> int:
        """Seconds: 0 sends never block; above 0: the idle limit, and that of a blocking send."""
        return int(self._connection.timeout)

    @timeout.setter
    @on_the_loop
    def timeout(self, wanted: int) -> None:
        seconds = configuration.timeout_of(wanted)
        if seconds != self._connection.timeout:
            self._connection.set_timeout(seconds)
