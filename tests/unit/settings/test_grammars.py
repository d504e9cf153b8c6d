"""What a check lets pass is what the module that reads the setting understands.

The checks cannot import their readers, which lie above them; a value that only the reader refused
passed `shardws check` and then ended every shard.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardws.errors import SettingError
from shardws.net.addresses import AllowedClients, Networks
from shardws.protocol.origin import Origins
from shardws.settings import table

PIECES = st.sampled_from(
    ["10.0.0.1", "999.1.1.1", "1.2", "::1", "fe80::1%eth0", "::ffff:1.2.3.4", "a", "-a", "a.b", "*"]
    + [
        "/8",
        "/33",
        "/128",
        "/200",
        "/",
        "%",
        ".",
        ":",
        ",",
        " ",
        "_",
        "A",
        "x" * 64,
        "[::1]",
        "://",
    ]
    + ["http", "null", "same", ":80", ":*", ":99999", "file"]
)
VALUES = st.lists(PIECES, min_size=1, max_size=5).map("".join)


@given(VALUES)
def test_allowed_clients(value: str) -> None:
    try:
        accepted = table.ALLOWED_CLIENTS.accept(value)
    except SettingError:
        return
    AllowedClients(accepted)


@given(VALUES)
def test_trusted_proxies(value: str) -> None:
    try:
        accepted = table.TRUSTED_PROXIES.accept(value)
    except SettingError:
        return
    Networks(accepted)


@given(VALUES)
def test_allowed_origins(value: str) -> None:
    try:
        accepted = table.ALLOWED_ORIGINS.accept(value)
    except SettingError:
        return
    Origins.parse(accepted)


@pytest.mark.parametrize("value", ["999.1.1.1", "1.2.3", "a..b", "-a"])
def test_what_the_reader_refuses_is_refused_before(value: str) -> None:
    with pytest.raises(SettingError):
        AllowedClients(value)
    with pytest.raises(SettingError, match="AllowedClients: must"):
        table.ALLOWED_CLIENTS.accept(value)
