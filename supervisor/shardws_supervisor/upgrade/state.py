"""The state of a supervisor as one versioned document: what the next version of it takes on.

Owns the whole, the version and the checks before anything of it is used; each part belongs to its
owner (`keep`). Sans-IO. A document that is not understood in every field is refused: the version
that wrote it then goes on.
"""

import json
from dataclasses import dataclass
from typing import Final

from shardws import census, stats
from shardws.wire import messages
from shardws_supervisor.control.server import KeptControl
from shardws_supervisor.listening.strategy import KeptPort
from shardws_supervisor.plan.plan import KeptPlan
from shardws_supervisor.reload.reload import KeptReloads
from shardws_supervisor.shards.kept_shards import KeptShards
from shardws_supervisor.system.auxiliary import KeptChild
from shardws_supervisor.system.kept import Descriptor, KeptError, from_json, to_json
from shardws_supervisor.system.logs import KeptLosses
from shardws_supervisor.system.notify import KeptNotifier
from shardws_supervisor.system.rundir import KeptDirectory

VERSION: Final = 1
LONGEST: Final = 256 << 20  # bytes: a million lost connections, 128 clients with full buffers


@dataclass(frozen=True, slots=True)
class KeptMemory:
    """The shared memory, which running shards use in the layout of their version."""

    stats: Descriptor
    slots: int
    words: list[str]  # of a row, in order
    census: Descriptor
    capacity: int  # connections of a page
    census_version: int


@dataclass(frozen=True, slots=True)
class KeptResources:
    """What was acquired before the first fork."""

    memory: KeptMemory
    port: KeptPort
    directory: KeptDirectory
    losses: KeptLosses
    notifier: KeptNotifier
    admin_listener: Descriptor | None
    max_connections: int
    boot_nonce: str
    is_tls: bool


@dataclass(frozen=True, slots=True)
class KeptUpgrade:
    """The upgrade in progress: its number, and what was there before."""

    count: int
    version: str
    python: str


@dataclass(frozen=True, slots=True)
class ServerState:
    """All of it."""

    started: float  # monotonic seconds
    plan: KeptPlan
    resources: KeptResources
    control: KeptControl
    shards: KeptShards
    reloads: KeptReloads
    admin: KeptChild | None
    upgrade: KeptUpgrade


def memory_words() -> list[str]:
    """Return the words of a row of shared memory, in this version."""
    return [field.name for field in stats.FIELDS]


def encode(state: ServerState) -> bytes:
    """Return the document; KeptError when a setting is of a type that JSON cannot hold."""
    document = {"version": VERSION, "wire": messages.VERSION, "state": to_json(state)}
    try:
        return json.dumps(document, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise KeptError(f"the state cannot be written: {error}") from None


def decode(data: bytes) -> ServerState:
    """Return the state; KeptError when this version cannot take it on."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise KeptError("the state is not JSON") from None
    if not isinstance(document, dict) or document.keys() != {"version", "wire", "state"}:
        raise KeptError("the state is no document of a supervisor")
    _check(document["version"], VERSION, "the state")
    _check(document["wire"], messages.VERSION, "the messages between processes")
    state: ServerState = from_json(ServerState, document["state"])
    memory = state.resources.memory
    _check(memory.census_version, census.VERSION, "the census of connections")
    if memory.words != memory_words()[: len(memory.words)]:
        raise KeptError("the shared memory of the running version has another layout")
    return state


def _check(found: object, ours: int, what: str) -> None:
    if found != ours:
        raise KeptError(f"{what}: the running version has format {found}, this one {ours}")
