"""Connections of this process that another one takes over.

Owns what stands in their place. A connection that departs leaves the registry and its groups;
its stub (`Departed`) keeps what comes for it until the successor has confirmed it, and from then on
passes it on over the link to the successor. Facts to have before reading:

- A message for one connection is passed on as it came, and its outcome is the one it has there
  (`forwarding`). A message to many is relayed in one frame, which the successor gives to those it
  knows to be confirmed; CONFIRMED goes over the same link, so both mean the same ones.
- A peer that has said SWITCH sends what is for these connections to the successor itself. DRAINED
  follows what was passed on for it; the successor reads no more of that peer before.
- When every peer and this process have switched, and nothing is on its way any more, the stubs go
  and `when_switched` calls: the process may end, or drain what could not move.
- Until a connection is confirmed it can be taken back, and gets what its stub kept, in order. When
  the successor dies, those that are confirmed have died with it.
"""

from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

from shardws.errors import StateError, UsageError
from shardws.ids import GENERATION_SHIFT
from shardws.interfaces import Recipient, RoutingSink
from shardws.outcomes import SETTLED, Outcome, SendOutcome
from shardws.routing.departed import Departed, DepartureRoute
from shardws.routing.groups import Groups
from shardws.routing.mesh import Mesh
from shardws.routing.outbound_link import OutboundLink
from shardws.routing.registry import Registry
from shardws.wire.codec import decode, encode
from shardws.wire.messages import (
    CLOSE,
    CONFIRMED,
    DELIVER,
    DRAINED,
    GROUP_JOIN,
    GROUP_LEAVE,
    RELAYED_BROADCAST,
    RELAYED_PUBLISH,
)

KIND_AT: Final = 4  # of a frame: behind its length


class Reports(Protocol):
    """What departures ask of the receiver."""

    def announce(self, group: str, *, is_wanted: bool) -> None: ...
    def drained(self, connection_id: int) -> None: ...
    def settle(self) -> None: ...
    def is_passing_on(self, incarnation: int) -> bool:
        """Tell whether outcomes, streams or replies of what was passed on to a peer are open."""


class Departures:
    """The connections that leave this process, and when all is done."""

    def __init__(
        self,
        mesh: Mesh,
        registry: Registry,
        groups: Groups[Recipient],
        sink: RoutingSink,
        reports: Reports,
        absent: Callable[[int], SendOutcome],
    ) -> None:
        self.own = mesh.identity.incarnation
        self.successor = -1  # -1: no takeover
        self.groups: Groups[Departed] = Groups()
        self.sink = sink
        self.absent = absent
        self._mesh = mesh
        self._registry = registry
        self._own_groups = groups
        self._reports = reports
        self._departed: dict[int, Departed] = {}
        self._unconfirmed: dict[int, Departed] = {}
        self._switched: set[int] = set()
        self._undrained: list[tuple[int, int]] = []  # (member, successor) that DRAINED is due for
        self._drained: set[int] = set()
        self._callbacks: list[Callable[[], None]] = []
        self._route = DepartureRoute(self)

    def __len__(self) -> int:
        return len(self._departed)

    @property
    def link(self) -> OutboundLink | None:
        """The link to the successor."""
        return self._mesh.links.get(self.successor)

    # -- what a takeover does ----------------------------------------------------------------

    def depart(self, connection: Recipient, successor: int) -> None:
        """Put a stub in the place of a connection whose record goes to `successor` now.

        Its groups are in the record, and are no longer the connection's. StateError when it is not
        here, when the successor is unknown, or when there is another one already.
        """
        if self._registry.get(connection.id) is not connection:
            raise StateError(f"connection {connection.id} is not here")
        if self.successor not in (-1, successor):
            raise StateError("connections of this process depart to another one already")
        if successor not in self._mesh.links:
            raise StateError("the successor is not known here")
        self.successor = successor
        stub = Departed(self, connection.id)
        self._departed[stub.id] = self._unconfirmed[stub.id] = stub
        self._registry.remove(connection)
        for group in connection.groups or ():
            self.groups.join(stub, group)
        self._own_groups.leave_all(connection)  # the stub keeps the interest
        owners = self._mesh.owners
        if owners.overrides.setdefault(stub.id >> GENERATION_SHIFT, self._route) is self._route:
            owners.refresh()
        self._reports.drained(stub.id)  # who was told FULL asks again, and will hear by the new way

    def confirm(self, connection_id: int) -> None:
        """The successor serves a connection: pass on what came for it meanwhile."""
        stub = self._unconfirmed.pop(connection_id, None)
        link = self.link
        if stub is None:
            return
        stub.is_confirmed = True
        if link is None:
            self._drop(stub)
        else:
            link.reply(encode(CONFIRMED, connection_id))
        for frame, send in stub.held:
            passed = link.count(stub.id, frame) if link else SETTLED[Outcome.GONE]
            send.follow(passed, self._reports.settle)
        self._release(stub)

    def take_back(self, connection: Recipient) -> None:
        """Put a connection back that the successor did not confirm; StateError when it did."""
        stub = self._unconfirmed.pop(connection.id, None)
        if stub is None:
            raise StateError(f"connection {connection.id} is not on its way")
        del self._departed[stub.id]
        self._registry.add(connection)
        for group in stub.groups or ():
            self._own_groups.join(connection, group)
        self.groups.leave_all(stub)
        for frame, send in stub.held:
            send.settle(self._give(connection, frame))
        self._release(stub)
        if not self._departed:
            self._end()

    def when_switched(self, callback: Callable[[], None]) -> None:
        """Call once, when nobody needs this process for connections that have moved; or at once."""
        self._callbacks.append(callback)
        if self.successor < 0:
            self._call_back()
        self.check()

    def _release(self, stub: Departed) -> None:
        stub.held = []
        if stub.is_awaited:
            self._reports.drained(stub.id)
            self.sink.ready_to_send(stub.id)
        self._reports.settle()
        self._send_drained()
        self.check()

    def _give(self, connection: Recipient, frame: bytes) -> Outcome:
        """Do on a connection that was taken back what its stub kept."""
        kind, _, *fields = decode(frame)
        if kind in (GROUP_JOIN, GROUP_LEAVE):
            return Outcome.QUEUED  # the stub's groups are its groups now
        try:
            if kind == DELIVER:
                send = connection.send(*fields)
            elif kind == CLOSE:
                send = connection.disconnect(*fields)
            else:
                send = connection.send(*connection.formatted(*fields))
        except UsageError as error:
            self._mesh.log.warning("a message from another shard was not sent: %s", error)
            return Outcome.DROPPED
        return Outcome.DROPPED if send.outcome is None else send.outcome

    # -- what is sent meanwhile --------------------------------------------------------------

    def stub(self, connection_id: int) -> Departed | None:
        """Return what stands for a connection that is not here any more."""
        return self._departed.get(connection_id)

    def otherwise(self, connection_id: int) -> OutboundLink | None:
        """Return the way to a connection that has no stub here."""
        return self._mesh.owners.plain(connection_id >> GENERATION_SHIFT)

    def has_returned(self, sender: int) -> bool:
        """Tell whether what comes from a peer is what the successor looked for in vain."""
        return sender == self.successor and sender in self._switched

    def note_membership(self, stub: Departed, frame: bytes) -> bool:
        """Let a stub follow a GROUP_JOIN or GROUP_LEAVE; False when it is in too many groups."""
        if frame[KIND_AT] not in (GROUP_JOIN, GROUP_LEAVE):
            return True
        kind, _, group = decode(frame)
        return self._change(stub, group, is_wanted=kind == GROUP_JOIN)

    def _change(self, stub: Departed, group: str, *, is_wanted: bool) -> bool:
        if is_wanted and not self._own_groups.has_room(stub, group):
            return False
        change = self.groups.join if is_wanted else self.groups.leave
        if change(stub, group):
            self._reports.announce(group, is_wanted=is_wanted)
        return True

    def mirror(self, sender: int, connection_id: int, group: str, *, is_wanted: bool) -> bool:
        """Take a join or leave that was done at the successor; False for any other one."""
        stub = self._departed.get(connection_id)
        if stub is None or not self.has_returned(sender):
            return False
        self._change(stub, group, is_wanted=is_wanted)
        return True

    def publish(self, sender: int, group: str, kind: int, payload: bytes) -> None:
        """Relay what a peer, or this process, sends to a group."""
        size = self.groups.size(group)
        if size and sender not in self._switched:
            waiting = [one for one in self._unconfirmed.values() if group in (one.groups or ())]
            frame = encode(RELAYED_PUBLISH, kind, group, payload)
            self._relay(waiting, size - len(waiting), frame, kind, payload)

    def broadcast(self, sender: int, kind: int, payload: bytes) -> None:
        """Relay what a peer, or this process, sends to all."""
        if self._departed and sender not in self._switched:
            waiting = list(self._unconfirmed.values())
            frame = encode(RELAYED_BROADCAST, kind, payload)
            self._relay(waiting, len(self._departed) - len(waiting), frame, kind, payload)

    def _relay(
        self, waiting: list[Departed], confirmed: int, frame: bytes, kind: int, payload: bytes
    ) -> None:
        for stub in waiting:
            stub.deliver(stub.id, kind, payload).if_failed(partial(self._missed, stub.id))
        link = self.link
        if confirmed and link is not None and not link.offer(frame):
            self.sink.send_failed(0, link.refusal)

    def _missed(self, connection_id: int, outcome: Outcome) -> None:
        if outcome is Outcome.FULL:  # a member that is closing is skipped
            self.sink.send_failed(connection_id, outcome)

    # -- the switch --------------------------------------------------------------------------

    def switch(self, member: int, successor: int) -> None:
        """A peer, or this process, sends to `successor` itself from here on."""
        if successor == self.successor:
            self._switched.add(member)
        if member != self.own:
            self._undrained.append((member, successor))
        self._send_drained()
        self.check()

    def _send_drained(self) -> None:
        if self._unconfirmed:
            return  # what they keep for a member has to be on the link first
        undrained, self._undrained = self._undrained, []
        for member, successor in undrained:
            link = self._mesh.links.get(successor)
            if link is not None:
                link.reply(encode(DRAINED, member, self.own))
            if successor == self.successor:
                self._drained.add(member)

    def news(self, peer: int) -> list[bytes]:
        """Return what a new link to the successor says again: it may be among what was lost."""
        if peer != self.successor:
            return []
        confirmed = self._departed.keys() - self._unconfirmed.keys()
        return [
            *[encode(CONFIRMED, connection_id) for connection_id in sorted(confirmed)],
            *[encode(DRAINED, member, self.own) for member in sorted(self._drained)],
        ]

    def check(self) -> None:
        """See whether the successor is gone, or all is done."""
        if self.successor < 0:
            return
        if not self._mesh.is_wanted(self.successor):
            self._lose()
        elif self._is_done():
            self._end()

    def _is_done(self) -> bool:
        members = {*self._mesh.links, self.own}
        return (
            members <= self._switched
            and not self._unconfirmed
            and not self._undrained
            and not self._reports.is_passing_on(self.successor)
        )

    def _lose(self) -> None:
        """The successor is gone, and with it all that it had confirmed."""
        for stub in list(self._departed.values()):
            if stub.is_confirmed:
                self._drop(stub)
        if not self._departed:
            self._end()

    def drop(self, connection_id: int, sender: int) -> None:
        """The successor says that a connection is over."""
        stub = self._departed.get(connection_id)
        if stub is not None and stub.is_confirmed and sender == self.successor:
            self._drop(stub)

    def _drop(self, stub: Departed) -> None:
        self._departed.pop(stub.id, None)
        for group in self.groups.leave_all(stub):
            self._reports.announce(group, is_wanted=False)
        self._reports.drained(stub.id)

    def _end(self) -> None:
        self.successor = -1
        self._switched.clear()
        self._drained.clear()
        overrides = self._mesh.owners.overrides
        for incarnation in [key for key, route in overrides.items() if route is self._route]:
            del overrides[incarnation]
        self._mesh.owners.refresh()
        for stub in list(self._departed.values()):
            self._drop(stub)
        self._call_back()

    def _call_back(self) -> None:
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()
