"""What can go wrong: the exception tree and the three code tables.

Owns names, numbers and advice.

    ShardwsError                 code: a number of ERROR_CODES
    +-- UsageError               the program that uses the server did something wrong
    |   +-- SettingError         unknown name, bad value, change at the wrong time
    |   +-- StateError           right call, wrong moment
    |   +-- NoSuchConnection     1117
    +-- StartError               the server cannot start; carries an exit code
    |   +-- TLSSetupError        a TLS setting, store or certificate cannot be used: 270-276
    +-- SendInterrupted          301: a blocking send ended by Interrupt or by its timeout
    +-- ControlError             another program sent the server a request and got no reply
    |   +-- Refused              the request was refused
    +-- PeerError                the other side did something wrong
        +-- HandshakeError       its opening request; carries the HTTP status
        +-- ProtocolError        its frames (RFC 6455); carries the close code
        +-- ProxyError           its proxy's PROXY header; the connection is closed without a
        |                        response
        +-- WireError            an invalid frame on a link of the mesh; the link is closed
            +-- RecordError      the record of a connection cannot be read; that one stays behind

An error carries its next step as an attribute: `status` (HTTP), `close_code`, `exit_code`.
"""

import errno
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class CodeRow:
    """One row of ERROR_CODES: what `ShardwsError.code` and `on_error` report."""

    number: int
    name: str
    text: str


ERROR_CODES: Final[dict[int, CodeRow]] = {
    row.number: row
    for row in (
        CodeRow(104, "already_listening", "the server is already listening"),
        CodeRow(106, "local_port", "LocalPort cannot be changed while listening"),
        CodeRow(107, "local_host", "LocalHost cannot be changed while listening"),
        CodeRow(135, "would_block", "the outgoing queue is full; wait for ReadyToSend"),
        CodeRow(211, "wrong_state", "the operation does not fit the state of the server"),
        CodeRow(212, "read_only", "the property or setting cannot be written"),
        CodeRow(213, "bad_value", "the value is out of range or of the wrong kind"),
        CodeRow(214, "unknown_name", "there is no setting or property of that name"),
        CodeRow(270, "tls_provider", "the TLS provider or option is not available here"),
        CodeRow(271, "tls_store", "the certificate store cannot be loaded"),
        CodeRow(272, "tls_certificate", "no usable certificate with a private key"),
        CodeRow(273, "tls_trust", "a CA source cannot be loaded"),
        CodeRow(274, "tls_ciphers", "the cipher suites cannot be used"),
        CodeRow(275, "tls_protocols", "the protocol versions cannot be used"),
        CodeRow(276, "tls_parameters", "groups or signature algorithms cannot be used"),
        CodeRow(280, "tls_handshake", "the TLS handshake failed"),
        CodeRow(281, "tls_client_certificate", "the client certificate was refused"),
        CodeRow(282, "tls_record", "a damaged TLS record arrived"),
        CodeRow(283, "tls_truncated", "the TLS stream ended without close_notify"),
        CodeRow(284, "tls_renegotiation", "a renegotiation was refused"),
        CodeRow(301, "interrupted", "the operation was interrupted or timed out"),
        CodeRow(302, "cannot_open_file", "the file cannot be opened"),
        CodeRow(434, "protocol", "the client broke the WebSocket protocol"),
        CodeRow(435, "handshake", "the opening request was refused"),
        CodeRow(436, "handler", "a handler of the application raised"),
        CodeRow(1117, "no_such_connection", "no such connection"),
        CodeRow(1120, "dropped", "the connection was dropped by the peer"),
        CodeRow(10013, "permission_denied", "permission denied"),
        CodeRow(10024, "too_many_files", "too many open descriptors"),
        CodeRow(10035, "would_block_socket", "the operation would block"),
        CodeRow(10048, "address_in_use", "the address is in use"),
        CodeRow(10049, "address_not_available", "the address is not available on this host"),
        CodeRow(10054, "connection_reset", "the connection was reset by the peer"),
        CodeRow(10060, "timed_out", "the connection timed out"),
        CodeRow(10065, "unreachable", "the shard or node that owns the connection is down"),
    )
}

# errno -> the Winsock-style number that the original component reports.
ERRNO_CODES: Final[dict[int, int]] = {
    errno.EACCES: 10013,
    errno.EPERM: 10013,
    errno.EMFILE: 10024,
    errno.ENFILE: 10024,
    errno.EAGAIN: 10035,
    errno.EADDRINUSE: 10048,
    errno.EADDRNOTAVAIL: 10049,
    errno.ECONNRESET: 10054,
    errno.EPIPE: 10054,
    errno.ECONNABORTED: 10054,
    errno.ETIMEDOUT: 10060,
    errno.EHOSTUNREACH: 10065,
    errno.ENETUNREACH: 10065,
}


# Conditions that may clear by themselves: a booting host has no address or name server yet, a
# predecessor is still ending, a disk is full. A start that fails for one of these is retried.
TRANSIENT_CODES: Final = frozenset(
    {
        10035,
        10048,
        10049,
        10060,
        10065,
        *(10000 + number for number in (errno.ENOMEM, errno.ENOSPC, errno.EDQUOT, errno.EIO)),
    }
)


def code_of_errno(number: int | None) -> int:
    """Return the Winsock-style code of an errno; unknown ones as 10000 + errno."""
    if number is None:
        return 10054
    return ERRNO_CODES.get(number, 10000 + number)


@dataclass(frozen=True, slots=True)
class CloseRow:
    """One row of CLOSE_CODES (RFC 6455 section 7.4 and the IANA registry)."""

    number: int
    name: str
    on_the_wire: bool  # may appear in a close frame; 1005, 1006 and 1015 are only ever reported
    advice: str  # what a client that sees it should do


CLOSE_CODES: Final[dict[int, CloseRow]] = {
    row.number: row
    for row in (
        CloseRow(1000, "normal", True, "nothing; the connection has served its purpose"),
        CloseRow(1001, "going_away", True, "reconnect later; the server is stopping"),
        CloseRow(1002, "protocol_error", True, "do not reconnect until the client is fixed"),
        CloseRow(1003, "unsupported_data", True, "do not send this kind of data"),
        CloseRow(1005, "no_status", False, "nothing; the peer gave no reason"),
        CloseRow(1006, "abnormal", False, "reconnect with backoff; the connection was lost"),
        CloseRow(1007, "invalid_data", True, "send text as valid UTF-8"),
        CloseRow(1008, "policy_violation", True, "do not reconnect without a change"),
        CloseRow(1009, "message_too_big", True, "send smaller messages"),
        CloseRow(1010, "missing_extension", True, "only clients send it"),
        CloseRow(1011, "internal_error", True, "reconnect with backoff"),
        CloseRow(1012, "service_restart", True, "reconnect after a short random delay"),
        CloseRow(1013, "try_again_later", True, "reconnect with backoff; read faster"),
        CloseRow(1014, "bad_gateway", True, "reconnect with backoff"),
        CloseRow(1015, "tls_failure", False, "check certificates"),
    )
}


def is_sendable_close_code(code: int) -> bool:
    """Tell whether a close frame may carry `code` (RFC 6455 7.4.1, 7.4.2; IANA 1012-1014)."""
    row = CLOSE_CODES.get(code)
    return row.on_the_wire if row else 3000 <= code <= 4999


@dataclass(frozen=True, slots=True)
class ExitRow:
    """One row of EXIT_CODES: how a supervisor or a shard ended."""

    number: int
    name: str
    text: str


EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_CANNOT_START: Final = 3
EXIT_ORPHANED: Final = 4

EXIT_CODES: Final[dict[int, ExitRow]] = {
    row.number: row
    for row in (
        ExitRow(EXIT_OK, "ok", "stopped as asked"),
        ExitRow(
            EXIT_FAILED,
            "failed",
            "ended by an unexpected error, or cannot start now: the address, name service, disk or"
            " something the application needs is not available yet; a service manager retries it",
        ),
        ExitRow(EXIT_USAGE, "usage", "wrong command line or settings"),
        ExitRow(
            EXIT_CANNOT_START,
            "cannot_start",
            "cannot start; trying again does not help before somebody changes something",
        ),
        ExitRow(EXIT_ORPHANED, "orphaned", "a shard ended because its supervisor is gone"),
    )
}


class ShardwsError(Exception):
    """Base of all errors of this package; `code` is a number of ERROR_CODES."""

    default_code = 211

    def __init__(self, description: str = "", *, code: int | None = None) -> None:
        self.code = self.default_code if code is None else code
        row = ERROR_CODES.get(self.code)
        self.description = description or (row.text if row else f"error {self.code}")
        super().__init__(self.description)

    def __str__(self) -> str:
        return f"{self.description} ({self.code})"


class UsageError(ShardwsError):
    """The program that uses the server did something wrong."""


# Of an application that cannot run as written: a service manager need not try again.
LASTING_ERRORS: Final = (ImportError, SyntaxError, NameError, UsageError)


class SettingError(UsageError):
    """A setting: unknown name (214), bad value (213), wrong time (104, 106, 107, 211, 212)."""

    default_code = 213


class StateError(UsageError):
    """A call that does not fit the present state."""

    default_code = 211


class NoSuchConnection(UsageError):
    """No connection has this id."""

    default_code = 1117

    def __init__(self, connection_id: int) -> None:
        self.connection_id = connection_id
        super().__init__(f"no such connection: {connection_id}")


class StartError(ShardwsError):
    """The server cannot start; `exit_code` is what the process ends with.

    Without one it is EXIT_FAILED for TRANSIENT_CODES, which a service manager retries, else
    EXIT_CANNOT_START.
    """

    def __init__(self, description: str, *, code: int = 211, exit_code: int | None = None) -> None:
        if exit_code is None:
            exit_code = EXIT_FAILED if code in TRANSIENT_CODES else EXIT_CANNOT_START
        self.exit_code = exit_code
        super().__init__(description, code=code)


class TLSSetupError(StartError):
    """TLS cannot be offered as configured; a reload or an event handler may meet it as well.

    Codes: 270 provider, 271 store, 272 certificate, 273 trust, 274 suites, 275 protocols,
    276 groups or signature algorithms.
    """

    def __init__(self, code: int, description: str) -> None:
        super().__init__(description, code=code)


class SendInterrupted(ShardwsError):
    """A blocking send ended by Interrupt or by its timeout."""

    default_code = 301


class ControlError(ShardwsError):
    """A request over the control socket of a server got no reply.

    `was_sent`: the request was sent, so it may have been carried out; False: it was not. Codes:
    10065 no server runs, or it exited; 10060 timeout; 10013 another user's; 213 ambiguous.
    """

    default_code = 10065

    def __init__(
        self, description: str = "", *, code: int | None = None, was_sent: bool = False
    ) -> None:
        self.was_sent = was_sent
        super().__init__(description, code=code)


class Refused(ControlError):
    """The server refused the request and says why; nothing was done."""

    default_code = 213


class PeerError(ShardwsError):
    """The other side did something wrong; never raised to the application."""


class HandshakeError(PeerError):
    """An opening request that is refused with `status` and `headers`, then closed.

    `detail` is for the log alone: what the client sent, escaped, and the setting that decides.
    `body` is what the response carries; None: the description.
    """

    default_code = 435

    def __init__(
        self,
        status: int,
        description: str,
        headers: tuple[tuple[str, str], ...] = (),
        *,
        detail: str = "",
        body: bytes | None = None,
    ) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.detail = detail
        super().__init__(description)


class ProtocolError(PeerError):
    """Frames that break RFC 6455 or a limit; the connection is closed with `close_code`."""

    default_code = 434

    def __init__(self, close_code: int, description: str) -> None:
        self.close_code = close_code
        super().__init__(description)


class ProxyError(PeerError):
    """A PROXY header that is malformed or missing; the connection is closed without a response."""

    default_code = 435


class WireError(PeerError):
    """A frame that no peer of this version would send; the link is closed."""

    default_code = 434


class RecordError(WireError):
    """The record of a connection that another version wrote, or nobody; see wire.record."""
