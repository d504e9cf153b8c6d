"""The dashboard: one file of HTML, and the header that lets nothing else run in it.

Owns page.html and its Content-Security-Policy. Script and style are allowed by their hashes, so
text that came from a client cannot become either, even if the page forgot to escape it (CSP 3).
"""

import base64
import hashlib
import re
from pathlib import Path
from typing import Final

from shardws_supervisor.admin.http import Response

FILE: Final = Path(__file__).with_name("page.html")
INLINE: Final = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)


def load() -> Response:
    """Return the answer to `/`; OSError when the file is missing from the installation."""
    text = FILE.read_text(encoding="utf-8")
    return Response(text.encode(), "text/html; charset=utf-8", headers=headers(text))


def headers(text: str) -> dict[str, str]:
    """Return what a browser is told about the page."""
    hashes = {name: f"'sha256-{digest(body)}'" for name, body in INLINE.findall(text)}
    policy = (
        "default-src 'none'",
        f"script-src {hashes['script']}",
        f"style-src {hashes['style']}",
        "img-src data:",
        "connect-src 'self' ws: wss:",  # the console reaches the server, on another port
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
    return {
        "Content-Security-Policy": "; ".join(policy),
        "Referrer-Policy": "no-referrer",
        "X-Frame-Options": "DENY",
    }


def digest(body: str) -> str:
    """Return the SHA-256 of an inline element as CSP writes it."""
    return base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
