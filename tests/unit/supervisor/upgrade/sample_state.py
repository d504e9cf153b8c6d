"""A state in which every optional part is there."""

import socket

from shardws.net.sockets import Address
from shardws.settings import Source
from shardws_supervisor.control.bound_socket import KeptSocket
from shardws_supervisor.control.client import KeptClient
from shardws_supervisor.control.client_quota import ClientKind
from shardws_supervisor.control.server import KeptControl
from shardws_supervisor.listening.strategy import KeptAcceptor, KeptPort, Kind
from shardws_supervisor.plan.plan import KeptAssignment, KeptPlan
from shardws_supervisor.reload.outcome import Kind as ReloadKind
from shardws_supervisor.reload.outcome import ReloadOutcome
from shardws_supervisor.reload.reload import KeptReloads
from shardws_supervisor.shards.channel import KeptChannel
from shardws_supervisor.shards.keepers import KeptKeeper
from shardws_supervisor.shards.kept_shards import KeptProcess, KeptShards, KeptSlot
from shardws_supervisor.shards.slots import State
from shardws_supervisor.shards.takeovers import KeptCounts
from shardws_supervisor.system.auxiliary import KeptChild
from shardws_supervisor.system.kept import Descriptor
from shardws_supervisor.system.logs import KeptLosses
from shardws_supervisor.system.notify import KeptNotifier
from shardws_supervisor.system.rundir import KeptDirectory
from shardws_supervisor.upgrade.state import (
    KeptMemory,
    KeptResources,
    KeptUpgrade,
    ServerState,
    memory_words,
)

CHILD = KeptChild(11, 1, 2.5, 0.5, 0, "exited with 1")
CHANNEL = KeptChannel(Descriptor(20), b"\0", b"\1\2", is_closed=False)
PROCESS = KeptProcess(
    generation=3,
    pid=77,
    started=1.5,
    state=State.READY,
    since=1.75,
    deadline=9.5,
    is_meshed=True,
    is_leaving=False,
    is_gone=False,
    is_expected_to_end=False,
    complaint="",
    lacks_code=False,
    adopted=frozenset({4, 2}),
    channel=CHANNEL,
)
SLOT = KeptSlot(0, State.VACANT, 0.5, 3, False, "", "it died", 2, 1, [PROCESS])
SHARDS = KeptShards([SLOT], 12, {0: [5, 6]}, {88: KeptKeeper(0, 3.5)}, KeptCounts(1, 2, {"tls": 3}))
PORT = KeptPort(
    Kind.HANDOFF,
    Address(int(socket.AF_INET), "127.0.0.1", 9001),
    {0: Descriptor(30)},
    Descriptor(31),
    is_exclusive=True,
    acceptor=KeptAcceptor(CHILD, {1: Descriptor(32)}, [1], Descriptor(33)),
)
MEMORY = KeptMemory(Descriptor(40), 16, memory_words(), Descriptor(41), 1000, 1)
RESOURCES = KeptResources(
    MEMORY,
    PORT,
    KeptDirectory("/run/x", Descriptor(50), Descriptor(51), is_ours=True),
    KeptLosses(Descriptor(52), 4),
    KeptNotifier({"NOTIFY_SOCKET": "/n"}, "serving"),
    Descriptor(53),
    1000,
    "0123456789abcdef",
    is_tls=False,
)
CLIENT = KeptClient(Descriptor(61), ClientKind.ORDINARY, 5, 1000, 1.5, b"{", b"}")
STATE = ServerState(
    started=0.5,
    plan=KeptPlan([KeptAssignment("shards", 2, Source.FLAG, "--shards")], {"local_port": 0}),
    resources=RESOURCES,
    control=KeptControl(KeptSocket(Descriptor(60), 1, 2), [CLIENT]),
    shards=SHARDS,
    reloads=KeptReloads(3, ReloadOutcome(ReloadKind.DONE, 2), 1),
    admin=CHILD,
    upgrade=KeptUpgrade(1, "1.0", "3.11"),
)
