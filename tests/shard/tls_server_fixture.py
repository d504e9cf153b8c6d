"""Certificates, a server of one shard that speaks TLS, and clients of the stdlib for it."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import pytest
import trustme
from websockets.asyncio.client import ClientConnection

from shardws import Connected, DataIn, Disconnected, Error, ShardwsError, WebSocketServer
from tests.shard.server_fixture import DEADLINE_S, EventRecorder, client, listening, new_server, run

EC: Final = trustme.KeyType.ECDSA
AUTHORITY: Final = trustme.CA(key_type=EC)
LEAF: Final = AUTHORITY.issue_cert("127.0.0.1", "a.example", common_name="shard", key_type=EC)
RSA_LEAF: Final = AUTHORITY.issue_cert(
    "127.0.0.1", common_name="rsa shard", key_type=trustme.KeyType.RSA
)
TLS12: Final = ssl.TLSVersion.TLSv1_2
TLS13: Final = ssl.TLSVersion.TLSv1_3
VERSIONS: Final = (TLS12, TLS13)

UPGRADE: Final = (
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


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


class TCPClient:
    """A TCP connection that sends and reads bytes as they are."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, server: WebSocketServer) -> Self:
        return cls(*await asyncio.open_connection("127.0.0.1", server.local_port))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def read(self) -> bytes:
        """Return all that comes until the server ends."""
        with contextlib.suppress(ConnectionResetError):
            return await asyncio.wait_for(self.reader.read(), DEADLINE_S)
        return b""

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


class TLSClient(TCPClient):
    """A TLS client in memory over a TCP connection, so that a test decides each byte it sends."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__(reader, writer)
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.object: ssl.SSLObject
        self.has_ended = False  # the server sent its close_notify

    async def handshake(
        self,
        context: ssl.SSLContext | None = None,
        name: str = "127.0.0.1",
        session: ssl.SSLSession | None = None,
    ) -> "TLSClient":
        """Run the handshake; ssl.SSLError when the server refuses, EOFError when it leaves."""
        self.object = (context or client_context()).wrap_bio(
            self._in, self._out, server_hostname=name
        )
        if session is not None:
            self.object.session = session
        while True:
            try:
                self.object.do_handshake()
            except ssl.SSLWantReadError:
                self.flush()
                await self._more()
                continue
            finally:
                self.flush()
            return self

    def flush(self) -> None:
        data = self._out.read()
        if data:
            self.writer.write(data)

    async def _more(self) -> None:
        data = await asyncio.wait_for(self.reader.read(65536), DEADLINE_S)
        if not data:
            raise EOFError("the server ended TCP")
        self.feed(data)

    def feed(self, data: bytes) -> None:
        """Give received bytes to TLS."""
        self._in.write(data)

    def encrypt(self, data: bytes) -> bytes:
        """Return the records for data, unsent."""
        self.object.write(data)
        return self._out.read()

    def send(self, data: bytes) -> None:
        self.writer.write(self.encrypt(data))

    def close_notify(self) -> None:
        """Send close_notify."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.object.unwrap()
        self.flush()

    async def receive(self, until: bytes = b"") -> bytes:
        """Return the plaintext up to `until`, or up to the end of the stream or of TCP."""
        found = b""
        while not until or until not in found:
            try:
                piece = self.object.read(65536)
            except ssl.SSLWantReadError:
                try:
                    await self._more()
                except (EOFError, ConnectionResetError):
                    return found
                continue
            except ssl.SSLZeroReturnError:
                piece = b""
            if not piece:
                self.has_ended = True
                return found
            found += piece
        return found


async def connect_tls(server: WebSocketServer, context: ssl.SSLContext | None = None) -> TLSClient:
    """Return a TLS client whose handshake is done."""
    peer = await TLSClient.connect(server)
    return await peer.handshake(context)


class Negotiated(NamedTuple):
    """What a client found out in a handshake."""

    version: str
    cipher: str
    subject: str  # common name of the certificate it was shown, "" where it does not verify


async def negotiate(
    server: WebSocketServer, context: ssl.SSLContext | None = None, name: str = "127.0.0.1"
) -> Negotiated:
    """Return what a new client agrees on with the server; ssl.SSLError when they cannot."""
    context = context or client_context()
    context.check_hostname = False
    async with await TLSClient.connect(server) as peer:
        await peer.handshake(context, name)
        cipher = peer.object.cipher()
        found: Any = peer.object.getpeercert() or {}
        subject = dict(pair[0] for pair in found.get("subject", ()))
        peer.close_notify()
        assert cipher is not None
        return Negotiated(str(peer.object.version()), cipher[0], subject.get("commonName", ""))


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


def negotiate_once(server: WebSocketServer, context: ssl.SSLContext | None = None) -> Negotiated:
    """Let the server listen and return what one client agrees on with it."""
    found: list[Negotiated] = []

    async def main() -> None:
        async with listening_tls(server):
            found.append(await negotiate(server, context))

    run(main())
    return found[0]


def limited_client_context(
    version: ssl.TLSVersion, ciphers: str = "", curve: str = ""
) -> ssl.SSLContext:
    """Return a client that offers little."""
    context = client_context(version)
    if ciphers:
        context.set_ciphers(ciphers)
    if curve:
        context.set_ecdh_curve(curve)
    return context


async def s_client(
    server: WebSocketServer, *options: str, commands: bytes = b"", answer: bytes = b"\n"
) -> str:
    """Return what `openssl s_client` prints; it waits for `answer` to each line of `commands`."""
    process = await asyncio.create_subprocess_exec(
        "openssl", "s_client", "-port", str(server.local_port), *options,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    found = await asyncio.wait_for(process.stdout.readuntil(b"SSL handshake"), DEADLINE_S)
    for command in commands.splitlines(keepends=True):
        process.stdin.write(command)
        found += await asyncio.wait_for(process.stdout.readuntil(answer), DEADLINE_S)
    process.stdin.close()
    found += (await asyncio.wait_for(process.communicate(), DEADLINE_S))[0]
    return found.decode(errors="replace")
