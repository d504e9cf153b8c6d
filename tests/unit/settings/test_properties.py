"""Properties: typed reading and writing of a server's settings."""

import pytest

from shardws.errors import SettingError
from shardws.settings import Settings, table
from shardws.settings.properties import Property, SettingProperties


class Server(SettingProperties):
    """What WebSocketServer is as far as properties go."""

    def __init__(self) -> None:
        self.settings = Settings()


def test_a_property_reads_and_writes_its_setting() -> None:
    server = Server()
    port: int = server.local_port
    assert port == 0
    server.local_port = 9001
    assert server.settings[table.LOCAL_PORT] == 9001
    server.ping_interval = "250ms"
    interval: float = server.ping_interval
    assert interval == 0.25


def test_a_property_refuses_as_the_settings_do() -> None:
    server = Server()
    with pytest.raises(SettingError, match="0 to 65535"):
        server.local_port = 70000
    server.settings.begin_listening()
    with pytest.raises(SettingError) as caught:
        server.local_port = 1
    assert caught.value.code == 106


def test_a_write_only_property_cannot_be_read() -> None:
    server = Server()
    server.ssl_cert_store_password = "hunter2"
    with pytest.raises(SettingError, match="write-only") as caught:
        _ = server.ssl_cert_store_password
    assert caught.value.code == 211


def test_a_property_of_the_class_tells_its_row_and_text() -> None:
    described = Server.local_port
    assert isinstance(described, Property)
    assert described.row is table.LOCAL_PORT
    assert described.__doc__ == table.LOCAL_PORT.text
