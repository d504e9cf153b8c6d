"""The choice of the accept strategy, made once, before the first fork.

The only place that looks at AcceptMode and at a passed socket.
"""

import socket
from collections.abc import Callable

from shardws.net import sockets
from shardws.net.sockets import Address
from shardws.stats import Stats
from shardws_supervisor.listening.activation import PassedSocket
from shardws_supervisor.listening.handoff import Handoff
from shardws_supervisor.listening.reuseport import ReusePort
from shardws_supervisor.listening.strategy import AcceptStrategy, KeptPort, Kind
from shardws_supervisor.plan.plan import Plan
from shardws_supervisor.system.spawn import Closeable


def strategy_for(
    plan: Plan,
    address: Address,
    passed: socket.socket | None,
    memory: Stats,
    fds_to_close: Callable[[], list[Closeable]],
) -> AcceptStrategy:
    """Return the strategy for the settings; StartError when the port is not free.

    `passed` is a socket that replaces `address`; `fds_to_close` returns all descriptors of the
    supervisor, those of the strategy included.
    """
    if plan.accept_mode == "handoff":
        return Handoff(address, passed, memory, fds_to_close)
    if passed is not None:
        return PassedSocket(passed)
    return ReusePort(address, is_exclusive=plan.is_exclusive)


def adopted(
    kept: KeptPort, memory: Stats, fds_to_close: Callable[[], list[Closeable]], now: float
) -> AcceptStrategy:
    """Return the strategy that this process had before an exec; the settings do not count."""
    if kept.kind is Kind.REUSEPORT:
        return ReusePort.adopt(kept)
    sock = sockets.adopted(kept.sockets[0])
    if kept.kind is Kind.ACTIVATION:
        return PassedSocket(sock)
    handoff = Handoff(kept.address, sock, memory, fds_to_close)
    handoff.adopt(kept, now)
    return handoff
