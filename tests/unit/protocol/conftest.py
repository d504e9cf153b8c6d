"""The two implementations of the codec, for tests that must pass with each."""

from types import ModuleType

import pytest

from shardws.protocol import codec, frames
from shardws.protocol.session import SessionConfig
from tests.unit.protocol.stream_cases import LIMIT

try:
    from shardws.protocol import _frames
except ImportError:  # built without a compiler
    IMPLEMENTATIONS: list[ModuleType] = [frames]
else:
    IMPLEMENTATIONS = [frames, _frames]


@pytest.fixture(params=IMPLEMENTATIONS, ids=lambda module: module.IMPLEMENTATION)
def implementation(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> codec.Implementation:
    """One implementation of the codec, in use for the whole package."""
    chosen: codec.Implementation = request.param
    for name in (
        "parse",
        "continuations",
        "close_payload",
        "head",
        "join",
        "unmask",
        "Filler",
        "IMPLEMENTATION",
    ):
        monkeypatch.setattr(codec, name, getattr(chosen, name))
    return chosen


@pytest.fixture(params=[False, True], ids=["pieces", "buffered"])
def config(request: pytest.FixtureRequest) -> SessionConfig:
    """A small limit, and both ways of BufferMessage."""
    return SessionConfig(max_message_size=LIMIT, buffer_message=request.param)
