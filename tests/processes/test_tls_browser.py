"""A browser over wss: headless Chromium, whose TLS is BoringSSL."""

import base64
import hashlib
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.processes import chromium
from tests.processes.conftest import RunServer
from tests.processes.tls_client import Authority

BROWSER = chromium.find()

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium (Debian package: chromium)"),
]

# Resolves with what the demo says: its greeting, an echo, and how the connection was closed.
SCRIPT = """
new Promise((resolve, reject) => {
    const socket = new WebSocket("%s");
    const heard = [];
    socket.onerror = () => reject(new Error("the browser could not connect"));
    socket.onmessage = event => {
        heard.push(event.data);
        if (heard.length == 1) socket.send("x".repeat(100000));
        else socket.close(1000, "bye");
    };
    socket.onclose = event => resolve({
        greeting: heard[0], size: heard[1].length, code: event.code, clean: event.wasClean,
    });
})
"""


def fingerprint(store: Path) -> str:
    """Return the name by which Chromium is told to trust a public key."""
    leaf = x509.load_pem_x509_certificate(store.read_bytes())
    key = leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(key).digest()).decode()


@pytest.mark.surface("UseSSL")
@pytest.mark.parametrize("protocols", ["3072", "12288"])
def test_a_browser_talks_to_the_demo(run_server: RunServer, tmp_path: Path, protocols: str) -> None:
    assert BROWSER is not None
    store = Authority(tmp_path).store("demo")
    server = run_server(
        "examples.demo:server", "--use-ssl", "--ssl-cert-store", str(store),
        "--ssl-enabled-protocols", protocols, "--allowed-origins", "*",
    )  # fmt: skip
    trust = f"--ignore-certificate-errors-spki-list={fingerprint(store)}"
    page = chromium.Page(BROWSER, tmp_path / "profile", trust)
    try:
        found = page.run(SCRIPT % f"wss://127.0.0.1:{server.port}/")
    finally:
        page.close()
    assert "connection_id" in found["greeting"]
    assert (found["size"], found["code"], found["clean"]) == (100_000, 1000, True)
