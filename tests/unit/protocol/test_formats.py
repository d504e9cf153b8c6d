"""Data formats: what becomes of what an application gives."""

import pytest

from shardws.errors import UsageError
from shardws.protocol import formats

EURO = "€".encode()


@pytest.mark.parametrize(
    ("data", "data_format", "kind", "payload"),
    [
        ("€", 0, 1, EURO),
        ("", 0, 1, b""),
        (EURO, 0, 1, EURO),
        (b"", 0, 1, b""),
        (b"\xff", 0, 2, b"\xff"),
        (EURO[:2], 0, 2, EURO[:2]),
        ("€", 1, 1, EURO),
        (EURO, 1, 1, EURO),
        ("€", 2, 2, EURO),
        (EURO, 2, 2, EURO),
        (b"\xff", 2, 2, b"\xff"),
        ("p", 9, 9, b"p"),
        (b"\xff" * 125, 9, 9, b"\xff" * 125),
        ("p", 10, 10, b"p"),
        (b"", 10, 10, b""),
    ],
)
def test_formats(data: str | bytes, data_format: int, kind: int, payload: bytes) -> None:
    assert formats.message_of(data, data_format) == (kind, payload)


@pytest.mark.parametrize(
    ("data", "data_format", "words"),
    [
        (b"\xff", 1, "UTF-8"),
        ("\ud800", 0, "surrogate"),
        (b"p" * 126, 9, "125"),
        ("ü" * 63, 10, "125"),
        ("a", 3, "0, 1, 2, 9, 10"),
        (b"a", 8, "0, 1, 2, 9, 10"),
        (b"a", -1, "0, 1, 2, 9, 10"),
    ],
)
def test_what_cannot_be_sent(data: str | bytes, data_format: int, words: str) -> None:
    with pytest.raises(UsageError, match=words) as raised:
        formats.message_of(data, data_format)
    assert raised.value.code == 213


def test_automatic_is_the_default() -> None:
    assert formats.message_of("a") == (1, b"a")
