"""The opening request that tests write by hand (RFC 6455 1.3), as bytes."""


def upgrade_request(*fields: bytes) -> bytes:
    """Return a request that the server accepts, with more header lines (without CRLF)."""
    lines = (
        b"GET / HTTP/1.1",
        b"Host: a",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        b"Sec-WebSocket-Version: 13",
        *fields,
    )
    return b"\r\n".join(lines) + b"\r\n\r\n"


UPGRADE = upgrade_request()
