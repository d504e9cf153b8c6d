"""The limits of a session, shared by all sessions of a shard.

Owns the values and their check; knows no session.
"""

from dataclasses import dataclass

from shardws.errors import UsageError


@dataclass(frozen=True, slots=True)
class SessionConfig:
    """What all sessions of a shard share; to change a row, give the session another config."""

    max_message_size: int = 1 << 20  # bytes of one incoming message, after inflating
    buffer_message: bool = False  # True: a message is one item; False: pieces as they arrive
    max_frame_size: int = 0  # bytes of one outgoing frame; 0: never split
    wait_for_close: bool = True  # False: CLOSED right after our close frame
    deflate_min_size: int = 128  # bytes; a shorter message is not compressed

    def __post_init__(self) -> None:
        if self.max_message_size < 1 or self.max_frame_size < 0 or self.deflate_min_size < 0:
            raise UsageError("sizes of a session are positive", code=213)
