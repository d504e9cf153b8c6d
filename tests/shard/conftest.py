"""Fixtures of the tests of one shard."""

from collections.abc import Iterator

import pytest

from tests.shard.embedded_server import EmbeddedServer


@pytest.fixture
def embedded() -> Iterator[EmbeddedServer]:
    """A server that listens, embedded in a do_events program."""
    embedded = EmbeddedServer()
    embedded.server.listening = True
    yield embedded
    embedded.server.shutdown()
