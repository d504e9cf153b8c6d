"""`shardws run`: from the command line's wishes to a serving supervisor.

Owns the sequence: settings known without the application are checked, a probe child imports the
application, its settings and the others make the plan, the supervisor takes over.
"""

from collections.abc import Callable, Sequence

from shardws.log import logger
from shardws.settings import Assignment
from shardws_supervisor.plan import probe
from shardws_supervisor.plan.plan import Planner, read
from shardws_supervisor.supervisor import Supervisor
from shardws_supervisor.system import logs, signals, versions

log = logger("supervisor")


def warn(warnings: Sequence[str]) -> None:
    """Log what the environment holds that is no setting."""
    for warning in warnings:
        log.warning("%s", warning)


def serve(reference: str, gather: Callable[[], Sequence[Assignment]]) -> int:
    """Run the server and return its exit code; ShardwsError when it cannot start.

    signals.Interrupted when it is told to end before the supervisor runs.
    """
    signals.end_the_start()
    planner = Planner(reference, gather)
    logs.configure(1, "text", "")  # until the settings say otherwise
    early = read(planner.early(), planner.load, ())
    logs.configure(early.log_level, early.log_format, early.log_file)
    try:
        explicit = probe.run(planner.load)
    except probe.ProbeError as error:
        if error.detail:
            # To a terminal the last line says enough; a log file is for the whole story.
            log.log(40 if early.log_file else 10, "%s", error.detail.rstrip())
        raise
    plan = planner.plan(explicit)
    logs.configure(plan.log_level, plan.log_format, plan.log_file)
    log.info("%s", versions.banner())
    return Supervisor(planner, plan).run()
