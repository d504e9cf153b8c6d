"""Client certificates for tests, a server that asks for them, and a client that has one."""

import datetime
import ssl

import trustme

from shardws import WebSocketServer
from tests.shard.server_fixture import EventRecorder
from tests.shard.tls_client import TLSClient
from tests.shard.tls_server_fixture import EC, client_context, tls_server
from tests.upgrade_request import UPGRADE

CLIENT_CA = trustme.CA(key_type=EC)
UNTRUSTED_CA = trustme.CA(key_type=EC)
INTERMEDIATE_CA = CLIENT_CA.create_child_ca(key_type=EC)
ALICE = CLIENT_CA.issue_cert("alice@example.org", common_name="alice", key_type=EC)
CAROL = INTERMEDIATE_CA.issue_cert("carol@example.org", common_name="carol", key_type=EC)
UNTRUSTED = UNTRUSTED_CA.issue_cert("mallory@example.org", common_name="mallory", key_type=EC)
EXPIRED = CLIENT_CA.issue_cert(
    "dave@example.org",
    common_name="dave",
    key_type=EC,
    not_before=datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC),
    not_after=datetime.datetime(2021, 1, 1, tzinfo=datetime.UTC),
)


def client_auth_server(recorder: EventRecorder | None = None) -> WebSocketServer:
    server = tls_server(recorder)
    server.ssl_authenticate_clients = True
    server.ssl_ca_certs = CLIENT_CA.cert_pem.bytes().decode()
    return server


async def upgrade_response(
    server: WebSocketServer,
    certificate: trustme.LeafCert | None,
    version: ssl.TLSVersion | None = None,
) -> bytes:
    """Return the answer to an opening request; ssl.SSLError when TLS refuses the client."""
    async with await TLSClient.connect(server) as peer:
        await peer.handshake(client_context(version, certificate))
        peer.send(UPGRADE)
        answer = await peer.receive(b"\r\n\r\n")
        if answer:
            peer.close_notify()
        return answer
