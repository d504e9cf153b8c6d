"""What OpenSSL's callbacks see of one connection: certificates, progress, packets.

Owns the record and its wording. It refers to neither engine nor connection, so no reference cycle
keeps a closed connection alive. The callbacks belong to a Context, made before the fork; they find
the state as the Connection's app data. Packets are logged by direction, kind and size: never their
content, which may be application data or a session ticket.
"""

from collections.abc import Callable
from typing import Final

from cryptography import x509
from OpenSSL import SSL, crypto

from shardws.tls.verification import ClientCertificate, Verification, absent

MAX_LINES: Final = 256  # a handshake with packets logged makes about 60
HANDSHAKE: Final = 22
KINDS: Final = {20: "ChangeCipherSpec", 21: "Alert", 22: "Handshake"}
MESSAGES: Final = {
    0: "HelloRequest",
    1: "ClientHello",
    2: "ServerHello",
    4: "NewSessionTicket",
    8: "EncryptedExtensions",
    11: "Certificate",
    12: "ServerKeyExchange",
    13: "CertificateRequest",
    14: "ServerHelloDone",
    15: "CertificateVerify",
    16: "ClientKeyExchange",
    20: "Finished",
    22: "CertificateStatus",
    24: "KeyUpdate",
}
# RFC 8446 section 6 and the IANA registry.
ALERTS: Final = {
    0: "close_notify",
    10: "unexpected_message",
    20: "bad_record_mac",
    22: "record_overflow",
    40: "handshake_failure",
    42: "bad_certificate",
    43: "unsupported_certificate",
    44: "certificate_revoked",
    45: "certificate_expired",
    46: "certificate_unknown",
    47: "illegal_parameter",
    48: "unknown_ca",
    49: "access_denied",
    50: "decode_error",
    51: "decrypt_error",
    70: "protocol_version",
    71: "insufficient_security",
    80: "internal_error",
    86: "inappropriate_fallback",
    90: "user_canceled",
    100: "no_renegotiation",
    109: "missing_extension",
    110: "unsupported_extension",
    112: "unrecognized_name",
    116: "certificate_required",
    120: "no_application_protocol",
}

CertificateHook = Callable[[ClientCertificate], bool]


class CallbackState:
    """The record of one connection."""

    __slots__ = (
        "_is_chain_wanted",
        "_verification",
        "certificate",
        "hook",
        "ignored",
        "is_accepted",
        "lines",
        "starts",
    )

    def __init__(
        self, hook: CertificateHook | None, ignored: frozenset[int], is_chain_wanted: bool
    ) -> None:
        self.hook = hook
        self.ignored = ignored
        self._is_chain_wanted = is_chain_wanted
        self._verification: Verification | None = None
        self.certificate: ClientCertificate | None = None
        self.is_accepted = False
        self.starts = 0  # handshakes begun; above 1 in TLS 1.2 it is a renegotiation
        self.lines: list[str] = []

    def judge(self, certificate: crypto.X509, error: int, depth: int, ok: int) -> bool:
        """Collect a verification callback; at the last one call the hook and return its decision.

        A certificate that cannot be read is refused without calling it. An exception of the hook
        passes through: the handshake then fails.
        """
        if self._verification is None:
            self._verification = Verification()
        try:
            self._verification.add(certificate.to_cryptography(), error, depth, self.ignored)
            if depth or not ok:
                return True
            found = self._verification.conclude(self._is_chain_wanted)
        except (ValueError, x509.InvalidVersion) as failure:
            self.tell(f"client certificate cannot be read: {failure}")
            return False
        self._verification = None
        return self._ask(found)

    def judge_absence(self, is_required: bool) -> bool:
        """Call the hook for a client that presented no certificate, and return its decision."""
        return self._ask(absent(is_required))

    def _ask(self, found: ClientCertificate) -> bool:
        self.certificate = found
        self.is_accepted = self.hook(found) if self.hook else found.is_trusted
        return self.is_accepted

    def tell(self, line: str) -> None:
        """Add a line of progress; a peer cannot make more than MAX_LINES of them."""
        if len(self.lines) < MAX_LINES:
            self.lines.append(line)

    def step(self, connection: SSL.Connection, where: int, value: int) -> None:
        """Note an info callback of OpenSSL."""
        if where & SSL.SSL_CB_HANDSHAKE_START:
            self.starts += 1
            self.tell("handshake started")
        elif where & SSL.SSL_CB_HANDSHAKE_DONE:
            self.tell("handshake completed")
        elif where & SSL.SSL_CB_ALERT:
            side = "received" if where & SSL.SSL_CB_READ else "sent"
            self.tell(f"alert {side}: {alert_text(value)}")
        elif where & SSL.SSL_CB_LOOP:
            self.tell(connection.get_state_string().decode())

    def packet(self, is_sent: int, version: int, kind: int, head: bytes) -> None:
        """Note a packet of the record layer; application data and inner types are ignored."""
        name = KINDS.get(kind)
        if name is None or not head:
            return
        if kind == HANDSHAKE and len(head) == 4:
            message = MESSAGES.get(head[0], f"message {head[0]}")
            name = f"{name} {message}, {int.from_bytes(head[1:], 'big') + 4} bytes"
        elif len(head) == 2:
            name = f"{name} {alert_text(head[0] << 8 | head[1])}"
        self.tell(f"packet {'sent' if is_sent else 'received'}: {version:#06x} {name}")


def alert_text(value: int) -> str:
    """Return the words for an alert: level << 8 or number."""
    level = "fatal" if value >> 8 == 2 else "warning"
    return f"{level} {ALERTS.get(value & 0xFF, value & 0xFF)}"
