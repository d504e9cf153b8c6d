"""The reasons for which the server itself closes a connection: one table.

Owns the close code, the text of the close frame and what follows from each reason. A reason
travels between processes (wire: DRAIN) by its number, so a number is never reused for another
reason. Protocol violations of a client are not listed here: ProtocolError carries their code.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class CloseReason:
    """One row of CLOSE_REASONS."""

    number: int  # on the wire between processes
    name: str
    code: int  # RFC 6455 section 7.4, a row of errors.CLOSE_CODES
    text: str  # in the close frame, at most 123 bytes of UTF-8
    lets_openings_finish: bool  # a client whose opening handshake has begun may complete it
    follows: str


SERVER_STOPS: Final = CloseReason(
    number=1,
    name="server_stops",
    code=1001,
    text="the server stops",
    lets_openings_finish=False,
    follows="the port is closed; clients reconnect later",
)
SERVER_RESTARTS: Final = CloseReason(
    number=2,
    name="server_restarts",
    code=1012,
    text="the server restarts",
    lets_openings_finish=True,
    follows="another shard serves the port already; clients reconnect after a short random delay",
)
IDLE: Final = CloseReason(
    number=3,
    name="idle",
    code=1001,
    text="no data within the timeout",
    lets_openings_finish=False,
    follows="Error 301 is fired; clients that ping more often stay",
)
QUEUE_FULL: Final = CloseReason(
    number=4,
    name="queue_full",
    code=1013,
    text="outgoing queue is full",
    lets_openings_finish=False,
    follows="what waited is lost; clients reconnect with backoff and read faster",
)
OPERATOR: Final = CloseReason(
    number=5,
    name="operator",
    code=1000,
    text="closed by the operator",
    lets_openings_finish=False,
    follows="nothing; the operator may name another code and text",
)
SHARD_DIED: Final = CloseReason(
    number=6,
    name="shard_died",
    code=1006,
    text="shard died",
    lets_openings_finish=False,
    follows="never sent: a surviving shard fires Disconnected with it",
)
HANDLER_FAILED: Final = CloseReason(
    number=7,
    name="handler_failed",
    code=1011,
    text="the application failed",
    lets_openings_finish=False,
    follows="with OnHandlerError close, and for a route of an App; Error 436 says which handler"
    " raised what",
)
CLOSE_UNANSWERED: Final = CloseReason(
    number=8,
    name="close_unanswered",
    code=1006,
    text="no close frame within CloseTimeout",
    lets_openings_finish=False,
    follows="never sent: our close frame was; Disconnected reports it",
)
SERVER_FAILED: Final = CloseReason(
    number=9,
    name="server_failed",
    code=1006,
    text="an internal error of the server",
    lets_openings_finish=False,
    follows="never sent: Disconnected reports it, and the log has the traceback",
)
SHARD_CRASHED: Final = CloseReason(
    number=10,
    name="shard_crashed",
    code=1012,
    text="the shard died",
    lets_openings_finish=False,
    follows="sent by the keeper of a shard that died, whose Disconnected reports 1006; clients"
    " reconnect after a short random delay",
)

CLOSE_REASONS: Final[dict[int, CloseReason]] = {
    row.number: row
    for row in (
        SERVER_STOPS,
        SERVER_RESTARTS,
        IDLE,
        QUEUE_FULL,
        OPERATOR,
        SHARD_DIED,
        HANDLER_FAILED,
        CLOSE_UNANSWERED,
        SERVER_FAILED,
        SHARD_CRASHED,
    )
}

# Those that a shard may be told to drain for.
DRAIN_REASONS: Final = frozenset({SERVER_STOPS.number, SERVER_RESTARTS.number})
