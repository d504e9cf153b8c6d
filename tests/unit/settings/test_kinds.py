"""Each kind of value (kinds, measures, contents): text to value and back, and what is refused."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from shardws.settings import units
from shardws.settings.kinds import Auto, Bool, Choice, Int, Joined, Kind, Mask, Text, Words
from shardws.settings.kinds_bytes import Blob, Bytes
from shardws.settings.kinds_units import Seconds, Size, WholeDuration

BITS = Mask({"A": 1, "B": 6, "Zero": 0})
ON_OFF = Choice("off", "Shared")

# The kind, what is given, the value made of it.
ACCEPTED: list[tuple[Kind[Any], object, object]] = [
    (Int(), "12", 12),
    (Int(), " -3 ", -3),
    (Int(), "0x10", 16),
    (Int(), 5, 5),
    (Auto(), "auto", 0),
    (Auto(), "Auto ", 0),
    (Auto(), "3", 3),
    (Auto(), 4, 4),
    (Bool(), "True", True),
    (Bool(), "off", False),
    (Bool(), "1", True),
    (Bool(), 0, False),
    (Bool(), 1, True),
    (Bool(), True, True),
    (Text(), "a b ", "a b "),
    (Bytes(), "ü", "ü".encode()),
    (Bytes(), b"\0\xff", b"\0\xff"),
    (Bytes(), bytearray(b"x"), b"x"),
    (Bytes(), {"base64": "AP8="}, b"\0\xff"),
    (Blob(), "/path", "/path"),
    (Blob(), memoryview(b"x"), b"x"),
    (Seconds(), "250ms", 0.25),
    (Seconds(), 3, 3.0),
    (Seconds(), 0.5, 0.5),
    (WholeDuration(units.SECONDS), "5m", 300),
    (WholeDuration(units.SECONDS), 7, 7),
    (WholeDuration(units.MILLISECONDS), "5s", 5000),
    (Size(), "1MiB", 1 << 20),
    (Size(), 125, 125),
    (BITS, "7", 7),
    (BITS, "0x6", 6),
    (BITS, "a+b", 7),
    (BITS, "A, B", 7),
    (BITS, "A|B", 7),
    (BITS, 1, 1),
    (Words(), "a, b,,c", ("a", "b", "c")),
    (Words(), ["a", " b "], ("a", "b")),
    (Words(), (), ()),
    (Joined(), "a, b,", "a,b"),
    (Joined(), ["a", "b"], "a,b"),
    (ON_OFF, "shared", "Shared"),
    (ON_OFF, " OFF ", "off"),
    (ON_OFF, False, "off"),
]

REFUSED: list[tuple[Kind[Any], object, str]] = [
    (Int(), "", "whole number"),
    (Int(), "x", "whole number"),
    (Int(), "1.5", "whole number"),
    (Int(), "1_000", "whole number"),
    (Int(), "٣", "whole number"),
    (Int(), 1.0, "whole number"),
    (Int(), True, "whole number"),
    (Int(), None, "whole number"),
    (Auto(), "automatic", "whole number"),
    (Bool(), "maybe", "True or False"),
    (Bool(), 2, "True or False"),
    (Bool(), None, "True or False"),
    (Bool(), 1.0, "True or False"),
    (Text(), 5, "must be text"),
    (Text(), "a\0", "NUL"),
    (Bytes(), 5, "bytes or text"),
    (Bytes(), {"base64": "*"}, "valid base64"),
    (Bytes(), {"base64": 5}, "bytes or text"),
    (Bytes(), {}, "bytes or text"),
    (Blob(), 5, "bytes or text"),
    (Blob(), "a\0", "NUL"),
    (Seconds(), "soon", "such as 30s"),
    (Seconds(), True, "such as 30s"),
    (Seconds(), None, "such as 30s"),
    (Seconds(), float("nan"), "finite"),
    (Seconds(), float("inf"), "finite"),
    (WholeDuration(units.SECONDS), "250ms", "whole seconds"),
    (WholeDuration(units.SECONDS), 0.5, "whole number"),
    (Size(), "big", "such as 1MiB"),
    (BITS, "C", "a sum of A, B"),
    (BITS, "A+", "a sum of A, B"),
    (Words(), 5, "list of words"),
    (Words(), ["a", 5], "list of words"),
    (Words(), ["a,b"], "without commas"),
    (Words(), ["a\0"], "NUL"),
    (Words(), ["\ud800"], "surrogates"),
    (Text(), "\ud800", "surrogates"),
    (Bytes(), "\ud800", "surrogates"),
    (Blob(), "\ud800", "surrogates"),
    (Joined(), 5, "list of words"),
    (ON_OFF, "on", "one of off, Shared"),
    (ON_OFF, 5, "one of off, Shared"),
    (Choice("a", "b"), False, "one of a, b"),
]

SHOWN: list[tuple[Kind[Any], object, str, str]] = [
    # kind, value, as text that reads back, as shown to people
    (Int(), -5, "-5", "-5"),
    (Auto(), 0, "auto", "auto"),
    (Auto(), 2, "2", "2"),
    (Bool(), True, "True", "True"),
    (Bool(), False, "False", "False"),
    (Text(), "x", "x", "x"),
    (Text(), "a\nb", "a\nb", "<3 characters>"),
    (Bytes(), b"abc", "abc", "<3 bytes>"),
    (Bytes(), b"", "", ""),
    (Blob(), "path", "path", "path"),
    (Blob(), "-----BEGIN X", "-----BEGIN X", "<12 characters>"),
    (Blob(), b"abc", "abc", "<3 bytes>"),
    (Seconds(), 20.0, "20", "20s"),
    (Seconds(), 0.25, "0.25", "250ms"),
    (Seconds(), 1e-7, "0.0000001", "0.0000001s"),
    (WholeDuration(units.MILLISECONDS), 5000, "5000", "5s"),
    (Size(), 1 << 20, "1048576", "1MiB"),
    (BITS, 7, "7", "7 (A+B)"),
    (BITS, 6, "6", "6 (B)"),
    (BITS, 9, "9", "9"),
    (BITS, 0, "0", "0"),
    (Words(), ("a", "b"), "a,b", "a,b"),
    (Joined(), "a,b", "a,b", "a,b"),
    (ON_OFF, "Shared", "Shared", "Shared"),
]


@pytest.mark.parametrize(("kind", "given", "value"), ACCEPTED)
def test_a_good_value_is_taken(kind: Kind[Any], given: object, value: object) -> None:
    taken = kind.check(given)
    assert taken == value
    assert type(taken) is type(value)


@pytest.mark.parametrize(("kind", "given", "reason"), REFUSED)
def test_a_bad_value_is_refused_with_the_reason(
    kind: Kind[Any], given: object, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        kind.check(given)


@pytest.mark.parametrize(("kind", "value", "text", "shown"), SHOWN)
def test_a_value_is_written_as_text_for_people_and_as_json(
    kind: Kind[Any], value: object, text: str, shown: str
) -> None:
    assert kind.render(value) == text
    assert kind.show(value) == shown
    for back in (kind.parse(text), kind.check(json.loads(json.dumps(kind.to_json(value))))):
        # A blob of bytes reads back as text: which it was, only JSON keeps.
        assert back == value or (isinstance(value, bytes) and back == value.decode())


@pytest.mark.parametrize("parse", [Int().parse, Size().parse, Seconds().parse, BITS.parse])
def test_numbers_of_hostile_length_are_refused_at_once(parse: Callable[[str], object]) -> None:
    """int() of a long text is quadratic, or raises an error of other words beyond 4300 digits."""
    with pytest.raises(ValueError, match="must be"):
        parse("9" * 100_000)
