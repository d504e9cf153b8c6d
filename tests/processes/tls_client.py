"""Certificates on disk, and a blocking TLS client that asks the demo who serves it."""

import contextlib
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trustme

from tests.processes.clients import read_greeting
from tests.processes.conftest import DEADLINE, RunningServer
from tests.upgrade_request import UPGRADE

EC = trustme.KeyType.ECDSA


class ServedBy(NamedTuple):
    """What one connection found."""

    shard: int
    pid: int
    subject: str  # common name of the server's certificate
    is_resumed: bool
    session: ssl.SSLSession | None


class Authority:
    """A CA with a directory for the stores of what it issues."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ca = trustme.CA(key_type=EC)
        self.file = directory / "ca.pem"
        self.ca.cert_pem.write_to_path(str(self.file))

    def store(self, common_name: str, *names: str, file: str = "", **options: Any) -> Path:
        """Issue a certificate into a store; an existing store is replaced in one step."""
        leaf = self.ca.issue_cert(
            *(names or ("127.0.0.1",)), common_name=common_name, key_type=EC, **options
        )
        path = self.directory / (file or f"{common_name}.pem")
        fresh = path.with_suffix(".new")
        fresh.write_bytes(leaf.private_key_and_cert_chain_pem.bytes())
        fresh.replace(path)
        return path

    def context(self, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.file))
        if version is not None:
            context.minimum_version = context.maximum_version = version
        return context


@contextlib.contextmanager
def open_websocket(
    server: RunningServer,
    context: ssl.SSLContext,
    session: ssl.SSLSession | None = None,
    name: str = "127.0.0.1",
) -> Iterator[tuple[ssl.SSLSocket, dict[str, Any]]]:
    """Yield the socket of an open WebSocket and the demo's greeting."""
    raw = socket.create_connection((server.host, server.port), DEADLINE)
    with raw, context.wrap_socket(raw, server_hostname=name, session=session) as sock:
        sock.sendall(UPGRADE)
        yield sock, read_greeting(sock)


def connect_once(
    server: RunningServer,
    context: ssl.SSLContext,
    session: ssl.SSLSession | None = None,
    name: str = "127.0.0.1",
) -> ServedBy:
    """Connect, read the greeting, and leave in good order, so that the session stays good."""
    with open_websocket(server, context, session, name) as (sock, greeting):
        certificate: Any = sock.getpeercert()
        subject = dict(pair[0] for pair in certificate["subject"])["commonName"]
        is_resumed, kept = bool(sock.session_reused), sock.session
        sock.sendall(b"\x88\x82\x00\x00\x00\x00\x03\xe8")
        while sock.recv(4096):
            pass  # its close frame, then its close_notify
        sock.unwrap()
    return ServedBy(greeting["shard"], greeting["pid"], subject, is_resumed, kept)


def connect_once_to(
    server: RunningServer, context: ssl.SSLContext, session: ssl.SSLSession | None, shard: int
) -> ServedBy:
    """Visit with this session until the kernel has chosen that shard."""
    for _ in range(200):
        found = connect_once(server, context, session)
        if found.shard == shard:
            return found
    pytest.fail(f"200 connects and none on shard {shard}")
