"""Certificates, a server of one shard that speaks TLS, and contexts that trust it."""

import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest
import trustme
from websockets.asyncio.client import ClientConnection

from shardws import Connected, DataIn, Disconnected, Error, ShardwsError, WebSocketServer
from tests.shard.server_fixture import EventRecorder, client, listening, new_server, run

EC: Final = trustme.KeyType.ECDSA
AUTHORITY: Final = trustme.CA(key_type=EC)
LEAF: Final = AUTHORITY.issue_cert("127.0.0.1", "a.example", common_name="shard", key_type=EC)
RSA_LEAF: Final = AUTHORITY.issue_cert(
    "127.0.0.1", common_name="rsa shard", key_type=trustme.KeyType.RSA
)
TLS12: Final = ssl.TLSVersion.TLSv1_2
TLS13: Final = ssl.TLSVersion.TLSv1_3
VERSIONS: Final = (TLS12, TLS13)


def pem_of(certificate: trustme.LeafCert) -> bytes:
    """Return key, leaf and chain as one PEM text."""
    return bytes(certificate.private_key_and_cert_chain_pem.bytes())


def write_store(certificate: trustme.LeafCert, path: Path) -> str:
    """Write a store and return its path."""
    path.write_bytes(pem_of(certificate))
    return str(path)


def client_context(
    version: ssl.TLSVersion | None = None,
    certificate: trustme.LeafCert | None = None,
    authority: trustme.CA = AUTHORITY,
) -> ssl.SSLContext:
    """Return a client's context that trusts our authority."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    if version is not None:
        context.minimum_version = context.maximum_version = version
    if certificate is not None:
        certificate.configure_cert(context)
    return context


def tls_server(
    recorder: EventRecorder | None = None, leaf: trustme.LeafCert = LEAF
) -> WebSocketServer:
    """Return a server that echoes and, with a recorder, notes what happens."""
    server = new_server()
    server.use_ssl = True
    server.ssl_cert_store = pem_of(leaf)
    server.buffer_message = True

    def on_data_in(e: DataIn) -> None:
        if e.data_format == 1:
            server.send_text(e.connection_id, e.text)
        else:
            server.send(e.connection_id, e.text)

    server.on_data_in = on_data_in
    if recorder is not None:
        record_events(server, recorder)
    return server


def record_events(server: WebSocketServer, recorder: EventRecorder) -> None:
    """Note what begins, ends and goes wrong."""

    def on_connected(e: Connected) -> None:
        recorder.note("connected", e.connection_id)

    def on_disconnected(e: Disconnected) -> None:
        recorder.note("disconnected", e.status_code, e.description)

    def on_error(e: Error) -> None:
        recorder.note("error", e.error_code, e.description)

    server.on_connected = on_connected
    server.on_disconnected = on_disconnected
    server.on_error = on_error


@contextlib.asynccontextmanager
async def listening_tls(server: WebSocketServer) -> AsyncIterator[str]:
    """Let the server listen; yields its wss URL."""
    async with listening(server) as url:
        yield url.replace("ws://", "wss://")


async def connect_wss(
    url: str, context: ssl.SSLContext | None = None, **options: Any
) -> ClientConnection:
    return await client(url, ssl=context or client_context(), **options)


def listen_error(server: WebSocketServer) -> ShardwsError:
    """Return why the server does not listen."""
    found: list[ShardwsError] = []

    async def main() -> None:
        with pytest.raises(ShardwsError) as raised:
            server.listening = True
        assert not server.listening
        found.append(raised.value)
        await server.shutdown_complete()

    run(main())
    return found[0]
