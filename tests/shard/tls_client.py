"""TLS clients that a test drives step by step, and what a handshake with them agrees on."""

import asyncio
import contextlib
import ssl
from typing import Any, NamedTuple, Self

from shardws import WebSocketServer
from tests.shard.server_fixture import DEADLINE_S, run
from tests.shard.tls_server_fixture import client_context, listening_tls


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
