"""The rows themselves: complete, consistent, and each name typed in one place."""

import json
import re
from typing import Any

import pytest

from shardws.errors import ERROR_CODES
from shardws.settings import table
from shardws.settings.kinds import Text
from shardws.settings.properties import Property, SettingProperties
from shardws.settings.row import Access, Row, Scope
from shardws.settings.table import ROWS
from tools.setting_readers import complaints, exists, readers, split

rows = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.vendor)


def snake(vendor: str) -> str:
    """Return the snake_case of a CamelCase name, with acronyms as one word."""
    known = vendor.replace("OpenSSL", "Openssl").replace("IPv6", "Ipv6").replace("LCAC", "LCaC")
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", known)
    return parted.lower()


@rows
def test_constant_name_and_vendor_name_are_one(row: Row[Any]) -> None:
    assert getattr(table, row.name.upper()) is row
    assert snake(row.vendor) == row.name


@rows
def test_the_default_is_a_value_of_its_row(row: Row[Any]) -> None:
    kind = row.kind
    assert row.accept(row.default) == row.default
    assert type(kind.check(row.default)) is type(row.default)
    assert kind.parse(kind.render(row.default)) == row.default
    assert kind.check(json.loads(json.dumps(kind.to_json(row.default)))) == row.default


@rows
def test_a_row_is_well_described(row: Row[Any]) -> None:
    assert row.text[0].isupper() or row.text[0] in "0`" or row.text.startswith("cert_encoded")
    assert row.text.endswith(".")
    assert len(row.text) < 400
    assert row.module or "effect" in row.text
    assert not row.busy_code or row.busy_code in ERROR_CODES


def test_names_options_and_variables_are_told_apart() -> None:
    for names in (
        [row.name for row in ROWS],
        [row.vendor.lower() for row in ROWS],
        [row.option for row in ROWS if row.option],
        [row.variable for row in ROWS if row.variable],
    ):
        assert len(names) == len(set(names))


def test_a_row_of_a_connection_is_not_for_the_server() -> None:
    assert {row.vendor for row in ROWS if row.scope is Scope.CONNECTION} == {
        "ConnectionUID",
        "MessageLength",
        "SSLNegotiatedCipher",
        "SSLNegotiatedCipherStrength",
        "SSLNegotiatedCipherSuite",
        "SSLNegotiatedKeyExchange",
        "SSLNegotiatedKeyExchangeStrength",
        "SSLNegotiatedProtocol",
    }


def test_passwords_and_tokens_are_secrets() -> None:
    secret = re.compile("password|token|secret|seed|private")
    for row in ROWS:
        assert row.sensitive == bool(secret.search(row.name)), row
        assert isinstance(row.kind, Text) or not row.sensitive
        assert row.access is not Access.WO or row.sensitive


def test_each_setting_of_a_server_is_a_property() -> None:
    properties = {name: p for name, p in vars(SettingProperties).items() if isinstance(p, Property)}
    assert {name: p.row for name, p in properties.items()} == {
        row.name: row for row in ROWS if row.is_settable
    }


READERS = readers()


@rows
def test_one_module_reads_a_setting(row: Row[Any]) -> None:
    """In a shard that is `row.module`; the supervisor, another process, has one place as well."""
    in_shard, in_supervisor = split(READERS[row.name])
    assert len(in_shard) <= 1, f"{row.vendor} is read by {', '.join(in_shard)}"
    assert len(in_supervisor) <= 1, f"{row.vendor} is read by {', '.join(in_supervisor)}"


@rows
def test_the_module_that_applies_a_setting_exists(row: Row[Any]) -> None:
    if row.module:
        assert exists(row.module), f"{row.vendor}: there is no module {row.module}"


def test_each_setting_is_applied_or_says_that_it_has_no_effect() -> None:
    """A cluster address was accepted, kept and shown, and nothing read it."""
    assert list(complaints()) == []
    assert {row.vendor for row in ROWS if not row.module} == {
        "UseIOCP",
        "UseWindowsMessages",
        "SSLServerCACerts",
        "SSLProvider",
    }
