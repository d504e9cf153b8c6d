"""Who is in a group: connections of this shard, and other shards that have members.

Owns both memberships; sends nothing. A join or leave happens on the shard that owns the
connection; the others only know which shards have members of a group. During a takeover a shard has
a table of its own connections, and one of those that come or go (arrivals, departures).
"""

from typing import Generic, Protocol, TypeVar

from shardws.errors import UsageError

MAX_NAME_BYTES = 1024


def check_name(group: str) -> None:
    """Raise UsageError (213) for what cannot be a group's name."""
    try:
        size = len(group.encode())
    except (AttributeError, UnicodeEncodeError):
        raise UsageError(f"not the name of a group: {group!r:.80}", code=213) from None
    if not 0 < size <= MAX_NAME_BYTES:
        raise UsageError(
            f"the name of a group has 1 to {MAX_NAME_BYTES} bytes, not {size}", code=213
        )


class Member(Protocol):
    """What can be in groups: a connection, or what stands for one."""

    groups: set[str] | None


M = TypeVar("M", bound=Member)


class Groups(Generic[M]):
    """Members that live on this shard."""

    __slots__ = ("_members", "limit")

    def __init__(self, limit: int = 1000) -> None:
        self._members: dict[str, set[M]] = {}
        self.limit = limit  # groups of one connection

    def has_room(self, recipient: Member, group: str) -> bool:
        """Tell whether a connection may join the group, or is a member already."""
        groups = recipient.groups
        return group in groups or len(groups) < self.limit if groups else self.limit > 0

    def join(self, recipient: M, group: str) -> bool:
        """Put a connection into a group; return whether it is the group's first here."""
        if recipient.groups is None:
            recipient.groups = set()
        recipient.groups.add(group)
        members = self._members.get(group)
        if members is None:
            self._members[group] = {recipient}
            return True
        members.add(recipient)
        return False

    def leave(self, recipient: M, group: str) -> bool:
        """Take a connection out of a group; return whether it was the group's last here."""
        if recipient.groups is not None:
            recipient.groups.discard(group)
            if not recipient.groups:
                recipient.groups = None
        members = self._members.get(group)
        if members is None or recipient not in members:
            return False
        members.remove(recipient)
        if members:
            return False
        del self._members[group]
        return True

    def leave_all(self, recipient: M) -> list[str]:
        """Take a connection out of all its groups; return those without members now."""
        return [group for group in list(recipient.groups or ()) if self.leave(recipient, group)]

    def members(self, group: str) -> list[M]:
        """Return a snapshot of the members: some may leave during the iteration."""
        return list(self._members.get(group, ()))

    def size(self, group: str) -> int:
        """Return how many members a group has."""
        return len(self._members.get(group, ()))

    def absorb(self, other: "Groups[M]") -> None:
        """Take the members of another table, which is not used any more."""
        for group, members in other._members.items():
            self._members.setdefault(group, set()).update(members)

    def names(self) -> list[str]:
        """Return the groups that have members here."""
        return list(self._members)


class Interest:
    """Which other shards have members of a group; a shard is named by its incarnation.

    One that is not in `heard` has not announced all its groups yet, and may have members of any.
    """

    __slots__ = ("_peers", "heard")

    def __init__(self) -> None:
        self.heard: set[int] = set()
        self._peers: dict[str, set[int]] = {}

    def hear(self, incarnation: int) -> None:
        """Note that a shard has announced all its groups."""
        self.heard.add(incarnation)

    def unhear(self, incarnation: int) -> None:
        """Treat a shard as one that may have members of any group, until it is heard again."""
        self.heard.discard(incarnation)

    def add(self, incarnation: int, group: str) -> None:
        """Note that a shard has members."""
        self._peers.setdefault(group, set()).add(incarnation)

    def discard(self, incarnation: int, group: str) -> None:
        """Note that a shard has no members."""
        peers = self._peers.get(group)
        if peers is not None:
            peers.discard(incarnation)
            if not peers:
                del self._peers[group]

    def forget(self, incarnation: int) -> None:
        """Drop a shard from all groups: its link is gone, and a new one announces them again."""
        self.heard.discard(incarnation)
        for group in list(self._peers):
            self.discard(incarnation, group)

    def peers(self, group: str) -> tuple[int, ...]:
        """Return the shards that have members."""
        return tuple(self._peers.get(group, ()))
