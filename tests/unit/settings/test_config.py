"""config(): the four forms, what they return, and what is refused."""

from typing import Any

import pytest

from shardws.errors import NoSuchConnection, SettingError, ShardwsError
from shardws.settings import Settings, Source, table
from shardws.settings.config import Command, NoConnections, parse, run
from shardws.settings.row import Row


class OneConnection:
    """Connection 7: remembers what is set, and has a constant for what is not."""

    def __init__(self) -> None:
        self.values: dict[Row[Any], object] = {}

    def connection_setting(self, connection_id: int, row: Row[Any]) -> object:
        assert connection_id == 7
        return self.values.get(row, row.default)

    def set_connection_setting(self, connection_id: int, row: Row[Any], value: object) -> None:
        assert connection_id == 7
        self.values[row] = value


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("BufferMessage", Command(table.BUFFER_MESSAGE, None, None)),
        (" buffermessage ", Command(table.BUFFER_MESSAGE, None, None)),
        ("BUFFERMESSAGE=true", Command(table.BUFFER_MESSAGE, None, "true")),
        ("LocalHost=", Command(table.LOCAL_HOST, None, "")),
        ("OpenSSLCipherList=a=b", Command(table.OPENSSL_CIPHER_LIST, None, "a=b")),
        ("SSLCACerts=a\nb", Command(table.SSL_CA_CERTS, None, "a\nb")),
        ("ConnectionUID[7]", Command(table.CONNECTION_UID, 7, None)),
        ("messagelength[ 7 ] =100", Command(table.MESSAGE_LENGTH, 7, "100")),
    ],
)
def test_each_form_is_read(text: str, command: Command) -> None:
    assert parse(text) == command


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("", 213, "must be Name"),
        ("=5", 213, "must be Name"),
        ("LocalPort[x]", 213, "must be Name"),
        ("MessageLength[]", 213, "must be Name"),
        ("MessageLength[-1]", 213, "must be Name"),
        ("MessageLength[7", 213, "must be Name"),
        ("Local Port", 213, "must be Name"),
        ("LocalProt=5", 214, "did you mean LocalPort"),
        ("MessageLength=5", 213, r"MessageLength\[ConnectionId\]"),
        ("LocalPort[7]=5", 213, "belongs to the server"),
        ("LocalPort=x", 213, "whole number"),
        ("ConnectionUID[7]=x", 212, "read-only"),
        ("MessageLength[7]=-5", 213, "such as 1MiB"),
        ("SSLCertStorePassword", 211, "write-only"),
        ("DisconnectStatusCode=1005", 213, "RFC 6455"),
        ("DisconnectStatusCode=1006", 213, "RFC 6455"),
    ],
)
def test_what_is_wrong_is_refused(text: str, code: int, words: str) -> None:
    with pytest.raises(ShardwsError, match=words) as caught:
        run(Settings(), OneConnection(), text)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("assignment", "text"),
    [
        ("BufferMessage=true", "True"),
        ("BufferMessage=0", "False"),
        ("MaxFrameSize=64k", "65536"),
        ("DefaultTimeout=1m", "60"),
        ("PingInterval=500ms", "0.5"),
        ("DisconnectStatusDescription= bye ", " bye "),
        ("SSLEnabledProtocols=TLS1.3", "12288"),
        ("AllowedClients=10.0.0.1, 10.0.0.2", "10.0.0.1,10.0.0.2"),
        ("Shards=auto", "auto"),
    ],
)
def test_an_assignment_reads_back(assignment: str, text: str) -> None:
    settings = Settings()
    assert run(settings, NoConnections(), assignment) == text
    assert run(settings, NoConnections(), assignment.partition("=")[0]) == text


def test_an_overridden_assignment_returns_what_holds() -> None:
    settings = Settings()
    settings.set(table.LOCAL_PORT, 9001, Source.FLAG)
    assert run(settings, NoConnections(), "LocalPort=80") == "9001"


def test_a_write_only_setting_returns_nothing() -> None:
    settings = Settings()
    assert run(settings, NoConnections(), "SSLCertStorePassword=hunter2") == ""
    assert settings[table.SSL_CERT_STORE_PASSWORD] == "hunter2"


def test_a_setting_of_a_connection_is_asked_of_it() -> None:
    connections = OneConnection()
    assert run(Settings(), connections, "MessageLength[7]") == "0"
    assert run(Settings(), connections, "MessageLength[7]=1k") == "1024"
    assert connections.values == {table.MESSAGE_LENGTH: 1024}
    assert run(Settings(), connections, "SSLNegotiatedCipherStrength[7]") == "0"


@pytest.mark.parametrize("text", ["ConnectionUID[8]", "MessageLength[8]=5"])
def test_without_a_server_no_connection_is_known(text: str) -> None:
    with pytest.raises(NoSuchConnection):
        run(Settings(), NoConnections(), text)


def test_a_wrong_time_has_its_code() -> None:
    settings = Settings()
    settings.begin_listening()
    with pytest.raises(SettingError) as caught:
        run(settings, NoConnections(), "LocalPort=1")
    assert caught.value.code == 106
