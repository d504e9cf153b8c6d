"""Fixtures of the tests of one shard."""

from collections.abc import Iterator

import pytest

from tests.shard.program import Program


@pytest.fixture
def program() -> Iterator[Program]:
    """A program that listens, without a running loop."""
    program = Program()
    program.server.listening = True
    yield program
    program.server.shutdown()
