"""Client certificates for tests, a server that asks for them, and a client that has one."""

import datetime
import ssl

import trustme

from shardws import WebSocketServer
from tests.shard.serving import Recorder
from tests.shard.tls_serving import (
    EC,
    UPGRADE,
    Stream,
    tls_server,
    trusting,
)

CLIENTS = trustme.CA(key_type=EC)
STRANGERS = trustme.CA(key_type=EC)
BETWEEN = CLIENTS.create_child_ca(key_type=EC)
ALICE = CLIENTS.issue_cert("alice@example.org", common_name="alice", key_type=EC)
DEEP = BETWEEN.issue_cert("carol@example.org", common_name="carol", key_type=EC)
MALLORY = STRANGERS.issue_cert("mallory@example.org", common_name="mallory", key_type=EC)
LATE = CLIENTS.issue_cert(
    "dave@example.org",
    common_name="dave",
    key_type=EC,
    not_before=datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC),
    not_after=datetime.datetime(2021, 1, 1, tzinfo=datetime.UTC),
)


def asking_server(recorder: Recorder | None = None) -> WebSocketServer:
    server = tls_server(recorder)
    server.ssl_authenticate_clients = True
    server.ssl_ca_certs = CLIENTS.cert_pem.bytes().decode()
    return server


async def greeted(
    server: WebSocketServer,
    certificate: trustme.LeafCert | None,
    version: ssl.TLSVersion | None = None,
) -> bytes:
    """Return the answer to an opening request; ssl.SSLError when TLS refuses the client."""
    async with await Stream.connect(server) as peer:
        await peer.shake(trusting(version, certificate))
        peer.say(UPGRADE)
        answer = await peer.hear(b"\r\n\r\n")
        if answer:
            peer.bye()
        return answer
