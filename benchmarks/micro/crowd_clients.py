"""The clients of `crowd`: `python -m benchmarks.micro.crowd_clients PORT CLIENTS SENT EXPECTED`.

Writes `d` when all are connected. Then for each byte read: each sends SENT messages, `s` is
written, each receives EXPECTED messages, `d` is written. All messages are the same. Ends with its
standard input.
"""

import os
import socket
import sys
from typing import Final

DEADLINE_S: Final = 120.0
SIZE: Final = 125
MASK: Final = b"\x1f\x2e\x3d\x4c"
PAYLOAD: Final = bytes(range(SIZE))
REQUEST: Final = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def connect(port: int) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port), DEADLINE_S)
    client.sendall(REQUEST)
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += client.recv(1)
    assert answer.startswith(b"HTTP/1.1 101"), answer
    return client


def receive(client: socket.socket, expected: bytes) -> None:
    found = b""
    while len(found) < len(expected):
        piece = client.recv(len(expected) - len(found))
        assert piece, "the server has closed"
        found += piece
    assert found == expected


def main(port: int, count: int, sends: int, expects: int) -> None:
    clients = [connect(port) for _ in range(count)]
    mask = MASK * (SIZE // 4 + 1)
    masked = bytes(a ^ b for a, b in zip(PAYLOAD, mask, strict=False))
    sent = (b"\x82" + bytes([0x80 | SIZE]) + MASK + masked) * sends
    back = (b"\x82" + bytes([SIZE]) + PAYLOAD) * expects
    os.write(1, b"d")
    while os.read(0, 1):
        for client in clients:
            client.sendall(sent)
        os.write(1, b"s")
        for client in clients:
            receive(client, back)
        os.write(1, b"d")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:5]))
