"""A small HTTP/1.1 server for operators and monitoring: one request, one response, then close.

Owns parsing requests and encoding responses; serving.py has the connections. Only GET and HEAD,
and POST for the paths that accept it. Not meant for the public: see access.py.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl

LONGEST_HEAD: Final = 16 << 10
LONGEST_BODY: Final = 64 << 10
MOST_FIELDS: Final = 16  # of a query
METHODS: Final = ("GET", "HEAD")
REQUEST_LINE: Final = re.compile(r"([A-Z]{1,20}) ([!-~]+) HTTP/([0-9]\.[0-9])")
HEADER: Final = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([^\x00-\x08\x0a-\x1f\x7f]*)")
SINGLE: Final = frozenset({"host", "authorization", "content-length", "origin"})
LENGTH: Final = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Request:
    """A request; header names in lower case."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Response:
    """A response."""

    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)

    def encode(self, *, with_body: bool) -> bytes:
        """Return the bytes on the wire."""
        fields = {
            "Content-Type": self.content_type,
            "Content-Length": str(len(self.body)),
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "Connection": "close",
            **self.headers,
        }
        lines = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in fields.items()]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        return head + self.body if with_body else head


class BadRequest(Exception):
    """A request that gets an error response with `status`; the connection is then closed."""

    def __init__(self, status: int, text: str, headers: dict[str, str] | None = None) -> None:
        self.status = status
        self.headers = headers or {}
        super().__init__(text)

    def response(self) -> Response:
        """Return the error response."""
        return Response(f"{self}\n".encode(), status=self.status, headers=self.headers)


def parse(head: bytes, posts: Collection[str] = ()) -> Request:
    """Parse a request's head, without the empty line; BadRequest when it is invalid or unsupported.

    As strict as RFC 9112 allows: visible ASCII in the target, no folded or repeated Host,
    Host present (3.2), origin-form only (3.2.1); a body and POST only for the paths in `posts`. One
    leading empty line is ignored (2.2).
    """
    first, *rest = head.removeprefix(b"\r\n").decode("latin-1").split("\r\n")
    line = REQUEST_LINE.fullmatch(first)
    if line is None:
        raise BadRequest(400, "not an HTTP request")
    method, target, version = line.groups()
    if version not in ("1.0", "1.1"):
        raise BadRequest(505, "HTTP/1.1 only")
    if not target.startswith("/"):
        raise BadRequest(400, "a target begins with /")
    path, _, query = target.partition("?")
    is_post = method == "POST" and path in posts
    if method not in METHODS and not is_post:
        raise BadRequest(405, "only GET and HEAD", {"Allow": ", ".join(METHODS)})
    headers = _headers(rest)
    if "host" not in headers and version == "1.1":
        raise BadRequest(400, "no Host")
    if body_length(headers) and not is_post:
        raise BadRequest(400, "a request has no body")
    try:
        fields = dict(parse_qsl(query, keep_blank_values=True, max_num_fields=MOST_FIELDS))
    except ValueError:
        raise BadRequest(400, f"a query has at most {MOST_FIELDS} fields") from None
    return Request(method, path, fields, headers)


def body_length(headers: dict[str, str]) -> int:
    """Return the length of a request's body; BadRequest when it is missing, invalid or too long."""
    if "transfer-encoding" in headers:
        raise BadRequest(400, "a body has a Content-Length here")
    length = headers.get("content-length", "0")
    if not LENGTH.fullmatch(length):
        raise BadRequest(400, "malformed Content-Length")
    if int(length) > LONGEST_BODY:
        raise BadRequest(413, f"a body has at most {LONGEST_BODY} bytes")
    return int(length)


def _headers(lines: list[str]) -> dict[str, str]:
    """Return the fields by lower-case name; BadRequest for a malformed one or a second Host."""
    headers: dict[str, str] = {}
    for line in lines:
        field = HEADER.fullmatch(line)
        if field is None:
            raise BadRequest(400, "not a header")
        name, value = field[1].lower(), field[2].strip(" \t")
        if name in SINGLE and name in headers:
            raise BadRequest(400, f"{name} is there twice")
        headers[name] = value
    return headers
