"""advice: what works and is probably not meant."""

from pathlib import Path

import pytest

from shardws.settings import Settings
from shardws_supervisor.plan import advice

KEY = b"-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n"
CERTIFICATE = b"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize(
    ("content", "mode", "is_told"),
    [
        (CERTIFICATE + KEY, 0o644, True),
        (CERTIFICATE + KEY, 0o640, False),
        (CERTIFICATE, 0o644, False),
        (b"\x30\x82 of a PFX file", 0o604, True),
        (None, 0, False),
    ],
)
def test_a_private_key_that_everybody_may_read(
    tmp_path: Path, content: bytes | None, mode: int, is_told: bool
) -> None:
    store = tmp_path / "store.pem"
    if content is not None:
        store.write_bytes(content)
        store.chmod(mode)
    settings = Settings()
    settings.assign("SSLCertStore", str(store))
    told = advice.found(settings, is_tls=True)
    assert bool(told) is is_told
    if is_told:
        assert f"{store} holds a private key" in told[0]
        assert f"(mode {mode:04o})" in told[0]
    assert advice.found(settings, is_tls=False) == []


@pytest.mark.parametrize(
    ("blocks", "count"), [("0.0.0.0/0", 1), ("::/0,10.0.0.0/8,0.0.0.0/0", 2), ("10.0.0.0/8", 0)]
)
def test_a_proxy_that_is_everybody(blocks: str, count: int) -> None:
    settings = Settings()
    settings.assign("TrustedProxies", blocks)
    told = advice.found(settings, is_tls=False)
    assert len(told) == count
    assert all("trusts everyone" in line for line in told)
