"""`make tls-scan`: testssl.sh against the demo; fails for a finding above LOW.

Starts a server with its own certificates (ECDSA and RSA, 90 days, with an address for revocation
lists like those of a public CA), runs testssl.sh (Debian package testssl.sh, two minutes)
and writes the page docs/reference/tls-scan.txt. All traffic stays on this host.
"""

import argparse
import datetime
import json
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

ROOT: Final = Path(__file__).parents[1]
PAGE: Final = ROOT / "docs" / "reference" / "tls-scan.txt"
BINARIES: Final = ("testssl", "testssl.sh")
LISTENING: Final = re.compile(r"listening on wss://127\.0\.0\.1:(\d+) ")
ACCEPTED: Final = ("OK", "INFO", "LOW", "WARN", "DEBUG")  # WARN: a test could not be run
UNSTEADY: Final = re.compile(
    r"Start 20|Done 20|Serial  |Fingerprints|SHA256 [0-9A-F]{64}|Validity|censys\.io"
)
LIMIT_S: Final = 590
DAYS: Final = 90

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def issue(key: Key, issuer: Key, authority: bool) -> x509.Certificate:
    """Return a certificate for `key`: self-signed for the CA, or for the server."""
    now = datetime.datetime.now(datetime.UTC)
    subject = name("shardws scan CA" if authority else "localhost")
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(name("shardws scan CA"))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=DAYS))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if not authority:
        list_at = x509.UniformResourceIdentifier("http://localhost/revoked.crl")
        point = x509.DistributionPoint([list_at], None, None, None)
        builder = (
            builder.add_extension(x509.CRLDistributionPoints([point]), critical=False)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        )
    return builder.sign(issuer, SHA256())


def write_certificates(directory: Path) -> tuple[Path, Path]:
    """Write a store for the server and the CA for the client; return both paths."""
    authority = ec.generate_private_key(ec.SECP256R1())
    keys: list[Key] = [
        ec.generate_private_key(ec.SECP256R1()),
        rsa.generate_private_key(65537, 2048),
    ]
    store, trusted = directory / "store.pem", directory / "ca.pem"
    store.write_bytes(
        b"".join(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            + issue(key, authority, authority=False).public_bytes(Encoding.PEM)
            for key in keys
        )
    )
    trusted.write_bytes(issue(authority, authority, authority=True).public_bytes(Encoding.PEM))
    return store, trusted


def scan(binary: str, directory: Path) -> tuple[str, list[dict[str, Any]]]:
    """Run testssl.sh against a server of its own; return its text and its findings."""
    store, trusted = write_certificates(directory)
    server = subprocess.Popen(
        [sys.executable, "-m", "shardws_supervisor", "run", "examples.demo:server"]
        + ["--use-ssl", "--ssl-cert-store", str(store), "--local-host", "127.0.0.1"]
        + ["--local-port", "0", "--shards", "2", "--run-dir", str(directory / "run")],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stderr is not None
        found = next(filter(None, map(LISTENING.search, server.stderr)))
        threading.Thread(target=server.stderr.read, daemon=True).start()  # a full pipe would block
        result = directory / "findings.json"
        done = subprocess.run(
            [binary, "--quiet", "--color", "0", "--warnings", "off", "--add-ca", str(trusted)]
            + ["--jsonfile", str(result), "--ip", "127.0.0.1", f"localhost:{found[1]}"],
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        return done.stdout.replace(found[1], "PORT"), json.loads(result.read_text())
    finally:
        server.terminate()
        server.wait(30)


def steady(text: str) -> str:
    """Remove from the text what differs in every run: times, serials, fingerprints."""
    kept = [line.rstrip() for line in text.splitlines() if not UNSTEADY.search(line)]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip() + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.tls_scan", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the page too")
    options = parser.parse_args(arguments)
    binary = next((path for path in map(shutil.which, BINARIES) if path), None)
    if binary is None:
        sys.stdout.write("testssl.sh is missing: install the Debian package testssl.sh\n")
        return 2
    with tempfile.TemporaryDirectory(prefix="shardws-scan-") as directory:
        text, findings = scan(binary, Path(directory))
    worse = [one for one in findings if one["severity"] not in ACCEPTED]
    noted = [one for one in findings if one["severity"] in ("LOW", "WARN")]
    lines = [f"{one['severity']:8} {one['id']}: {one['finding']}" for one in [*worse, *noted]]
    verdict = f"{len(worse)} findings above LOW, of {len(findings)}"
    if options.write:
        head = "Made by `make tls-scan`: testssl.sh against the demo with its defaults.\n\n"
        page = head + "\n".join([verdict, *lines]) + "\n\n" + steady(text)
        PAGE.write_text(page, encoding="utf-8")
    sys.stdout.write("\n".join([*lines, verdict]) + "\n")
    return 1 if worse or not findings else 0


if __name__ == "__main__":
    sys.exit(main())
