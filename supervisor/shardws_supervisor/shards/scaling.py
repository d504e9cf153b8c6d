"""Scaling up and down while serving.

Owns the choice of slots: the lowest free numbers are added, the highest removed. A removed slot
takes no new connections from that moment on; its connections move to the shard with the fewest
(shards.takeovers), and those that cannot move are closed with 1012 at the drain rate.
"""

import time

from shardws_supervisor.plan.plan import Plan
from shardws_supervisor.shards.shards import Shards
from shardws_supervisor.system.backoff import Policy


class Scaling:
    """Changes the number of slots of one server."""

    def __init__(self, shards: Shards, policy: Policy, most: int) -> None:
        self._shards = shards
        self._policy = policy
        self.most = most  # rows of shared memory

    @property
    def count(self) -> int:
        """The intended number of shards."""
        return sum(not slot.is_retiring for slot in self._shards.table)

    def to(self, count: int, plan: Plan) -> int:
        """Set the number of shards, return the old one; ValueError when `count` is out of range."""
        if not 1 <= count <= self.most:
            raise ValueError(f"shards must be 1 to {self.most}, not {count}")
        table = self._shards.table
        active = sorted(slot.index for slot in table if not slot.is_retiring)
        for index in active[count:]:
            self._shards.retire_slot(index)  # all of them first: none is to take over another
        for index in active[count:]:
            self._retire(index, plan)
        free = [index for index in range(self.most) if index not in table.slots]
        for index in free[: max(0, count - len(active))]:
            self.grow(index, plan)
        return len(active)

    def grow(self, index: int, plan: Plan) -> None:
        """Add a slot and start its shard; StartError when its socket cannot be bound."""
        slot = self._shards.add_slot(index, self._policy)
        self._shards.start(slot, plan, time.monotonic())

    def _retire(self, index: int, plan: Plan) -> None:
        slot = self._shards.table[index]
        for process in list(slot.processes):
            target = self._shards.least_loaded()
            self._shards.hand_over(process, target, "scale", plan, time.monotonic())
        if not slot.processes:
            self._shards.remove_slot(index)
