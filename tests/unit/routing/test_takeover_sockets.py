"""A takeover's routing over real sockets, on each loop."""

import pytest

from shardws.outcomes import Outcome
from tests.unit.routing.shard_cluster import (
    LOOPS,
    Cluster,
    FakeConnection,
    outcome_of,
    run_scenario,
    turn_until,
)


@pytest.mark.parametrize("loop", LOOPS)
def test_numbered_messages_stay_in_order_through_a_takeover(loop: str) -> None:
    async def scenario(cluster: Cluster) -> None:
        sender = await cluster.start_shard(0)
        predecessor = await cluster.start_shard(1, 0)
        successor = await cluster.start_shard(1, 1)
        cluster.announce()
        old = predecessor.connect()
        peers = [shard.peer for shard in cluster.shards]
        served = (predecessor.identity.incarnation,)
        switched = [peers[0], peers[1], peers[2]._replace(served=served)]
        new = FakeConnection(old.id)
        departures = predecessor.router.departures
        steps = {
            20: lambda: departures.depart(old, successor.identity.incarnation),
            30: lambda: successor.router.arrivals.enter(new, predecessor.identity.incarnation),
            40: lambda: departures.confirm(old.id),
            60: lambda: predecessor.mesh.set_peers(switched),
            71: lambda: sender.mesh.set_peers(switched),
            76: lambda: successor.mesh.set_peers(switched),
        }
        sends = []
        for number in range(120):
            steps.get(number, lambda: None)()
            sends.append(sender.router.send(old.id, 1, b"%d" % number))
            if number % 7 == 0:
                await outcome_of(sender.router.send(predecessor.id(99), 1, b"a round trip"))
        assert [await outcome_of(send) for send in sends] == [Outcome.QUEUED] * 120
        assert [int(text) for _, text in old.got + new.got] == list(range(120))
        done: list[bool] = []
        departures.when_switched(lambda: done.append(True))
        await turn_until(lambda: bool(done))
        await turn_until(lambda: successor.router.arrivals.predecessor < 0)
        assert successor.registry.get(old.id) is new

    run_scenario(loop, scenario)
