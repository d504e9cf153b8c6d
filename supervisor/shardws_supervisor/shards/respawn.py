"""What happens to a slot whose shard died, or asked for a successor.

Owns the decision (retry after a delay, or quarantine) and its log lines; time is an argument. Both
count as failures: a shard that asks for a successor as soon as it runs is a crash loop too, and
must not keep the supervisor forking.

An application that cannot be imported does not count as a failure: its files may be half deployed,
or a bad release may be rolled back, and then the slot has to serve again without an operator. So
the import is retried without limit, also when no shard serves any more: if the server ended, its
service manager would at best restart it, and that start would be refused for the same code.
"""

import logging

from shardws.log import logger
from shardws_supervisor.shards.slots import ShardProcess, Slot, SlotTable, State

log = logger("supervisor")


def died(slot: Slot, process: ShardProcess, reason: str, now: float) -> None:
    """Decide what follows an unexpected exit."""
    if slot.leader is not None or slot.rest is not State.VACANT:  # already replaced
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
    what = "slot %d waits for importable code: %s; next try in %.2f s"
    level = logging.ERROR if is_news else logging.DEBUG
    log.log(level, what, slot.index, slot.lacks, delay)


def leaving(slot: Slot, process: ShardProcess, now: float) -> None:
    """Decide when to start the successor of a shard that keeps serving until then."""
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
