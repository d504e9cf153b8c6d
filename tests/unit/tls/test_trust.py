"""Sources of trusted CAs, and error 273."""

from pathlib import Path

import pytest
import trustme
from cryptography import x509

from shardws.errors import TLSSetupError
from shardws.tls import trust
from tests.unit.tls.stdlib_client import EC


@pytest.fixture
def other() -> trustme.CA:
    return trustme.CA(key_type=EC)


def write(path: Path, *authorities: trustme.CA) -> str:
    path.write_bytes(b"".join(ca.cert_pem.bytes() for ca in authorities))
    return str(path)


def refusal(directory: str = "", file: str = "", paths: str = "", pem: str = "") -> str:
    with pytest.raises(TLSSetupError) as caught:
        trust.load(directory, file, paths, pem)
    assert caught.value.code == 273
    return caught.value.description


def loaded(ca: trustme.CA) -> x509.Certificate:
    return x509.load_pem_x509_certificate(ca.cert_pem.bytes())


def test_no_source_trusts_nobody() -> None:
    assert trust.load("", "", "", "") == ()


def test_all_sources_come_together_each_once(
    tmp_path: Path, authority: trustme.CA, other: trustme.CA
) -> None:
    folder = tmp_path / "cas"
    folder.mkdir()
    write(folder / "a.pem", authority)
    (folder / "crl.r0").write_bytes(b"no certificate")
    file = write(tmp_path / "bundle.pem", authority, other)
    found = trust.load(str(folder), file, file, authority.cert_pem.bytes().decode())
    assert found == (loaded(authority), loaded(other))


def test_the_first_path_that_exists_is_loaded(
    tmp_path: Path, authority: trustme.CA, other: trustme.CA
) -> None:
    one, two = write(tmp_path / "one", authority), write(tmp_path / "two", other)
    for separator in ";:":
        paths = separator.join((str(tmp_path / "missing"), one, two))
        assert trust.load("", "", paths, "") == (loaded(authority),)
    assert "none of these files exists" in refusal(paths="/missing:/too")


def test_a_missing_directory_or_file_is_an_error(tmp_path: Path) -> None:
    """OpenSSL accepts a missing directory in silence."""
    assert "No such file" in refusal(directory=str(tmp_path / "missing"))
    assert "No such file" in refusal(file=str(tmp_path / "missing"))
    assert "holds no certificate" in refusal(directory=str(tmp_path))


def test_a_file_without_certificate_is_an_error(tmp_path: Path, leaf: trustme.LeafCert) -> None:
    path = tmp_path / "empty"
    path.write_bytes(b"")
    assert str(path) in refusal(file=str(path))
    path.write_bytes(leaf.private_key_pem.bytes())
    assert "holds no certificate" in refusal(file=str(path))
    assert "SSLCACerts" in refusal(pem="nonsense")
