"""The JKS reader against keytool, and against damage."""

import contextlib
import hashlib
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_der_private_key
from hypothesis import given, settings
from hypothesis import strategies as st

from shardws.errors import TLSSetupError
from shardws.tls import jks

SECRET = "changeit"
needs_keytool = pytest.mark.skipif(shutil.which("keytool") is None, reason="keytool is missing")


def sign(body: bytes, password: str = SECRET) -> bytes:
    secret = password.encode("utf-16-be")
    return body + hashlib.sha1(secret + b"Mighty Aphrodite" + body).digest()


def store(*entries: bytes, version: int = 2) -> bytes:
    return sign(
        struct.pack(">4sII", b"\xfe\xed\xfe\xed", version, len(entries)) + b"".join(entries)
    )


def trusted(der: bytes) -> bytes:
    return struct.pack(">IH1sQH5s", 2, 1, b"a", 0, 5, b"X.509") + struct.pack(">I", len(der)) + der


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A store of keytool with an RSA and an EC key and the same certificate as a trusted one."""
    path = tmp_path_factory.mktemp("jks") / "store.jks"
    keytool("-genkeypair", path, "-alias", "one", "-keyalg", "RSA", "-dname", "CN=one, O=x")
    keytool("-genkeypair", path, "-alias", "two", "-keyalg", "EC", "-dname", "CN=two, O=x")
    certificate = path.with_suffix(".der")
    keytool("-exportcert", path, "-alias", "two", "-file", str(certificate))
    keytool("-importcert", path, "-alias", "ca", "-noprompt", "-file", str(certificate))
    return path.read_bytes()


def keytool(command: str, path: Path, *arguments: str) -> None:
    options = ("-keystore", str(path), "-storepass", SECRET, "-storetype", "JKS")
    subprocess.run(["keytool", command, *options, *arguments], check=True, capture_output=True)


@needs_keytool
def test_reads_a_store_of_keytool(made: bytes) -> None:
    read = jks.read(made, SECRET)
    assert len(read.keys) == 2
    assert len(read.trusted) == 1
    for key, chain in read.keys:
        assert load_der_private_key(key, None) is not None
        assert len(chain) == 1
    assert "PRIVATE" not in repr(read)
    assert repr(read) == "<JavaStore 2 keys, 1 trusted>"


@needs_keytool
def test_a_wrong_password_is_told(made: bytes) -> None:
    with pytest.raises(TLSSetupError, match="wrong password") as caught:
        jks.read(made, "wrong")
    assert caught.value.code == 271


@needs_keytool
def test_keys_need_a_password(made: bytes) -> None:
    with pytest.raises(TLSSetupError, match="wrong password for a key"):
        jks.read(made, "")


def test_a_trust_store_is_read_without_password() -> None:
    assert jks.read(store(trusted(b"der")), "").trusted == (b"der",)


def test_version_1_has_no_certificate_type() -> None:
    entry = struct.pack(">IH1sQI3s", 2, 1, b"a", 0, 3, b"der")
    assert jks.read(store(entry, version=1), SECRET).trusted == (b"der",)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\xfe\xed\xfe\xed", "not a complete"),
        (b"x" * 64, "not a complete"),
        (store(version=3), "version 3"),
        (store(struct.pack(">IH1sQ", 9, 1, b"a", 0)), "unknown kind 9"),
        (store(trusted(b"der")[:-1]), "cut short"),
        (store(struct.pack(">IH1sQI", 1, 1, b"a", 0, 0) + b"\xff\xff\xff\xff"), "endless"),
        (store(struct.pack(">IH1sQI3sI", 1, 1, b"a", 0, 3, b"key", 0)), "protected in an unknown"),
    ],
)
def test_damage_is_told(data: bytes, words: str) -> None:
    with pytest.raises(TLSSetupError, match=words) as caught:
        jks.read(data, SECRET)
    assert caught.value.code == 271


@pytest.mark.parametrize(
    "behind",
    [b"", b"\x05\x00", b"\x04\x82", b"\x04\x10" + b"x" * 16, b"\x04\x7f" + b"x" * 20],
)
def test_a_damaged_key_is_told(behind: bytes) -> None:
    protected = b"\x30\x20" + jks.PROTECTOR + behind
    entry = struct.pack(">IH1sQI", 1, 1, b"a", 0, len(protected)) + protected
    with pytest.raises(TLSSetupError, match="damaged"):
        jks.read(store(entry + struct.pack(">I", 0)), SECRET)


@given(st.binary(max_size=200))
@settings(max_examples=200)
def test_any_content_is_read_or_refused(body: bytes) -> None:
    """Whatever stands behind the header, the answer is a store or TLSSetupError."""
    with contextlib.suppress(TLSSetupError):
        jks.read(sign(b"\xfe\xed\xfe\xed\0\0\0\2" + body), SECRET)
