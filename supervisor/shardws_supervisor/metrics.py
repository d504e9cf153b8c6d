"""/metrics: the report of status.py in the Prometheus exposition format.

Owns the names of the metrics; asks nobody. Names carry their unit and counters end in `_total`;
the label is `shard`, never a pid, so a respawned shard goes on in the same series. Of
prometheus_client the format alone is used, not its multiprocess mode with a file per process.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from shardws_supervisor.slots import State

Report = dict[str, Any]
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Row:
    """One metric per shard: its name, and the field of the report it comes from."""

    name: str
    field: str
    text: str
    is_counter: bool = True
    scale: float = 1.0


ROWS: Final = (
    Row("shardws_connections", "connections", "Open connections, opening ones included.", False),
    Row("shardws_queue_bytes", "queue_bytes", "Bytes waiting in outgoing queues.", False),
    Row("shardws_link_queue_bytes", "link_bytes", "Bytes waiting for other shards.", False),
    Row("shardws_loop_lag_seconds", "loop_lag", "How late the last beat was.", False, 1e-6),
    Row("shardws_uptime_seconds", "uptime", "Age of the shard's process.", False),
    Row("shardws_resident_memory_bytes", "rss", "Resident memory of the shard.", False),
    Row("shardws_cpu_seconds", "cpu_seconds", "CPU time, user and system."),
    Row("shardws_restarts", "restarts", "Processes after the first in this slot."),
    Row("shardws_accepted_connections", "accepted", "TCP connections accepted."),
    Row("shardws_refused_connections", "refused", "Connections refused before Connected."),
    Row("shardws_opened_websockets", "connected", "WebSockets opened."),
    Row("shardws_closed_websockets", "disconnected", "WebSockets ended."),
    Row("shardws_received_messages", "messages_in", "Messages from clients."),
    Row("shardws_sent_messages", "messages_out", "Messages queued to clients."),
    Row("shardws_received_bytes", "bytes_in", "Bytes from clients."),
    Row("shardws_sent_bytes", "bytes_out", "Bytes written to clients."),
    Row("shardws_link_received_messages", "links_in", "Messages from other shards."),
    Row("shardws_link_sent_messages", "links_out", "Messages to other shards."),
    Row("shardws_failed_sends", "sends_failed", "Sends with an outcome other than success."),
    Row("shardws_protocol_errors", "protocol_errors", "Connections closed for a violation."),
    Row("shardws_handler_errors", "handler_errors", "Exceptions raised by handlers."),
    Row("shardws_error_events", "errors", "Error events."),
)


class Collector:
    """Makes the metrics of one report."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def collect(self) -> Iterator[Metric]:
        """Yield every metric family."""
        yield _single(
            "shardws_ready", "Whether new clients should be sent here.", "ready", self._report
        )
        yield _single(
            "shardws_max_connections", "The effective limit.", "max_connections", self._report
        )
        yield _single("shardws_server_uptime_seconds", "Age of the server.", "uptime", self._report)
        reloads = CounterMetricFamily("shardws_reloads", "Reloads begun.")
        reloads.add_metric([], self._report["reloads"])
        yield reloads
        for row in ROWS:
            yield _per_shard(row, self._report["shards"])
        yield self._states()

    def _states(self) -> Metric:
        family = GaugeMetricFamily(
            "shardws_shard_state", "1 for the state the slot is in.", labels=["shard", "state"]
        )
        for shard in self._report["shards"]:
            for state in State:
                labels = [str(shard["shard"]), state.value]
                family.add_metric(labels, float(shard["state"] == state.value))
        return family


def _single(name: str, text: str, field: str, report: Report) -> Metric:
    family = GaugeMetricFamily(name, text)
    family.add_metric([], float(report[field]))
    return family


def _per_shard(row: Row, shards: Iterable[Report]) -> Metric:
    kind = CounterMetricFamily if row.is_counter else GaugeMetricFamily
    family = kind(row.name, row.text, labels=["shard"])
    for shard in shards:
        family.add_metric([str(shard["shard"])], shard[row.field] * row.scale)
    return family


def exposition(report: Report) -> bytes:
    """Return the page for one report."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector(report))
    return generate_latest(registry)
