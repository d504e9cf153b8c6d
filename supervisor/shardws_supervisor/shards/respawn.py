"""What happens to a slot whose shard died, or asked for a successor.

Owns the decision (retry after a delay, or quarantine) and its log lines; knows no process, and time
is an argument. Both count as failures: a shard that asks for a successor as soon as it runs is a
crash loop too, and must not keep the supervisor forking.

An application that cannot be imported counts as none: its files may be half deployed, or a wrong
version may be taken back, and then the slot has to serve again without an operator. So it is tried
for ever, also when no shard is left that serves: a server that ended would be started again by its
service manager at best, and would then be refused by the very same code.
"""

import logging

from shardws.log import logger
from shardws_supervisor.shards.slots import ShardProcess, Slot, SlotTable, State

log = logger("supervisor")


def died(slot: Slot, process: ShardProcess, reason: str, now: float) -> None:
    """Decide what follows an unexpected death."""
    if slot.leader is not None or slot.rest is not State.VACANT:  # what follows is decided already
        log.warning("%s (pid %d) %s", process.name, process.pid, reason)
        return
    if process.lacks_code:
        _wait(slot, process, reason, now)
        return
    delay = _decide(slot, process, reason, now)
    if delay is not None:
        log.error("%s (pid %d) %s; next start in %.2f s", process.name, process.pid, reason, delay)


def _wait(slot: Slot, process: ShardProcess, reason: str, now: float) -> None:
    is_news = not slot.backoff.postponements or process.complaint != slot.lacks
    delay = slot.wait_for_code(process, reason, now)
    what = "slot %d waits for code that can be imported: %s; next try in %.2f s"
    level = logging.ERROR if is_news else logging.DEBUG
    log.log(level, what, slot.index, slot.lacks, delay)


def leaving(slot: Slot, process: ShardProcess, now: float) -> None:
    """Decide when to start the successor of a shard that serves until then."""
    if slot.leader is not None:
        return
    delay = _decide(slot, process, "asked for a successor", now)
    if delay is not None:
        what = "%s (pid %d) asks for a successor, which starts in %.2f s"
        log.info(what, process.name, process.pid, delay)


def _decide(slot: Slot, process: ShardProcess, reason: str, now: float) -> float | None:
    delay = slot.fail(process, reason, now)
    if delay is None:
        what = "%s (pid %d) %s; %d consecutive failures: slot quarantined until the next reload"
        log.critical(what, process.name, process.pid, reason, slot.backoff.failures)
    return delay


def is_hopeless(table: SlotTable) -> bool:
    """Tell whether no shard serves and none will."""
    return table.are_all(State.QUARANTINED) and not table.processes(State.READY)
