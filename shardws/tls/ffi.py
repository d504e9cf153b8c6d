"""Calls below pyOpenSSL's public API: the only module that uses its private names.

Owns two implementations of the four hot calls (`Calls` public, `DirectCalls` straight to cffi: 3
times cheaper, see docs/topics/tls.md), their addresses for C, and a few settings that have no
public call. Every private name used here is listed in NAMES and looked up once: where one is
missing, `has_private` is False, the public implementation is used, and settings that need it are
refused with 270. Facts: a private call that fails leaves its error in OpenSSL's queue, which would
spoil the next SSL_get_error: it is cleared here.
"""

from collections.abc import Callable
from typing import Any, Final, NoReturn

from OpenSSL import SSL

from shardws.errors import TLSSetupError

try:
    from OpenSSL import _util
except ImportError:  # pragma: no cover - a pyOpenSSL with another structure
    _lib: Any = None
    _ffi: Any = None
else:
    _lib, _ffi = _util.lib, _util.ffi

# What C calls by address, and the type that it takes them for.
CALLED_FROM_C: Final = {
    "SSL_read": "int(*)(SSL *, void *, int)",
    "SSL_write": "int(*)(SSL *, void *, int)",
    "BIO_read": "int(*)(BIO *, void *, int)",
    "BIO_write": "int(*)(BIO *, void *, int)",
}
HOT_NAMES: Final = (*CALLED_FROM_C, "ERR_clear_error")
SETTING_NAMES: Final = (
    "SSL_CTX_set1_curves_list",
    "SSL_CTX_set1_sigalgs_list",
    "SSL_CTX_set_msg_callback",
    "SSL_session_reused",
    "X509_verify_cert_error_string",
    "RAND_add",
)
REFUSAL_NAMES: Final = (
    "SSL_CTX_set_verify",
    "SSL_get_ex_data_X509_STORE_CTX_idx",
    "X509_STORE_CTX_get_error",
    "X509_STORE_CTX_get_ex_data",
    "X509_STORE_CTX_set_error",
)
NAMES: Final = HOT_NAMES + SETTING_NAMES + REFUSAL_NAMES
HANDLES: Final = ("_ssl", "_into_ssl", "_from_ssl")  # attributes of a Connection

RECORD: Final = 16384  # plaintext of one record at most (RFC 8446 section 5.1)
SEALED: Final = RECORD + 512  # and its record: header, padding and tag take less
MESSAGE_CALLBACK: Final = "void (*)(int, int, int, const void *, size_t, SSL *, void *)"

CERT_REJECTED: Final = 28  # X509_V_ERR_CERT_REJECTED: the alert is bad_certificate
PACKETS: Final = frozenset({20, 21, 22})  # change cipher spec, alert, handshake

# direction (1 out), version, content type, content -> nothing
PacketListener = Callable[[SSL.Connection, int, int, int, bytes], None]


def has_private(*names: str) -> bool:
    """Tell whether this pyOpenSSL has these private names."""
    return all(hasattr(_lib, name) for name in names)


class Calls:
    """The hot calls through pyOpenSSL's public API; one object for each shard."""

    name = "public"

    def feed(self, connection: SSL.Connection, data: bytes) -> None:
        """Give received bytes to OpenSSL; not empty."""
        connection.bio_write(data)

    def read(self, connection: SSL.Connection) -> bytes:
        """Return the plaintext of one record; SSL.Error as `Connection.recv` raises it."""
        return connection.recv(RECORD)

    def seal(self, connection: SSL.Connection, data: bytes) -> bytes:
        """Return `data`, 1 to RECORD bytes, as one record, after any pending records.

        As more than one where the peer wants short ones (RFC 6066 section 4).
        """
        sent = connection.send(data)
        room = len(data) + 512
        sealed = connection.bio_read(room)
        if sent < len(data):
            return sealed + self.seal_all(connection, data[sent:])
        return sealed if len(sealed) < room else sealed + self.drain(connection)

    def seal_all(self, connection: SSL.Connection, data: bytes) -> bytes:
        """Return `data`, of any size, as records."""
        pieces = []
        while data:
            sent = connection.send(data[:RECORD])
            pieces.append(self.drain(connection))
            data = data[sent:]
        return b"".join(pieces)

    def fail(self, connection: SSL.Connection, result: int) -> NoReturn:
        """Raise what the public call would have raised for this result of SSL_read or SSL_write."""
        _raise(connection, result)

    def pointers(self, connection: SSL.Connection) -> tuple[int, ...]:
        """Return addresses for calls from C, empty when there are none.

        They are of SSL_read, SSL_write, BIO_read, BIO_write, of the SSL, and of its BIOs: for what
        is received and for what is to be sent.
        """
        return ()

    def drain(self, connection: SSL.Connection) -> bytes:
        """Return what OpenSSL wants sent: handshake, alerts, tickets; usually nothing."""
        pieces = []
        while True:
            try:
                pieces.append(connection.bio_read(SEALED))
            except SSL.WantReadError:
                return b"".join(pieces)


class DirectCalls(Calls):
    """The same through cffi, with one buffer for all connections of the shard.

    cffi lets other threads run during a call, so each thread with a loop needs its own object.
    """

    name = "direct"

    def __init__(self) -> None:
        self._buffer = _ffi.new("char[]", SEALED)
        self._view = _ffi.buffer(self._buffer)
        self._read = _lib.SSL_read
        self._write = _lib.SSL_write
        self._take = _lib.BIO_read
        self._give = _lib.BIO_write
        self._addresses = _addresses()

    def feed(self, connection: SSL.Connection, data: bytes) -> None:
        # Memory BIOs take everything or fail when out of memory.
        if self._give(connection._into_ssl, data, len(data)) != len(data):
            raise MemoryError("OpenSSL cannot buffer received bytes")

    def read(self, connection: SSL.Connection) -> bytes:
        size: int = self._read(connection._ssl, self._buffer, RECORD)
        if size <= 0:
            _raise(connection, size)
        return self._view[:size]  # type: ignore[no-any-return]  # cffi buffers are untyped

    def seal(self, connection: SSL.Connection, data: bytes) -> bytes:
        size: int = self._write(connection._ssl, data, len(data))
        if size <= 0:
            _raise(connection, size)
        taken: int = self._take(connection._from_ssl, self._buffer, SEALED)
        if taken <= 0:
            raise SSL.Error([("BIO", "read", "no record was written")])
        sealed: bytes = self._view[:taken]
        if size < len(data):
            return sealed + self.seal_all(connection, data[size:])
        return sealed if taken < SEALED else sealed + self.drain(connection)

    def pointers(self, connection: SSL.Connection) -> tuple[int, ...]:
        if not self._addresses:
            return ()
        handles = (connection._ssl, connection._into_ssl, connection._from_ssl)
        return (*self._addresses, *map(_address, handles))

    def drain(self, connection: SSL.Connection) -> bytes:
        pieces = []
        while (taken := self._take(connection._from_ssl, self._buffer, SEALED)) > 0:
            pieces.append(self._view[:taken])
        return b"".join(pieces)


def _addresses() -> tuple[int, ...]:
    """Return the addresses of the hot calls; none where they are not what C takes them for."""
    try:
        library = _lib.SSL_read.__self__  # of cffi; `_lib` is a module that only refers to it
        found = [_ffi.addressof(library, name) for name in CALLED_FROM_C]
    except (AttributeError, TypeError):
        return ()
    types = [_ffi.typeof(pointer).cname for pointer in found]
    return tuple(map(_address, found)) if types == list(CALLED_FROM_C.values()) else ()


def _address(pointer: Any) -> int:
    return int(_ffi.cast("uintptr_t", pointer))


def _raise(connection: SSL.Connection, result: int) -> NoReturn:
    """Raise what the public call would have raised for this result."""
    connection._raise_ssl_error(connection._ssl, result)
    raise SSL.Error([("SSL", "", f"result {result} without an error")])


def set_groups(context: SSL.Context, names: tuple[str, ...]) -> None:
    """Set the key-exchange groups in order of preference; TLSSetupError 270 or 276."""
    _set_list("SSL_CTX_set1_curves_list", context, names, "groups")


def set_signatures(context: SSL.Context, names: tuple[str, ...]) -> None:
    """Set the signature algorithms in order of preference; TLSSetupError 270 or 276."""
    _set_list("SSL_CTX_set1_sigalgs_list", context, names, "signature algorithms")


def _set_list(call: str, context: SSL.Context, names: tuple[str, ...], what: str) -> None:
    if not has_private(call):
        raise TLSSetupError(270, f"{what} cannot be set with this pyOpenSSL ({call} is missing)")
    if getattr(_lib, call)(context._context, ":".join(names).encode()) != 1:
        _lib.ERR_clear_error()
        raise TLSSetupError(276, f"OpenSSL refuses the {what} {', '.join(names)}")


def set_packet_listener(context: SSL.Context, listener: PacketListener) -> object:
    """Call `listener` for each TLS packet; keep the returned object as long as the context.

    TLSSetupError 270 where the call is missing.
    """
    if not has_private("SSL_CTX_set_msg_callback"):
        raise TLSSetupError(270, "LogSSLPackets cannot be had with this pyOpenSSL")

    def told(out: int, version: int, kind: int, data: Any, size: int, ssl: Any, _: Any) -> None:
        connection = SSL.Connection._reverse_mapping.get(ssl)
        if connection is not None:
            # Only type and length of a handshake message or an alert are copied.
            head = _ffi.buffer(data, min(size, 4))[:] if kind in PACKETS else b""
            listener(connection, out, version, kind, head)

    callback = _ffi.callback(MESSAGE_CALLBACK, told)
    _lib.SSL_CTX_set_msg_callback(context._context, callback)
    return callback


def explain_refusals(
    context: SSL.Context, mode: int, error_of: Callable[[SSL.Connection], int]
) -> object:
    """Tell a client why its certificate is refused.

    pyOpenSSL's callback can only say no, which OpenSSL treats as an internal failure and reports as
    internal_error. `error_of` returns the verification error, 0 for a good certificate that is
    refused (bad_certificate). Call it after Context.set_verify, and keep the returned object as
    long as the context; where a name is missing, nothing changes.
    """
    public = getattr(context, "_verify_callback", None)
    if public is None or not has_private(*REFUSAL_NAMES):
        return None
    index = _lib.SSL_get_ex_data_X509_STORE_CTX_idx()

    def judge(ok: int, store: Any) -> int:
        result: int = public(ok, store)
        if not result and not _lib.X509_STORE_CTX_get_error(store):
            connection = SSL.Connection._reverse_mapping.get(
                _lib.X509_STORE_CTX_get_ex_data(store, index)
            )
            error = error_of(connection) if connection is not None else 0
            _lib.X509_STORE_CTX_set_error(store, error or CERT_REJECTED)
        return result

    callback = _ffi.callback("int (*)(int, X509_STORE_CTX *)", judge)
    _lib.SSL_CTX_set_verify(context._context, mode, callback)
    return callback


def is_resumed(connection: SSL.Connection) -> bool:
    """Tell whether the handshake resumed a session; False where the call is missing."""
    if not has_private("SSL_session_reused"):
        return False
    return bool(_lib.SSL_session_reused(connection._ssl))


def verify_text(error: int) -> str:
    """Return OpenSSL's text for a verification error."""
    if not has_private("X509_verify_cert_error_string"):
        return f"verification error {error}"
    text: bytes = _ffi.string(_lib.X509_verify_cert_error_string(error))
    return text.decode()


def add_entropy(seed: bytes) -> None:
    """Mix OpenSSLPrngSeedData into the generator, credited with no entropy.

    OpenSSL detects a fork and reseeds itself: nothing depends on this call.
    """
    if has_private("RAND_add"):
        _lib.RAND_add(seed, len(seed), 0.0)
