"""Who may ask the admin server.

Owns the token and the check of Host; knows no path. Without a token the server is bound to loopback
(settings/cross_checks.py sees to that), and then only requests that name a loopback host are
answered: a page of the web cannot read it by giving its own name our address (DNS rebinding). With
a token nobody who lacks it gets anything, whatever the name; the page alone takes it in its
address, since a browser sends no Authorization for what is typed there.
"""

import hashlib
import hmac
import ipaddress
from dataclasses import dataclass
from typing import Final

from shardws_supervisor.admin.http import Request, Response

CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="shardws"'}
PAGE: Final = "/"


@dataclass(frozen=True, slots=True)
class Access:
    """Answers for one token; "" is none."""

    token: str

    def refusal(self, request: Request) -> Response | None:
        """Return the answer to somebody who may not ask, None for who may."""
        if not self.token:
            return None if is_loopback_name(request.headers.get("host", "")) else FOREIGN
        scheme, _, secret = request.headers.get("authorization", "").partition(" ")
        given = secret.encode("latin-1", "replace")  # a header's octets, as they came
        if request.path == PAGE and not scheme and "token" in request.query:
            scheme, given = "bearer", request.query["token"].encode(errors="replace")
        # The scheme is no secret (RFC 9110 11.1).
        is_right = is_same_secret(given, self.token.encode())
        return None if is_right and scheme.lower() == "bearer" else UNKNOWN


def is_same_secret(given: bytes, secret: bytes) -> bool:
    """Compare in a time that tells nothing, not even how long the secret is."""
    return hmac.compare_digest(hashlib.sha256(given).digest(), hashlib.sha256(secret).digest())


def is_loopback_name(host: str) -> bool:
    """Tell whether a Host field names this host as only this host can; any port."""
    name = host.lower()
    if not name.endswith("]"):
        name = name.rpartition(":")[0] or name
    if name == "localhost":
        return True
    is_v6 = name.startswith("[") and name.endswith("]")
    try:
        address = ipaddress.ip_address(name[1:-1] if is_v6 else name)
    except ValueError:
        return False
    return address.is_loopback and (address.version == 6) is is_v6


FOREIGN: Final = Response(b"this host name is not served\n", status=403)
UNKNOWN: Final = Response(
    b"a token is needed: Authorization: Bearer TOKEN, or /?token=TOKEN for the page\n",
    status=401,
    headers=CHALLENGE,
)
