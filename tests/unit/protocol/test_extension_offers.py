"""The grammar of Sec-WebSocket-Extensions."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardws.protocol import extension_offers


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        ("a", [("a", [])]),
        ("  a\t", [("a", [])]),
        ("a,b , c", [("a", []), ("b", []), ("c", [])]),
        ("a; x", [("a", [("x", None)])]),
        ("a;x ; y", [("a", [("x", None), ("y", None)])]),
        ("a; x=1; y = 2", [("a", [("x", "1"), ("y", "2")])]),
        ('a; x="1"', [("a", [("x", "1")])]),
        ('a; x="1, 2; 3"; y, b', [("a", [("x", "1, 2; 3"), ("y", None)]), ("b", [])]),
        ('a; x="\\1\\"2"', [("a", [("x", '1"2')])]),
        ('a; x=""', [("a", [("x", "")])]),
        ("a; x=1; x=2", [("a", [("x", "1"), ("x", "2")])]),
        # broken ones are left out, and reading goes on behind the next comma
        (",a", [("a", [])]),
        ("a,,b", [("a", []), ("b", [])]),
        ("a;, b", [("b", [])]),
        ("a; x=, b", [("b", [])]),
        ("a; =1, b", [("b", [])]),
        ("a b, c", [("c", [])]),
        ("(a), b", [("b", [])]),
        ('a; x="1, b', []),
        ('a; x="1, 2"z, b', [("b", [])]),
        ("a; x=1 2, b", [("b", [])]),
        ("a; x=ü, b", [("b", [])]),
    ],
)
def test_texts(text: str, found: list[tuple[str, list[tuple[str, str | None]]]]) -> None:
    assert extension_offers.parse(text) == found


@given(st.text(alphabet='ab ;,="\\\t', max_size=60))
def test_any_text_is_read(text: str) -> None:
    for offer in extension_offers.parse(text):
        assert offer.name


@pytest.mark.parametrize("text", ['"' * 16384, "a;" * 8192, 'a;x="\\' * 2000, "a=" * 8192])
def test_long_headers_take_linear_time(text: str) -> None:
    """A header of 16 KiB that defeats the grammar at each step must not hold up the loop."""
    started = time.process_time()
    extension_offers.parse(text)
    assert time.process_time() - started < 0.5
