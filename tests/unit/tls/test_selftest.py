"""The choice of the calls: a changed pyOpenSSL costs speed, never a connection."""

import pytest
from OpenSSL import SSL

from shardws.tls import ffi, selftest
from shardws.tls.ffi import Calls, DirectCalls


def test_the_direct_calls_prove_themselves() -> None:
    choice = selftest.choose()
    assert choice.calls.name == "direct"
    assert choice.reason == ""


def test_the_public_calls_can_be_asked_for() -> None:
    choice = selftest.choose("public")
    assert type(choice.calls) is Calls
    assert "asked for" in choice.reason


def test_a_missing_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ffi, "HOT_NAMES", ("SSL_read", "SSL_gone"))
    choice = selftest.choose()
    assert choice.calls.name == "public"
    assert "lacks" in choice.reason


def fail(error: Exception) -> object:
    def call(*_: object) -> bytes:
        raise error

    return call


@pytest.mark.parametrize("method", ["seal", "feed", "read", "drain"])
@pytest.mark.parametrize("error", [AttributeError("_ssl"), TypeError("void *"), SSL.Error([])])
def test_a_call_that_fails(monkeypatch: pytest.MonkeyPatch, method: str, error: Exception) -> None:
    monkeypatch.setattr(DirectCalls, method, fail(error))
    choice = selftest.choose()
    assert choice.calls.name == "public"
    assert "failed" in choice.reason


def test_calls_that_change_data(monkeypatch: pytest.MonkeyPatch) -> None:
    original = Calls.read
    monkeypatch.setattr(DirectCalls, "read", lambda self, c: original(self, c)[::-1] + b"x")
    assert "changed the data" in selftest.choose().reason


def test_calls_that_seal_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    original = Calls.seal
    monkeypatch.setattr(DirectCalls, "seal", lambda self, c, d: original(self, c, b"y" * len(d)))
    assert "changed the data" in selftest.choose().reason


def test_calls_that_never_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A read that gives data where there is none must not be trusted."""
    original = Calls.read

    def read(self: DirectCalls, connection: SSL.Connection) -> bytes:
        try:
            return original(self, connection)
        except SSL.WantReadError:
            return b""

    monkeypatch.setattr(DirectCalls, "read", read)
    assert "changed the data" in selftest.choose().reason
