"""How a stream ended: words and codes."""

import pytest

from shardws.errors import ERROR_CODES
from shardws.tls import endings


@pytest.mark.parametrize(
    ("reason", "status", "code", "words"),
    [
        ("http request", "", 280, "plain HTTP on the TLS port"),
        ("no shared cipher", "", 280, "no shared cipher"),
        ("certificate verify failed", "certificate has expired", 281, "certificate has expired"),
        ("peer did not return a certificate", "", 281, "did not return"),
    ],
)
def test_handshake_failures(reason: str, status: str, code: int, words: str) -> None:
    ending = endings.handshake_failure(reason, status)
    assert ending.code == code
    assert words in ending.description
    assert not ending.is_clean


def test_codes_are_known() -> None:
    for ending in (endings.TRUNCATED, endings.LEFT):
        assert ending.code in ERROR_CODES
        assert not ending.is_clean
    assert endings.CLOSE_NOTIFY.is_clean
    assert endings.LOCAL.is_clean
