"""Names: any spelling finds the row, and a misspelt one names the nearest in the same manner."""

import pytest

from shardws.errors import SettingError
from shardws.settings import table
from shardws.settings.names import find, nearest


@pytest.mark.parametrize(
    "name", ["LocalPort", "localport", "LOCALPORT", "local_port", "LOCAL_PORT", "local-port"]
)
def test_any_spelling_finds_the_row(name: str) -> None:
    assert find(name) is table.LOCAL_PORT


@pytest.mark.parametrize(
    ("name", "close"),
    [
        ("LocalProt", "LocalPort"),
        ("local_prot", "local_port"),
        ("local-prot", "local-port"),
        ("--local-prot", "local-port"),
        ("SHARDWS_LOCAL_PROT", "SHARDWS_LOCAL_PORT"),
        ("SSLEnabledProtocol", "SSLEnabledProtocols"),
        ("pinginterval", "ping_interval"),
        ("xyzzy", ""),
        ("", ""),
        ("x" * 1_000_000, ""),
    ],
)
def test_a_misspelt_name_finds_the_nearest_in_its_manner(name: str, close: str) -> None:
    assert nearest(name) == close


def test_an_unknown_name_is_error_214_with_the_nearest() -> None:
    with pytest.raises(SettingError, match="did you mean local_port") as caught:
        find("local_prot")
    assert caught.value.code == 214


def test_a_name_like_no_other_is_error_214_without_a_hint() -> None:
    with pytest.raises(SettingError, match=r"^there is no setting 'xyzzy' \(214\)$"):
        find("xyzzy")


def test_a_name_of_any_length_is_refused_in_few_words() -> None:
    with pytest.raises(SettingError) as caught:
        find("localport" * 100_000)
    assert len(str(caught.value)) < 200
