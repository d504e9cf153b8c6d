"""Why there are no figures.

RunFailed       one run: what was measured cannot be trusted
└── StartFailed     the server did not start
CannotRun       none at all: a wrong option, or something that is not installed
"""


class RunFailed(Exception):
    """A run has no figures, or none to be trusted; says why."""


class StartFailed(RunFailed):
    """A process ended, or did not serve in time; says so with the end of its log."""


class CannotRun(Exception):
    """An option is wrong, or a tool is missing; says which."""
