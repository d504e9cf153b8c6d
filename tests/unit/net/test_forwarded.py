"""Who is behind a proxy: the walk through X-Forwarded-For and Forwarded."""

import pytest

from shardws.net.addresses import Networks
from shardws.net.forwarded import MAX_HOPS, forwarded_client, forwarded_scheme

TRUSTED = Networks(["10.0.0.0/8", "2001:db8:1::/48"])
PROXY = "10.0.0.1"
LONG = ", ".join(["203.0.113.7", *["10.1.1.1"] * (MAX_HOPS - 1)])
TOO_LONG = ", ".join(["203.0.113.7", *["10.1.1.1"] * MAX_HOPS])


@pytest.mark.parametrize(
    ("header", "client", "port"),
    [
        ("", PROXY, None),
        ("Host: example.com", PROXY, None),
        ("X-Forwarded-For: 203.0.113.7", "203.0.113.7", None),
        ("x-forwarded-FOR:203.0.113.7", "203.0.113.7", None),
        ("X-Forwarded-For: 203.0.113.7:4711", "203.0.113.7", 4711),
        ("X-Forwarded-For: 203.0.113.7:0", "203.0.113.7", None),
        ("X-Forwarded-For: 203.0.113.7:99999", "203.0.113.7", None),
        ("X-Forwarded-For: 2001:db8::7", "2001:db8::7", None),
        ("X-Forwarded-For: [2001:db8::7]", "2001:db8::7", None),
        ("X-Forwarded-For: [2001:DB8::7]:4711", "2001:db8::7", 4711),
        ("X-Forwarded-For: [fe80::7%eth0]:4711", "fe80::7", 4711),
        ("X-Forwarded-For: ::ffff:203.0.113.7", "203.0.113.7", None),
        # from the right, through trusted hops only
        ("X-Forwarded-For: 198.51.100.1, 203.0.113.7", "203.0.113.7", None),
        ("X-Forwarded-For: 203.0.113.7, 10.9.9.9", "203.0.113.7", None),
        ("X-Forwarded-For: 198.51.100.1, 203.0.113.7,10.9.9.9 ,2001:db8:1::1", "203.0.113.7", None),
        ("X-Forwarded-For: 10.0.0.2, 10.0.0.3", "10.0.0.2", None),  # the client is inside
        ("X-Forwarded-For: 198.51.100.1\r\nX-Forwarded-For: 203.0.113.7", "203.0.113.7", None),
        ("X-Forwarded-For: 203.0.113.7\r\nX: y\r\nX-Forwarded-For: 10.9.9.9", "203.0.113.7", None),
        # empty elements are none (RFC 9110 5.6.1)
        ("X-Forwarded-For: 203.0.113.7,", "203.0.113.7", None),
        ("X-Forwarded-For: 203.0.113.7 ,, \t, 10.9.9.9 ,", "203.0.113.7", None),
        ("X-Forwarded-For: ,203.0.113.7\r\nX-Forwarded-For: ,", "203.0.113.7", None),
        ("Forwarded: for=192.0.2.43,", "192.0.2.43", None),
        # what cannot be read ends the walk
        ("X-Forwarded-For:", PROXY, None),
        ("X-Forwarded-For: unknown", PROXY, None),
        ("X-Forwarded-For: example.com", PROXY, None),
        ("X-Forwarded-For: 203.0.113.7, unknown", PROXY, None),
        ("X-Forwarded-For: 203.0.113.7, nonsense, 10.9.9.9", "10.9.9.9", None),
        ("X-Forwarded-For: nonsense, 203.0.113.7", "203.0.113.7", None),
        ("X-Forwarded-For: 203.0.113.7 10.9.9.9", PROXY, None),
        ("X-Forwarded-For: 203.0.113.300", PROXY, None),
        (f"X-Forwarded-For: {LONG}", "203.0.113.7", None),
        (f"X-Forwarded-For: {TOO_LONG}", "10.1.1.1", None),
        # RFC 7239, with its own examples
        ('Forwarded: for="_gazonk"', PROXY, None),
        ('Forwarded: For="[2001:db8:cafe::17]:4711"', "2001:db8:cafe::17", 4711),
        ("Forwarded: for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60", None),
        ("Forwarded: for=198.51.100.17, for=192.0.2.43", "192.0.2.43", None),
        ("Forwarded: for=192.0.2.43\r\nForwarded: for=10.3.3.3", "192.0.2.43", None),
        ('Forwarded: proto=https ; FOR = "192.0.2.43:47011" ;by=10.0.0.1', "192.0.2.43", 47011),
        ('Forwarded: for="192.0.2.43:_port"', "192.0.2.43", None),
        ("Forwarded: for=unknown", PROXY, None),
        ("Forwarded: by=203.0.113.43", PROXY, None),
        ("Forwarded: for=", PROXY, None),
        ('Forwarded: for=""', PROXY, None),
        ("Forwarded: for=192.0.2.43, by=10.0.0.9", PROXY, None),
        # an open quote of the client swallows nothing of the proxy's
        ('Forwarded: for="x, for=192.0.2.43', "192.0.2.43", None),
        ('Forwarded: for=1.1.1.1;host="a\\", for=192.0.2.43;proto=http', "192.0.2.43", None),
        # both fields
        ("X-Forwarded-For: 192.0.2.43\r\nForwarded: for=192.0.2.43", "192.0.2.43", None),
        ("X-Forwarded-For: 192.0.2.43:1\r\nForwarded: for=192.0.2.43", "192.0.2.43", 1),
        ("X-Forwarded-For: 1.1.1.1\r\nForwarded: for=192.0.2.43", PROXY, None),
        ("Forwarded: for=192.0.2.43\r\nX-Forwarded-For: 1.1.1.1", PROXY, None),
        ("X-Forwarded-For: unknown\r\nForwarded: for=192.0.2.43", "192.0.2.43", None),
    ],
)
def test_behind_a_trusted_proxy(header: str, client: str, port: int | None) -> None:
    assert forwarded_client(header, PROXY, TRUSTED) == (client, port)


@pytest.mark.parametrize("peer", ["203.0.113.1", "2001:db8::1", "", "::ffff:11.0.0.1"])
@pytest.mark.parametrize("header", ["X-Forwarded-For: 1.1.1.1", "Forwarded: for=1.1.1.1"])
def test_nobody_else_is_believed(peer: str, header: str) -> None:
    assert forwarded_client(header, peer, TRUSTED) == (peer, None)


def test_without_a_list_nobody_is_believed() -> None:
    assert forwarded_client("X-Forwarded-For: 1.1.1.1", PROXY, Networks()) == (PROXY, None)


def test_a_proxy_seen_through_a_socket_for_both_families_is_trusted() -> None:
    assert (
        forwarded_client("X-Forwarded-For: 192.0.2.1", "::ffff:10.0.0.1", TRUSTED)[0] == "192.0.2.1"
    )


@pytest.mark.parametrize(
    ("header", "scheme"),
    [
        ("", ""),
        ("X-Forwarded-Proto: https", "https"),
        ("X-Forwarded-Proto: HTTPS", "https"),
        ("X-Forwarded-Proto: wss", "https"),
        ("X-Forwarded-Proto: http", "http"),
        ("X-Forwarded-Proto: ,https,", "https"),
        ("X-Forwarded-Proto: gopher", ""),
        # what the client wrote stands further left
        ("X-Forwarded-Proto: http, https", "https"),
        ("X-Forwarded-Proto: https, http", "http"),
        ("X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https, http", "http"),
        # two trusted proxies: the outer one saw the client
        ("X-Forwarded-For: 203.0.113.7, 10.9.9.9\r\nX-Forwarded-Proto: https, http", "https"),
        ("X-Forwarded-For: 203.0.113.7, 10.9.9.9\r\nX-Forwarded-Proto: https", "https"),
        ("Forwarded: for=192.0.2.43;proto=https", "https"),
        ('Forwarded: for=192.0.2.43;Proto="http"', "http"),
        ("Forwarded: for=1.1.1.1;proto=https, for=192.0.2.43;proto=http", "http"),
        ("Forwarded: for=192.0.2.43;proto=https, for=10.9.9.9;proto=http", "https"),
        ("Forwarded: for=192.0.2.43", ""),
        ("X-Forwarded-Proto: https\r\nForwarded: proto=https", "https"),
        ("X-Forwarded-Proto: https\r\nForwarded: proto=http", ""),
    ],
)
def test_how_the_client_came_to_its_proxy(header: str, scheme: str) -> None:
    assert forwarded_scheme(header, PROXY, TRUSTED) == scheme
    assert forwarded_scheme(header, "203.0.113.1", TRUSTED) == ""
