"""Which implementation of the hot calls a shard uses: the direct one, if it passes a self-test.

Owns the test. A pyOpenSSL or cryptography whose internals changed may cost speed, never a
connection: so the private names are looked up, and one handshake with data both ways is made in
memory (5 ms), before `DirectCalls` are used.
"""

import datetime
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from OpenSSL import SSL

from shardws.tls import ffi, probe
from shardws.tls.ffi import Calls, DirectCalls
from shardws.tls.protocols import TLS13

AUTO: Final = "auto"
PUBLIC: Final = "public"
SIZES: Final = (1, 125, ffi.RECORD)


class Choice(NamedTuple):
    """The calls to use, and why they are not the direct ones ("" if they are)."""

    calls: Calls
    reason: str


def choose(prefer: str = AUTO) -> Choice:
    """Return the calls for one shard; `prefer` "public" forces the public ones."""
    if prefer == PUBLIC:
        return Choice(Calls(), "the public calls were asked for")
    if not ffi.has_private(*ffi.HOT_NAMES):
        return Choice(Calls(), "this pyOpenSSL lacks the direct calls")
    calls = DirectCalls()
    try:
        is_good = _is_good(calls)
    except (SSL.Error, AttributeError, TypeError) as error:
        return Choice(Calls(), f"the direct calls failed: {error!r}")
    return Choice(calls, "") if is_good else Choice(Calls(), "the direct calls changed the data")


def _is_good(calls: Calls) -> bool:
    """Echo messages of some sizes between the calls under test and the public ones."""
    server, client = probe.handshake(_context(), TLS13)
    for size in SIZES:
        data = bytes(range(256)) * (size // 256 + 1)
        data = data[:size]
        client.bio_write(calls.seal(server, data))
        if client.recv(size) != data:
            return False
        client.send(data)
        calls.feed(server, client.bio_read(size + 512))
        if calls.read(server) != data:
            return False
    try:
        calls.read(server)
    except SSL.WantReadError:
        return calls.drain(server) == b""
    return False


def _context() -> SSL.Context:
    """Return a server context with a temporary certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([])
    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)  # the dates are not checked
    end = start + datetime.timedelta(days=1)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, start, end)
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.use_certificate(builder.sign(key, SHA256()))
    context.use_privatekey(key)
    return context
