"""plan: what the dashboard's console is allowed, and nobody else with it."""

import pytest

from shardws.protocol.origin import Origins
from shardws.settings import Settings, Source
from shardws_supervisor.plan import console_origins


def settings_of(admin: str, allowed: str = "") -> Settings:
    settings = Settings()
    settings.assign("admin_address", admin, Source.FLAG)
    settings.assign("allowed_origins", allowed, Source.FLAG)
    return settings


def origins_of(admin: str, allowed: str = "") -> Origins:
    ((name, value, source),) = console_origins(settings_of(admin, allowed))
    assert (name, source) == ("allowed_origins", Source.RUNTIME)
    settings = Settings()
    settings.assign(name, value, source)
    return Origins.parse(str(value))


@pytest.mark.parametrize("allowed", ["", "same", "https://app.example"])
def test_the_page_on_loopback_may_connect(allowed: str) -> None:
    origins = origins_of("127.0.0.1:9002", allowed)
    for host in ("127.0.0.1", "localhost", "[::1]"):
        assert origins.allows(f"http://{host}:9002", "127.0.0.1:9001")
        assert not origins.allows(f"http://{host}:9003", "127.0.0.1:9001")
    assert not origins.allows("http://evil.example:9002", "127.0.0.1:9001")
    assert origins.allows("http://h:9001", "h:9001") == (allowed != "https://app.example")
    assert origins.allows("https://app.example", "h") == (allowed == "https://app.example")


def test_the_page_on_an_address_of_its_own() -> None:
    origins = origins_of("10.0.0.7:9002")
    assert origins.allows("http://10.0.0.7:9002", "h:9001")
    assert not origins.allows("http://localhost:9002", "h:9001")


@pytest.mark.parametrize(
    ("admin", "allowed"),
    [("", ""), ("0.0.0.0:9002", ""), ("[::]:9002", ""), ("127.0.0.1:0", ""), ("[::1]:9002", "*")],
)
def test_nothing_is_added(admin: str, allowed: str) -> None:
    assert console_origins(settings_of(admin, allowed)) == ()
