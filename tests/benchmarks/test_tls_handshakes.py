"""Handshakes in memory: all kinds are measured, and those that should resume do."""

from pathlib import Path

import pytest

from benchmarks import certificate, tls_handshakes


def test_every_kind_of_handshake_has_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls_handshakes, "BATCHES", 1)
    monkeypatch.setattr(tls_handshakes, "HANDSHAKES", 2)
    found = list(tls_handshakes.rows(*certificate.make(tmp_path)))
    names = [row.split("|")[1].strip() for row in found[2:]]
    versions = ("TLS 1.2", "TLS 1.3")
    assert names == [f"{one}, {kind}" for one in versions for kind in ("full", "resumed")]


def test_a_session_of_one_context_does_not_resume_under_another(tmp_path: Path) -> None:
    """So that `resumed` above cannot be a full handshake by mistake."""
    files = certificate.make(tmp_path)
    client = tls_handshakes.client_of(tls_handshakes.VERSIONS[0])
    _, first = tls_handshakes.shake(tls_handshakes.ours(*files), client, None)
    _, second = tls_handshakes.shake(tls_handshakes.ours(*files), client, first.session)
    assert not second.session_reused
