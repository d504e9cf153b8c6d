"""routes: which route a path has, and with which parameters."""

from typing import Any

import pytest

from shardws.app.request import Query, cookies_of, segments_of, split_target
from shardws.app.routes import Routes
from shardws.headers import Headers


async def serve(ws: Any, **parameters: Any) -> None:
    pass


def routes() -> Routes:
    made = Routes()
    for pattern in (
        "/", "/chat/{room}", "/chat/lobby", "/chat/{room}/{number:int}", "/files/{rest:path}",
        "/{kind}/x", "/café",
    ):  # fmt: skip
        made.add(pattern, serve)
    return made


@pytest.mark.parametrize(
    ("path", "pattern", "parameters"),
    [
        ("/", "/", {}),
        ("/chat/tea", "/chat/{room}", {"room": "tea"}),
        ("/chat/lobby", "/chat/lobby", {}),
        ("/chat/a%2Fb", "/chat/{room}", {"room": "a/b"}),
        ("/chat/%C3%A9", "/chat/{room}", {"room": "é"}),
        ("/chat/tea/007", "/chat/{room}/{number:int}", {"room": "tea", "number": 7}),
        ("/chat/x", "/chat/{room}", {"room": "x"}),
        ("/other/x", "/{kind}/x", {"kind": "other"}),
        ("/files/a/b/c", "/files/{rest:path}", {"rest": "a/b/c"}),
        ("/caf%C3%A9", "/café", {}),
    ],
)
def test_a_path_has_one_route(path: str, pattern: str, parameters: dict[str, Any]) -> None:
    segments = segments_of(path)
    assert segments is not None
    found = routes().match(segments)
    assert found is not None
    assert (found[0].pattern, found[1]) == (pattern, parameters)


@pytest.mark.parametrize(
    "path",
    [
        "", "//", "/chat", "/chat/", "/chat//1", "/chat/tea/", "/chat/tea/-1", "/chat/tea/1x",
        "/chat/tea/" + "1" * 19, "/chat/tea/%D9%A1", "/files", "/files/", "/none", "/Chat/tea",
    ],
)  # fmt: skip
def test_a_path_of_no_route(path: str) -> None:
    segments = segments_of(path)
    assert segments is not None
    assert routes().match(segments) is None


def test_a_path_that_is_not_utf8_has_no_segments() -> None:
    assert segments_of("/chat/%ff") is None


@pytest.mark.parametrize(
    ("target", "parts"),
    [
        ("/a?b=c?d", ("/a", "b=c?d")),
        ("/a", ("/a", "")),
        ("ws://host:80/a/b?c", ("/a/b", "c")),
        ("ws://host", ("/", "")),
        ("ws://host?x", ("/", "x")),
    ],
)
def test_the_parts_of_a_target(target: str, parts: tuple[str, str]) -> None:
    assert split_target(target) == parts


def test_query_parameters() -> None:
    query = Query("a=1&b=&a=2&c+d=%26&e")
    assert dict(query) == {"a": "1", "b": "", "c d": "&", "e": ""}
    assert (query.get_all("a"), query.get_all("x"), query.get("x"), len(query)) == (
        ["1", "2"], [], None, 4,
    )  # fmt: skip
    with pytest.raises(KeyError):
        query["x"]
    assert repr(Query("token=secret")) == "<Query token>"


@pytest.mark.parametrize(
    ("fields", "cookies"),
    [
        ("", {}),
        ("Cookie: a=1; b=2", {"a": "1", "b": "2"}),
        ("Cookie: a=1\r\ncookie: a=2; c=x=y", {"a": "1", "c": "x=y"}),
        ('Cookie: q="a b"; e=; =x; alone; o="', {"q": "a b", "e": "", "o": '"'}),
    ],
)
def test_cookies(fields: str, cookies: dict[str, str]) -> None:
    assert cookies_of(Headers(fields)) == cookies
