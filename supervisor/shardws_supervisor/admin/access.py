"""Access control of the admin server.

Owns the token and the check of the Host field. Without a token the server is bound to loopback
(settings/cross_checks.py enforces that) and answers only requests that name a loopback host, so
that a web page cannot read it by making its own name resolve to our address (DNS rebinding). With
a token every request must present it, whatever the host name. The dashboard page alone also accepts
it in its URL, since a browser sends no Authorization field for a typed address.
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
    """Checks requests against one token; "" means no token is set."""

    token: str

    def refusal(self, request: Request) -> Response | None:
        """Return the response that refuses a request, None when it is allowed."""
        if not self.token:
            return None if is_loopback_name(request.headers.get("host", "")) else FOREIGN
        scheme, _, secret = request.headers.get("authorization", "").partition(" ")
        given = secret.encode("latin-1", "replace")  # the header's octets as received
        if request.path == PAGE and not scheme and "token" in request.query:
            scheme, given = "bearer", request.query["token"].encode(errors="replace")
        # The scheme is not secret (RFC 9110 11.1).
        is_right = is_same_secret(given, self.token.encode())
        return None if is_right and scheme.lower() == "bearer" else UNKNOWN


def is_same_secret(given: bytes, secret: bytes) -> bool:
    """Compare in constant time, independent of the secret's length."""
    return hmac.compare_digest(hashlib.sha256(given).digest(), hashlib.sha256(secret).digest())


def is_loopback_name(host: str) -> bool:
    """Tell whether a Host field names the loopback interface; any port."""
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
