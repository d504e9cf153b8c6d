"""The dashboard: one HTML file, and a Content-Security-Policy that lets nothing else run in it.

Script and style are allowed by their hashes, so text from a client cannot become either, even if
the page failed to escape it (CSP 3).
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
    """Return the response to `/`; OSError when the file is missing from the installation."""
    text = FILE.read_text(encoding="utf-8")
    return Response(text.encode(), "text/html; charset=utf-8", headers=headers(text))


def headers(text: str) -> dict[str, str]:
    """Return the page's response headers."""
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
    """Return the SHA-256 of an inline element in CSP notation."""
    return base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
