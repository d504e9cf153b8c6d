"""What the supervisor keeps of the admin child: how to start it, and the line in the log.

Owns that alone; aide.py keeps it alive. The child's own modules are imported after the fork: the
supervisor and the shards need no HTTP and no prometheus_client.
"""

from collections.abc import Callable

from shardws.log import logger
from shardws_supervisor import spawn
from shardws_supervisor.aide import Aide
from shardws_supervisor.ground import Ground
from shardws_supervisor.listeners import Address
from shardws_supervisor.plan import Plan

log = logger("supervisor.admin")


def aides(
    ground: Ground, plan: Plan, started: float, foreign: Callable[[], list[spawn.Closeable]]
) -> list[Aide]:
    """Return the admin child, not yet started, when AdminAddress is set; else nothing.

    `started` is the server's, in monotonic seconds.
    """
    listener = ground.admin_listener
    if listener is None:
        return []
    token = plan.admin_token  # of the boot: a reload does not change it

    def body() -> int:
        from shardws_supervisor.admin import process

        return process.run(
            process.Context(
                listener=listener,
                run_directory=ground.run_directory.path,
                token=token,
                memory=ground.memory,
                started=started,
            )
        )

    host, port = listener.getsockname()[:2]
    address = Address(listener.family, host, port)
    log.info("dashboard on http://%s/%s", address, " (with a token)" if token else "")
    return [Aide("admin", body, foreign)]
