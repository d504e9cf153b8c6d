"""The surface (docs/reference/model.md): every property, method, event and setting, by name.

Data only. `python -m tools.surface` makes docs/reference/surface.md from it
and from the tests that are marked `@pytest.mark.surface("LocalPort", ...)`.
"""

from typing import Final, NamedTuple

IN_PROCESS: Final = "in-process"  # a program that sets listening itself
SAME_SHARD: Final = "same-shard"  # under `shardws run`, on the shard that owns the connection
OTHER_SHARD: Final = "other-shard"  # under `shardws run`, from another shard
PLACES: Final = (IN_PROCESS, SAME_SHARD, OTHER_SHARD)
PLAIN: Final = "plain"
TLS: Final = "tls"


class Item(NamedTuple):
    """One item of the surface."""

    kind: str  # property, method, event, setting
    vendor: str
    here: str

    @property
    def places(self) -> tuple[str, ...]:
        """Where it has a meaning."""
        if self.vendor in FROM_ANYWHERE or self.vendor in PER_CONNECTION:
            return PLACES
        return (IN_PROCESS,) if self.vendor in DO_EVENTS else (IN_PROCESS, SAME_SHARD)

    @property
    def ways(self) -> tuple[str, ...]:
        """Over what it has to be shown: settings of the server are as good over plain TCP."""
        if self.vendor in OF_TLS or "SSL" in self.vendor or self.vendor.startswith("TLS"):
            return (TLS,)
        if self.kind in ("method", "event") or self.vendor in FROM_ANYWHERE | PER_CONNECTION:
            return (PLAIN, TLS)
        return (PLAIN,)

    @property
    def cells(self) -> tuple[tuple[str, str], ...]:
        """Each (place, way) that needs a test."""
        return tuple((place, way) for place in self.places for way in self.ways)


def connection(name: str, settable: bool = False) -> str:
    """Return the accessors of a property of a connection."""
    prefix = "get_/set_" if settable else "get_"
    return f"{prefix}web_socket_connection_{name}(id)"


PROPERTIES: Final[dict[str, str]] = {
    "ConnectionBacklog": "connection_backlog",
    "WebSocketConnectionCount": "web_socket_connection_count",
    "WebSocketConnectionAcceptData": connection("accept_data", settable=True),
    "WebSocketConnectionBytesSent": connection("bytes_sent"),
    "WebSocketConnectionConnected": connection("connected", settable=True),
    "WebSocketConnectionConnectionId": connection("connection_id"),
    "WebSocketConnectionDataFormat": connection("data_format", settable=True),
    "WebSocketConnectionDataToSend": "set_web_socket_connection_data_to_send(id, value)",
    "WebSocketConnectionHost": connection("host"),
    "WebSocketConnectionLocalAddress": connection("local_address"),
    "WebSocketConnectionOrigin": connection("origin"),
    "WebSocketConnectionReadyToSend": connection("ready_to_send"),
    "WebSocketConnectionRemoteHost": connection("remote_host"),
    "WebSocketConnectionRemotePort": connection("remote_port"),
    "WebSocketConnectionRequestHeaders": connection("request_headers"),
    "WebSocketConnectionRequestURI": connection("request_uri"),
    "WebSocketConnectionSubProtocols": connection("sub_protocols"),
    "WebSocketConnectionTimeout": connection("timeout", settable=True),
    "DefaultTimeout": "default_timeout",
    "Listening": "listening",
    "LocalHost": "local_host",
    "LocalPort": "local_port",
    "SSLAuthenticateClients": "ssl_authenticate_clients",
    "SSLCertEncoded": "ssl_cert_encoded",
    "SSLCertStore": "ssl_cert_store",
    "SSLCertStorePassword": "ssl_cert_store_password",
    "SSLCertStoreType": "ssl_cert_store_type",
    "SSLCertSubject": "ssl_cert_subject",
    "UseSSL": "use_ssl",
}
METHODS: Final[dict[str, str]] = {
    "Config": "config(text)",
    "Disconnect": "disconnect(id)",
    "DoEvents": "do_events()",
    "Interrupt": "interrupt(id)",
    "Send": "send(id, data)",
    "SendFile": "send_file(id, path)",
    "SendText": "send_text(id, text)",
    "Shutdown": "shutdown()",
}
EVENTS: Final[dict[str, str]] = {
    "Connected": "on_connected",
    "ConnectionRequest": "on_connection_request",
    "DataIn": "on_data_in",
    "Disconnected": "on_disconnected",
    "Error": "on_error",
    "Log": "on_log",
    "ReadyToSend": "on_ready_to_send",
    "SSLClientAuthentication": "on_ssl_client_authentication",
    "SSLConnectionRequest": "on_ssl_connection_request",
    "SSLStatus": "on_ssl_status",
    "WebSocketOpenRequest": "on_web_socket_open_request",
}
SETTINGS: Final[tuple[str, ...]] = (
    "BufferMessage",
    "DisconnectStatusCode",
    "DisconnectStatusDescription",
    "MaxFrameSize",
    "MessageLength",
    "WaitForCloseResponse",
    "AllowedClients",
    "BindExclusively",
    "ConnectionUID",
    "DefaultConnectionTimeout",
    "InBufferSize",
    "KeepAliveInterval",
    "KeepAliveRetryCount",
    "KeepAliveTime",
    "MaxConnections",
    "OutBufferSize",
    "TcpNoDelay",
    "UseIOCP",
    "UseIPv6",
    "UseWindowsMessages",
    "LogSSLPackets",
    "OpenSSLCADir",
    "OpenSSLCAFile",
    "OpenSSLCipherList",
    "OpenSSLPrngSeedData",
    "ReuseSSLSession",
    "SSLCACertFilePaths",
    "SSLCACerts",
    "SSLCipherStrength",
    "SSLEnabledCipherSuites",
    "SSLEnabledProtocols",
    "SSLEnableRenegotiation",
    "SSLIncludeCertChain",
    "SSLNegotiatedCipher",
    "SSLNegotiatedCipherStrength",
    "SSLNegotiatedCipherSuite",
    "SSLNegotiatedKeyExchange",
    "SSLNegotiatedKeyExchangeStrength",
    "SSLNegotiatedProtocol",
    "SSLProvider",
    "SSLSecurityFlags",
    "SSLServerCACerts",
    "TLS12SignatureAlgorithms",
    "TLS12SupportedGroups",
    "TLS13KeyShareGroups",
    "TLS13SignatureAlgorithms",
    "TLS13SupportedGroups",
)
PER_CONNECTION: Final = frozenset(
    name
    for name in SETTINGS
    if name.startswith("SSLNegotiated") or name in ("MessageLength", "ConnectionUID")
)

# Beside what belongs to a connection: what works from any shard, or is told on any.
FROM_ANYWHERE: Final = frozenset(
    {
        *(name for name in PROPERTIES if name.startswith("WebSocketConnection")),
        "Config",
        "Disconnect",
        "Send",
        "SendFile",
        "SendText",
        "Error",
        "ReadyToSend",
    }
)
# What there is only where the program turns the loop itself.
DO_EVENTS: Final = frozenset({"DoEvents", "Interrupt"})
OF_TLS: Final = frozenset({"OpenSSLPrngSeedData"})

ITEMS: Final[tuple[Item, ...]] = (
    *(Item("property", vendor, here) for vendor, here in PROPERTIES.items()),
    *(Item("method", vendor, here) for vendor, here in METHODS.items()),
    *(Item("event", vendor, here) for vendor, here in EVENTS.items()),
    *(
        Item("setting", name, f'config("{name}{"[id]" if name in PER_CONNECTION else ""}")')
        for name in SETTINGS
    ),
)
