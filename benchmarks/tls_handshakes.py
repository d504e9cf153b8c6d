"""CPU time of a TLS handshake in the server: ours and the stdlib's `ssl`, which uvloop uses too.

In memory, with a client of the stdlib in the same process: only the server's steps are timed, by
the CPU time of the thread, so that other processes matter only through the caches. The best of
several batches is reported, which noise affects least. Needs a file with certificate and key.
"""

import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from benchmarks.tables import table
from shardws.tls import contexts, selftest
from shardws.tls.config import TLSConfig
from shardws.tls.engine import TLSEngine

BATCHES: Final = 8
HANDSHAKES: Final = 40  # of a batch
VERSIONS: Final = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)

Step = Callable[[bytes], bytes]  # received bytes to bytes to send


def ours(chain: Path, key: Path) -> Callable[[], Step]:
    """Return what makes the server's side of a connection."""
    context = contexts.build(TLSConfig(cert_store=key.read_bytes() + chain.read_bytes()))
    calls = selftest.choose().calls

    def connect() -> Step:
        engine = TLSEngine(context, calls)

        def step(data: bytes) -> bytes:
            engine.receive(data)
            return engine.outgoing()

        return step

    return connect


def stdlib(chain: Path, key: Path) -> Callable[[], Step]:
    """Return what makes the server's side of a connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)

    def connect() -> Step:
        received, to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
        server = context.wrap_bio(received, to_send, server_side=True)

        def step(data: bytes) -> bytes:
            received.write(data)
            with suppress(ssl.SSLWantReadError):
                server.do_handshake()
            return to_send.read()

        return step

    return connect


def client_of(version: ssl.TLSVersion) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    return context


def shake(
    connect: Callable[[], Step], context: ssl.SSLContext, session: ssl.SSLSession | None
) -> tuple[int, ssl.SSLObject]:
    """Return the server's nanoseconds for one handshake, and the client after it."""
    received, to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(received, to_send, session=session)
    spent = -time.thread_time_ns()
    step = connect()
    spent += time.thread_time_ns()
    with suppress(ssl.SSLWantReadError):
        client.do_handshake()
    while data := to_send.read():
        spent -= time.thread_time_ns()
        answer = step(data)
        spent += time.thread_time_ns()
        received.write(answer)
        with suppress(ssl.SSLWantReadError):
            client.do_handshake()
    with suppress(ssl.SSLWantReadError):
        client.read()  # tickets of TLS 1.3
    return spent, client


def best_us(connect: Callable[[], Step], version: ssl.TLSVersion, is_resumed: bool) -> float:
    """Return the server's microseconds for one handshake, of the best batch."""
    context = client_of(version)
    session = shake(connect, context, None)[1].session if is_resumed else None
    totals = []
    for _ in range(BATCHES):
        total = 0
        for _ in range(HANDSHAKES):
            spent, client = shake(connect, context, session)
            assert bool(client.session_reused) == is_resumed
            total += spent
        totals.append(total / HANDSHAKES / 1000)
    return min(totals)


def rows(chain: Path, key: Path) -> Iterator[list[str]]:
    """Yield kind, then microseconds and handshakes per core and second, for both."""
    for version in VERSIONS:
        for is_resumed in (False, True):
            name = f"TLS {version.name[-3:].replace('_', '.')}"
            found = [best_us(make(chain, key), version, is_resumed) for make in (ours, stdlib)]
            cells = [text for one in found for text in (f"{one:.0f}", f"{1e6 / one:,.0f}")]
            yield [f"{name}, {'resumed' if is_resumed else 'full'}", *cells]


def lines(chain: Path, key: Path) -> list[str]:
    """Return the table."""
    head = ["server's side, P-256", "ours, us", "per s and core", "`ssl`, us", "per s and core"]
    return table(head, rows(chain, key))
