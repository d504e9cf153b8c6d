"""The same example with a certificate: wss without a supervisor."""

import ssl
import subprocess
import sys
from pathlib import Path

import pytest
import trustme
from websockets.sync.client import connect

ROOT = Path(__file__).parents[2]
DEADLINE_S = 20.0


def start(store: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "examples/do_events_echo.py", "0", str(store)],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.surface("UseSSL", "SSLCertStore", "SSLCertStoreType", "DoEvents")
def test_the_example_echoes_over_tls(tmp_path: Path) -> None:
    authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
    store = tmp_path / "store.pem"
    leaf = authority.issue_cert("127.0.0.1", key_type=trustme.KeyType.ECDSA)
    store.write_bytes(leaf.private_key_and_cert_chain_pem.bytes())
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with start(store) as process:
        try:
            assert process.stdout is not None
            port = process.stdout.readline().split()[-1]
            url = f"wss://127.0.0.1:{port}/"
            with connect(url, ssl=context, open_timeout=DEADLINE_S, compression=None) as ws:
                for message in ("hello", b"\xff\x00", "x" * 70_000):
                    ws.send(message)
                    assert ws.recv(DEADLINE_S) == message
        finally:
            process.terminate()


def test_the_example_names_what_is_wrong_with_its_certificate(tmp_path: Path) -> None:
    with start(tmp_path / "none.pem") as process:
        said, _ = process.communicate(timeout=DEADLINE_S)
    assert said.startswith("error 271: ")
    assert said.count("\n") == 1
