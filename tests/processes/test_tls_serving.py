"""wss as its operator sees it: the start, its errors, what status and the log show."""

import datetime
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes.conftest import DEADLINE, RunServer, WriteApp
from tests.processes.tls_client import Authority, connect_once

pytestmark = pytest.mark.processes


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.mark.surface("UseSSL", "SSLCertStore")
def test_the_demo_serves_wss(run_server: RunServer, authority: Authority) -> None:
    store = authority.store("demo")
    server = run_server("examples.demo:server", "--use-ssl", "--ssl-cert-store", str(store))
    assert "listening on wss://" in server.log
    context = authority.context()
    shards = {connect_once(server, context).shard for _ in range(30)}
    assert shards == {0, 1}


def test_an_application_may_set_tls_itself(
    run_server: RunServer, authority: Authority, write_app: WriteApp
) -> None:
    """The store travels as content from the probe to the supervisor."""
    store = authority.store("own")
    app = write_app(
        "from examples.demo import server\n"
        "server.use_ssl = True\n"
        f"server.ssl_cert_store = open({str(store)!r}, 'rb').read()\n"
    )
    server = run_server(app)
    assert connect_once(server, authority.context()).subject == "own"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), r"SSLCertStore is empty.*\(271\)"),
        (("--ssl-cert-store", "/nowhere.pem"), r"cannot read '/nowhere.pem'.*\(271\)"),
        (("--ssl-cert-store", "ca.pem"), r"no private key.*\(272\)"),
        (("--ssl-cert-store", "demo.pem", "--ssl-cert-subject", "CN=x"), r"'CN=x'.*\(272\)"),
        (
            ("--ssl-cert-store", "demo.pem", "--ssl-enabled-cipher-suites", "X"),
            r"X.*\(274\)",
        ),
    ],
)
@pytest.mark.surface("SSLCertStore", "SSLCertSubject")
def test_a_start_without_a_usable_certificate_says_so_in_one_line(
    launch: RunServer, authority: Authority, options: tuple[str, ...], words: str
) -> None:
    authority.store("demo")
    server = launch("examples.demo:server", "--use-ssl", *options)
    found = server.wait_for_line(rf"^shardws: .*{words}")
    assert server.wait_for_exit() == 3
    assert server.log.count("shardws: ") == 1
    assert "Traceback" not in server.log
    assert found


def test_status_shows_the_certificates_and_the_log_warns(
    run_server: RunServer, authority: Authority
) -> None:
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=10, hours=1)
    store = authority.store("short lived", not_after=soon)
    server = run_server(
        "examples.demo:server", "--use-ssl", "--ssl-cert-store", str(store),
    )  # fmt: skip
    found = subprocess.run(
        [sys.executable, "-m", "shardws_supervisor", "status", "--json"]
        + ["--run-dir", str(server.run_dir)],
        cwd=Path(__file__).resolve().parents[2] / "supervisor",
        env={"PYTHONPATH": f"{Path(__file__).resolve().parents[2]}:."},
        capture_output=True,
        check=True,
        timeout=DEADLINE,
    )
    report = json.loads(found.stdout)["tls"]
    assert report["protocols"] == ["TLSv1.2", "TLSv1.3"]
    (certificate,) = report["certificates"]
    assert "CN=short lived" in certificate["subject"]
    assert certificate["expires"] == soon.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert certificate["days_left"] == 10
    server.wait_for_line(r"warning.*the certificate CN=short lived.* expires in 10 days")


def test_without_tls_status_shows_none(run_server: RunServer) -> None:
    assert run_server().status()["tls"] is None


@pytest.mark.surface("SSLCertStorePassword")
def test_a_password_from_the_environment_is_not_shown(
    run_server: RunServer, authority: Authority, tmp_path: Path
) -> None:
    leaf = authority.ca.issue_cert("127.0.0.1", common_name="locked")
    plain, locked = tmp_path / "plain.pem", tmp_path / "locked.pem"
    plain.write_bytes(leaf.private_key_and_cert_chain_pem.bytes())
    subprocess.run(
        ["openssl", "pkcs12", "-export", "-in", str(plain), "-out", str(locked)]
        + ["-passout", "pass:hunter2"],
        check=True,
        capture_output=True,
    )
    server = run_server(
        "examples.demo:server", "--use-ssl", "--ssl-cert-store", str(locked),
        env={"SHARDWS_SSL_CERT_STORE_PASSWORD": "hunter2", "SHARDWS_LOG_LEVEL": "3"},
    )  # fmt: skip
    assert connect_once(server, authority.context()).subject == "locked"
    assert "hunter2" not in server.log + json.dumps(server.status())
