"""Generates opening requests that a client might send, from a source of choices (random_streams).

Most begin as one that a real client sends, and are changed in a few places.
"""

from tests.unit.protocol.random_streams import Source

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
CORE = (
    b"Host: example.com",
    b"Upgrade: websocket",
    b"Connection: Upgrade",
    b"Sec-WebSocket-Key: " + KEY,
    b"Sec-WebSocket-Version: 13",
)
EXTENSIONS = b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"
CHROMIUM = (
    b"Host: 127.0.0.1:9001",
    b"Connection: Upgrade",
    b"Pragma: no-cache",
    b"Cache-Control: no-cache",
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64) Chrome/140.0.0.0 Safari/537.36",
    b"Upgrade: websocket",
    b"Origin: http://127.0.0.1:9001",
    b"Sec-WebSocket-Version: 13",
    b"Accept-Encoding: gzip, deflate, br, zstd",
    b"Accept-Language: de-DE,de;q=0.9,en;q=0.8",
    b"Cookie: a=b; c=\xe4",
    b"Sec-WebSocket-Key: " + KEY,
    EXTENSIONS,
)
FIREFOX = (
    b"Host: example.com",
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Firefox/144.0",
    b"Accept: */*",
    b"Sec-WebSocket-Version: 13",
    b"Origin: https://example.com",
    b"Sec-WebSocket-Protocol: chat, superchat",
    EXTENSIONS,
    b"Sec-WebSocket-Key: " + KEY,
    b"Connection: keep-alive, Upgrade",
    b"Upgrade: websocket",
)
LOWER = tuple(line.partition(b":")[0].lower() + b":" + line.partition(b":")[2] for line in FIREFOX)
ADDRESS = (b"Host: [2001:db8::7]:9001", *CORE[1:], b"Sec-WebSocket-Protocol:", b"X-Empty:")
CLIENTS = (CORE, CHROMIUM, FIREFOX, LOWER, ADDRESS)

TARGETS = (b"/", b"/chat?room=1&token=a%20b", b"/" + b"a" * 80, b'/"<>[]{}|\\^`')
LINES = (
    b"Host: other.example",
    b"Host: a:65535",
    b"Host: a:65536",
    b"Host: [::1]",
    b"Host: [::1%eth0]:1",
    b"Host: a_b~c",
    b"Host:",
    b"Origin: null",
    b"Origin: \xff",
    b"Origin: \t ",
    b"Upgrade: h2c, WEBSOCKET",
    b"Upgrade: websocket/1",
    b"Connection: close",
    b"Connection: ,upgrade ,",
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    b"Sec-WebSocket-Key: short",
    b"Sec-WebSocket-Version: 8",
    b"Sec-WebSocket-Version:\t13 ",
    b"Sec-WebSocket-Protocol: a(b)",
    b"Sec-WebSocket-Protocol: \tlast ",
    EXTENSIONS,
    b"Content-Length: 0",
    b"Content-Length: 5",
    b"Transfer-Encoding: chunked",
    b"X-Forwarded-For: 192.0.2.1",
    b" folded",
    b"no colon",
    b"space : before",
    b": no name",
    b"",
)
STARTS = (
    b"GET / HTTP/1.0",
    b"GET / HTTP/1.2",
    b"GET / HTTP/2",
    b"GET http://example.com/x HTTP/1.1",
    b"GET /# HTTP/1.1",
    b"GET  / HTTP/1.1",
    b"GET * HTTP/1.1",
    b"POST / HTTP/1.1",
    b"\r\nGET / HTTP/1.1",
)
BYTES = b"\0\t\n\r !#,-.:=/[]\x7f\x80\xffAaZz09"
BEHIND = (b"", b"\x81\x85\0\0\0\0hello", b"GET / HTTP/1.1\r\n\r\n", b"\r\n")


def joined(start: bytes, lines: tuple[bytes, ...] | list[bytes]) -> bytes:
    """Return a head of a request line and header lines."""
    return b"\r\n".join((start, *lines)) + b"\r\n\r\n"


def ordinary() -> list[bytes]:
    """Return what the usual clients send."""
    return [joined(b"GET /chat?room=1 HTTP/1.1", lines) for lines in CLIENTS]


def _changed_lines(source: Source, lines: list[bytes]) -> None:
    choice, at = source.randrange(5), source.randrange(len(lines))
    line = LINES[source.randrange(len(LINES))]
    if choice == 0:
        lines.insert(at, line)
    elif choice == 1:
        lines[at] = line
    elif choice == 2 and len(lines) > 1:
        del lines[at]
    elif choice == 3:
        lines.insert(at, lines[source.randrange(len(lines))])
    else:
        lines[at] = lines[at].swapcase()


def _changed_bytes(source: Source, data: bytes) -> bytes:
    at, byte = source.randrange(len(data)), source.randrange(len(BYTES))
    piece = BYTES[byte : byte + 1] if source.randrange(4) else source.randbytes(1)
    return data[:at] + piece + data[at + source.randrange(2) :]


def head(source: Source) -> bytes:
    """Return a head, changed in no, one or a few places, and what stands behind it."""
    start = b"GET %b HTTP/1.1" % TARGETS[source.randrange(len(TARGETS))]
    if not source.randrange(8):
        start = STARTS[source.randrange(len(STARTS))]
    lines = list(CLIENTS[source.randrange(len(CLIENTS))])
    for _ in range(source.randrange(3)):
        _changed_lines(source, lines)
    data = joined(start, lines)
    for _ in range(source.randrange(3)):
        data = _changed_bytes(source, data)
    return data + BEHIND[source.randrange(len(BEHIND))]
