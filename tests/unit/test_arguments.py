"""The checks of values that a program gives: each kind takes its own and nothing near it."""

from collections.abc import Callable
from typing import Any

import pytest

from shardws import arguments
from shardws.errors import UsageError

Check = Callable[[object, str], object]

TAKEN: list[tuple[Check, object, object]] = [
    (arguments.boolean, True, True),
    (arguments.boolean, False, False),
    (arguments.number, 0, 0),
    (arguments.number, -5, -5),
    (arguments.text, "", ""),
    (arguments.text, "grüße", "grüße"),
    (arguments.path_or_content, "/a", "/a"),
    (arguments.path_or_content, bytearray(b"x"), b"x"),
    (arguments.content, b"\xff", b"\xff"),
    (arguments.content, memoryview(b"abc")[1:], b"bc"),
    (arguments.utf8, "ü", b"\xc3\xbc"),
    (arguments.utf8, bytearray(b"\xc3\xbc"), b"\xc3\xbc"),
    (arguments.payload, "ü", b"\xc3\xbc"),
    (arguments.payload, b"\xff", b"\xff"),
]
REFUSED: list[tuple[Check, list[Any]]] = [
    (arguments.boolean, [None, 0, 1, "True", "", 1.0, []]),
    (arguments.number, [None, True, "5", 1.0, b"5"]),
    (arguments.text, [None, 5, b"x", True, "\ud800"]),
    (arguments.path_or_content, [None, 5, "\udfff", ["a"]]),
    (arguments.content, [None, 5, "x", True, [1], 1.5]),
    (arguments.utf8, [None, 5, b"\xff", "\ud800", [1]]),
    (arguments.payload, [None, 5, True, "\ud800", [1], 1.5]),
]


@pytest.mark.parametrize(("check", "given", "taken"), TAKEN)
def test_a_value_of_the_kind_is_taken(check: Check, given: object, taken: object) -> None:
    found = check(given, "x")
    assert (type(found), found) == (type(taken), taken)


@pytest.mark.parametrize(
    ("check", "given"), [(check, given) for check, values in REFUSED for given in values]
)
def test_any_other_is_a_usage_error_that_names_what_it_was_for(check: Check, given: object) -> None:
    with pytest.raises(UsageError, match="the field") as raised:
        check(given, "the field")
    assert raised.value.code == 213
