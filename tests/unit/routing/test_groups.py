"""Membership here, and which shards have members."""

import pytest

from shardws.errors import UsageError
from shardws.routing.groups import MAX_NAME_BYTES, Groups, Interest, check_name
from tests.unit.routing.shard_cluster import FakeConnection


def test_first_and_last_member_are_told() -> None:
    groups: Groups[FakeConnection] = Groups()
    one, two = FakeConnection(1), FakeConnection(2)
    assert groups.join(one, "a")
    assert not groups.join(one, "a")
    assert not groups.join(two, "a")
    assert set(groups.members("a")) == {one, two}
    assert not groups.leave(one, "a")
    assert not groups.leave(one, "a")
    assert groups.leave(two, "a")
    assert (groups.members("a"), groups.names()) == ([], [])
    assert one.groups is None


def test_a_connection_has_room_for_so_many_groups() -> None:
    groups: Groups[FakeConnection] = Groups(limit=2)
    member = FakeConnection(1)
    for group in ("a", "b"):
        assert groups.has_room(member, group)
        groups.join(member, group)
    assert groups.has_room(member, "a")
    assert not groups.has_room(member, "c")
    groups.leave(member, "a")
    assert groups.has_room(member, "c")
    assert not Groups(limit=0).has_room(FakeConnection(2), "a")


def test_leave_of_a_group_one_is_not_in() -> None:
    groups: Groups[FakeConnection] = Groups()
    one, two = FakeConnection(1), FakeConnection(2)
    groups.join(one, "a")
    assert not groups.leave(one, "b")
    assert not groups.leave(two, "a")
    assert one.groups == {"a"}


def test_leave_all_names_the_groups_that_ended() -> None:
    groups: Groups[FakeConnection] = Groups()
    one, two = FakeConnection(1), FakeConnection(2)
    for group in "abc":
        groups.join(one, group)
    groups.join(two, "b")
    assert sorted(groups.leave_all(one)) == ["a", "c"]
    assert groups.leave_all(one) == []
    assert (groups.names(), one.groups) == (["b"], None)


@pytest.mark.parametrize("name", ["", "x" * (MAX_NAME_BYTES + 1), "ü" * 513, "\ud800", 7, None])
def test_bad_name(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_name(name)
    assert caught.value.code == 213


@pytest.mark.parametrize("name", ["x", "ü" * 512, "room 1/数"])
def test_good_name(name: str) -> None:
    check_name(name)


def test_interest() -> None:
    interest = Interest()
    interest.add(1, "a")
    interest.add(2, "a")
    interest.add(1, "b")
    interest.discard(3, "a")
    interest.discard(1, "none")
    assert set(interest.peers("a")) == {1, 2}
    interest.forget(1)
    assert (interest.peers("a"), interest.peers("b")) == ((2,), ())


def test_a_shard_is_heard_until_it_is_forgotten() -> None:
    interest = Interest()
    interest.hear(1)
    interest.hear(2)
    interest.forget(1)
    interest.forget(3)
    assert interest.heard == {2}
