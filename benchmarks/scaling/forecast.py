"""Computed, not measured: what 64 shards and a million connections would take.

Each figure is a product of medians or a straight line fitted to them; `Forecast.lines` shows the
formula. Real machines differ: other caches, several sockets, and a network card.
"""

from dataclasses import dataclass

from benchmarks.scaling import links, messages
from benchmarks.scaling.idle import Idle
from benchmarks.tables import Sheet, slope, table

MIB, GIB = 1024, 1024 * 1024  # in KiB
EVERY_S = 20.0 * (1 - 0.25 / 2)  # a ping of a quiet connection: PingInterval and its jitter


@dataclass(frozen=True)
class Forecast:
    """A machine with `shards` cores, one shard each, and the measurements from here."""

    shards: int
    connections: int
    messages: Sheet
    links: Sheet
    idle: Idle

    def at_most(self, column: str) -> float:
        """A cost per message at the largest measured number of shards."""
        return self.messages.middle(column, max(self.messages.rows()))

    def private_kib(self) -> float:
        """Of a shard without connections."""
        points = links.beside_others(self.links)
        largest = max(points)
        return points[largest] + (self.shards - largest) * slope(points)

    def publish_s(self) -> float:
        """CPU for one publish to all connections: linear in links, plus the deliveries."""
        points = self.messages.middles(messages.PUBLISH_8)
        each = points[min(points)] / messages.FIXED  # one shard: no links in it
        return (slope(points) * (self.shards - 1) + each * self.connections) / 1e6

    def rows(self) -> list[list[str]]:
        """What, formula, result."""
        shards, count, idle = self.shards, self.connections, self.idle
        each_kib = idle.memory.private / idle.connections
        slab_kib = idle.slab_kib / idle.connections / 2
        own = self.links.middle(links.DESCRIPTORS, min(self.links.rows()))
        keepalive = count / EVERY_S * idle.ping_us / 1e6
        return [
            ["one-way links", "S (S - 1)", f"{shards * (shards - 1):,}"],
            [
                "descriptors of a shard",
                f"{own:.0f} + C / S + 2 (S - 1)",
                f"{own + count / shards + 2 * (shards - 1):,.0f}",
            ],
            [
                "memory of connections",
                f"C x {each_kib:.2f} KiB",
                f"{count * each_kib / GIB:.1f} GiB",
            ],
            [
                "memory of shards",
                f"S x {self.private_kib() / MIB:.1f} MiB",
                f"{shards * self.private_kib() / GIB:.1f} GiB",
            ],
            [
                "kernel's slab for sockets",
                f"C x {slab_kib:.1f} KiB",
                f"{count * slab_kib / GIB:.1f} GiB",
            ],
            [
                "keepalive",
                f"C / {EVERY_S:g} s x {idle.ping_us:.1f} us",
                f"{keepalive:.2f} cores",
            ],
            self.rate("echo, depth 1", messages.EACH_ECHO),
            self.rate("echo, depth 16", messages.EACH_ECHO_16),
            self.rate("from shard to shard, depth 16", messages.EACH_CROSS_16),
            [
                "one publish to all",
                f"(S - 1) x {slope(self.messages.middles(messages.PUBLISH_8)):.1f} us + C x "
                f"{self.messages.middle(messages.PUBLISH_8, 1) / messages.FIXED:.2f} us",
                f"{self.publish_s():.2f} s of CPU, {self.publish_s() / shards * 1000:.0f} ms"
                " of each core",
            ],
        ]

    def rate(self, name: str, column: str) -> list[str]:
        """Messages per second when every core does nothing else."""
        cost = self.at_most(column)
        return [name, f"S / {cost:.2f} us", f"{self.shards / cost:.1f} million/s at most"]

    def table(self) -> list[str]:
        return table(
            ["computed", "from", f"S = {self.shards}, C = {self.connections:,}"], self.rows()
        )
