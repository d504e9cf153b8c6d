"""The open phase of a TLS connection: records to plaintext and back, and how it ends.

Owns the Connection after its handshake; the states are the engine's. Facts: OpenSSL is asked for
plaintext exactly once for each whole record, since a read without data costs an exception; only a
record without data causes one. A record without data (KeyUpdate, refused renegotiation, empty)
costs the peer BARREN_COST, a record with data pays 1 back, and at BARREN_LIMIT it is a flood:
legitimate clients update their keys once in 2**24 records.

A refused renegotiation (TLS 1.2) is a warning that OpenSSL sends; most clients then send an alert
of their own or disconnect, which is a consequence of the refusal and reported as such (284).
"""

from typing import Final

from OpenSSL import SSL

from shardws.tls import endings, probe
from shardws.tls.callback_state import CallbackState
from shardws.tls.endings import Ending
from shardws.tls.ffi import RECORD, Calls
from shardws.tls.records import RecordCounter

BARREN_COST: Final = 8
BARREN_LIMIT: Final = 256
MAX_RENEGOTIATIONS: Final = 3
ALERT: Final = 21  # RFC 5246 section 6.2.1
HELD_LIMIT: Final = 1 << 20  # bytes of plaintext that wait for the end of a renegotiation


class Stream:
    """One open TLS connection; `ending` is None while data may come."""

    __slots__ = (
        "_barren",
        "_calls",
        "_connection",
        "_has_warned",
        "_held",
        "_held_bytes",
        "_records",
        "_witness",
        "ending",
        "out",
    )

    def __init__(
        self,
        connection: SSL.Connection,
        calls: Calls,
        records: RecordCounter,
        renegotiating: CallbackState | None,
    ) -> None:
        self._connection = connection
        self._calls = calls
        self._records = records
        self._witness = renegotiating  # counts handshakes, where TLS 1.2 may begin further ones
        self._barren = 0
        self._has_warned = False  # OpenSSL has sent the warning no_renegotiation
        self._held: list[bytes] = []
        self._held_bytes = 0
        self.out: list[bytes] = []  # what OpenSSL wants sent besides data
        self.ending: Ending | None = None

    def receive(self, data: bytes) -> bytes:
        """Take received bytes, a slice that a memory BIO may keep, and return the plaintext."""
        self._calls.feed(self._connection, data)
        count = self._records.count(data)
        if count == 1:
            try:
                plaintext = self._calls.read(self._connection)
            except SSL.Error as error:
                self._judge(error, count)
                return b""
            if self._barren:
                self._barren -= 1
            return plaintext
        return self._ask(count) if count else b""

    # -- data that is read and written from C ------------------------------------------------

    @property
    def is_calm(self) -> bool:
        """Whether nothing but data is under way, and no call of OpenSSL would lead into Python."""
        is_quiet = self.ending is None and not (self._barren or self._held or self.out)
        return is_quiet and self._witness is None

    @property
    def shared(self) -> tuple[SSL.Connection, tuple[int, ...], bytes, int]:
        """What C needs to go on from here: see `Wire.start_tls`; no pointers where it cannot."""
        return (
            self._connection,
            self._calls.pointers(self._connection),
            *self._records.place,
        )

    def read_stopped(self, result: int, left: int, head: bytes, missing: int) -> None:
        """Go on where C stopped: SSL_read returned `result`, `left` whole records wait."""
        self._records.place = head, missing
        try:
            self._calls.fail(self._connection, result)
        except SSL.Error as error:
            self._judge(error, left)

    def write_stopped(self, data: bytes, result: int, head: bytes, missing: int) -> None:
        """Go on where C stopped: SSL_write returned `result` for `data`."""
        self._records.place = head, missing
        try:
            self._calls.fail(self._connection, result)
        except SSL.WantReadError:
            self.drain()
            self._hold(data)
        except SSL.Error as error:
            self._fail(Ending(282, f"TLS: {probe.reason(error)}"))

    # -- the same from Python ----------------------------------------------------------------

    def receive_rest(self) -> bytes:
        """Return the plaintext that arrived together with the end of the handshake."""
        return self._ask(None)

    def send(self, data: bytes) -> bytes:
        """Return the records for `data`."""
        if len(data) <= RECORD:
            # OpenSSL treats an empty write as the end of the file.
            return self._seal(data) if data else b""
        slices = (data[at : at + RECORD] for at in range(0, len(data), RECORD))
        return b"".join([self._seal(piece) for piece in slices])

    def close(self) -> None:
        """Put our close_notify into `out`."""
        try:
            self._connection.shutdown()
        except SSL.Error as error:
            self._fail(Ending(282, f"TLS: {probe.reason(error)}"))
        self.drain()

    @property
    def has_refused(self) -> bool:
        """Whether the peer's last records asked for a renegotiation, which was refused."""
        return self._has_warned and self._barren > 0

    def drain(self) -> None:
        """Move what OpenSSL wants sent into `out`."""
        data = self._calls.drain(self._connection)
        if data:
            self.out.append(data)
            # Only TLS 1.2 shows the type of an encrypted record; and only this warning is sent.
            self._has_warned = self.ending is None and data[0] == ALERT

    def _ask(self, count: int | None) -> bytes:
        """Ask for `count` records, or with None until there is no more."""
        pieces: list[bytes] = []
        try:
            while count is None or len(pieces) < count:
                pieces.append(self._calls.read(self._connection))
        except SSL.Error as error:
            self._judge(error, count - len(pieces) if count else 0)
        self._barren = max(0, self._barren - len(pieces))
        return b"".join(pieces)

    def _judge(self, error: SSL.Error, barren: int) -> None:
        """Find out why a read returned no data: `barren` records had none, or the stream ended."""
        if isinstance(error, SSL.WantReadError):
            self.drain()
            self._check_floods(barren)
            self._release()
        elif isinstance(error, SSL.ZeroReturnError):
            self.drain()
            self.ending = endings.CLOSE_NOTIFY
        else:
            why = probe.reason(error)
            is_answer = self.has_refused and "alert" in why
            self._fail(endings.REFUSED if is_answer else Ending(282, f"TLS: {why}"))

    def _check_floods(self, barren: int) -> None:
        self._barren += barren * BARREN_COST
        if self._barren > BARREN_LIMIT:
            self._fail(Ending(284, "too many records without data (KeyUpdate or renegotiation)"))
        if self._witness is not None and self._witness.starts > 1 + MAX_RENEGOTIATIONS:
            self._fail(Ending(284, f"more than {MAX_RENEGOTIATIONS} renegotiations"))

    def _seal(self, data: bytes) -> bytes:
        """Return the record for at most RECORD bytes; during a renegotiation they wait."""
        if not self._held:
            try:
                return self._calls.seal(self._connection, data)
            except SSL.WantReadError:
                self.drain()
            except SSL.Error as error:
                self._fail(Ending(282, f"TLS: {probe.reason(error)}"))
                return b""
        self._hold(data)
        return b""

    def _hold(self, data: bytes) -> None:
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > HELD_LIMIT:
            self._fail(Ending(284, "a renegotiation does not end"))

    def _release(self) -> None:
        """Send what waited for a renegotiation; what still cannot be sent keeps waiting."""
        held, self._held, self._held_bytes = self._held, [], 0
        for piece in held if self.ending is None else ():
            self.out.append(self._seal(piece))

    def _fail(self, ending: Ending) -> None:
        if self.ending is None or self.ending.is_clean:
            self.ending = ending
        self.drain()
