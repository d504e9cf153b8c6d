"""Errors that mean there are no figures.

RunFailed       one run: its figures are missing or not valid
└── StartFailed     the server did not start
CannotRun       no run at all: a wrong option, or something that is not installed
"""


class RunFailed(Exception):
    """A run has no figures, or no valid ones; the text says why."""


class StartFailed(RunFailed):
    """A process ended, or did not serve in time; the text has the end of its log."""


class CannotRun(Exception):
    """An option is wrong, or a tool is missing; the text says which."""
