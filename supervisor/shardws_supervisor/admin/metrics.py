"""/metrics: the Prometheus exposition.

Owns the names of the metrics; asks nobody. Counters and amounts come from shared memory, so they
are there while the supervisor is silent; states, ages and restarts from its report. Names carry
their unit and counters end in `_total`; the label is `shard`, never a pid, and both rows of a slot
are summed: a respawned shard goes on in the same series. prometheus_client gives the format alone:
its multiprocess mode, with a file per process, is not used.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder

from shardws import stats
from shardws_supervisor import versions
from shardws_supervisor.admin import slots
from shardws_supervisor.slots import State

Report = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """One metric per shard: its name, and the word of shared memory or of the report it shows."""

    name: str
    field: str
    text: str
    is_counter: bool = True
    scale: float = 1.0


MEMORY_ROWS: Final = (
    Row("shardws_connections", "connections", "Open connections, opening ones included.", False),
    Row("shardws_queue_bytes", "queue_bytes", "Bytes waiting in outgoing queues.", False),
    Row("shardws_link_queue_bytes", "link_bytes", "Bytes waiting for other shards.", False),
    Row("shardws_loop_lag_seconds", "loop_lag", "How late the last beat was.", False, 1e-6),
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
    Row(
        "shardws_no_descriptor_connections",
        "no_descriptors",
        "Connections refused because the shard had no descriptor for them.",
    ),
)
REPORT_ROWS: Final = (
    Row("shardws_uptime_seconds", "uptime", "Age of the shard's process.", False),
    Row("shardws_resident_memory_bytes", "rss", "Resident memory of the shard.", False),
    Row("shardws_restarts", "restarts", "Processes after the first in this slot."),
)
# Words of shared memory that are no metric of their own.
UNSHOWN: Final = frozenset({"pid", "generation", "heartbeat", "started"})


class Cpu:
    """CPU seconds per shard that do not fall back when a process ends.

    The kernel forgets a process with its time, so what was last seen of it is kept here.
    """

    def __init__(self) -> None:
        self._ended: dict[int, float] = {}  # by shard
        self._living: dict[int, dict[int, float]] = {}  # by shard and pid

    def update(self, shards: Iterable[Report]) -> dict[int, float]:
        """Return the seconds of each shard of a report."""
        for shard in shards:
            number = shard["shard"]
            before = self._living.get(number, {})
            now = {life["pid"]: life["cpu_seconds"] for life in shard["lives"]}
            ended = sum(seconds for pid, seconds in before.items() if pid not in now)
            self._ended[number] = self._ended.get(number, 0.0) + ended
            # A process that ends right now shows zeros before it is out of the table.
            self._living[number] = {pid: max(s, before.get(pid, 0.0)) for pid, s in now.items()}
        return {n: self._ended[n] + sum(living.values()) for n, living in self._living.items()}


class Collector:
    """Makes the metrics of one scrape; `report` is None while the supervisor is silent."""

    def __init__(
        self, memory: stats.Stats, report: Report | None, cpu: Mapping[int, float]
    ) -> None:
        self._memory = memory
        self._report = report
        self._cpu = cpu

    def collect(self) -> Iterator[Metric]:
        """Yield every metric family."""
        yield InfoMetricFamily("shardws_build", "What runs here.", value=versions.report())
        up = GaugeMetricFamily("shardws_supervisor_up", "Whether the supervisor answers.")
        up.add_metric([], float(self._report is not None))
        yield up
        used = slots.used(self._memory)
        if self._report is not None:
            used = sorted({*used, *(shard["shard"] for shard in self._report["shards"])})
        words = {str(slot): slots.read(self._memory, slot) for slot in used}
        for row in MEMORY_ROWS:
            yield _per_shard(row, words)
        if self._report is not None:
            yield from _of_report(self._report)
            cpu = CounterMetricFamily(
                "shardws_cpu_seconds", "CPU time, user and system.", labels=["shard"]
            )
            for slot, seconds in sorted(self._cpu.items()):
                cpu.add_metric([str(slot)], seconds)
            yield cpu


def _of_report(report: Report) -> Iterator[Metric]:
    yield _single("shardws_ready", "Whether new clients should be sent here.", report["ready"])
    yield _single("shardws_max_connections", "The effective limit.", report["max_connections"])
    yield _single("shardws_server_uptime_seconds", "Age of the server.", report["uptime"])
    yield _single("shardws_shards", "Shards there should be.", len(report["shards"]))
    reloads = CounterMetricFamily("shardws_reloads", "Reloads begun.")
    reloads.add_metric([], report["reloads"])
    yield reloads
    shards = {str(shard["shard"]): shard for shard in report["shards"]}
    for row in REPORT_ROWS:
        yield _per_shard(row, shards)
    states = GaugeMetricFamily(
        "shardws_shard_state", "1 for the state the slot is in.", labels=["shard", "state"]
    )
    for name, shard in shards.items():
        for state in State:
            states.add_metric([name, state.value], float(shard["state"] == state.value))
    yield states
    tls = report.get("tls")
    if tls is not None:
        yield from _of_certificates(tls["certificates"])


def _of_certificates(certificates: Iterable[Report]) -> Iterator[Metric]:
    names = ["subject", "serial"]
    end = GaugeMetricFamily(
        "shardws_certificate_not_after_timestamp_seconds", "When it expires.", labels=names
    )
    soon = GaugeMetricFamily(
        "shardws_certificate_expiring", "1 if that is within 30 days.", labels=names
    )
    for certificate in certificates:
        labels = [certificate[name] for name in names]
        end.add_metric(labels, float(certificate["not_after"]))
        soon.add_metric(labels, float(certificate["is_expiring"]))
    yield end
    yield soon


def _single(name: str, text: str, value: float) -> Metric:
    family = GaugeMetricFamily(name, text)
    family.add_metric([], float(value))
    return family


def _per_shard(row: Row, shards: Mapping[str, Mapping[str, Any]]) -> Metric:
    kind = CounterMetricFamily if row.is_counter else GaugeMetricFamily
    family = kind(row.name, row.text, labels=["shard"])
    for name, words in shards.items():
        family.add_metric([name], words[row.field] * row.scale)
    return family


class Exposition:
    """Makes the page, scrape after scrape."""

    def __init__(self, memory: stats.Stats) -> None:
        self._memory = memory
        self._cpu = Cpu()
        self._seconds: dict[int, float] = {}

    def page(self, report: Report | None, accept: str) -> tuple[bytes, str]:
        """Return the text and its content type, in the format that `accept` prefers."""
        if report is not None:
            self._seconds = self._cpu.update(report["shards"])
        registry = CollectorRegistry(auto_describe=False)
        registry.register(Collector(self._memory, report, self._seconds))
        encode: Callable[[CollectorRegistry], bytes]
        encode, content_type = choose_encoder(accept)
        return encode(registry), content_type
