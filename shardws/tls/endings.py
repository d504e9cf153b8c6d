"""How a TLS stream ended, as plain values.

Owns the texts and codes (errors.ERROR_CODES 280 to 284, 0 for a clean end). Fact:
a FIN without close_notify may be an attacker's (RFC 8446 section 6.1), so it is an error, even
after a WebSocket close frame, which shows that nothing is missing.
"""

from typing import Final, NamedTuple


class Ending(NamedTuple):
    """The end of a TLS stream; `code` 0 is a clean one."""

    code: int
    description: str

    @property
    def is_clean(self) -> bool:
        return not self.code


CLOSE_NOTIFY: Final = Ending(0, "the peer ended the TLS stream")
LOCAL: Final = Ending(0, "the TLS stream was ended here")
TRUNCATED: Final = Ending(283, "the peer closed TCP without ending the TLS stream")
REFUSED: Final = Ending(284, "the peer ended the TLS stream, as a renegotiation was refused")
LEFT: Final = Ending(280, "the peer left during the TLS handshake")

# OpenSSL's reasons that are reported in clearer words.
WORDS: Final = {
    "http request": "plain HTTP on the TLS port",
    "https proxy request": "an HTTP proxy request on the TLS port",
    "wrong version number": "not TLS, or a version that is not enabled",
    "packet length too long": "not TLS",
}
CERTIFICATE_REASONS: Final = ("certificate verify failed", "did not return a certificate")


def handshake_failure(reason: str, status: str) -> Ending:
    """Return the ending for a failed handshake; `status` is what a verification found."""
    if any(words in reason for words in CERTIFICATE_REASONS):
        return Ending(281, f"client certificate refused: {status or reason}")
    return Ending(280, f"TLS handshake failed: {WORDS.get(reason, reason)}")
