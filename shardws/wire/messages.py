"""The table of messages that processes of one server exchange.

Owns numbers, names, fields and who may send what.

One codec serves the links between shards (routing) and the supervisor's channel. A row lists the
fields in the order in which they are encoded: numbers first, texts next, at most one `bytes` or
`peers` last, which takes the rest of the frame. HELLO keeps its number and its first field in all
versions: the codec uses them to refuse a peer of another version, whatever follows.

The numbers 10 to 14 are countable: each side of a link counts them, so both agree, without a number
on the wire, which message a RESULT refers to (see routing.ledger).
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

from shardws.close_reasons import DRAIN_REASONS

# 2: DRAIN carries a reason; 3: DELIVER_FORMATTED and NOT_IMPORTED; 4: PEERS says who serves which
# incarnations, and the messages of takeovers.
VERSION: Final = 4

# Who may send a message; a decoder is told who is at the other end.
SHARD: Final = 1
SUPERVISOR: Final = 2
ADMIN: Final = 4

HELLO: Final = 1
GOODBYE: Final = 2
START: Final = 3
DELIVER: Final = 10
CLOSE: Final = 11
GROUP_JOIN: Final = 12
GROUP_LEAVE: Final = 13
DELIVER_FORMATTED: Final = 14
PUBLISH: Final = 20
BROADCAST: Final = 21
INTEREST: Final = 22
STREAM: Final = 23
NEWS_TOLD: Final = 24
RESULT: Final = 30
SYNC: Final = 31
SYNCED: Final = 32
READY_TO_SEND: Final = 33
QUERY: Final = 34
REPLY: Final = 35
STREAM_CREDIT: Final = 36
STREAM_END: Final = 37
SWITCH: Final = 40
DRAINED: Final = 41
CONFIRMED: Final = 42
RELAYED_PUBLISH: Final = 43
RELAYED_BROADCAST: Final = 44
READY: Final = 50
FAILED: Final = 51
LEAVING: Final = 52
SHUTDOWN: Final = 53
NOT_IMPORTED: Final = 54
MOVED: Final = 55
SWITCHED: Final = 56
KEEPER: Final = 57
PEERS: Final = 60
DRAIN: Final = 61
STOP: Final = 62
LOST_CONNECTIONS: Final = 63
TAKEOVER: Final = 64

COUNTABLE: Final = frozenset((DELIVER, CLOSE, GROUP_JOIN, GROUP_LEAVE, DELIVER_FORMATTED))
DATA_FORMATS: Final = frozenset((1, 2, 9, 10))  # text, binary, ping, pong (events.FORMAT_*)

STREAM_FORMATS: Final = DATA_FORMATS | {0}  # 0: as the connection's DataFormat says
STREAM_MORE: Final = 0
STREAM_FIRST: Final = 1
STREAM_LAST: Final = 2  # empty: the message is complete
STREAM_BROKEN: Final = 3  # the rest will not arrive; the content is the reason

# struct codes of the fixed kinds; all little-endian, unaligned.
FIXED: Final = {
    "u8": "B",
    "u16": "H",
    "u32": "I",
    "u64": "Q",
    "flag": "B",
    "format": "B",
    "outcome": "B",
    "stream_format": "B",
    "part": "B",
    "drain_reason": "B",
}
# Kinds of which not every number is a value.
ALLOWED: Final = {
    "flag": frozenset((0, 1)),
    "format": DATA_FORMATS,
    "outcome": frozenset(range(6)),  # outcomes.Outcome
    "stream_format": STREAM_FORMATS,
    "part": frozenset(range(4)),
    "drain_reason": DRAIN_REASONS,  # close_reasons.CLOSE_REASONS
}
TEXT: Final = "text"  # UTF-8, its length as u32 among the fixed fields
REST: Final = frozenset(("bytes", "peers"))  # the rest of the frame


class Peer(NamedTuple):
    """One process of PEERS."""

    row: int  # ids.row_of
    generation: int
    pid: int
    served: tuple[int, ...] = ()  # incarnations whose connections it serves besides its own


@dataclass(frozen=True, slots=True)
class Message:
    """One row of MESSAGES."""

    number: int
    name: str
    fields: tuple[tuple[str, str], ...]  # (name, kind) in the order of encoding
    senders: int  # SHARD | SUPERVISOR | ADMIN
    text: str


_ID = ("connection_id", "u64")
_GROUP = ("group", "text")
_FORMAT = ("data_format", "format")
_PAYLOAD = ("payload", "bytes")
_TOKEN = ("token", "u64")
_MEMBER = SHARD | ADMIN

MESSAGES: Final = (
    Message(
        HELLO,
        "HELLO",
        (
            ("version", "u16"),
            ("node", "u16"),
            ("slot", "u16"),
            ("generation", "u16"),
            ("pid", "u32"),
            ("boot_nonce", "text"),
        ),
        SHARD | SUPERVISOR | ADMIN,
        "first message on a link and on a shard's channel: who the sender is",
    ),
    Message(GOODBYE, "GOODBYE", (), _MEMBER, "last message on a link: the sender ends gracefully"),
    Message(
        START,
        "START",
        (("number", "u64"),),
        _MEMBER,
        "follows HELLO on a link: the number of its first countable message",
    ),
    Message(
        DELIVER,
        "DELIVER",
        (_ID, _FORMAT, _PAYLOAD),
        _MEMBER,
        "countable: one message or control frame for a connection of the receiver",
    ),
    Message(
        CLOSE,
        "CLOSE",
        (_ID, ("code", "u16"), ("reason", "text")),
        _MEMBER,
        "countable: disconnect a connection",
    ),
    Message(GROUP_JOIN, "GROUP_JOIN", (_ID, _GROUP), _MEMBER, "countable: put into a group"),
    Message(GROUP_LEAVE, "GROUP_LEAVE", (_ID, _GROUP), _MEMBER, "countable: take out of a group"),
    Message(
        DELIVER_FORMATTED,
        "DELIVER_FORMATTED",
        (_ID, _PAYLOAD),
        _MEMBER,
        "countable: as DELIVER, in the DataFormat that the connection has",
    ),
    Message(
        PUBLISH,
        "PUBLISH",
        (_FORMAT, _GROUP, _PAYLOAD),
        _MEMBER,
        "one message for all members of a group at the receiver",
    ),
    Message(
        BROADCAST,
        "BROADCAST",
        (_FORMAT, _PAYLOAD),
        _MEMBER,
        "one message for all connections of the receiver",
    ),
    Message(
        INTEREST,
        "INTEREST",
        (("is_wanted", "flag"), _GROUP),
        _MEMBER,
        "the sender has, or no longer has, members of a group",
    ),
    Message(
        NEWS_TOLD,
        "NEWS_TOLD",
        (),
        _MEMBER,
        "follows the INTERESTs that a link begins with: these are all groups with members",
    ),
    Message(
        STREAM,
        "STREAM",
        (_TOKEN, _ID, ("data_format", "stream_format"), ("part", "part"), _PAYLOAD),
        _MEMBER,
        "a part of a message for a connection of the receiver, within its credit",
    ),
    Message(
        RESULT,
        "RESULT",
        (("number", "u64"), _ID, ("outcome", "outcome")),
        _MEMBER,
        "a countable message of the receiver failed; successes are not reported",
    ),
    Message(SYNC, "SYNC", (_TOKEN,), _MEMBER, "reply when all before it is done; token: count"),
    Message(SYNCED, "SYNCED", (_TOKEN,), _MEMBER, "reply to SYNC, after all RESULTs before it"),
    Message(
        READY_TO_SEND,
        "READY_TO_SEND",
        (_ID,),
        _MEMBER,
        "a connection that was FULL for the receiver has drained, or is over",
    ),
    Message(
        QUERY,
        "QUERY",
        (_TOKEN, _ID, ("what", "text")),
        _MEMBER | SUPERVISOR,
        "ask about a connection, or (id 0) the shard; on the channel: a request of an operator",
    ),
    Message(
        REPLY,
        "REPLY",
        (_TOKEN, ("is_ok", "flag"), ("body", "bytes")),
        _MEMBER,
        "reply to QUERY: JSON; when it is refused, the reason: UTF-8, to an operator JSON",
    ),
    Message(
        STREAM_CREDIT,
        "STREAM_CREDIT",
        (_TOKEN, ("more", "u32")),
        _MEMBER,
        "how many more bytes of a stream the receiver may send",
    ),
    Message(
        STREAM_END,
        "STREAM_END",
        (_TOKEN, ("outcome", "outcome")),
        _MEMBER,
        "how a stream of the receiver ended; QUEUED: all of it is in the outgoing queue",
    ),
    Message(
        SWITCH,
        "SWITCH",
        (("predecessor", "u32"), ("successor", "u32")),
        _MEMBER,
        "to both: what follows for connections of the predecessor goes to the successor",
    ),
    Message(
        DRAINED,
        "DRAINED",
        (("member", "u32"), ("predecessor", "u32")),
        SHARD,
        "to the successor: all that `member` sent through `predecessor` is before this",
    ),
    Message(
        CONFIRMED,
        "CONFIRMED",
        (_ID,),
        SHARD,
        "to the successor: from now on it gets what is relayed to many; what waited for it follows",
    ),
    Message(
        RELAYED_PUBLISH,
        "RELAYED_PUBLISH",
        (_FORMAT, _GROUP, _PAYLOAD),
        SHARD,
        "to the successor: as PUBLISH, for the confirmed connections of the sender only",
    ),
    Message(
        RELAYED_BROADCAST,
        "RELAYED_BROADCAST",
        (_FORMAT, _PAYLOAD),
        SHARD,
        "to the successor: as BROADCAST, for the confirmed connections of the sender only",
    ),
    Message(READY, "READY", (("port", "u16"),), SHARD, "the shard can accept; its port, 0: none"),
    Message(FAILED, "FAILED", (("reason", "text"),), SHARD, "the shard cannot start, and why"),
    Message(
        NOT_IMPORTED,
        "NOT_IMPORTED",
        (("reason", "text"),),
        SHARD,
        "the shard cannot start, because the application cannot be imported as it is now",
    ),
    Message(
        MOVED,
        "MOVED",
        (("report", "bytes"),),
        SHARD,
        "reply to TAKEOVER: JSON, how many connections moved, and how many stay for which reason",
    ),
    Message(
        SWITCHED,
        "SWITCHED",
        (),
        SHARD,
        "after MOVED: no member sends for the moved connections to the sender any more",
    ),
    Message(
        KEEPER,
        "KEEPER",
        (("pid", "u32"),),
        SHARD,
        "first message of a shard: the process that closes its clients if it dies",
    ),
    Message(LEAVING, "LEAVING", (), SHARD, "the shard has to end: start a successor, then DRAIN"),
    Message(SHUTDOWN, "SHUTDOWN", (), SHARD, "the application wants the whole server to stop"),
    Message(
        PEERS,
        "PEERS",
        (("peers", "peers"),),
        SUPERVISOR,
        "all processes of the mesh now: row, generation, pid, incarnations served for others",
    ),
    Message(
        DRAIN,
        "DRAIN",
        (("reason", "drain_reason"), ("rate", "u32"), ("deadline_ms", "u32")),
        SUPERVISOR,
        "stop accepting; close `rate` connections a second for `reason`; end by the deadline",
    ),
    Message(STOP, "STOP", (("is_now", "flag"),), SUPERVISOR, "end; now: without closing frames"),
    Message(
        LOST_CONNECTIONS,
        "LOST_CONNECTIONS",
        (("connection_ids", "bytes"),),
        SUPERVISOR,
        "fire Disconnected for connections of a shard that died: u64 each",
    ),
    Message(
        TAKEOVER,
        "TAKEOVER",
        (
            ("row", "u16"),
            ("generation", "u16"),
            ("pid", "u32"),
            ("deadline_ms", "u32"),
            ("cause", "text"),
        ),
        SUPERVISOR,
        "stop accepting; hand over the connections to that process, for `cause`, by the deadline",
    ),
)

BY_NUMBER: Final[dict[int, Message]] = {message.number: message for message in MESSAGES}
