"""Settings as keyword arguments: their names and types, for type checkers.

Owns the list, which a test compares with the properties; like those each takes text too, such as
`ping_interval="30s"`. BufferMessage is not among them: an `App` always gets whole messages.
"""

from typing import TypedDict


class SettingKeywords(TypedDict, total=False):
    """Every setting of a server that `App` takes; see docs/reference/settings.md."""

    connection_backlog: int | str
    local_host: str
    local_port: int | str
    bind_exclusively: bool | str
    use_ipv6: int | str
    use_ssl: bool | str
    proxy_protocol: str
    trusted_proxies: tuple[str, ...] | str
    shards: int | str
    accept_mode: str
    run_directory: str
    app_directory: str
    node: int | str
    admin_address: str
    admin_token: str
    heartbeat_timeout: float | str
    start_timeout: float | str
    respawn_attempts: int | str
    reload_mode: str
    drain_delay: float | str
    drain_rate: int | str
    drain_deadline: float | str
    max_frame_size: int | str
    max_message_size: int | str
    deflate: str
    deflate_min_size: int | str
    default_timeout: int | str
    default_connection_timeout: int | str
    max_connections: int | str
    disconnect_status_code: int | str
    disconnect_status_description: str
    wait_for_close_response: bool | str
    close_timeout: float | str
    handler_timeout: float | str
    cancel_on_disconnect: bool | str
    on_handler_error: str
    message_timeout: float | str
    ping_interval: float | str
    ping_timeout: float | str
    in_buffer_size: int | str
    out_buffer_size: int | str
    tcp_no_delay: bool | str
    keep_alive_time: int | str
    keep_alive_interval: int | str
    keep_alive_retry_count: int | str
    use_iocp: bool | str
    use_windows_messages: bool | str
    out_high_mark: int | str
    out_low_mark: int | str
    out_policy: str
    link_high_mark: int | str
    allowed_clients: str
    allowed_hosts: str
    allowed_origins: str
    max_header_bytes: int | str
    max_headers: int | str
    max_groups: int | str
    max_user_data: int | str
    ssl_authenticate_clients: bool | str
    ssl_require_client_certificate: bool | str
    ssl_cert_encoded: bytes | str
    ssl_cert_store: str | bytes
    ssl_cert_store_password: str
    ssl_cert_store_type: int | str
    ssl_cert_subject: str
    sni_map: tuple[str, ...] | str
    ssl_enabled_protocols: int | str
    ssl_enabled_cipher_suites: str
    ssl_cipher_strength: int | str
    openssl_cipher_list: str
    openssl_ca_dir: str
    openssl_ca_file: str
    openssl_prng_seed_data: str
    reuse_ssl_session: bool | str
    ssl_session_timeout: int | str
    certificate_watch: float | str
    max_handshakes: int | str
    ssl_ca_cert_file_paths: str
    ssl_ca_certs: str
    ssl_server_ca_certs: str
    ssl_enable_renegotiation: bool | str
    ssl_include_cert_chain: bool | str
    ssl_provider: str
    ssl_security_flags: int | str
    log_ssl_packets: bool | str
    tls12_signature_algorithms: str
    tls12_supported_groups: str
    tls13_signature_algorithms: str
    tls13_supported_groups: str
    tls13_key_share_groups: str
    log_level: int | str
    log_format: str
    log_file: str
    log_connections: bool | str
    log_queries: bool | str
