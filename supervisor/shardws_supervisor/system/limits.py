"""How many connections the descriptor limit allows, and how much memory they need.

Owns the arithmetic and the raising of RLIMIT_NOFILE. The limit is per process, so it applies to
each shard: what is left after its own needs is available to clients. What a shard does when it runs
out all the same is in shardws.shard.descriptors. Some hosts set no useful limit (2^30 in many
containers), so there is a bound of our own too: tables are sized by it.
"""

import resource
from dataclasses import dataclass

from shardws import ids
from shardws.errors import StartError
from shardws.shard.descriptors import OWN

# Per other row of the mesh: the link dialed and the link accepted; two rows a slot while reloading.
PER_PEER = 4
MOST_PER_SHARD = 1 << 20  # connections, unless MaxConnections asks for more
MOST_DESCRIPTORS = 1 << 22  # a lower soft limit is raised to this, not beyond
# Resident, measured (docs/topics/memory.md); a shard's own pages, without those it shares.
SHARD_BYTES = 14 << 20
IDLE_BYTES = 2_300
TLS_IDLE_BYTES = 30_000


@dataclass(frozen=True, slots=True)
class Room:
    """The number of connections possible."""

    descriptors: int  # per process
    per_shard: int
    whole: int


def room_for(descriptors: int, shards: int, wanted: int = 0) -> Room:
    """Return the connections possible; StartError when not even one fits a shard.

    `wanted` is MaxConnections; 0: as many as fit, up to MOST_PER_SHARD in each shard.
    """
    reserved = OWN + PER_PEER * shards
    most = min(max(wanted, MOST_PER_SHARD), ids.SERIALS)
    per_shard = min(descriptors - reserved, most)
    if per_shard < 1:
        raise StartError(
            f"too few descriptors: RLIMIT_NOFILE is {descriptors}, and {shards} shards need"
            f" {reserved} each for themselves (raise it: ulimit -n, LimitNOFILE=)",
            code=10024,
        )
    return Room(descriptors, per_shard, per_shard * shards)


def effective_connections(wanted: int, room: Room) -> int:
    """Return the effective MaxConnections: as many as fit for 0, else the number wanted.

    StartError when more is wanted than the descriptors allow.
    """
    if wanted > room.whole:
        raise StartError(
            f"MaxConnections is {wanted}, but RLIMIT_NOFILE {room.descriptors} allows"
            f" {room.whole} ({room.per_shard} per shard)",
            code=10024,
        )
    return wanted or room.whole


def memory_needed(connections: int, shards: int, *, is_tls: bool) -> int:
    """Return roughly how many bytes the processes and that many idle connections take."""
    return shards * SHARD_BYTES + connections * (TLS_IDLE_BYTES if is_tls else IDLE_BYTES)


def raise_descriptor_limit() -> int:
    """Raise the soft RLIMIT_NOFILE towards the hard one; return the effective limit.

    Programs that the application starts may loop over all descriptors up to the soft limit, so
    it is not raised beyond what is useful.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
        except (ValueError, OSError):
            pass  # above fs.nr_open it cannot be set: the soft limit stays
    return soft if soft != resource.RLIM_INFINITY else MOST_DESCRIPTORS
