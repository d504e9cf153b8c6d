"""How many connections the descriptors of this host allow, and what they take of its memory.

Owns the arithmetic and the raising of RLIMIT_NOFILE; knows no settings. The limit counts per
process, so each shard has it for itself: what is left after its own needs is room for clients.
What a shard does when it has none left all the same is in shardws.shard.descriptors. Some hosts
set no limit worth the name (2^30 in many containers), so there is a bound of our own as well:
tables are sized by it.
"""

import resource
from dataclasses import dataclass

from shardws import ids
from shardws.errors import StartError
from shardws.shard.descriptors import OWN

# Per other row of the mesh: the link dialed and the link accepted; two rows a slot while reloading.
PER_PEER = 4
MOST_PER_SHARD = 1 << 20  # connections, unless MaxConnections asks for more
MOST_DESCRIPTORS = 1 << 22  # a soft limit that is lower is raised so far and no further
# Resident, measured (docs/topics/memory.md); a shard's own pages, without those it shares.
SHARD_BYTES = 14 << 20
IDLE_BYTES = 2_300
TLS_IDLE_BYTES = 30_000


@dataclass(frozen=True, slots=True)
class Room:
    """How many connections fit."""

    descriptors: int  # per process
    per_shard: int
    whole: int


def room_for(descriptors: int, shards: int, wanted: int = 0) -> Room:
    """Return the connections possible; StartError when not even one fits a shard.

    `wanted` is MaxConnections; 0 for as many as fit, up to MOST_PER_SHARD in each shard.
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
    """Return MaxConnections as it will be: all that fit for 0, else the number wanted.

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
    """Return about how many bytes so many idle connections take, with the processes."""
    return shards * SHARD_BYTES + connections * (TLS_IDLE_BYTES if is_tls else IDLE_BYTES)


def raise_descriptor_limit() -> int:
    """Raise the soft RLIMIT_NOFILE towards the hard one; return the descriptors a process may have.

    Programs that the application starts may walk through all descriptors up to the soft limit, so
    it is not raised beyond what can be used.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
        except (ValueError, OSError):
            pass  # above fs.nr_open it cannot be taken: the soft one stays
    return soft if soft != resource.RLIM_INFINITY else MOST_DESCRIPTORS
