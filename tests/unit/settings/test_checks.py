"""Checks of single values: a table of good ones, a table of bad ones with code and reason."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shardws.settings import checks, masks
from shardws.settings.row import Refusal

Check = Callable[[Any], None]

GOOD: list[tuple[Check, list[Any]]] = [
    (checks.close_code, [1000, 1001, 1003, 1007, 1014, 3000, 4999]),
    (checks.close_reason, ["", "x" * 123, "ü" * 61]),
    (checks.cert_store_type, [0, 22, 99]),
    (checks.enabled_protocols, [15360, masks.TLS10, masks.TLS13]),
    (checks.ssl_provider, ["*", "automatic", "Platform", "OPENSSL"]),
    (checks.host_patterns, ["*", "10.0.0.0/8", "*.example.com,::1,fe80::/10,host"]),
    (checks.networks, [(), ("10.0.0.1", "10.0.0.1/8", "::1/128")]),
    (
        checks.origins,
        ["", "*", "null,same,file://", "https://*.a.org,http://localhost:*,a.org:8080", "[::1]"],
    ),
    (checks.hosts, ["", "*", "auto", "AUTO", "loopback,*.a.org,10.0.0.1,::1,[::1]"]),
    (checks.sni_entries, [(), ("a.org=/x.pem", "*.a.org=/y=z.pem")]),
    (checks.address, ["", "127.0.0.1:9002", "localhost:0", "[::1]:65535"]),
    (checks.token, ["", "0123456789abcdef"]),
    (checks.ca_directory, [""]),
    (checks.ca_file, [""]),
]

BAD: list[tuple[Check, list[Any], str]] = [
    (checks.close_code, [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000], "1000-1003"),
    (checks.close_reason, ["x" * 124, "ü" * 62], "at most 123 bytes"),
    (checks.close_reason, ["\ud800"], "valid Unicode"),
    (checks.cert_store_type, [-1, 23, 98, 100], "0 to 22"),
    (checks.host_patterns, ["", "a,,b", "a b", "a/b"], "names, IP addresses"),
    (checks.host_patterns, ["10.0.0.0/33", "host/8"], "CIDR blocks such as"),
    (checks.host_patterns, ["999.1.1.1", "1.2.3", "::1::2", "fe80::1%eth0/200"], "CIDR blocks"),
    (checks.host_patterns, ["-a", "a..b", "a" * 64, "a%b", "*%", "10.0.0.0/"], "names, IP"),
    (checks.host_patterns, ["a," * checks.MAX_PATTERNS + "a"], "at most 10000 patterns"),
    (checks.networks, [("host",), ("10.0.0.0/33",)], "CIDR blocks such as"),
    (checks.origins, ["https://", "a b", "https://a/path"], "or origins such as"),
    (checks.hosts, ["a.org:80", "http://a.org", "a b", "10.0.0.0/8"], "or names such as"),
    (checks.hosts, ["auto,a.org"], "stands alone"),
    (checks.sni_entries, [("a.org",), ("=x",), ("a.*.org=x",), ("a.org=",)], "entries such as"),
    (checks.address, ["9002", ":9002", "a:", "a:x", "a:70000", "::1:80", "a:٣"], "HOST:PORT"),
    (checks.token, ["short", "0123456789abcde\n", "grün-grün-grün-grün"], "at least 16 visible"),
    (checks.token, [" 0123456789abcdef", "0123456789abcdef ", "01234567 89abcdef"], "blanks"),
]

REFUSALS: list[tuple[Check, Any, int]] = [
    (checks.enabled_protocols, masks.SSL3 | masks.TLS12, 275),
    (checks.enabled_protocols, masks.SSL2, 275),
    (checks.enabled_protocols, 1 << 20, 275),
    (checks.enabled_protocols, 0, 275),
    (checks.enabled_protocols, -1, 275),
    (checks.ssl_provider, "Bouncy Castle", 270),
    (checks.ca_directory, "/no/such/directory", 273),
    (checks.ca_file, "/no/such/file", 273),
]


@pytest.mark.parametrize(
    ("check", "value"), [(check, value) for check, values in GOOD for value in values]
)
def test_a_good_value_passes(check: Check, value: Any) -> None:
    check(value)


@pytest.mark.parametrize(
    ("check", "value", "reason"),
    [(check, value, reason) for check, values, reason in BAD for value in values],
)
def test_a_bad_value_is_refused_with_the_reason(check: Check, value: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        check(value)
    assert not isinstance(caught.value, Refusal)


@pytest.mark.parametrize(("check", "value", "code"), REFUSALS)
def test_where_spec_names_a_code_the_refusal_has_it(check: Check, value: Any, code: int) -> None:
    with pytest.raises(Refusal) as caught:
        check(value)
    assert caught.value.code == code


def test_a_ca_directory_must_hold_a_file(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    with pytest.raises(Refusal, match="holds no file"):
        checks.ca_directory(str(tmp_path))
    (tmp_path / "ca.pem").write_text("x")
    checks.ca_directory(str(tmp_path))


def test_a_ca_file_must_not_be_empty(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_text("")
    with pytest.raises(Refusal, match="the file is empty"):
        checks.ca_file(str(path))
    path.write_text("x")
    checks.ca_file(str(path))


def test_every_store_type_of_the_model_is_named() -> None:
    assert set(masks.CERT_STORE_TYPES) == {*range(23), 99}
