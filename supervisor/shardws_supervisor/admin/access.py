"""Who may ask the admin server.

Owns the token and the check of Host; knows no path. Without a token the server is bound to loopback
(settings/pairs.py sees to that), and then only requests that name a loopback host are answered: a
page of the web cannot read it by giving its own name our address (DNS rebinding). With a token
nobody who lacks it gets anything, whatever the name; the page alone takes it in its address, since
a browser sends no Authorization for what is typed there.
"""

import hmac
import re
from dataclasses import dataclass
from typing import Final

from shardws_supervisor.admin.http import Request, Response

LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
LOOPBACK_BLOCK: Final = re.compile(r"127(?:\.[0-9]{1,3}){3}")
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
        given = request.headers.get("authorization", "")
        if request.path == PAGE and not given and "token" in request.query:
            given = "Bearer " + request.query["token"]
        scheme, _, secret = given.partition(" ")
        # Compared as bytes and in constant time; the scheme is no secret (RFC 9110 11.1).
        is_right = hmac.compare_digest(secret.encode(errors="replace"), self.token.encode())
        return None if is_right and scheme.lower() == "bearer" else UNKNOWN


def is_loopback_name(host: str) -> bool:
    """Tell whether a Host field names this host as only this host can; any port."""
    name = host.lower()
    if not name.endswith("]"):
        name = name.rpartition(":")[0] or name
    return name in LOOPBACK_NAMES or LOOPBACK_BLOCK.fullmatch(name) is not None


FOREIGN: Final = Response(b"this host name is not served\n", status=403)
UNKNOWN: Final = Response(
    b"a token is needed: Authorization: Bearer TOKEN, or /?token=TOKEN for the page\n",
    status=401,
    headers=CHALLENGE,
)
