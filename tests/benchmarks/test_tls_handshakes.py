"""Handshakes in memory: all kinds are measured, and those that should resume do."""

from pathlib import Path

import pytest

from benchmarks import certificate, tls_handshakes


def test_every_kind_of_handshake_has_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls_handshakes, "BATCHES", 1)
    monkeypatch.setattr(tls_handshakes, "HANDSHAKES", 2)
    names = [row[0] for row in tls_handshakes.rows(*certificate.make(tmp_path))]
    versions = ("TLS 1.2", "TLS 1.3")
    assert names == [f"{one}, {kind}" for one in versions for kind in ("full", "resumed")]


def test_the_table_has_a_row_for_each(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tls_handshakes, "best_us", lambda *kind: 50.0)
    found = tls_handshakes.lines(*certificate.make(tmp_path))
    assert len(found) == 6
    assert found[2].split("|")[2:4] == [" 50       ", " 20,000         "]


def test_a_session_of_one_context_does_not_resume_under_another(tmp_path: Path) -> None:
    """So that `resumed` above cannot be a full handshake by mistake."""
    files = certificate.make(tmp_path)
    client = tls_handshakes.client_of(tls_handshakes.VERSIONS[0])
    _, first = tls_handshakes.shake(tls_handshakes.ours(*files), client, None)
    _, second = tls_handshakes.shake(tls_handshakes.ours(*files), client, first.session)
    assert not second.session_reused
