"""The SNI map."""

import pytest

from shardws.errors import TLSSetupError
from shardws.tls.sni import SNIMap, normalize

MAP = SNIMap(
    [("example.org", 1), ("*.example.org", 2), ("Chat.Example.Org.", 3), ("bücher.example", 4)]
)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("example.org", 1),
        ("www.example.org", 2),
        ("chat.example.org", 3),
        ("a.b.example.org", None),
        (".example.org", None),
        ("xn--bcher-kva.example", 4),
        ("org", None),
        ("", None),
        ("other.net", None),
        ("*.example.org", 2),
    ],
)
def test_find(name: str, found: int | None) -> None:
    assert MAP.find(name) == found


def test_values() -> None:
    assert MAP.values() == [1, 2, 3, 4]
    assert len(MAP) == 4
    assert SNIMap[int]().find("a") is None


@pytest.mark.parametrize(
    "pattern", ["", "*", "*.", "a.*.b", "**.a", "a b", "a..b", "x" * 64 + ".org", " "]
)
def test_bad_patterns(pattern: str) -> None:
    with pytest.raises(TLSSetupError) as caught:
        normalize(pattern)
    assert caught.value.code == 272


def test_a_doubled_pattern_is_an_error() -> None:
    with pytest.raises(TLSSetupError, match="twice"):
        SNIMap([("a.org", 1), ("A.org", 2)])
