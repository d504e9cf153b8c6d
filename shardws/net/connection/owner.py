"""What a connection asks of the shard that owns it.

Generic in the connection, so that this file need not know it: the connection names
`Owner[Connection]`.
"""

from collections.abc import Callable
from typing import Protocol, TypeVar

from shardws.errors import HandshakeError
from shardws.hotpath import Counting
from shardws.net.config import ConnectionConfig
from shardws.net.interning import InternedTexts
from shardws.net.pump import Pump
from shardws.outcomes import LaterSend, Outcome, SendOutcome
from shardws.protocol.request import Request
from shardws.protocol.session import Ending, Item
from shardws.stats import Words

ConnectionT = TypeVar("ConnectionT", contravariant=True)


class Owner(Protocol[ConnectionT]):
    """The shard, as its connections see it."""

    config: ConnectionConfig
    row: Words
    counters: Counting
    pump: Pump
    now: float  # the loop's time at the last tick, in seconds
    awake_since: float  # when the loop last went on after a stall, in which no peer could be heard
    interned: InternedTexts

    def clock(self) -> float:
        """Return the loop's time now."""

    def accepted(self, connection: ConnectionT) -> None: ...
    def is_secure(self, connection: ConnectionT, request: Request) -> bool: ...
    def requested(self, connection: ConnectionT, request: Request) -> None: ...
    def received(self, connection: ConnectionT, items: list[Item], size: int) -> None: ...
    def written_full(self, connection: ConnectionT) -> None: ...
    def drained(self, connection: ConnectionT) -> None: ...
    def stream_failed(self, connection: ConnectionT, code: int, description: str) -> None: ...
    def later(self, connection_id: int) -> LaterSend: ...
    def call_soon(self, callback: Callable[[], None]) -> None: ...
    def idle(self, connection: ConnectionT) -> None: ...
    def wait_turn(self, connection: ConnectionT) -> None:
        """Have `take_turn` called when all that wait already had theirs."""

    def holding(self, connection: ConnectionT) -> None:
        """Note that its session holds bytes of a message in progress."""

    def closing(self, connection: ConnectionT) -> None:
        """Our close frame is about to leave: no other may follow."""

    def left(self, connection: ConnectionT) -> None:
        """The WebSocket or TCP is over; `ended` or `lost` follows, behind what came before."""

    def ended(self, connection: ConnectionT, ending: Ending) -> None:
        """The WebSocket is over; TCP may stay for a while, which is nobody's affair."""

    def lost(self, connection: ConnectionT, ending: Ending | None) -> None:
        """TCP is over, and what came before was told; `ended` may have been called before."""

    def refused(self, connection: ConnectionT, error: HandshakeError) -> None: ...
    def unsent(self, connection_id: int, outcome: Outcome) -> SendOutcome: ...
    def wake_at(self, connection: ConnectionT, due: float) -> None: ...
