"""One TLS connection of a server, without I/O: records in, plaintext out, and the reverse.

Owns the states and the handshake; `stream` has the open phase. Bad input from a peer never raises:
it sets `ending`. States and what leaves them:

    HELLO        reading the ClientHello, because the caller or the context chooses by it
    CHOOSING     `hello` is there; the caller calls start(context), at once or later
    HANDSHAKING  until OpenSSL is done; clienthello.LIMIT bounds the bytes
    OPEN         plaintext both ways
    ENDED        the peer sent close_notify: pending data may be sent, then close()
    CLOSED       `ending` tells why; write outgoing() (an alert may be in it), then end TCP

After each receive(): write outgoing(), use the plaintext, look at `state`. Facts: chunks are fed
in slices, since a memory BIO never shrinks. There is no SSL object (34 KiB) before the first byte,
and none after CLOSED.
"""

import contextlib
import enum
from typing import Final

from OpenSSL import SSL

from shardws.errors import PeerError, StateError
from shardws.tls import endings, negotiated, probe
from shardws.tls.callback_state import CallbackState, CertificateHook
from shardws.tls.clienthello import LIMIT, Hello, HelloReader
from shardws.tls.contexts import ServerContext
from shardws.tls.endings import Ending
from shardws.tls.ffi import Calls
from shardws.tls.negotiated import Negotiated
from shardws.tls.records import RecordCounter
from shardws.tls.stream import Stream
from shardws.tls.verification import NONE_PRESENTED, ClientCertificate

SLICE: Final = 32768


class State(enum.Enum):
    """The state of an engine; the module docstring lists the transitions."""

    HELLO = "hello"
    CHOOSING = "choosing"
    HANDSHAKING = "handshaking"
    OPEN = "open"
    ENDED = "ended"
    CLOSED = "closed"


class TLSEngine:
    """The engine; `calls` is the shard's, see `selftest.choose`.

    With `is_choosing` it stops in CHOOSING. `on_certificate` decides on a client certificate
    inside the handshake; its exception passes through receive(). With `may_lack` it is asked about
    a client without one too, where that one would be refused by an alert. `is_traced` collects
    progress.
    """

    __slots__ = (
        "_calls",
        "_connection",
        "_early",
        "_hook",
        "_is_choosing",
        "_is_traced",
        "_may_lack",
        "_out",
        "_reader",
        "_records",
        "_stream",
        "_witness",
        "context",
        "ending",
        "hello",
        "negotiated",
        "state",
    )

    def __init__(
        self,
        context: ServerContext,
        calls: Calls,
        *,
        is_choosing: bool = False,
        is_traced: bool = False,
        on_certificate: CertificateHook | None = None,
        may_lack: bool = False,
    ) -> None:
        self.context = context  # the caller's choice, once it has chosen
        self._calls = calls
        self._is_choosing = is_choosing
        self._is_traced = is_traced
        self._hook = on_certificate
        self._may_lack = may_lack
        self._connection: SSL.Connection | None = None
        self._stream: Stream | None = None
        self._witness: CallbackState | None = None
        self._records = RecordCounter()
        self._reader: HelloReader | None = None
        self._early = 0  # bytes received before OPEN
        self._out: list[bytes] = []
        self.hello: Hello | None = None
        self.negotiated: Negotiated | None = None
        self.ending: Ending | None = None
        self.state = State.HANDSHAKING
        if is_choosing or context.needs_hello:
            self.state = State.HELLO
            self._reader = HelloReader()

    @property
    def client_certificate(self) -> ClientCertificate | None:
        """The certificate that the client presented, once it was verified."""
        return self._witness.certificate if self._witness else None

    @property
    def stream(self) -> Stream | None:
        """The open phase, for direct calls: see Stream; None before and after it."""
        return self._stream

    @property
    def is_talkative(self) -> bool:
        """Whether there may be progress lines after the handshake too."""
        return self._is_traced or self.context.config.log_packets

    @property
    def is_quiet(self) -> bool:
        """Whether there is nothing to send besides data."""
        return not self._out

    def receive(self, data: bytes) -> bytes:
        """Take received bytes and return the plaintext of all whole records."""
        stream = self._stream
        if stream is not None and len(data) <= SLICE and self.state is State.OPEN:
            plaintext = stream.receive(data) if data else b""
            if stream.ending is not None:
                self._follow(stream)
            return plaintext
        slices = (data[at : at + SLICE] for at in range(0, len(data), SLICE))
        return b"".join([self._take(piece) for piece in slices])

    def start(self, context: ServerContext | None = None) -> bytes:
        """Leave CHOOSING, with another context if one is given; returns as receive() does."""
        if self.state is not State.CHOOSING or self._reader is None:
            raise StateError("the TLS engine is not waiting for a choice")
        data = bytes(self._reader.data)
        self.context = context or self.context
        self._reader = None
        self._early = 0
        self.state = State.HANDSHAKING
        return self.receive(data)

    def send(self, data: bytes) -> bytes:
        """Return the records for `data`; after the end nothing, since nobody would read it.

        What waits in outgoing() is put before them, since records must keep their order.
        """
        stream = self._stream
        if stream is not None:
            before = self.outgoing() if stream.out or self._out else b""
            sealed = stream.send(data)
            if stream.ending is not None:
                self._follow(stream)
            return before + sealed if before else sealed
        if self.state is State.CLOSED:
            return b""
        raise StateError("the TLS handshake is not complete")

    def outgoing(self) -> bytes:
        """Return what has to be sent besides data: handshake, alerts. Usually empty."""
        stream = self._stream
        if stream is not None and stream.out:
            self._out += stream.out
            stream.out.clear()
        if not self._out:
            return b""
        out = b"".join(self._out)
        self._out.clear()
        return out

    def close(self) -> bytes:
        """End the stream and return the last bytes, close_notify among them; idempotent."""
        if self._stream is not None:
            self._stream.close()
        self._finish(endings.LOCAL)
        return self.outgoing()

    def eof(self) -> None:
        """Note the end of TCP: a truncation unless the stream had ended before."""
        ending = endings.TRUNCATED if self.state is State.OPEN else endings.LEFT
        has_refused = self._stream is not None and self._stream.has_refused
        self._finish(endings.REFUSED if has_refused else ending)

    def take_status(self) -> list[str]:
        """Return the lines of progress since the last call; with `is_traced` or LogSSLPackets."""
        state = self._witness
        if state is None or not state.lines:
            return []
        lines, state.lines = state.lines, []
        return lines

    def _take(self, data: bytes) -> bytes:
        """Take one slice in any state."""
        if self.state is State.OPEN:
            return self.receive(data)
        if self.state in (State.ENDED, State.CLOSED):
            return b""
        self._early += len(data)
        if self.state is State.HANDSHAKING:
            return self._shake(data)
        return self._read_hello(data)

    def _read_hello(self, data: bytes) -> bytes:
        """Collect the hello; anything else goes to OpenSSL, which sends the right alert."""
        assert self._reader is not None
        if self.state is State.CHOOSING:
            self._reader.data += data
            if self._early > LIMIT:
                self._finish(Ending(280, f"more than {LIMIT} bytes before the handshake"))
            return b""
        try:
            self.hello = self._reader.receive(data)
        except PeerError:
            self.state = State.CHOOSING
            return self.start()
        if self.hello is None:
            return b""
        self.state = State.CHOOSING
        return b"" if self._is_choosing else self.start()

    def _shake(self, data: bytes) -> bytes:
        """Take a step of the handshake."""
        connection = self._connection or self._open()
        self._records.count(data)
        self._calls.feed(connection, data)
        ending: Ending | None = Ending(281, "the decision on the client certificate failed")
        try:
            connection.do_handshake()
            ending = self._refusal(connection)
        except SSL.WantReadError:
            ending = None
            if self._early > LIMIT:
                ending = Ending(280, f"more than {LIMIT} bytes before the end of the handshake")
            return b""
        except SSL.Error as error:
            found = self.client_certificate
            ending = endings.handshake_failure(probe.reason(error), found.status if found else "")
            return b""
        finally:  # also when the hook raised: its exception goes on, the connection does not
            self._drain(connection)
            if ending is not None:
                self._finish(ending)
        return self._enter_open(connection) if ending is None else b""

    def _open(self) -> SSL.Connection:
        context = self.context
        if self._is_traced or context.needs_witness:
            is_chain_wanted = context.config.include_cert_chain
            self._witness = CallbackState(self._hook, context.ignored, is_chain_wanted)
        is_modern = self.hello is None or self.hello.is_modern
        connection = self._connection = context.open(self._witness, is_modern)
        if self._is_traced and self._witness is not None:
            connection.set_info_callback(self._witness.step)
        if self._may_lack and context.config.authenticate_clients:
            # Without a callback that of the Context stays, which knows the alerts.
            connection.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_CLIENT_ONCE)
        return connection

    def _refusal(self, connection: SSL.Connection) -> Ending | None:
        """Return why a completed handshake is rejected because of the client's certificate.

        There is none and one is required, or it was not verified.
        """
        config, state = self.context.config, self._witness
        if not config.authenticate_clients or state is None or state.is_accepted:
            return None
        reason = "it was not judged"
        if connection.get_peer_certificate() is None:
            if state.judge_absence(config.require_certificate):
                return None
            reason = NONE_PRESENTED
        with contextlib.suppress(SSL.Error):
            connection.shutdown()  # too late for an alert
        return Ending(281, f"client certificate refused: {reason}")

    def _enter_open(self, connection: SSL.Connection) -> bytes:
        """Enter OPEN and return the plaintext that came with the handshake's end."""
        self.negotiated = negotiated.take(connection)
        can_renegotiate = self.negotiated.protocol != "TLSv1.3"
        state = self._witness if can_renegotiate else None
        stream = self._stream = Stream(connection, self._calls, self._records, state)
        self.state = State.OPEN
        plaintext = stream.receive_rest()
        self._follow(stream)
        return plaintext

    def _follow(self, stream: Stream) -> None:
        """Take the state from the ending of the stream."""
        if stream.ending is endings.CLOSE_NOTIFY:
            self.ending = stream.ending
            self.state = State.ENDED
        elif stream.ending is not None:
            self._finish(stream.ending)

    def _drain(self, connection: SSL.Connection) -> None:
        data = self._calls.drain(connection)
        if data:
            self._out.append(data)

    def _finish(self, ending: Ending) -> None:
        """Enter CLOSED, keep what has to be sent, and free OpenSSL's memory."""
        if self.ending is None:
            self.ending = ending
        if self._stream is not None:
            self._out += self._stream.out
        self._stream = self._connection = self._reader = None
        self.state = State.CLOSED
