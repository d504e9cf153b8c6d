"""The two bodies of the codec, for tests that must pass with each."""

from types import ModuleType

import pytest

from shardws.protocol import codec, frames
from shardws.protocol.session import SessionConfig
from tests.unit.protocol.stream_cases import LIMIT

try:
    from shardws.protocol import _frames
except ImportError:  # built without a compiler
    BODIES: list[ModuleType] = [frames]
else:
    BODIES = [frames, _frames]


@pytest.fixture(params=BODIES, ids=lambda module: module.BODY)
def body(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> codec.Body:
    """One body of the codec, in use for the whole room."""
    chosen: codec.Body = request.param
    for name in ("parse", "continuations", "join", "unmask", "Filler", "BODY"):
        monkeypatch.setattr(codec, name, getattr(chosen, name))
    return chosen


@pytest.fixture(params=[False, True], ids=["pieces", "buffered"])
def config(request: pytest.FixtureRequest) -> SessionConfig:
    """A small limit, and both ways of BufferMessage."""
    return SessionConfig(max_message_size=LIMIT, buffer_message=request.param)
