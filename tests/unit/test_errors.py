"""errors: what a start that failed ends with."""

import errno

import pytest

from shardws.errors import EXIT_CANNOT_START, EXIT_FAILED, EXIT_USAGE, StartError, code_of_errno


@pytest.mark.parametrize(
    ("number", "exit_code"),
    [
        (errno.EADDRINUSE, EXIT_FAILED),
        (errno.EADDRNOTAVAIL, EXIT_FAILED),
        (errno.ETIMEDOUT, EXIT_FAILED),
        (errno.ENOMEM, EXIT_FAILED),
        (errno.ENOSPC, EXIT_FAILED),
        (errno.EACCES, EXIT_CANNOT_START),
        (errno.EMFILE, EXIT_CANNOT_START),
        (errno.ENOENT, EXIT_CANNOT_START),
    ],
)
def test_what_may_pass_by_itself_is_worth_another_try(number: int, exit_code: int) -> None:
    """An address that the network had not assigned yet at boot stopped the service for good."""
    assert StartError("no", code=code_of_errno(number)).exit_code == exit_code


def test_an_exit_code_that_is_given_counts() -> None:
    assert StartError("no", code=10048, exit_code=EXIT_USAGE).exit_code == EXIT_USAGE
    assert StartError("no").exit_code == EXIT_CANNOT_START
