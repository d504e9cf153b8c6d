"""Host allow-list: grammar of the setting, and which names pass."""

import pytest

from shardws.errors import SettingError
from shardws.protocol.hosts import Hosts


@pytest.mark.parametrize(
    ("setting", "host", "passes"),
    [
        ("", "evil.example", True),
        ("*", "evil.example:9001", True),
        ("a.example,*", "evil.example", True),
        ("loopback", "localhost", True),
        ("loopback", "LocalHost:9001", True),
        ("loopback", "127.0.0.1:9001", True),
        ("loopback", "127.9.9.9", True),
        ("loopback", "[::1]:9001", True),
        ("loopback", "[::1]", True),
        ("loopback", "evil.example:9001", False),
        ("loopback", "localhost.evil.example", False),
        ("loopback", "127.0.0.1.evil.example", False),
        ("loopback", "10.0.0.7", False),
        ("loopback", "", False),
        ("a.example", "A.example:443", True),
        ("a.example", "a.example", True),
        ("a.example", "b.a.example", False),
        ("a.example", "localhost", False),
        ("*.a.example", "b.a.example:9001", True),
        ("*.a.example", "a.example", False),
        ("*.a.example", "xa.example", False),
        ("loopback, a.example", "localhost", True),
        ("loopback, a.example", "a.example", True),
        ("192.0.2.1", "192.0.2.1:9001", True),
        ("192.0.2.1", "192x0.2.1", False),
        ("2001:db8::1", "[2001:db8::1]:9001", True),
        ("[2001:DB8:0::1]", "[2001:db8::1]", True),
    ],
)
def test_who_passes(setting: str, host: str, passes: bool) -> None:
    assert Hosts.parse(setting).allows(host) is passes
    assert Hosts.parse(setting.split(",")).allows(host) is passes


def test_a_rule_for_pages_leaves_programs_alone() -> None:
    hosts = Hosts.parse("loopback", for_pages_only=True)
    assert hosts.allows("a", has_origin=False)
    assert not hosts.allows("a", has_origin=True)
    assert not Hosts.parse("loopback").allows("a", has_origin=False)


@pytest.mark.parametrize("setting", ["http://a", "a.example:80", "a b", "a.example, ?", "a/b"])
def test_a_bad_entry_is_named(setting: str) -> None:
    with pytest.raises(SettingError) as caught:
        Hosts.parse(setting)
    assert caught.value.code == 213
    assert repr(setting.split(",")[-1].strip()) in caught.value.description


def test_nothing_given_means_every_host() -> None:
    assert Hosts.parse("") == Hosts() == Hosts.parse(())
