"""What messages in parts ask of their connection and of its shard."""

from collections.abc import Callable
from typing import Protocol

from shardws.net.config import ConnectionConfig
from shardws.outcomes import SendOutcome
from shardws.protocol.session import Session
from shardws.stats import Words


class MultipartOwner(Protocol):
    """What messages in parts need of the shard."""

    @property
    def row(self) -> Words: ...
    def call_soon(self, callback: Callable[[], None]) -> None: ...


class MultipartConnection(Protocol):
    """What messages in parts need of their connection."""

    blocked: int

    @property
    def state(self) -> int: ...
    @property
    def config(self) -> ConnectionConfig: ...
    @property
    def session(self) -> Session | None: ...
    @property
    def owner(self) -> MultipartOwner: ...
    def put(self, kind: int, payload: bytes, is_first: bool = True, is_last: bool = True) -> None:
        """Queue a message or a part of one, whatever blocks."""

    def flush(self) -> None: ...
    def refuse_send(self) -> SendOutcome: ...
    def disconnect(self, code: int, reason: str) -> SendOutcome: ...
    def drained(self) -> None:
        """Tell those whose sends were refused that they can try again."""

    def stream_failed(self, code: int, description: str) -> None:
        """Tell the application that a source failed."""
