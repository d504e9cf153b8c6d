"""Fuzz target: the opening request of one client.

Invariant: whatever bytes arrive, in one read or two, the request, what decides on it and the bytes
of the answer are the same whether C or Python has the first look, and nothing but a refusal is
raised.

The input is a program for tests/unit/protocol/random_heads.py, so that most inputs are nearly what
a client sends.
"""

from tests.fuzz import driver
from tests.unit.protocol import random_heads
from tests.unit.protocol.opening_outcomes import CONFIGS, by_c, by_python
from tests.unit.protocol.random_streams import Input


def fuzz_heads(data: bytes) -> None:
    """Run one input."""
    source = Input(data)
    ways = source.randrange(256)
    config = CONFIGS[ways & 3]
    # Some of the inputs are the bytes of the client themselves.
    text = source.data[source.at :] if ways & 12 == 12 else random_heads.head(source)
    at = source.randrange(len(text) + 1) if ways & 16 else 0
    pieces = [text[:at], text[at:]] if at else [text]
    theirs, ours = by_python(pieces, config), by_c(pieces, config)
    assert ours == theirs, (ours, theirs, pieces)


if __name__ == "__main__":
    driver.main(fuzz_heads)
