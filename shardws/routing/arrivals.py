"""Connections that this process takes over from another one.

Owns them until all peers have switched; then they are connections like any other. Facts to have
before reading:

- Until it says SWITCH, a peer sends what is for these connections through the predecessor, which
  passes it on (`departures`): to one connection, or relayed to the confirmed ones. So what a peer
  publishes on its own link is given to them only after its SWITCH; they have a table of groups of
  their own until then.
- After a peer's SWITCH its link is not read until DRAINED says that nothing is on the way through
  the predecessor any more, or the predecessor is gone: so the order of each sender holds. Should
  neither come, reading goes on after ALIGN_SECONDS.
- This process is a sender as well. It sends through the predecessor as the others do, until it has
  switched; between its SWITCH and DRAINED the `Hold` keeps what it sends to them. From then on they
  are in the registry.
- A join or leave done here, while other peers still send through the predecessor, is told to the
  predecessor before it is confirmed, so that what these publish meets the same members.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from shardws.errors import StateError
from shardws.interfaces import Recipient
from shardws.routing.fanout import Fanout
from shardws.routing.groups import Groups
from shardws.routing.hold import Hold
from shardws.routing.inbound_link import InboundLink
from shardws.routing.mesh import Mesh
from shardws.routing.outbound_link import OutboundLink
from shardws.routing.registry import Registry

ALIGN_SECONDS: Final = 2.0

Announce = Callable[[str], None]


class Arrivals:
    """The connections that come from a predecessor; one predecessor at a time."""

    def __init__(
        self,
        mesh: Mesh,
        registry: Registry,
        groups: Groups[Recipient],
        fanout: Fanout,
        make_hold: Callable[[int], Hold],
        announce: Announce,
    ) -> None:
        self.predecessor = -1  # -1: no takeover
        self.visiting = registry.visiting
        self.groups: Groups[Recipient] = Groups()
        self.hold: Hold | None = None
        self._mesh = mesh
        self._own = mesh.identity.incarnation
        self._registry = registry
        self._own_groups = groups
        self._fanout = fanout
        self._make_hold = make_hold
        self._announce = announce  # a group has its first member here
        self._is_owner = False  # this process has switched
        self._confirmed: set[int] = set()  # ids that get what the predecessor relays
        self._switched: set[int] = set()
        self._drained: set[int] = set()
        self._paused: dict[int, InboundLink] = {}
        self._timers: dict[int, asyncio.TimerHandle] = {}  # of a paused member, or of the hold

    # -- connections -------------------------------------------------------------------------

    def enter(self, connection: Recipient, predecessor: int) -> None:
        """Enter a connection, in its groups, that `predecessor` has handed to this process.

        StateError while the connections of another predecessor arrive; ValueError when the id is
        taken.
        """
        if self.find(connection.id) is not None:
            raise ValueError(f"connection id {connection.id} is taken")
        if self.predecessor not in (-1, predecessor):
            raise StateError("connections of another process arrive here")
        if self._mesh.owners.served.get(predecessor) == self._own:
            if self._mesh.is_named(predecessor):
                raise StateError("the peers have switched already")
            if self.predecessor < 0:
                self._enter_late(connection)
                return
        self.predecessor = predecessor
        self.visiting[connection.id] = connection
        if self._is_local:
            self._registry.add(connection)
        for group in list(connection.groups or ()):
            if self.groups.join(connection, group):
                self._announce(group)

    def _enter_late(self, connection: Recipient) -> None:
        """Enter one whose predecessor has died, when nothing of it is on its way any more."""
        self._registry.add(connection)
        for group in list(connection.groups or ()):
            if self._own_groups.join(connection, group):
                self._announce(group)

    def find(self, connection_id: int) -> Recipient | None:
        """Return a connection of this process, whether it has arrived lately or not."""
        return self._registry.find(connection_id)

    def remove(self, connection: Recipient) -> None:
        """A connection is over."""
        if self.visiting.get(connection.id) is connection:
            del self.visiting[connection.id]
            self._confirmed.discard(connection.id)

    def groups_of(self, connection: Recipient) -> Groups[Recipient]:
        """Return the table that a connection of this process is in."""
        is_visiting = self.visiting.get(connection.id) is connection
        return self.groups if is_visiting else self._own_groups

    def mirror_link(self, connection: Recipient, sender: int) -> OutboundLink | None:
        """Return the link on which a join or leave asked for by `sender` is to be told as well."""
        if sender == self.predecessor or self.visiting.get(connection.id) is not connection:
            return None
        return self._mesh.links.get(self.predecessor)

    @property
    def _is_local(self) -> bool:
        """Whether this process sends to the connections directly."""
        return self._own in self._switched

    # -- to many -----------------------------------------------------------------------------

    def publish(self, sender: int, group: str, kind: int, payload: bytes) -> None:
        """Give a message to the members among them, once its sender has switched."""
        if self.predecessor < 0:
            return
        if sender == self._own and self.hold is not None:
            self.hold.publish(group, kind, payload)  # a join may be held as well
        elif sender in self._switched and self.groups.size(group):
            self._fanout.send(self.groups.members(group), kind, payload)

    def broadcast(self, sender: int, kind: int, payload: bytes) -> None:
        """Give a message to all of them, once its sender has switched."""
        if self.predecessor < 0:
            return
        if sender == self._own and self.hold is not None:
            self.hold.broadcast(kind, payload)
        elif sender in self._switched:
            self._fanout.send(list(self.visiting.values()), kind, payload)

    def confirm(self, inbound: InboundLink, connection_id: int) -> None:
        """Take a CONFIRMED."""
        if inbound.incarnation == self.predecessor and connection_id in self.visiting:
            self._confirmed.add(connection_id)

    def relayed_publish(self, inbound: InboundLink, kind: int, group: str, payload: bytes) -> None:
        """Take a RELAYED_PUBLISH."""
        if inbound.incarnation == self.predecessor:
            members = self.groups.members(group)
            self._fanout.send([one for one in members if one.id in self._confirmed], kind, payload)

    def relayed_broadcast(self, inbound: InboundLink, kind: int, payload: bytes) -> None:
        """Take a RELAYED_BROADCAST."""
        if inbound.incarnation == self.predecessor:
            visiting = self.visiting.values()
            self._fanout.send([one for one in visiting if one.id in self._confirmed], kind, payload)

    # -- the switch --------------------------------------------------------------------------

    def own(self, predecessor: int, taken: list[int]) -> None:
        """This process has become the owner of incarnations that `predecessor` served."""
        owners = self._mesh.owners
        owners.fallbacks.update(dict.fromkeys(taken, predecessor))
        if predecessor == self.predecessor:
            self._is_owner = True
            self.hold = hold = self._make_hold(predecessor)
            owners.overrides.update(dict.fromkeys(taken, hold))
            self._wait(self._own, self.release)
        owners.refresh()
        self.check()

    def switch(self, inbound: InboundLink, predecessor: int) -> None:
        """Take a SWITCH: what follows on this link is for the connections that arrived, too."""
        member = inbound.incarnation
        if predecessor != self.predecessor or member in self._switched:
            return
        if member == predecessor or self._is_aligned(member):
            self._switched.add(member)
            self.check()
        else:
            inbound.pause()
            self._paused[member] = inbound
            self._wait(member, lambda: self._go_on(member))

    def drained(self, inbound: InboundLink, member: int, predecessor: int) -> None:
        """Take a DRAINED."""
        if inbound.incarnation == predecessor == self.predecessor:
            self._drained.add(member)
            self.check()

    def _is_aligned(self, member: int) -> bool:
        return self._is_owner and (member in self._drained or self._is_gone(self.predecessor))

    def _is_gone(self, process: int) -> bool:
        """Tell whether a process has ended, and all that it had sent has been read."""
        return process not in self._mesh.inbounds and not self._mesh.is_wanted(process)

    def _wait(self, member: int, give_up: Callable[[], None]) -> None:
        self._stop_waiting(member)
        self._timers[member] = self._mesh.loop.call_later(ALIGN_SECONDS, give_up)

    def _stop_waiting(self, member: int) -> None:
        timer = self._timers.pop(member, None)
        if timer is not None:
            timer.cancel()

    def forget(self, member: int) -> None:
        """A peer's link is gone; a new one says SWITCH again."""
        self._paused.pop(member, None)
        self._switched.discard(member)
        if member != self._own:
            self._stop_waiting(member)
        self.check()

    def check(self) -> None:
        """See what may go on: after DRAINED, and after a change of the peers."""
        if self.predecessor < 0:
            return
        if self.hold is not None and self._is_aligned(self._own):
            self.release()
        for member in [one for one in self._paused if self._is_aligned(one)]:
            self._go_on(member)
        if self.predecessor >= 0 and self._is_local and self._mesh.links.keys() <= self._switched:
            self._end()

    def _go_on(self, member: int) -> None:
        """Read a paused link again."""
        self._stop_waiting(member)
        inbound = self._paused.pop(member, None)
        if inbound is not None:
            self._switched.add(member)
            inbound.resume()
            self.check()

    def release(self) -> None:
        """Send directly from now on, first what was held."""
        self._stop_waiting(self._own)
        hold, self.hold = self.hold, None
        if hold is None:
            return
        overrides = self._mesh.owners.overrides
        for incarnation in [one for one, route in overrides.items() if route is hold]:
            del overrides[incarnation]
        self._mesh.owners.refresh()
        for connection in self.visiting.values():
            self._registry.add(connection)
        self._switched.add(self._own)
        hold.release()
        self.check()

    def _end(self) -> None:
        """All peers have switched: nothing is special about these connections any more."""
        self._own_groups.absorb(self.groups)
        self.groups = Groups()
        self.predecessor = -1
        self._is_owner = False
        self.visiting.clear()
        for known in (self._confirmed, self._switched, self._drained):
            known.clear()
