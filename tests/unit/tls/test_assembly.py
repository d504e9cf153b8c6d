"""Callbacks of a Context that meet a Connection without a state."""

import dataclasses
from typing import Any

import pytest
import trustme
from OpenSSL import SSL

from shardws.tls import assembly, contexts, ffi, probe, protocols
from shardws.tls.callback_state import CallbackState
from shardws.tls.verification import ClientCertificate
from tests.unit.tls.stdlib_client import config_of


@pytest.mark.parametrize("field", ["renegotiation", "log_packets", "authenticate_clients"])
def test_connections_without_witness_are_served(
    leaf: trustme.LeafCert, field: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """As the probe's are; an exception in such a callback would be printed and lost."""
    settings: dict[str, Any] = {field: True}
    context = contexts.build(dataclasses.replace(config_of(leaf), **settings))
    server, client = probe.handshake(context.modern, protocols.TLS12)
    client.send(b"x")
    server.bio_write(client.bio_read(100))
    assert server.recv(1) == b"x"
    assert capfd.readouterr().err == ""


def test_the_error_of_a_refusal() -> None:
    connection = SSL.Connection(SSL.Context(SSL.TLS_SERVER_METHOD))
    assert assembly._error_of(connection) == 0
    state = CallbackState(None, frozenset(), False)
    connection.set_app_data(state)
    assert assembly._error_of(connection) == 0
    state.certificate = ClientCertificate(b"", "", "", "expired", 10, ())
    assert assembly._error_of(connection) == 10


def test_a_packet_of_a_forgotten_connection_is_passed_over(leaf: trustme.LeafCert) -> None:
    told: list[int] = []
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    kept = ffi.set_packet_listener(context, lambda *_: told.append(1))
    assert kept is not None
    connection = SSL.Connection(context)
    connection.set_accept_state()
    del SSL.Connection._reverse_mapping[connection._ssl]
    connection.bio_write(b"\x16\x03\x01\x00\x01\x01")
    with pytest.raises(SSL.WantReadError):
        connection.do_handshake()
    assert told == []
