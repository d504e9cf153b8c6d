"""Whether a shard still turns its loop, judged from the heartbeat in shared memory.

Owns the verdict; knows no process and no clock: time is an argument. A beat is written by the
shard's own loop, never by a thread, so a handler that blocks stops it. Late: the shard gets ABRT,
and faulthandler writes the stacks of all its threads; `grace` seconds later: KILL. A supervisor
that was itself asleep (SIGSTOP, a suspended machine) must not blame its shards: after a gap in its
own watch it gives them the whole timeout again.
"""

import enum
from dataclasses import dataclass

GRACE = 2.0  # seconds between ABRT and KILL: time to write the stacks
GAP = 3.0  # seconds between two looks that mean the supervisor itself was stopped


class Verdict(enum.Enum):
    """What is to be done with a shard."""

    WELL = "well"
    ABORT = "abort"
    KILL = "kill"


@dataclass(slots=True)
class Watch:
    """The watch over one shard; `since` is when it began, in monotonic seconds."""

    timeout: float  # seconds without a beat; 0 turns the watch off
    since: float
    last_look: float = 0.0
    aborted_at: float | None = None

    def __post_init__(self) -> None:
        self.last_look = self.since

    def silence(self, now: float, beat: float) -> float:
        """Return for how many seconds no beat was seen, as far as the watch can tell."""
        return now - max(beat, self.since)

    def look(self, now: float, beat: float) -> Verdict:
        """Judge by the time of the last beat in monotonic seconds (0: none yet)."""
        if now - self.last_look > GAP:
            self.since = now
        self.last_look = now
        if self.aborted_at is not None:
            return Verdict.KILL if now - self.aborted_at >= GRACE else Verdict.WELL
        if not self.timeout or self.silence(now, beat) < self.timeout:
            return Verdict.WELL
        self.aborted_at = now
        return Verdict.ABORT
