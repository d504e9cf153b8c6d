"""`shardws run`: from the command line to a serving supervisor.

Owns the sequence: settings known without the application are checked, a probe child imports the
application, its settings and the others make the plan, the supervisor takes over. After an upgrade
the plan and all else come from the state that the older version has left (`go_on`); `rehearse` is
the same for a child, which reads everything and touches nothing.
"""

import logging
from collections.abc import Callable, Sequence

from shardws.log import logger
from shardws.settings import Assignment
from shardws_supervisor.plan import probe
from shardws_supervisor.plan.plan import Planner
from shardws_supervisor.supervisor import Supervisor
from shardws_supervisor.system import logs, signals, versions
from shardws_supervisor.system.log_formats import BLOCK
from shardws_supervisor.upgrade import image, rehearsal, state

log = logger("supervisor")


def warn(warnings: Sequence[str]) -> None:
    """Log the environment variables that look like settings and are not."""
    for warning in warnings:
        log.warning("%s", warning)


def serve(reference: str, gather: Callable[[], Sequence[Assignment]]) -> int:
    """Run the server and return its exit code; ShardwsError when it cannot start.

    signals.Interrupted when a signal ends it before the supervisor runs.
    """
    signals.end_the_start()
    planner = Planner(reference, gather)
    logs.configure(1, "text", "")  # until the settings say otherwise
    early = planner.early()
    logs.configure(early.log_level, early.log_format, early.log_file)
    try:
        explicit = probe.run(early.load, early.start_timeout)
    except probe.ProbeError as error:
        if error.detail:
            # On a terminal the last line is enough; a log file gets the whole traceback.
            level = logging.ERROR if early.log_file else logging.DEBUG
            log.log(level, "%s", error.description, extra={BLOCK: error.detail})
        raise
    plan = planner.plan(explicit)
    logs.configure(plan.log_level, plan.log_format, plan.log_file)
    log.info("%s", versions.banner())
    return Supervisor(planner, plan, image.of_this_process(planner.start_directory)).run()


def go_on(reference: str, gather: Callable[[], Sequence[Assignment]], document: bytes) -> int:
    """Run the server that an older version has left in this process; return its exit code.

    ShardwsError ends the server; `rehearse` has met it before, unless a file changed meanwhile.
    """
    logs.configure(1, "text", "")
    kept = state.decode(document)
    planner = Planner(reference, gather)
    plan = planner.again(kept.plan)
    program = image.of_this_process(planner.start_directory)
    return Supervisor(planner, plan, program, kept).run()


def rehearse(reference: str, gather: Callable[[], Sequence[Assignment]], document: bytes) -> str:
    """Do what `go_on` and the reload after it will do, as far as nothing is changed by it.

    Return the report; ShardwsError says why this version cannot go on.
    """
    logs.configure(0, "text", "")
    kept = state.decode(document)
    planner = Planner(reference, gather)
    before = planner.again(kept.plan)
    early = planner.early()
    planner.plan(probe.run(early.load, max(early.start_timeout, before.start_timeout)))
    logs.configure(0, "text", before.log_file)  # can it be opened?
    return rehearsal.report()
