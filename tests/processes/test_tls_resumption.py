"""Sessions resume on every shard and on its successor, and never where they must not."""

import os
import signal
import ssl
from pathlib import Path

import pytest

from tests.processes.conftest import RunningServer, RunServer, eventually
from tests.processes.tls_client import Authority, connect_once, connect_once_to

pytestmark = pytest.mark.processes

VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def server(run_server: RunServer, authority: Authority) -> RunningServer:
    return run_server("examples.demo:server", "--use-ssl", "--ssl-cert-store", "demo.pem")


@pytest.fixture(autouse=True)
def _store(authority: Authority) -> None:
    authority.store("demo")


@pytest.mark.surface("ReuseSSLSession")
@pytest.mark.parametrize("version", VERSIONS)
def test_a_session_of_one_shard_resumes_on_the_other(
    authority: Authority, server: RunningServer, version: ssl.TLSVersion
) -> None:
    context = authority.context(version)
    first = connect_once(server, context)
    assert not first.is_resumed
    other = connect_once_to(server, context, first.session, 1 - first.shard)
    assert other.is_resumed
    assert other.pid != first.pid


@pytest.mark.parametrize("version", VERSIONS)
def test_a_session_resumes_on_the_successor_of_a_killed_shard(
    authority: Authority, server: RunningServer, version: ssl.TLSVersion
) -> None:
    context = authority.context(version)
    first = connect_once(server, context)
    os.kill(first.pid, signal.SIGKILL)
    eventually(lambda: server.shard_pids().get(first.shard) not in (0, None, first.pid))
    eventually(lambda: server.shard(first.shard)["state"] == "ready")
    again = connect_once_to(server, context, first.session, first.shard)
    assert again.pid != first.pid
    assert again.is_resumed


@pytest.mark.parametrize("version", VERSIONS)
def test_a_reload_makes_new_ticket_keys(
    authority: Authority, server: RunningServer, version: ssl.TLSVersion
) -> None:
    context = authority.context(version)
    first = connect_once(server, context)
    server.signal(signal.SIGHUP)
    server.wait_for_line("reloaded: 2 shards replaced")
    again = connect_once(server, context, first.session)
    assert not again.is_resumed
    assert connect_once_to(server, context, again.session, 1 - again.shard).is_resumed


@pytest.mark.surface("ReuseSSLSession", "SSLAuthenticateClients")
@pytest.mark.parametrize("version", VERSIONS)
def test_nothing_resumes_while_clients_are_authenticated(
    authority: Authority, run_server: RunServer, version: ssl.TLSVersion
) -> None:
    server = run_server(
        "examples.demo:server", "--use-ssl", "--ssl-cert-store", "demo.pem",
        "--ssl-authenticate-clients", "--openssl-ca-file", str(authority.file),
    )  # fmt: skip
    context = authority.context(version)
    client = authority.store("client", "client@example.org")
    context.load_cert_chain(client)
    session = connect_once(server, context).session
    for _ in range(6):
        assert not connect_once(server, context, session).is_resumed


@pytest.mark.parametrize("version", VERSIONS)
def test_no_session_resumes_under_another_server_name(
    authority: Authority, run_server: RunServer, version: ssl.TLSVersion
) -> None:
    """CVE-2025-23419: what one name was granted must not open another."""
    other = authority.store("other", "b.example")
    server = run_server(
        "examples.demo:server", "--use-ssl", "--ssl-cert-store", "demo.pem",
        "--sni-map", f"b.example={other}",
    )  # fmt: skip
    context = authority.context(version)
    there, here = connect_once(server, context, name="b.example"), connect_once(server, context)
    assert (there.subject, here.subject) == ("other", "demo")
    for _ in range(4):
        assert not connect_once(server, context, there.session).is_resumed
        assert not connect_once(server, context, here.session, "b.example").is_resumed
    resumed = connect_once(server, context, there.session, "b.example")
    assert resumed.is_resumed
    assert resumed.subject == "other"
