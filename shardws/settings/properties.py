"""The properties of `WebSocketServer` that are settings, made from the rows.

Owns one descriptor; the class below is the list of names, typed for editors and type checkers.
Every setting of the server has one, whether the original component has it as a property or as a
`config()` setting.
A value may be given as text too: `server.ping_interval = "30s"`.
"""

from typing import Any, Generic, Protocol, TypeVar, cast, overload

from shardws.errors import SettingError
from shardws.settings import table
from shardws.settings.row import Access, Row
from shardws.settings.values import Settings

T = TypeVar("T")


class HasSettings(Protocol):
    """What a class with properties must provide."""

    @property
    def settings(self) -> Settings: ...


class Property(Generic[T]):
    """Reads and writes one setting of its owner; raises what `Settings.set` raises.

    Reading a write-only one is SettingError 211.
    """

    def __init__(self, row: Row[T]) -> None:
        self.row = row
        self.__doc__ = row.text

    @overload
    def __get__(self, owner: None, kind: type) -> "Property[T]": ...
    @overload
    def __get__(self, owner: HasSettings, kind: type) -> T: ...
    def __get__(self, owner: HasSettings | None, kind: type) -> "Property[T] | T":
        if owner is None:
            return self
        if self.row.access is Access.WO:
            raise SettingError(f"{self.row.vendor} is write-only", code=211)
        return owner.settings[self.row]

    def __set__(self, owner: HasSettings, value: T | str) -> None:
        owner.settings.set(cast(Row[Any], self.row), value)


class SettingProperties:
    """Base of a class with `settings`: one property for each setting of a server."""

    __slots__ = ()

    connection_backlog = Property(table.CONNECTION_BACKLOG)
    local_host = Property(table.LOCAL_HOST)
    local_port = Property(table.LOCAL_PORT)
    bind_exclusively = Property(table.BIND_EXCLUSIVELY)
    use_ipv6 = Property(table.USE_IPV6)
    use_ssl = Property(table.USE_SSL)
    proxy_protocol = Property(table.PROXY_PROTOCOL)
    trusted_proxies = Property(table.TRUSTED_PROXIES)
    shards = Property(table.SHARDS)
    accept_mode = Property(table.ACCEPT_MODE)
    run_directory = Property(table.RUN_DIRECTORY)
    app_directory = Property(table.APP_DIRECTORY)
    node = Property(table.NODE)
    admin_address = Property(table.ADMIN_ADDRESS)
    admin_token = Property(table.ADMIN_TOKEN)
    heartbeat_timeout = Property(table.HEARTBEAT_TIMEOUT)
    start_timeout = Property(table.START_TIMEOUT)
    respawn_attempts = Property(table.RESPAWN_ATTEMPTS)
    reload_mode = Property(table.RELOAD_MODE)
    drain_delay = Property(table.DRAIN_DELAY)
    drain_rate = Property(table.DRAIN_RATE)
    drain_deadline = Property(table.DRAIN_DEADLINE)
    buffer_message = Property(table.BUFFER_MESSAGE)
    max_frame_size = Property(table.MAX_FRAME_SIZE)
    max_message_size = Property(table.MAX_MESSAGE_SIZE)
    deflate = Property(table.DEFLATE)
    deflate_min_size = Property(table.DEFLATE_MIN_SIZE)
    default_timeout = Property(table.DEFAULT_TIMEOUT)
    default_connection_timeout = Property(table.DEFAULT_CONNECTION_TIMEOUT)
    max_connections = Property(table.MAX_CONNECTIONS)
    disconnect_status_code = Property(table.DISCONNECT_STATUS_CODE)
    disconnect_status_description = Property(table.DISCONNECT_STATUS_DESCRIPTION)
    wait_for_close_response = Property(table.WAIT_FOR_CLOSE_RESPONSE)
    close_timeout = Property(table.CLOSE_TIMEOUT)
    handler_timeout = Property(table.HANDLER_TIMEOUT)
    cancel_on_disconnect = Property(table.CANCEL_ON_DISCONNECT)
    on_handler_error = Property(table.ON_HANDLER_ERROR)
    message_timeout = Property(table.MESSAGE_TIMEOUT)
    ping_interval = Property(table.PING_INTERVAL)
    ping_timeout = Property(table.PING_TIMEOUT)
    in_buffer_size = Property(table.IN_BUFFER_SIZE)
    out_buffer_size = Property(table.OUT_BUFFER_SIZE)
    tcp_no_delay = Property(table.TCP_NO_DELAY)
    keep_alive_time = Property(table.KEEP_ALIVE_TIME)
    keep_alive_interval = Property(table.KEEP_ALIVE_INTERVAL)
    keep_alive_retry_count = Property(table.KEEP_ALIVE_RETRY_COUNT)
    use_iocp = Property(table.USE_IOCP)
    use_windows_messages = Property(table.USE_WINDOWS_MESSAGES)
    out_high_mark = Property(table.OUT_HIGH_MARK)
    out_low_mark = Property(table.OUT_LOW_MARK)
    out_policy = Property(table.OUT_POLICY)
    link_high_mark = Property(table.LINK_HIGH_MARK)
    allowed_clients = Property(table.ALLOWED_CLIENTS)
    allowed_hosts = Property(table.ALLOWED_HOSTS)
    allowed_origins = Property(table.ALLOWED_ORIGINS)
    max_header_bytes = Property(table.MAX_HEADER_BYTES)
    max_headers = Property(table.MAX_HEADERS)
    max_groups = Property(table.MAX_GROUPS)
    max_user_data = Property(table.MAX_USER_DATA)
    ssl_authenticate_clients = Property(table.SSL_AUTHENTICATE_CLIENTS)
    ssl_require_client_certificate = Property(table.SSL_REQUIRE_CLIENT_CERTIFICATE)
    ssl_cert_encoded = Property(table.SSL_CERT_ENCODED)
    ssl_cert_store = Property(table.SSL_CERT_STORE)
    ssl_cert_store_password = Property(table.SSL_CERT_STORE_PASSWORD)
    ssl_cert_store_type = Property(table.SSL_CERT_STORE_TYPE)
    ssl_cert_subject = Property(table.SSL_CERT_SUBJECT)
    sni_map = Property(table.SNI_MAP)
    ssl_enabled_protocols = Property(table.SSL_ENABLED_PROTOCOLS)
    ssl_enabled_cipher_suites = Property(table.SSL_ENABLED_CIPHER_SUITES)
    ssl_cipher_strength = Property(table.SSL_CIPHER_STRENGTH)
    openssl_cipher_list = Property(table.OPENSSL_CIPHER_LIST)
    openssl_ca_dir = Property(table.OPENSSL_CA_DIR)
    openssl_ca_file = Property(table.OPENSSL_CA_FILE)
    openssl_prng_seed_data = Property(table.OPENSSL_PRNG_SEED_DATA)
    reuse_ssl_session = Property(table.REUSE_SSL_SESSION)
    ssl_session_timeout = Property(table.SSL_SESSION_TIMEOUT)
    certificate_watch = Property(table.CERTIFICATE_WATCH)
    max_handshakes = Property(table.MAX_HANDSHAKES)
    ssl_ca_cert_file_paths = Property(table.SSL_CA_CERT_FILE_PATHS)
    ssl_ca_certs = Property(table.SSL_CA_CERTS)
    ssl_server_ca_certs = Property(table.SSL_SERVER_CA_CERTS)
    ssl_enable_renegotiation = Property(table.SSL_ENABLE_RENEGOTIATION)
    ssl_include_cert_chain = Property(table.SSL_INCLUDE_CERT_CHAIN)
    ssl_provider = Property(table.SSL_PROVIDER)
    ssl_security_flags = Property(table.SSL_SECURITY_FLAGS)
    log_ssl_packets = Property(table.LOG_SSL_PACKETS)
    tls12_signature_algorithms = Property(table.TLS12_SIGNATURE_ALGORITHMS)
    tls12_supported_groups = Property(table.TLS12_SUPPORTED_GROUPS)
    tls13_signature_algorithms = Property(table.TLS13_SIGNATURE_ALGORITHMS)
    tls13_supported_groups = Property(table.TLS13_SUPPORTED_GROUPS)
    tls13_key_share_groups = Property(table.TLS13_KEY_SHARE_GROUPS)
    log_level = Property(table.LOG_LEVEL)
    log_format = Property(table.LOG_FORMAT)
    log_file = Property(table.LOG_FILE)
    log_connections = Property(table.LOG_CONNECTIONS)
    log_queries = Property(table.LOG_QUERIES)
