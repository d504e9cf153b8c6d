"""New certificates while the server runs: by a reload, and by a change of the file alone."""

import signal
import ssl
from pathlib import Path

import pytest

from tests.processes.conftest import RunningServer, RunServer, eventually
from tests.processes.tls_client import (
    Authority,
    connect_once,
    connect_once_to,
    open_websocket,
)

pytestmark = pytest.mark.processes

VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    authority = Authority(tmp_path)
    authority.store("first", file="store.pem")
    return authority


def serve(run_server: RunServer, watch: str) -> RunningServer:
    return run_server(
        "examples.demo:server", "--use-ssl", "--ssl-cert-store", "store.pem",
        "--certificate-watch", watch,
    )  # fmt: skip


@pytest.mark.parametrize("version", VERSIONS)
def test_a_changed_file_is_served_without_a_reload(
    run_server: RunServer, authority: Authority, version: ssl.TLSVersion
) -> None:
    server = serve(run_server, "0.2")
    context = authority.context(version)
    pids = server.shard_pids()
    old = connect_once(server, context)
    with open_websocket(server, context) as (sock, _):
        authority.store("second", file="store.pem")
        server.wait_for_line("certificates renewed in 2 shards")
        sock.sendall(b"\x81\x85\x00\x00\x00\x00hello")  # who is there already is not disturbed
        assert sock.recv(100) == b"\x81\x05hello"
    new = connect_once(server, context, old.session)
    assert new.subject == "second"
    assert not new.is_resumed  # the session was made for another certificate
    other = connect_once_to(server, context, new.session, 1 - new.shard)
    assert other.subject == "second"
    assert other.is_resumed
    assert server.shard_pids() == pids
    status = server.status()
    assert status["certificate_renewals"] == 1
    assert "CN=second" in status["tls"]["certificates"][0]["subject"]


def test_a_renewed_certificate_is_kept_by_successors(
    run_server: RunServer, authority: Authority
) -> None:
    server = serve(run_server, "0.2")
    context = authority.context()
    authority.store("second", file="store.pem")
    server.wait_for_line("certificates renewed in 2 shards")
    session = connect_once(server, context).session
    server.ask("scale", shards=3)
    server.wait_for_status(lambda report: len(report["shards"]) == 3 and report["ready"])
    eventually(lambda: server.shard(2)["state"] == "ready")
    third = connect_once_to(server, context, session, 2)
    assert third.subject == "second"
    assert third.is_resumed


def test_a_broken_file_is_refused_and_the_old_certificate_stays(
    run_server: RunServer, authority: Authority, tmp_path: Path
) -> None:
    server = serve(run_server, "0.2")
    (tmp_path / "store.pem").write_text("-----BEGIN CERTIFICATE-----\nhalf a dep")
    server.wait_for_line(r"error.*changed certificate refused, the old one stays: .*\(271\)")
    assert {connect_once(server, authority.context()).subject for _ in range(4)} == {"first"}
    authority.store("mended", file="store.pem")
    server.wait_for_line("certificates renewed in 2 shards")
    assert connect_once(server, authority.context()).subject == "mended"


def test_a_reload_serves_the_new_certificate(run_server: RunServer, authority: Authority) -> None:
    server = serve(run_server, "0")
    authority.store("second", file="store.pem")
    assert connect_once(server, authority.context()).subject == "first"
    server.signal(signal.SIGHUP)
    server.wait_for_line("reloaded: 2 shards replaced")
    assert {connect_once(server, authority.context()).subject for _ in range(4)} == {"second"}


def test_a_reload_with_a_broken_certificate_is_refused(
    run_server: RunServer, authority: Authority, tmp_path: Path
) -> None:
    server = serve(run_server, "0")
    pids = server.shard_pids()
    (tmp_path / "store.pem").write_text("nothing of use")
    server.signal(signal.SIGHUP)
    server.wait_for_line(r"error.*reload refused: .*store\.pem")
    assert connect_once(server, authority.context()).subject == "first"
    assert server.shard_pids() == pids
    assert server.status()["reload_outcome"].startswith("reload refused")


def test_a_reload_takes_up_other_tls_settings(
    run_server: RunServer, authority: Authority, tmp_path: Path
) -> None:
    """What cannot work is refused, and changes nothing."""
    config = tmp_path / "s.toml"
    common = 'use_ssl = true\nssl_cert_store = "store.pem"\n'
    config.write_text(common)
    server = run_server("examples.demo:server", "--config", "s.toml")
    assert {connect_once(server, authority.context(version)).subject for version in VERSIONS} == {
        "first"
    }

    config.write_text(common + "ssl_enabled_protocols = 12288\n")
    server.signal(signal.SIGHUP)
    server.wait_for_line("reloaded: 2 shards replaced")
    assert server.status()["tls"]["protocols"] == ["TLSv1.3"]
    assert connect_once(server, authority.context(VERSIONS[1])).subject == "first"
    with pytest.raises(ssl.SSLError, match=r"(?i)protocol.version"):
        connect_once(server, authority.context(VERSIONS[0]))

    config.write_text(common + 'ssl_enabled_cipher_suites = "NOT_A_SUITE"\n')
    server.signal(signal.SIGHUP)
    server.wait_for_line(r"error.*reload refused: .*NOT_A_SUITE")
    assert server.status()["tls"]["protocols"] == ["TLSv1.3"]
    assert connect_once(server, authority.context(VERSIONS[1])).subject == "first"
