"""`shardws settings`: values, sources and no secrets, as a table and as JSON."""

import json

from shardws.settings import Settings, Source, table
from shardws.settings.listing import as_json, as_text, listing


def settings_of_three_sources() -> Settings:
    settings = Settings()
    settings.assign("local_port", 9001, Source.FLAG, "--local-port")
    settings.assign("local_port", 80, Source.FILE, "a.toml line 2")
    settings.assign("local_port", 8080)
    settings.assign("ssl_cert_store_password", "hunter2", Source.ENV, "SHARDWS_X")
    settings.assign("ssl_cert_store_password", "hunter1")
    settings.assign("log_file", "a\nb")
    return settings


def test_the_table_names_value_and_source() -> None:
    lines = as_text(settings_of_three_sources()).splitlines()
    assert len(lines) == sum(row.is_settable for row in table.ROWS)
    words = {line.split()[0]: line.split(maxsplit=2)[1:] for line in lines}
    assert words["LocalPort"] == [
        "9001",
        "--local-port, overrides 80 (a.toml line 2) and 8080 (code)",
    ]
    assert words["SSLCertStorePassword"] == ["***", "SHARDWS_X, overrides *** (code)"]
    assert words["LocalHost"] == ["-", "default"]
    assert words["MaxMessageSize"] == ["1MiB", "default"]


def test_the_table_may_leave_defaults_out() -> None:
    lines = as_text(settings_of_three_sources(), only_explicit=True).splitlines()
    assert [line.split()[0] for line in lines] == ["LocalPort", "SSLCertStorePassword", "LogFile"]
    assert as_text(Settings(), only_explicit=True) == ""


def test_json_holds_the_same_for_programs() -> None:
    settings = settings_of_three_sources()
    entries = {entry["name"]: entry for entry in json.loads(as_json(settings))}
    assert list(entries.values()) == listing(settings)
    assert entries["local_port"] == {
        "name": "local_port",
        "vendor": "LocalPort",
        "value": 9001,
        "text": "9001",
        "unit": "",
        "source": "flag",
        "detail": "--local-port",
        "overridden": [
            {"text": "80", "source": "file", "detail": "a.toml line 2"},
            {"text": "8080", "source": "code", "detail": ""},
        ],
    }
    assert entries["ping_interval"]["value"] == 20
    assert entries["ping_interval"]["unit"] == "seconds"


def test_no_form_shows_a_secret() -> None:
    settings = settings_of_three_sources()
    settings.assign("ssl_cert_store", "-----BEGIN PRIVATE KEY-----\nhunter3")
    text = as_text(settings)
    assert "hunter" not in text
    entries = {entry["name"]: entry for entry in listing(settings)}
    assert entries["ssl_cert_store_password"]["value"] is None
    assert "hunter" not in as_json(settings)
