"""headers: the fields of an opening request, whatever stands in their values."""

import pytest

from shardws import Headers
from shardws.errors import UsageError

TEXT = "Host: a\r\nCookie: s=1\r\nX-Role:\t user \r\nx-role: admin\r\nEmpty:"


def test_names_are_found_in_any_case_and_the_first_one_counts() -> None:
    headers = Headers(TEXT)
    assert headers["HOST"] == headers.get("host") == "a"
    assert headers["X-Role"] == "user"
    assert headers["empty"] == ""
    assert ("COOKIE" in headers, "nosuch" in headers, 5 in headers) == (True, False, False)


def test_what_is_not_there() -> None:
    headers = Headers(TEXT)
    assert headers.get("nosuch") is None
    assert headers.get("nosuch", "x") == "x"
    assert headers.get_all("nosuch") == []
    with pytest.raises(KeyError, match="nosuch"):
        headers["nosuch"]


def test_repeated_fields_keep_their_order() -> None:
    headers = Headers(TEXT)
    assert headers.get_all("X-ROLE") == ["user", "admin"]
    names = ["Host", "Cookie", "X-Role", "x-role", "Empty"]
    assert list(headers) == [name for name, _ in headers.items()] == names
    assert len(headers) == 5


@pytest.mark.parametrize("octet", ["\x85", "\x0b", "\x0c", "\x1c", "\u2028", "\n"])
def test_only_crlf_ends_a_line(octet: str) -> None:
    """`splitlines` made a header of what stands behind such an octet in a value."""
    headers = Headers(f"X: y{octet}Cookie: session=f3a9\r\nHost: a")
    assert "cookie" not in headers
    assert headers["x"] == f"y{octet}Cookie: session=f3a9"


def test_values_are_not_shown_and_nothing_can_be_changed() -> None:
    headers = Headers(TEXT)
    assert repr(headers) == "<Headers Host, Cookie, X-Role, x-role, Empty>"
    with pytest.raises(AttributeError, match="cannot be changed"):
        headers.extra = 1
    assert headers == Headers(TEXT) != Headers("Host: b")
    assert hash(headers) == hash(Headers(TEXT))
    assert list(Headers("")) == []


def test_a_line_without_a_colon_is_no_header() -> None:
    with pytest.raises(UsageError) as caught:
        Headers("Host: a\r\nnonsense")
    assert caught.value.code == 213
