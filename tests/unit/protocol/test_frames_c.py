"""The C implementation alone: what it must refuse so that it touches no byte of others."""

import pytest

from shardws.protocol import frames
from tests.unit.protocol.client_frames import KEY
from tests.unit.protocol.conftest import IMPLEMENTATIONS

pytestmark = pytest.mark.skipif(
    len(IMPLEMENTATIONS) < 2, reason="the C implementation was not built"
)


@pytest.mark.parametrize(
    "frames_given",
    [
        (),
        [[0x81, b""]],
        [(0x81,)],
        [(0x81, b"", b"")],
        [("a", b"")],
        [(0x81, "text")],
        [(0x81, bytearray(b"a"))],
        [(True, b"")],
    ],
)
def test_the_c_body_joins_exact_types_only(frames_given: list[frames.Frame]) -> None:
    """No method of another type may run between counting and copying."""
    with pytest.raises(TypeError):
        IMPLEMENTATIONS[1].join(frames_given)


def test_the_c_body_refuses_wrong_arguments() -> None:
    c = IMPLEMENTATIONS[1]
    for wrong in ((b"",), (b"", 1, 0, 0, 0), (bytearray(b""), 1), ("", 1)):
        with pytest.raises(TypeError):
            c.parse(*wrong)
    with pytest.raises(OverflowError):
        c.parse(b"", 1 << 64)
    with pytest.raises(OverflowError):
        c.join([(1 << 64, b"")])
    filler = c.Filler(2, 1, KEY)
    for bad in ((), (b"",), (bytearray(1), 0), (b"", "0")):
        with pytest.raises(TypeError):
            filler.feed(*bad)
    with pytest.raises(TypeError):
        c.Filler(1)
    with pytest.raises(TypeError):
        c.Filler(kind=1, size=2, key=KEY)
    with pytest.raises(TypeError):
        c.unmask("text", 0, 1, KEY)
    with pytest.raises(OverflowError):
        c.Filler(2, (1 << 63) - 1, KEY)


def test_a_c_filler_gives_its_bytes_away_once() -> None:
    """Feeding or finishing it again must not reach an object that others hold."""
    filler = IMPLEMENTATIONS[1].Filler(2, 1, KEY)
    filler.feed(b"a", 0)
    filler.finish()
    with pytest.raises(ValueError, match="missing"):
        filler.finish()
    with pytest.raises(ValueError, match="ended"):
        filler.feed(b"a", 0)
