"""sockets: resolving, and binding with the reasons why not."""

import socket
from typing import Any

import pytest

from shardws.errors import StartError
from shardws.net import sockets
from shardws.net.sockets import BOTH, IPV4, IPV6, Address

LOOPBACK = Address(socket.AF_INET, "127.0.0.1", 0)


@pytest.mark.parametrize(
    ("host", "use_ipv6", "shown", "is_dual"),
    [
        ("", IPV4, "0.0.0.0:9", False),
        ("", IPV6, "[::]:9", False),
        ("", BOTH, "[::]:9", True),
        ("127.0.0.1", IPV4, "127.0.0.1:9", False),
        ("127.0.0.1", BOTH, "127.0.0.1:9", False),
        ("::1", IPV6, "[::1]:9", False),
        ("::1", BOTH, "[::1]:9", False),
        ("::", IPV6, "[::]:9", False),
        ("::", BOTH, "[::]:9", True),
        ("0::0", BOTH, "[::]:9", True),
        ("0.0.0.0", BOTH, "0.0.0.0:9", False),
        ("localhost", IPV4, "127.0.0.1:9", False),
    ],
)
def test_resolve(host: str, use_ipv6: int, shown: str, is_dual: bool) -> None:
    address = sockets.resolve(host, 9, use_ipv6)
    assert (str(address), address.is_dual) == (shown, is_dual)


@pytest.mark.parametrize(
    ("host", "use_ipv6", "words"),
    [("no such host", IPV4, "no name or address"), ("127.0.0.1", IPV6, "no IPv6 name or address")],
)
def test_a_host_that_is_none_is_explained(host: str, use_ipv6: int, words: str) -> None:
    with pytest.raises(StartError, match=words) as caught:
        sockets.resolve(host, 9001, use_ipv6)
    assert caught.value.code == 10049
    assert f"{host}:9001" in caught.value.description


def answering(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Have names resolve to these addresses, of the families that are asked for."""

    def getaddrinfo(host: str, port: int, family: int, *_: object) -> list[Any]:
        infos = [
            (socket.AF_INET6 if ":" in one else socket.AF_INET, 1, 6, "", (one, port))
            for one in addresses
        ]
        return [info for info in infos if family in (socket.AF_UNSPEC, info[0])]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def test_a_name_of_both_families_is_refused_where_both_are_wanted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its first address was listened on, and half of the clients were refused."""
    answering(monkeypatch, "::1", "127.0.0.1")
    with pytest.raises(StartError) as caught:
        sockets.resolve("both.example", 9001, BOTH)
    assert caught.value.code == 10049
    assert "'both.example' has IPv4 and IPv6 addresses (::1, 127.0.0.1)" in str(caught.value)
    assert str(sockets.resolve("both.example", 9001, IPV4)) == "127.0.0.1:9001"
    assert str(sockets.resolve("both.example", 9001, IPV6)) == "[::1]:9001"


def test_of_several_addresses_of_one_family_the_first_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answering(monkeypatch, "192.0.2.1", "192.0.2.2", "192.0.2.1")
    for use_ipv6 in (IPV4, BOTH):
        assert str(sockets.resolve("one.example", 9001, use_ipv6)) == "192.0.2.1:9001"


def test_an_address_of_another_host_is_explained() -> None:
    with pytest.raises(StartError, match="not one of this host") as caught:
        sockets.bind(Address(socket.AF_INET, "192.0.2.1", 9001), is_shared=True)
    assert caught.value.code == 10049


def test_a_port_that_is_taken_between_bind_and_listen_is_named() -> None:
    with sockets.bind(LOOPBACK, is_shared=False) as first:
        address = sockets.address_of(first)
        with sockets.bind(address, is_shared=False) as second:
            second.listen()
            with pytest.raises(StartError) as caught:
                sockets.listen(first, 1)
    assert caught.value.description == f"cannot listen on {address}: the address is in use"
    assert caught.value.code == 10048


def test_a_privileged_port_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    class Denied(socket.socket):
        def bind(self, address: object) -> None:
            raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket, "socket", Denied)
    with pytest.raises(StartError) as caught:
        sockets.bind(Address(socket.AF_INET, "127.0.0.1", 80), is_shared=True)
    assert "permission denied (ports below 1024 need root" in caught.value.description
    assert caught.value.code == 10013
    with pytest.raises(StartError) as caught:
        sockets.bind(Address(socket.AF_INET, "127.0.0.1", 8080), is_shared=True)
    assert caught.value.description.endswith("permission denied")


def test_any_other_reason_is_told_as_the_system_tells_it() -> None:
    with pytest.raises(StartError, match="bind"):
        sockets.bind(Address(socket.AF_INET, "127.0.0.1", 70000), is_shared=True)


def test_a_port_that_was_asked_for_stays() -> None:
    with socket.socket() as sock:
        address = Address(socket.AF_INET, "127.0.0.1", 9001)
        assert sockets.settled(address, sock) is address
