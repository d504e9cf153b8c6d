"""How an upgrade ended, as data; `str` of it is the one sentence about it."""

import enum
from dataclasses import dataclass

from shardws_supervisor.upgrade.rehearsal import Versions


class Kind(enum.Enum):
    """How an upgrade ended."""

    DONE = "done"  # supervisor and shards run the new version
    REFUSED = "refused"  # the old version goes on
    FAILED = "failed"  # the supervisor runs the new version, not all shards do
    CANCELLED = "cancelled"  # the server stops


@dataclass(frozen=True, slots=True)
class UpgradeOutcome:
    """The result of one upgrade."""

    kind: Kind
    before: Versions
    after: Versions  # the same as `before` when it was refused
    reason: str = ""  # or what the reload has done

    @property
    def is_success(self) -> bool:
        return self.kind is Kind.DONE

    def __str__(self) -> str:
        """Return the sentence for the log and for operators."""
        old, new = self.before, self.after
        if self.kind is Kind.DONE:
            python = f"Python {old.python} to {new.python}" if new.python != old.python else ""
            change = (
                f"{old.version} to {new.version}"
                if new.version != old.version
                else f"still {new.version}"
            )
            both = ", ".join(filter(None, (f"shardws {change}", python)))
            return f"upgraded: {both}; {self.reason}"
        if self.kind is Kind.FAILED:
            return f"upgrade failed: the supervisor runs shardws {new.version}, but {self.reason}"
        return f"upgrade {self.kind.value}: {self.reason}"

    def report(self) -> dict[str, str]:
        """Return what the status report shows."""
        return {
            "kind": self.kind.value,
            "reason": self.reason,
            "version_before": self.before.version,
            "version": self.after.version,
            "python_before": self.before.python,
            "python": self.after.python,
        }
