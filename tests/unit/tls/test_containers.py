"""Containers: every form a certificate and its key come in, and what is wrong with the others."""

import base64
import shutil
import subprocess
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs7,
    pkcs12,
)

from shardws.errors import TLSSetupError
from shardws.tls import containers
from tests.unit.tls.stdlib_client import pem_of

SECRET = b"geheim"


@pytest.fixture(scope="module")
def key(leaf: trustme.LeafCert) -> ec.EllipticCurvePrivateKey:
    loaded = load_pem_private_key(leaf.private_key_pem.bytes(), None)
    assert isinstance(loaded, ec.EllipticCurvePrivateKey)
    return loaded


@pytest.fixture(scope="module")
def certificate(leaf: trustme.LeafCert) -> x509.Certificate:
    return x509.load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes())


def refusal(data: bytes, password: str = "") -> str:
    with pytest.raises(TLSSetupError) as caught:
        containers.read_any(data, password)
    assert caught.value.code == 271
    return caught.value.description


def test_pem(leaf: trustme.LeafCert, certificate: x509.Certificate) -> None:
    contents = containers.read_any(pem_of(leaf), "")
    assert contents.certificates == (certificate,)
    assert len(contents.keys) == 1
    assert repr(contents) == "<Contents 1 certificates, 1 keys>"


def test_pem_passes_over_other_blocks(leaf: trustme.LeafCert) -> None:
    text = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    assert len(containers.read_any(text + pem_of(leaf), "").keys) == 1


def test_pem_label_of_old_tools(leaf: trustme.LeafCert, certificate: x509.Certificate) -> None:
    text = pem_of(leaf).replace(b" CERTIFICATE-", b" X509 CERTIFICATE-")
    assert containers.read_any(text, "").certificates == (certificate,)


@pytest.mark.parametrize("style", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_encrypted_pem_key(key: ec.EllipticCurvePrivateKey, style: PrivateFormat) -> None:
    text = key.private_bytes(Encoding.PEM, style, BestAvailableEncryption(SECRET))
    assert len(containers.read_any(text, "geheim").keys) == 1
    assert "wrong password" in refusal(text, "falsch")
    assert "encrypted: set a password" in refusal(text)


def test_a_password_for_an_open_key_is_ignored(leaf: trustme.LeafCert) -> None:
    """cryptography raises TypeError there."""
    assert len(containers.read_any(pem_of(leaf), "geheim").keys) == 1


def test_damaged_pem(leaf: trustme.LeafCert) -> None:
    text = pem_of(leaf)
    body = leaf.private_key_pem.bytes().splitlines()
    assert "no complete PEM block" in refusal(b"-----BEGIN CERTIFICATE-----\nAAAA")
    assert "a damaged private key" in refusal(b"\n".join([body[0], b"AAAA", body[-1]]))
    begin = text.index(b"-----BEGIN CERT") + 40
    assert "certificate cannot be read" in refusal(text[:begin] + b"\n" + text[begin + 40 :])


def test_a_key_that_cannot_sign_is_refused() -> None:
    pem = x25519.X25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    assert "cannot sign (X25519PrivateKey)" in refusal(pem)


def test_a_key_of_an_unknown_kind_is_refused() -> None:
    """PKCS 8 with an algorithm that nobody knows (1.2.3.4)."""
    der = bytes.fromhex("300f020100300506032a0304040303 0100".replace(" ", ""))
    assert "private key" in refusal(der)


def test_endless_pem(leaf: trustme.LeafCert, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "MAX_OBJECTS", 3)
    assert "more than 3" in refusal(pem_of(leaf) * 2)


def test_der(key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
    assert containers.read_any(certificate.public_bytes(Encoding.DER), "").certificates == (
        certificate,
    )
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    assert len(containers.read_any(der, "").keys) == 1
    sealed = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, BestAvailableEncryption(SECRET))
    assert len(containers.read_any(sealed, "geheim").keys) == 1
    assert "damaged DER" in refusal(b"\x30\x82\x01\x01\x30" + b"x" * 256)
    assert "damaged" in refusal(b"\x30")


def test_pfx(key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
    for secret, password in ((SECRET, "geheim"), (b"", ""), (None, "")):
        encryption = BestAvailableEncryption(secret) if secret else NoEncryption()
        data = pkcs12.serialize_key_and_certificates(b"n", key, certificate, None, encryption)
        contents = containers.read_any(data, password)
        assert contents.certificates == (certificate,)
        assert len(contents.keys) == 1
    data = pkcs12.serialize_key_and_certificates(
        b"n", key, certificate, None, BestAvailableEncryption(SECRET)
    )
    assert "wrong password" in refusal(data, "falsch")
    assert "no password" in refusal(data)


def test_pfx_without_key(certificate: x509.Certificate) -> None:
    data = pkcs12.serialize_key_and_certificates(None, None, None, [certificate], NoEncryption())
    contents = containers.read_any(data, "")
    assert contents.certificates == (certificate,)
    assert contents.keys == ()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is missing")
@pytest.mark.parametrize("cipher", ["PBE-SHA1-3DES", "PBE-SHA1-RC2-40", "AES-256-CBC"])
def test_pfx_of_the_openssl_tool(leaf: trustme.LeafCert, cipher: str, tmp_path: Path) -> None:
    """Old Windows exports use 3DES and RC2."""
    source = tmp_path / "a.pem"
    source.write_bytes(pem_of(leaf))
    target = tmp_path / "a.pfx"
    arguments = ["-in", str(source), "-out", str(target), "-passout", "pass:geheim", "-legacy"]
    ciphers = ["-keypbe", "PBE-SHA1-3DES" if "RC2" in cipher else cipher, "-certpbe", cipher]
    subprocess.run(
        ["openssl", "pkcs12", "-export", *arguments, *ciphers], check=True, capture_output=True
    )
    assert len(containers.read_any(target.read_bytes(), "geheim").keys) == 1


def test_p7b(certificate: x509.Certificate) -> None:
    der = pkcs7.serialize_certificates([certificate], Encoding.DER)
    pem = pkcs7.serialize_certificates([certificate], Encoding.PEM)
    for data in (der, pem, pem.replace(b" PKCS7-", b" CMS-")):
        assert containers.read_any(data, "").certificates == (certificate,)
        assert containers.read_p7b(data, "").certificates == (certificate,)
    with pytest.raises(TLSSetupError, match="PKCS 7 cannot be read"):
        containers.read_p7b(b"\x30\x03\x06\x01\x01", "")


def test_a_pfx_in_a_jks_file_is_taken_for_what_it_is(
    key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate
) -> None:
    data = pkcs12.serialize_key_and_certificates(
        b"n", key, certificate, None, BestAvailableEncryption(SECRET)
    )
    assert len(containers.read_jks(data, "geheim").keys) == 1


def test_jceks_is_refused_with_advice() -> None:
    assert "keytool -importkeystore" in refusal(b"\xce\xce\xce\xce" + b"x" * 40)


@pytest.mark.skipif(shutil.which("keytool") is None, reason="keytool is missing")
def test_jks(tmp_path: Path) -> None:
    path = tmp_path / "a.jks"
    options = ["-keystore", str(path), "-storepass", "changeit", "-storetype", "JKS"]
    subprocess.run(
        ["keytool", "-genkeypair", "-keyalg", "EC", "-dname", "CN=a", *options],
        check=True,
        capture_output=True,
    )
    contents = containers.read_any(path.read_bytes(), "changeit")
    assert len(contents.certificates) == len(contents.keys) == 1


def test_unknown_content() -> None:
    assert "neither PEM nor DER" in refusal(b"hello")
    assert "neither PEM nor DER" in refusal(b"")


def test_read_certificate(leaf: trustme.LeafCert, certificate: x509.Certificate) -> None:
    der = certificate.public_bytes(Encoding.DER)
    for data in (der, base64.b64encode(der), base64.encodebytes(der), pem_of(leaf)):
        contents = containers.read_certificate(data)
        assert contents.certificates == (certificate,)
        assert contents.keys == ()
    for data in (b"hello", b"!!", base64.b64encode(b"hello")):
        with pytest.raises(TLSSetupError, match="neither a PEM, DER nor base64"):
            containers.read_certificate(data)
