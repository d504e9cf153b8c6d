"""How a reload ended, as data; `str` of it is the one sentence about it."""

import enum
from dataclasses import dataclass
from typing import Any


class Kind(enum.Enum):
    """How a reload ended."""

    DONE = "done"  # every shard was replaced
    REFUSED = "refused"  # code or settings are bad; nothing was forked but the probe
    FAILED = "failed"  # a new shard did not become ready; the others serve the old code
    CANCELLED = "cancelled"  # the server stops


@dataclass(frozen=True, slots=True)
class ReloadOutcome:
    """The result of one reload."""

    kind: Kind
    replaced: int = 0  # shards
    reason: str = ""
    slot: int | None = None  # of the shard that did not become ready
    moved: int = 0  # connections that live on in a successor
    unmoved: int = 0  # connections that could not move

    @property
    def is_success(self) -> bool:
        return self.kind is Kind.DONE

    def __str__(self) -> str:
        """Return the sentence for the log and for operators."""
        count = f"{self.replaced} shard{'' if self.replaced == 1 else 's'}"
        if self.kind is Kind.DONE:
            return f"reloaded: {count} replaced{self._connections}"
        if self.kind is Kind.FAILED:
            why = f" ({self.reason})" if self.reason else ""
            return (
                f"reload failed: the new shard {self.slot} did not become ready{why};"
                f" {count} replaced, the others keep serving"
            )
        return f"reload {self.kind.value}: {self.reason}"

    @property
    def _connections(self) -> str:
        if not self.moved and not self.unmoved:
            return ""
        closed = f", {self.unmoved} closed" if self.unmoved else ""
        return f", {self.moved} connection{'' if self.moved == 1 else 's'} moved{closed}"

    def report(self) -> dict[str, Any]:
        """Return what the status report shows."""
        return {
            "kind": self.kind.value,
            "replaced": self.replaced,
            "reason": self.reason,
            "slot": self.slot,
            "moved": self.moved,
            "unmoved": self.unmoved,
        }
