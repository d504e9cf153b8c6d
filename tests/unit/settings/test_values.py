"""Values and where they come from: precedence, phases, secrets, and the way to another process."""

import json
from typing import Any

import pytest

from shardws.errors import SettingError
from shardws.settings import Assignment, Settings, Source, table
from shardws.settings.row import Row


def error_of(settings: Settings, name: str, value: object, **more: Any) -> SettingError:
    with pytest.raises(SettingError) as caught:
        settings.assign(name, value, **more)
    return caught.value


def test_new_settings_are_the_defaults() -> None:
    settings = Settings()
    assert all(settings[row] == row.default for row in table.ROWS)
    assert settings.source(table.LOCAL_PORT) is Source.DEFAULT
    assert settings.explicit() == {}
    assert repr(settings) == "<Settings >"
    assert not settings.is_listening


def test_assign_takes_text_and_values_under_any_name() -> None:
    settings = Settings()
    settings.assign("LocalPort", "9001")
    settings.assign("ping-interval", "1m")
    settings.assign("use_ssl", True)
    assert settings[table.LOCAL_PORT] == 9001
    assert settings[table.PING_INTERVAL] == 60.0
    assert settings[table.USE_SSL] is True
    assert settings.source(table.LOCAL_PORT) is Source.CODE


def test_set_checks_as_assign_does() -> None:
    settings = Settings()
    settings.set(table.LOCAL_PORT, 9001, Source.FLAG, "--local-port")
    assert settings.given(table.LOCAL_PORT) == (9001, Source.FLAG, "--local-port")
    with pytest.raises(SettingError, match="0 to 65535"):
        settings.set(table.LOCAL_PORT, 70000)


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("LocalPort", 70000, 213),
        ("LocalPort", "http", 213),
        ("LocalProt", 1, 214),
        ("ConnectionUID", "x", 212),
        ("MessageLength", 5, 213),
        ("SSLProvider", "Schannel", 270),
    ],
)
def test_a_bad_assignment_has_its_code_and_changes_nothing(
    name: str, value: object, code: int
) -> None:
    settings = Settings()
    assert error_of(settings, name, value).code == code
    assert settings.explicit() == {}


def test_an_error_names_where_the_value_came_from() -> None:
    error = error_of(Settings(), "local_port", 70000, source=Source.FILE, detail="a.toml line 3")
    assert str(error) == "LocalPort: must be 0 to 65535, not 70000 (a.toml line 3) (213)"


@pytest.mark.parametrize("weaker", [Source.CODE, Source.FILE, Source.ENV])
@pytest.mark.parametrize("order", ["weaker first", "stronger first"])
def test_the_stronger_source_wins_in_either_order(weaker: Source, order: str) -> None:
    settings = Settings()
    given = [Assignment("local_port", 1, weaker), Assignment("local_port", 2, Source.FLAG)]
    settings.apply(given if order == "weaker first" else given[::-1])
    assert settings[table.LOCAL_PORT] == 2
    assert settings.source(table.LOCAL_PORT) is Source.FLAG
    assert settings.overridden(table.LOCAL_PORT) == [(1, weaker, "")]


def test_the_later_of_one_source_wins_and_leaves_no_trace() -> None:
    settings = Settings()
    settings.assign("local_port", 1)
    settings.assign("local_port", 2)
    assert settings[table.LOCAL_PORT] == 2
    assert settings.overridden(table.LOCAL_PORT) == []


def test_an_overridden_value_is_checked_all_the_same() -> None:
    settings = Settings()
    settings.assign("local_port", 1, Source.FLAG)
    assert error_of(settings, "local_port", -1).code == 213


def test_the_overridden_are_listed_the_strongest_first() -> None:
    settings = Settings()
    for source in (Source.CODE, Source.ENV, Source.FILE, Source.FLAG):
        settings.assign("local_port", int(source), source)
    assert [given.source for given in settings.overridden(table.LOCAL_PORT)] == [
        Source.ENV,
        Source.FILE,
        Source.CODE,
    ]


def test_a_default_is_not_listed_as_overridden() -> None:
    assert Settings().overridden(table.LOCAL_PORT) == []


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [("LocalPort", 1, 106), ("LocalHost", "a", 107), ("UseSSL", True, 104), ("Shards", 3, 211)],
)
def test_what_is_fixed_while_listening_has_its_code(name: str, value: object, code: int) -> None:
    settings = Settings()
    settings.begin_listening()
    assert settings.is_listening
    error = error_of(settings, name, value)
    assert error.code == code
    assert "cannot be changed while listening" in str(error)
    settings.end_listening()
    settings.assign(name, value)
    assert settings.source(table.ROWS[0]) is Source.DEFAULT


@pytest.mark.parametrize("name", ["ConnectionBacklog", "MaxFrameSize", "LogLevel"])
def test_what_may_change_while_listening_does(name: str) -> None:
    settings = Settings()
    settings.begin_listening()
    settings.assign(name, 2)
    assert settings.explicit() == dict.fromkeys(settings.explicit(), 2)
    assert len(settings.explicit()) == 1


def test_from_the_first_listening_on_the_application_has_the_last_word() -> None:
    """Else a flag would make `server.log_level = 3` in a handler do nothing."""
    settings = Settings()
    settings.assign("log_level", 0, Source.FLAG)
    settings.assign("log_level", 1)
    assert settings[table.LOG_LEVEL] == 0
    settings.begin_listening()
    settings.assign("log_level", 2)
    assert settings[table.LOG_LEVEL] == 2
    assert settings.source(table.LOG_LEVEL) is Source.RUNTIME
    settings.end_listening()
    settings.assign("log_level", 3)
    assert settings[table.LOG_LEVEL] == 3


def test_what_listening_resolved_reads_as_given_afterwards() -> None:
    settings = Settings()
    settings.assign("max_connections", 7)
    settings.begin_listening()
    settings.resolve(table.LOCAL_PORT, 40123)
    settings.resolve(table.MAX_CONNECTIONS, 5)
    assert (settings[table.LOCAL_PORT], settings[table.MAX_CONNECTIONS]) == (40123, 5)
    assert settings.source(table.LOCAL_PORT) is Source.DEFAULT
    assert settings.explicit() == {"max_connections": 7}
    settings.end_listening()
    assert (settings[table.LOCAL_PORT], settings[table.MAX_CONNECTIONS]) == (0, 7)


def test_a_change_is_told_when_the_value_in_force_changes() -> None:
    settings = Settings()
    told: list[Row[Any]] = []
    unsubscribe = settings.subscribe(told.append)
    settings.assign("log_level", 2)
    settings.assign("log_level", 2)
    settings.assign("log_level", 3, Source.FLAG)
    settings.assign("log_level", 0)
    assert told == [table.LOG_LEVEL, table.LOG_LEVEL]
    unsubscribe()
    settings.assign("log_level", 1, Source.FLAG)
    assert len(told) == 2


def test_explicit_reaches_another_process_as_json() -> None:
    application = Settings()
    application.assign("local_port", 9001)
    application.assign("ssl_cert_store", b"\0\xff")
    application.assign("ssl_cert_store_password", "hunter2")
    application.assign("ping_interval", 0.25)
    application.assign("sni_map", ["a.org=/x"])
    application.assign("shards", "auto")
    supervisor = Settings()
    supervisor.load(json.loads(json.dumps(application.explicit())))
    assert all(supervisor[row] == application[row] for row in table.ROWS)
    assert supervisor.source(table.SSL_CERT_STORE) is Source.CODE
    assert supervisor.explicit() == application.explicit()


def test_load_may_name_source_and_place() -> None:
    settings = Settings()
    settings.load({"local_port": 1}, Source.FILE, "probe")
    assert settings.given(table.LOCAL_PORT) == (1, Source.FILE, "probe")


def test_a_secret_is_in_no_repr_and_no_error() -> None:
    settings = Settings()
    settings.assign("ssl_cert_store_password", "hunter2", Source.ENV, "SHARDWS_X")
    settings.assign("admin_token", "hunter2-hunter2-hunter2", Source.FILE)
    settings.assign("ssl_cert_store", "-----BEGIN PRIVATE KEY-----\nhunter2")
    error = error_of(settings, "admin_token", "hunter2")
    assert "hunter2" not in repr(settings) + str(error) + repr(error) + str(error.__dict__)
    assert "ssl_cert_store_password=*** (SHARDWS_X)" in repr(settings)
    assert "admin_token=*** (file)" in repr(settings)


def test_a_copy_goes_its_own_way() -> None:
    settings = Settings()
    settings.assign("local_port", 1)
    settings.begin_listening()
    settings.resolve(table.LOCAL_PORT, 2)
    twin = settings.copy()
    twin.assign("local_port", 3)
    assert (settings[table.LOCAL_PORT], twin[table.LOCAL_PORT]) == (2, 3)
    assert settings.given(table.LOCAL_PORT).value == 1
    assert not twin.is_listening
