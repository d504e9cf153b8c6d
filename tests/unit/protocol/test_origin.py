"""Origin allow-list: grammar of the setting, and which pages pass."""

import pytest

from shardws.errors import SettingError
from shardws.protocol.origin import Origins


@pytest.mark.parametrize(
    ("setting", "origin", "host", "passes"),
    [
        # the default: same host and port
        ("", "", "a.example", True),
        ("", "http://a.example", "a.example", True),
        ("", "https://A.Example", "a.eXample", True),
        ("", "http://a.example:80", "a.example", True),
        ("", "http://a.example", "a.example:80", True),
        ("", "https://a.example", "a.example:443", True),
        ("", "https://a.example:443", "a.example", True),
        ("", "https://a.example", "a.example:80", False),
        ("", "http://a.example", "a.example:443", False),
        ("", "http://a.example:9001", "a.example:9001", True),
        ("", "http://a.example:9001", "a.example", False),
        ("", "http://a.example", "a.example:9001", False),
        ("", "http://[::1]:9001", "[::1]:9001", True),
        ("", "http://b.example", "a.example", False),
        ("", "http://a.example.b.example", "a.example", False),
        ("", "http://xa.example", "a.example", False),
        ("", "null", "null", False),
        ("", "a.example", "a.example", False),
        ("", "://a.example", "a.example", False),
        ("", "chrome-extension://a.example", "a.example", False),
        ("", "http://b.example@a.example", "a.example", False),
        (" , ", "http://a.example", "a.example", True),
        # open
        ("*", "http://b.example", "a.example", True),
        ("*", "null", "a.example", True),
        ("https://c.example, *", "http://b.example", "a.example", True),
        # exactly
        ("https://b.example", "https://b.example", "a.example", True),
        ("https://b.example", "https://b.example:443", "a.example", True),
        ("https://b.example:443", "https://b.example", "a.example", True),
        ("HTTPS://B.Example", "https://b.example", "a.example", True),
        ("https://b.example", "https://b.example:444", "a.example", False),
        ("https://b.example", "http://b.example", "a.example", False),
        ("https://b.example", "https://c.b.example", "a.example", False),
        ("https://b.example", "https://bxexample", "a.example", False),
        ("https://b.example", "https://b.example.evil", "a.example", False),
        ("https://b.example", "https://b.example/x", "a.example", False),
        ("https://b.example", "http://a.example", "a.example", False),  # `same` is not implied
        ("https://b.example", "", "a.example", True),
        ("https://b.example,https://c.example:8443", "https://c.example:8443", "a.example", True),
        ("http://[::1]:3000", "http://[::1]:3000", "a.example", True),
        ("chrome-extension://abcdef", "chrome-extension://abcdef", "a.example", True),
        ("chrome-extension://abcdef", "chrome-extension://abcdeg", "a.example", False),
        # wildcards
        ("https://*.b.example", "https://x.b.example", "a.example", True),
        ("https://*.b.example", "https://x.y.b.example", "a.example", True),
        ("https://*.b.example", "https://b.example", "a.example", False),
        ("https://*.b.example", "https://evil/.b.example", "a.example", False),
        ("https://*.b.example", "https://xb.example", "a.example", False),
        ("https://*.b.example", "https://evil:80/.b.example", "a.example", False),
        ("http://localhost:*", "http://localhost", "a.example", True),
        ("http://localhost:*", "http://localhost:3000", "a.example", True),
        ("http://localhost:*", "https://localhost:3000", "a.example", False),
        ("https://*", "https://b.example", "a.example", True),
        ("https://*", "https://b.example:444", "a.example", False),
        # a host alone
        ("b.example", "http://b.example", "a.example", True),
        ("b.example", "https://b.example:8443", "a.example", True),
        ("b.example", "app://b.example", "a.example", True),
        ("b.example:8443", "https://b.example:8443", "a.example", True),
        ("b.example:8443", "https://b.example", "a.example", False),
        ("*.b.example", "https://x.b.example", "a.example", True),
        # words
        ("null", "null", "a.example", True),
        ("null", "http://a.example", "a.example", False),
        ("same, https://b.example", "http://a.example", "a.example", True),
        ("same, https://b.example", "https://b.example", "a.example", True),
        ("same, https://b.example", "https://c.example", "a.example", False),
        ("same", "http://a.example", "a.example", True),
        ("same", "http://b.example", "a.example", False),
        ("file://", "file://", "a.example", True),
        ("file://", "http://a.example", "a.example", False),
        ("same, file://, null", "file://", "a.example", True),
        ("same, file://, null", "null", "a.example", True),
        ("", "file://", "a.example", False),
        ("null", "file://", "a.example", False),
    ],
)
def test_who_passes(setting: str, origin: str, host: str, passes: bool) -> None:
    assert Origins.parse(setting).allows(origin, host) is passes
    assert Origins.parse(setting.split(",")).allows(origin, host) is passes


@pytest.mark.parametrize(
    ("setting", "origin", "passes"),
    [
        ("", "https://a.example", True),
        ("", "http://a.example", False),
        ("same", "http://a.example:443", False),
        ("http://a.example", "http://a.example", True),  # named by the operator
        ("a.example", "http://a.example", True),
        ("*", "http://a.example", True),
    ],
)
def test_over_tls_the_same_is_a_page_that_came_by_tls(
    setting: str, origin: str, passes: bool
) -> None:
    assert Origins.parse(setting).allows(origin, "a.example", is_secure=True) is passes


@pytest.mark.parametrize(
    "setting",
    [
        "https://",
        "file:///",
        "https://b.example/",
        "https://b.example:port",
        "b example",
        "https://b.example:123456",
        "http//b.example",
        "https://b.example, ?",
    ],
)
def test_a_bad_entry_is_named(setting: str) -> None:
    with pytest.raises(SettingError) as caught:
        Origins.parse(setting)
    assert caught.value.code == 213
    assert repr(setting.split(",")[-1].strip()) in caught.value.description


def test_nothing_given_means_same_host() -> None:
    assert Origins.parse("") == Origins() == Origins.parse(())
