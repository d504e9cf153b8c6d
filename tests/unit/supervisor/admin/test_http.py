"""http: heads are read strictly and bounded; an answer on the wire."""

import pytest

from shardws_supervisor.admin.http import BadRequest, Request, Response, body_length, parse

HOST = b"\r\nHost: h:1"


def test_a_request_is_taken_apart() -> None:
    request = parse(b"GET /status?x=1&y=a%20b&z HTTP/1.1\r\nHost: h:1\r\nX-Y: \tz ")
    query = {"x": "1", "y": "a b", "z": ""}
    assert request == Request("GET", "/status", query, {"host": "h:1", "x-y": "z"})


def test_the_older_version_needs_no_host() -> None:
    assert parse(b"GET /livez HTTP/1.0") == Request("GET", "/livez", {}, {})


BAD = {
    "nothing": (b"", 400),
    "garbage": (b"\x16\x03\x01", 400),
    "no version": (b"GET /", 400),
    "two blanks": (b"GET  / HTTP/1.1" + HOST, 400),
    "lower case": (b"get / HTTP/1.1" + HOST, 400),
    "octets in the target": (b"GET /\xff HTTP/1.1" + HOST, 400),
    "bare line feed": (b"GET / HTTP/1.1\nHost: h", 400),
    "folded header": (b"GET / HTTP/1.1\r\nA: b\r\n c" + HOST, 400),
    "blank before the colon": (b"GET / HTTP/1.1\r\nA : b" + HOST, 400),
    "no colon": (b"GET / HTTP/1.1\r\nA" + HOST, 400),
    "zero in a header": (b"GET / HTTP/1.1\r\nA: \x00" + HOST, 400),
    "no host": (b"GET / HTTP/1.1\r\nA: b", 400),
    "two hosts": (b"GET / HTTP/1.1" + HOST + HOST, 400),
    "two secrets": (b"GET / HTTP/1.1\r\nAuthorization: a\r\nAuthorization: b" + HOST, 400),
    "whole address": (b"GET http://h/ HTTP/1.1" + HOST, 400),
    "long query": (b"GET /?" + b"a=1&" * 20 + b" HTTP/1.1" + HOST, 400),
    "other version": (b"GET / HTTP/2.0" + HOST, 505),
    "other method": (b"POST / HTTP/1.1" + HOST, 405),
    "a body": (b"GET / HTTP/1.1\r\nContent-Length: 3" + HOST, 400),
    "a chunked body": (b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked" + HOST, 400),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_not_taken(name: str) -> None:
    head, status = BAD[name]
    with pytest.raises(BadRequest) as caught:
        parse(head)
    assert caught.value.status == status
    assert caught.value.response().status == status


def test_the_methods_are_named() -> None:
    with pytest.raises(BadRequest) as caught:
        parse(b"DELETE / HTTP/1.1" + HOST)
    assert caught.value.response().headers == {"Allow": "GET, HEAD"}


def test_a_response_on_the_wire() -> None:
    response = Response(b"hi", status=404, headers={"X": "y"})
    head, _, body = response.encode(with_body=True).partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "HTTP/1.1 404 Not Found"
    assert {"Content-Length: 2", "Connection: close", "X: y"} <= set(lines)
    assert body == b"hi"
    assert response.encode(with_body=False).endswith(b"\r\n\r\n")


def test_one_empty_line_in_front_is_ignored() -> None:
    """RFC 9112 2.2: clients of old sent one behind a body."""
    assert parse(b"\r\nGET /livez HTTP/1.0").path == "/livez"
    with pytest.raises(BadRequest):
        parse(b"\r\n\r\nGET /livez HTTP/1.0")


POST = b"POST /send HTTP/1.1" + HOST


def test_a_body_is_for_the_paths_that_take_one() -> None:
    request = parse(POST + b"\r\nContent-Length: 3", ("/send",))
    assert (request.method, body_length(request.headers)) == ("POST", 3)
    for head, status in (
        (POST.replace(b"/send", b"/"), 405),
        (POST + b"\r\nContent-Length: +3", 400),
        (POST + b"\r\nContent-Length: \xb2", 400),
        (POST + b"\r\nTransfer-Encoding: chunked", 400),
        (POST + b"\r\nContent-Length: 65537", 413),
        (POST.replace(b"POST", b"GET") + b"\r\nContent-Length: 3", 400),
    ):
        with pytest.raises(BadRequest) as caught:
            parse(head, ("/send",))
        assert caught.value.status == status, head
