"""Settings that cannot work together, and those beside them that can."""

import pytest

from shardws.errors import SettingError
from shardws.settings import Settings
from shardws.settings.cross_checks import check, problems

GOOD: list[dict[str, object]] = [
    {},
    {"out_low_mark": 1 << 20, "out_high_mark": 1 << 20},
    {"tls13_key_share_groups": "x25519"},
    {
        "tls13_key_share_groups": "ecdhe_x25519, P-256",
        "tls13_supported_groups": "prime256v1,X25519",
    },
    {"tls13_key_share_groups": "ffdhe_2048", "tls13_supported_groups": "ffdhe2048"},
    {"tls13_supported_groups": "X25519"},
    {"proxy_protocol": "v2", "trusted_proxies": "10.0.0.0/8"},
    {"admin_address": "127.0.0.1:9002"},
    {"admin_address": "localhost:9002"},
    {"admin_address": "[::1]:9002"},
    {"admin_address": "0.0.0.0:9002", "admin_token": "0123456789abcdef"},
]
BAD: list[tuple[dict[str, object], str, int]] = [
    ({"out_low_mark": 2048, "out_high_mark": 1024}, "OutLowMark", 213),
    (
        {"tls13_key_share_groups": "x25519,p384", "tls13_supported_groups": "x25519"},
        "TLS13KeyShareGroups",
        276,
    ),
    ({"proxy_protocol": "any"}, "ProxyProtocol needs TrustedProxies", 213),
    ({"admin_address": "0.0.0.0:9002"}, "needs AdminToken", 213),
    ({"admin_address": "example.com:9002"}, "needs AdminToken", 213),
]


@pytest.mark.parametrize("values", GOOD)
def test_what_works_together_is_no_problem(values: dict[str, object]) -> None:
    settings = Settings()
    settings.load(values)
    check(settings)
    assert problems(settings) == []


@pytest.mark.parametrize(("values", "words", "code"), BAD)
def test_what_cannot_work_together_is_named(
    values: dict[str, object], words: str, code: int
) -> None:
    settings = Settings()
    settings.load(values)
    with pytest.raises(SettingError, match=words) as caught:
        check(settings)
    assert caught.value.code == code
    assert len(problems(settings)) == 1


def test_all_problems_are_told_at_once() -> None:
    settings = Settings()
    for values, _, _ in BAD[:3]:
        settings.load(values)
    assert len(problems(settings)) == 3
