"""The properties of a connection at one moment, for use on another shard.

Owns the fields and their JSON form; changes nothing.
"""

import base64
import json
from dataclasses import asdict, dataclass, fields

from shardws.headers import Headers
from shardws.shard.view import ConnectionView
from shardws.tls.negotiated import Negotiated

QUERY = "snapshot"


@dataclass(frozen=True, slots=True)
class ConnectionSnapshot:
    """The properties of a connection (see ConnectionView) when its owner was queried."""

    connection_id: int
    uid: str
    shard: int
    remote_host: str
    remote_port: int
    local_address: str
    host: str
    origin: str
    request_uri: str
    request_headers: str
    sub_protocols: str
    connected: bool
    accept_data: bool
    ready_to_send: bool
    bytes_sent: int
    round_trip: float  # seconds
    data_format: int
    message_length: int  # bytes announced for the message that the next sends make up; 0 for none
    timeout: int  # seconds
    user_data: bytes
    resumed: int  # how often it has moved to another process
    negotiated: Negotiated  # by TLS; empty texts and zeros without it

    @property
    def headers(self) -> Headers:
        """`request_headers` read: names in any case, repeated fields kept in order."""
        return Headers(self.request_headers)


NAMES = tuple(field.name for field in fields(ConnectionSnapshot))


def take(view: ConnectionView) -> ConnectionSnapshot:
    """Return the properties of a connection here, now."""
    return ConnectionSnapshot(**{name: getattr(view, name) for name in NAMES})


def encode(snapshot: ConnectionSnapshot) -> bytes:
    """Return a snapshot as JSON, in UTF-8: escapes would take six bytes per octet."""
    values = asdict(snapshot) | {
        "negotiated": snapshot.negotiated._asdict(),
        "user_data": base64.b64encode(snapshot.user_data).decode(),
    }
    return json.dumps(values, ensure_ascii=False).encode()


def decode(reply: bytes) -> ConnectionSnapshot:
    """Return the snapshot in a reply; unknown fields of a newer shard are ignored."""
    values = json.loads(reply)
    agreed = values["negotiated"]
    values["negotiated"] = Negotiated(**{name: agreed[name] for name in Negotiated._fields})
    values["user_data"] = base64.b64decode(values["user_data"])
    return ConnectionSnapshot(**{name: values[name] for name in NAMES})
