"""Properties of connections on WebSocketServer: accessor methods that take the id.

Owns the names; `shard.view` implements them. The same data is available as `server.connections[id]`
for a connection of this shard. They return immediately, so they cover only this shard's
connections; for one of another shard they raise StateError (211), which names what to await
instead: `await server.connection(id)` to read, `await server.set_connection(id, ...)` to set.
DataToSend works from any shard. An id of no connection raises NoSuchConnection (1117); inside every
event, also Disconnected, its own id is one.
"""

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from shardws import arguments
from shardws.errors import NoSuchConnection
from shardws.settings.row import Row
from shardws.shard import configuration, negotiated
from shardws.shard.shard import Shard
from shardws.shard.view import ConnectionView

T = TypeVar("T")


class Connections(Mapping[int, ConnectionView]):
    """The open connections of this shard by their ids; also what `config("Name[id]")` asks."""

    def __init__(self) -> None:
        self.shard: Shard | None = None

    def __getitem__(self, connection_id: int) -> ConnectionView:
        """Return a connection of this shard.

        NoSuchConnection (1117), or StateError (211) when it is another shard's: then
        `await server.connection(id)` tells what is known of it.
        """
        if self.shard is None:
            raise NoSuchConnection(connection_id)
        return self.shard.view(connection_id)

    def __contains__(self, connection_id: object) -> bool:
        if self.shard is None or not isinstance(connection_id, int):
            return False
        return self.shard.registry.find(connection_id) is not None

    def get(self, connection_id: int, default: T | None = None) -> "ConnectionView | T | None":  # type: ignore[override]  # Mapping has overloads of the same meaning
        if connection_id in self:
            return self[connection_id]
        return default

    def __iter__(self) -> Iterator[int]:
        """Iterate over a snapshot of the ids; connections may end during the iteration."""
        return iter([] if self.shard is None else list(self.shard.registry))

    def __len__(self) -> int:
        return 0 if self.shard is None else len(self.shard.registry)

    # -- settings.config.ConnectionSettings ------------------------------------------------

    def connection_setting(self, connection_id: int, row: Row[Any]) -> object:
        view = self[connection_id]
        if row in negotiated.FIELDS:
            return getattr(view.negotiated, negotiated.FIELDS[row])
        name = configuration.OF_A_CONNECTION.get(row)
        return row.default if name is None else getattr(view, name)

    def set_connection_setting(self, connection_id: int, row: Row[Any], value: object) -> None:
        setattr(self[connection_id], configuration.OF_A_CONNECTION[row], value)


class ConnectionAccessors:
    """Base of a class with `connections`: two methods for each property, or one."""

    __slots__ = ()

    connections: Connections

    def get_web_socket_connection_accept_data(self, connection_id: int) -> bool:
        """Whether the connection's data is read."""
        return self.connections[connection_id].accept_data

    def set_web_socket_connection_accept_data(self, connection_id: int, value: bool) -> None:
        """False stops reading: data waits in TCP, and nothing is lost; True resumes."""
        self.connections[connection_id].accept_data = value

    def get_web_socket_connection_bytes_sent(self, connection_id: int) -> int:
        """Payload bytes of the last send that reached the kernel; 0 when Timeout is above 0."""
        return self.connections[connection_id].bytes_sent

    def get_web_socket_connection_connected(self, connection_id: int) -> bool:
        """Whether the connection is open."""
        return self.connections[connection_id].connected

    def set_web_socket_connection_connected(self, connection_id: int, value: bool) -> None:
        """False disconnects; True raises StateError (211)."""
        self.connections[connection_id].connected = value

    def get_web_socket_connection_connection_id(self, connection_id: int) -> str:
        """The id as decimal text."""
        return str(self.connections[connection_id].connection_id)

    def get_web_socket_connection_data_format(self, connection_id: int) -> int:
        """0 automatic, 1 text, 2 binary, 9 ping, 10 pong."""
        return self.connections[connection_id].data_format

    def set_web_socket_connection_data_format(self, connection_id: int, value: int) -> None:
        """Choose how DataToSend and SendFile send; UsageError (213) for another number."""
        self.connections[connection_id].data_format = value

    def set_web_socket_connection_data_to_send(
        self, connection_id: int, value: str | bytes | bytearray | memoryview
    ) -> None:
        """Send one message, or control frame, in the connection's DataFormat; from any shard.

        In the automatic format bytes are text when they are valid UTF-8. As there is nothing to
        await, a full queue raises ShardwsError 135 (ReadyToSend tells when to try again);
        UsageError (213) for a value that does not fit the format, which for a connection of another
        shard only its owner can check: that send fires Error (1120). A client that disconnects
        never causes an exception.
        """
        self._send_formatted(connection_id, arguments.payload(value))

    def get_web_socket_connection_host(self, connection_id: int) -> str:
        """The client's Host header."""
        return self.connections[connection_id].host

    def get_web_socket_connection_local_address(self, connection_id: int) -> str:
        """The local IP address that the client connected to."""
        return self.connections[connection_id].local_address

    def get_web_socket_connection_origin(self, connection_id: int) -> str:
        """The Origin header, "" if there is none."""
        return self.connections[connection_id].origin

    def get_web_socket_connection_ready_to_send(self, connection_id: int) -> bool:
        """False from the high mark of the outgoing queue until it drains below the low mark."""
        return self.connections[connection_id].ready_to_send

    def get_web_socket_connection_remote_host(self, connection_id: int) -> str:
        """The client's IP address."""
        return self.connections[connection_id].remote_host

    def get_web_socket_connection_remote_port(self, connection_id: int) -> int:
        """The client's port."""
        return self.connections[connection_id].remote_port

    def get_web_socket_connection_request_headers(self, connection_id: int) -> str:
        """ "Name: value" lines of the opening request as received, CRLF between them."""
        return self.connections[connection_id].request_headers

    def get_web_socket_connection_request_uri(self, connection_id: int) -> str:
        """The request target with its query."""
        return self.connections[connection_id].request_uri

    def get_web_socket_connection_sub_protocols(self, connection_id: int) -> str:
        """The sub-protocols the client offered, comma separated."""
        return self.connections[connection_id].sub_protocols

    def get_web_socket_connection_timeout(self, connection_id: int) -> int:
        """Seconds; see `set_web_socket_connection_timeout`."""
        return self.connections[connection_id].timeout

    def set_web_socket_connection_timeout(self, connection_id: int, value: int) -> None:
        """Set the Timeout in seconds: 0 sends never block and idle connections stay.

        Above 0: a connection without traffic for that long is closed (Error 301), and a blocking
        send waits at most that long.
        """
        self.connections[connection_id].timeout = value

    def user_data(self, connection_id: int) -> bytes:
        """Bytes of the application that stay with the connection when it moves; b"" at first."""
        return self.connections[connection_id].user_data

    def set_user_data(self, connection_id: int, value: bytes | bytearray | memoryview) -> None:
        """Keep bytes with a connection; UsageError (213) for more than MaxUserData of them."""
        self.connections[connection_id].user_data = value

    def _send_formatted(self, connection_id: int, payload: bytes) -> None:
        raise NotImplementedError
