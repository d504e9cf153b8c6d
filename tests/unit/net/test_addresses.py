"""Blocks of networks, and who may connect."""

import pytest

from shardws.errors import SettingError
from shardws.net.addresses import (
    MAX_LEARNED,
    AllowedClients,
    Networks,
    parse_address,
    plain_address,
)


@pytest.mark.parametrize(
    ("blocks", "address", "is_inside"),
    [
        ([], "10.0.0.1", False),
        (["10.0.0.1"], "10.0.0.1", True),
        (["10.0.0.1"], "10.0.0.2", False),
        (["10.0.0.0/8"], "10.255.255.255", True),
        (["10.0.0.0/8"], "11.0.0.0", False),
        (["10.1.2.3/8"], "10.9.9.9", True),  # bits behind the prefix do not count
        ([" 10.0.0.0/255.0.0.0 "], "10.9.9.9", True),
        (["0.0.0.0/0"], "203.0.113.9", True),
        (["0.0.0.0/0"], "2001:db8::1", False),
        (["::/0"], "2001:db8::1", True),
        (["::/0"], "203.0.113.9", False),
        (["2001:db8::/32"], "2001:db8:ffff::1", True),
        (["2001:db8::/32"], "2001:db9::1", False),
        (["10.0.0.0/8", "192.0.2.0/24", "::1"], "192.0.2.77", True),
        (["10.0.0.0/8", "192.0.2.0/24", "::1"], "::1", True),
        (["10.0.0.0/8", "192.0.2.0/24", "::1"], "192.0.3.1", False),
        # an IPv4 address inside an IPv6 one is the IPv4 one
        (["192.0.2.0/24"], "::ffff:192.0.2.7", True),
        (["::ffff:192.0.2.0/120"], "192.0.2.7", True),
        (["::ffff:192.0.2.0/120"], "192.0.3.7", False),
        (["::ffff:192.0.2.7"], "::ffff:192.0.2.7", True),
        (["::ffff:0:0/95"], "::ffff:0:1", False),
        # a zone does not count
        (["fe80::/10"], "fe80::1%eth0", True),
        (["fe80::1%eth0"], "fe80::1%eth1", True),
        (["fe80::%eth0/64"], "fe80::2", True),
        # no address
        (["10.0.0.0/8"], "", False),
        (["0.0.0.0/0", "::/0"], "/run/socket", False),
        (["10.0.0.0/8"], "10.1", False),
    ],
)
def test_networks(blocks: list[str], address: str, is_inside: bool) -> None:
    networks = Networks(blocks)
    assert (address in networks) is is_inside
    assert bool(networks) is bool(blocks)


@pytest.mark.parametrize(
    "block", ["", "10.0.0", "10.0.0.0/33", "10.0.0.0/-1", "example.com", "::/129"]
)
def test_a_bad_block_is_named(block: str) -> None:
    with pytest.raises(SettingError) as caught:
        Networks(["10.0.0.0/8", block])
    assert repr(block) in caught.value.description


@pytest.mark.parametrize(
    ("setting", "address", "verdict"),
    [
        ("*", "203.0.113.9", True),
        ("", "203.0.113.9", True),
        (" , ", "203.0.113.9", True),
        ("10.0.0.1, *", "203.0.113.9", True),
        ("*", "", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "::ffff:127.0.0.1", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("127.0.0.1", "", False),
        ("127.0.0.1", "no address", False),
        ("127.0.0.1,::1", "::1", True),
        ("127.0.0.1 , 10.0.0.0/8", "10.3.2.1", True),
        ("2001:db8::/32", "2001:db8::9", True),
        ("2001:DB8::/32", "2001:db8::9", True),
        ("192.168.*", "192.168.7.8", True),
        ("192.168.*", "192.169.7.8", False),
        ("192.168.*", "1.192.168.1", False),
        ("192.168.*.1", "192.168.200.1", True),
        ("192.168.*.1", "192.168.200.2", False),
        ("10.*,192.168.1*", "192.168.17.3", True),
        ("10.*,192.168.1*", "192.168.27.3", False),
        ("10.*", "10x1", False),
        ("192.168.*", "::ffff:192.168.0.1", True),
        ("2001:db8:*", "2001:db8::1", True),
        ("2001:db8:*", "2001:db9::1", False),
    ],
)
def test_verdicts_without_names(setting: str, address: str, verdict: bool) -> None:
    clients = AllowedClients(setting)
    assert clients.verdict(address) is verdict
    assert clients.names == ()
    assert clients.has_unknown is False


@pytest.mark.parametrize(
    "setting",
    ["a b", "10.0.0", "10.0.0.0/33", "a/8", "exa(mple", "1.2.3.4/a*", "-x", "a..b", "a:b"],
)
def test_a_bad_entry_is_named(setting: str) -> None:
    with pytest.raises(SettingError) as caught:
        AllowedClients(f"127.0.0.1, {setting}")
    assert repr(setting) in caught.value.description


def test_a_name_stands_for_its_addresses() -> None:
    clients = AllowedClients("10.0.0.1, DB.example.com, web.example.com")
    assert clients.names == ("db.example.com", "web.example.com")
    assert clients.verdict("10.0.0.1") is True
    assert clients.verdict("192.0.2.1") is None
    clients.learn("db.example.com", ["192.0.2.1", "fe80::1%2"])
    assert clients.verdict("192.0.2.1") is True
    assert clients.verdict("fe80::1") is True
    assert clients.verdict("192.0.2.2") is None
    assert clients.is_unknown("web.example.com")
    clients.learn("web.example.com", [])
    assert not clients.is_unknown("web.example.com")
    assert clients.verdict("192.0.2.2") is False
    clients.learn("db.example.com", ["192.0.2.2"])
    assert clients.verdict("192.0.2.1") is False
    assert clients.verdict("192.0.2.2") is True


@pytest.mark.parametrize(
    ("names", "verdict"),
    [
        (["a.example.com"], True),
        (["A.EXAMPLE.com."], True),
        (["a.b.example.com"], True),
        (["other.example", "a.example.com"], True),
        (["example.com"], False),
        (["a.example.com.evil.example"], False),
        (["axexample.com"], False),
        ([], False),
    ],
)
def test_a_wildcard_of_names_asks_for_the_clients_own(names: list[str], verdict: bool) -> None:
    clients = AllowedClients("10.0.0.1,*.example.com")
    assert clients.names == ()
    assert clients.verdict("10.0.0.1") is True
    assert clients.verdict("192.0.2.1") is None
    clients.learn_client("192.0.2.1", names)
    assert clients.verdict("192.0.2.1") is verdict
    assert clients.verdict("::ffff:192.0.2.1") is verdict
    clients.forget_clients()
    assert clients.verdict("192.0.2.1") is None


def test_names_of_clients_mean_nothing_without_a_wildcard_of_names() -> None:
    clients = AllowedClients("10.0.0.1")
    clients.learn_client("192.0.2.1", ["10.0.0.1"])
    assert clients.verdict("192.0.2.1") is False


def test_the_memory_of_clients_is_bounded() -> None:
    clients = AllowedClients("*.example.com")
    for number in range(MAX_LEARNED + 1):
        clients.learn_client(f"10.0.{number >> 8}.{number & 255}", ["a.example.com"])
    assert len(clients._learned) == MAX_LEARNED
    assert clients.verdict("10.0.0.0") is None  # the oldest is forgotten
    assert clients.verdict("10.0.0.1") is True


def test_an_address_in_its_plainest_form() -> None:
    assert str(parse_address("::FFFF:192.0.2.1")) == "192.0.2.1"
    assert str(parse_address("2001:DB8:0::1%eth0")) == "2001:db8::1"


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::1", "::1"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("", ""),
    ],
)
def test_an_address_is_shown_in_its_own_family(given: str, shown: str) -> None:
    assert plain_address(given) == shown
