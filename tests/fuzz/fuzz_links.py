"""Fuzz target: what a peer writes on a link.

Invariant: whatever bytes arrive, in whatever reads, with either implementation, a link's decoder
tells just what the table's decoder tells of them, message by message, and refuses what it refuses
in the same words.
"""

from shardws.routing import links_twin
from shardws.routing.links import select
from tests.fuzz import driver
from tests.unit.protocol import random_streams
from tests.unit.routing import link_streams
from tests.unit.routing.links_contract import check_agreement

IMPLEMENTATIONS = [links_twin, select("")]


def fuzz_links(data: bytes) -> None:
    """Run one input."""
    source = random_streams.Input(data)
    ways = source.randrange(256)
    cuts = random_streams.cuts(source)
    # Half of the inputs are the bytes of the peer themselves.
    stream = source.data[source.at :] if ways & 2 else link_streams.stream(source)
    check_agreement(IMPLEMENTATIONS[ways & 1], stream, cuts)


if __name__ == "__main__":
    driver.main(fuzz_links)
