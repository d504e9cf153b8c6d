"""/metrics: the Prometheus exposition.

Turns the table in `shardws.metrics` into samples. Counters and gauges come from shared memory, so
they are available while the supervisor does not reply; states, ages and CPU time come from its
report. Only the format of prometheus_client is used, not its multiprocess mode with a file per
process.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from prometheus_client import CollectorRegistry
from prometheus_client import core as prometheus
from prometheus_client.exposition import choose_encoder

from shardws import stats
from shardws.metrics import METRICS, Kind, Metric, Scope
from shardws_supervisor.shards import accounting
from shardws_supervisor.shards.slots import State
from shardws_supervisor.system import versions

Report = dict[str, Any]
Sample = tuple[list[str], float]  # values of the labels, value

FAMILIES: Final[dict[Kind, Callable[..., Any]]] = {
    Kind.COUNTER: prometheus.CounterMetricFamily,
    Kind.GAUGE: prometheus.GaugeMetricFamily,
    Kind.INFO: prometheus.InfoMetricFamily,
}


@dataclass(frozen=True, slots=True)
class Scrape:
    """The input of one scrape."""

    words: dict[str, dict[str, int]]  # of shared memory, by slot
    report: Report | None  # None while the supervisor does not reply


def _of_words(metric: Metric, scrape: Scrape) -> Iterator[Sample]:
    for slot, words in scrape.words.items():
        yield [slot], metric.scaled(words[metric.key])


def _of_shards(metric: Metric, report: Report) -> Iterator[Sample]:
    for shard in report["shards"]:
        yield [str(shard["shard"])], metric.scaled(shard[metric.key])


def _of_cpu(metric: Metric, scrape: Scrape, report: Report) -> Iterator[Sample]:
    """Yield the CPU time per shard; for a removed slot, the value in shared memory."""
    seconds = {slot: accounting.ended_cpu(words) for slot, words in scrape.words.items()}
    # The report's own sum: shared memory may already count an exit that the report does not.
    seconds |= {str(shard["shard"]): shard[metric.key] for shard in report["shards"]}
    for slot, value in seconds.items():
        yield [slot], value


def _of_states(metric: Metric, report: Report) -> Iterator[Sample]:
    for shard in report["shards"]:
        for state in State:
            is_in = shard[metric.key] == state.value
            yield [str(shard["shard"]), state.value], metric.scaled(is_in)


def _of_server(metric: Metric, report: Report) -> Iterator[Sample]:
    value = report[metric.key]
    yield [], metric.scaled(len(value) if isinstance(value, list) else value)


def _of_reasons(metric: Metric, report: Report) -> Iterator[Sample]:
    for reason, value in report[metric.key].items():
        yield [reason], metric.scaled(value)


def _of_auxiliaries(metric: Metric, report: Report) -> Iterator[Sample]:
    for auxiliary in report["auxiliaries"]:
        yield [auxiliary["name"]], metric.scaled(auxiliary[metric.key])


def _of_certificates(metric: Metric, report: Report) -> Iterator[Sample]:
    for certificate in (report.get("tls") or {"certificates": []})["certificates"]:
        labels = [certificate[name] for name in metric.labels]
        yield labels, metric.scaled(certificate[metric.key])


OF_REPORT: Final[dict[Scope, Callable[[Metric, Report], Iterator[Sample]]]] = {
    Scope.SHARD: _of_shards,
    Scope.STATE: _of_states,
    Scope.SERVER: _of_server,
    Scope.REASON: _of_reasons,
    Scope.AUXILIARY: _of_auxiliaries,
    Scope.CERTIFICATE: _of_certificates,
}


def _samples(metric: Metric, scrape: Scrape) -> Iterator[Sample]:
    """Yield the samples of a metric, none when their source is not available."""
    report = scrape.report
    if metric.scope is Scope.WORD:
        yield from _of_words(metric, scrape)
    elif metric.scope is Scope.SUPERVISOR:
        yield [], float(report is not None)
    elif report is not None and metric.scope is Scope.CPU:
        yield from _of_cpu(metric, scrape, report)
    elif report is not None:
        yield from OF_REPORT[metric.scope](metric, report)


class Collector:
    """Makes the metrics of one scrape; `report` is None while the supervisor does not reply."""

    def __init__(self, memory: stats.Stats, report: Report | None) -> None:
        self._memory = memory
        self._report = report

    def collect(self) -> Iterator[prometheus.Metric]:
        """Yield every metric family that has samples."""
        used = set(self._memory.used_slots())
        if self._report is not None:
            used |= {shard["shard"] for shard in self._report["shards"]}
        words = {str(slot): self._memory.of_slot(slot) for slot in sorted(used)}
        scrape = Scrape(words, self._report)
        for metric in METRICS:
            if metric.kind is Kind.INFO:
                family = FAMILIES[metric.kind](metric.name, metric.text, value=versions.report())
            else:
                family = FAMILIES[metric.kind](metric.name, metric.text, labels=metric.labels)
                for labels, value in _samples(metric, scrape):
                    family.add_metric(labels, value)
            if family.samples:
                yield family


class Exposition:
    """Renders the metrics page for each scrape."""

    def __init__(self, memory: stats.Stats) -> None:
        self._memory = memory

    def page(self, report: Report | None, accept: str) -> tuple[bytes, str]:
        """Return the text and its content type, in the format that `accept` prefers."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(Collector(self._memory, report))
        encode: Callable[[CollectorRegistry], bytes]
        encode, content_type = choose_encoder(accept)
        return encode(registry), content_type
