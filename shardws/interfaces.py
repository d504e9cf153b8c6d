"""What lower packages require of upper ones: small Protocols of two to six methods each.

Owns no code. A package that needs something from above takes one of these as an argument.
"""

from collections.abc import Callable
from typing import Protocol

from shardws.outcomes import Outcome, SendOutcome


class ByteTransport(Protocol):
    """The part of a transport that a connection uses: uvloop's own, or TLS in front of it."""

    def write(self, data: bytes | bytearray | memoryview) -> None: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def get_write_buffer_size(self) -> int: ...


class Clock(Protocol):
    """Monotonic seconds; an event loop's `time` is one."""

    def __call__(self) -> float: ...


class Source(Protocol):
    """The content of one message, read piece by piece as the queue of its connection drains."""

    wake: Callable[[], None]
    """Set by the reader; called when there is more data after `read` returned None."""

    def read(self, limit: int) -> bytes | None:
        """Return the next bytes, at most `limit`; none at the end, None when there are none yet.

        OSError when the content can no longer be read.
        """

    def finish(self, outcome: Outcome) -> None:
        """Release the source, with the outcome. Nothing is read afterwards."""


class Recipient(Protocol):
    """A connection as routing sees it: what can be sent to, disconnected and put into groups.

    Outcomes are known at once. Routing alone writes `groups`; None stands for the empty set.
    """

    @property
    def id(self) -> int: ...

    groups: set[str] | None

    def send(self, kind: int, payload: bytes) -> SendOutcome: ...
    def formatted(self, payload: bytes) -> tuple[int, bytes]:
        """Return kind and payload of a message in the connection's DataFormat.

        UsageError (213) when it does not fit.
        """

    def stream(self, kind: int, source: Source) -> SendOutcome: ...
    def disconnect(self, code: int, reason: str) -> SendOutcome: ...


class RoutingSink(Protocol):
    """What routing reports to the shard above it."""

    def send_failed(self, connection_id: int, outcome: Outcome) -> None: ...

    def stream_failed(self, connection_id: int, code: int, description: str) -> None:
        """A source of this shard failed while streamed to a connection of another shard."""

    def sends_lost(self, count: int) -> None:
        """That many unawaited sends were in doubt when a link broke; some may have arrived."""

    def ready_to_send(self, connection_id: int) -> None:
        """A connection of another shard that was FULL accepts messages again."""

    def reply(self, connection_id: int, what: str) -> bytes | None:
        """Return the reply to another shard's query, as JSON; None when it is unknown."""


class Remote(Protocol):
    """The route to connections of other nodes."""

    def send(self, connection_id: int, kind: int, payload: bytes) -> SendOutcome: ...
    def disconnect(self, connection_id: int, code: int, reason: str) -> SendOutcome: ...
