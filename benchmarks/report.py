"""The report: tables for the terminal, and the page docs/benchmarks.md.

Takes runs and facts, gives text; its words on the method are in method.md. Rows are workloads,
columns contestants, the base first.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import figures
from benchmarks.contestants import BASE, Contestant
from benchmarks.matrix import Matrix, Section, Workload
from benchmarks.rounds import Run

TITLES = {
    Section.ECHO: "Echo",
    Section.STORM: "Connect storm",
    Section.BROADCAST: "Broadcast",
    Section.MEMORY: "Idle memory",
    Section.TLS: "Echo over TLS",
    Section.CROSS: "From one process to another",
}
FIGURE_TITLES = {"cpu_us": "CPU us per {unit}", "kib": "resident KiB per {unit}"}
METHOD = (Path(__file__).resolve().parent / "method.md").read_text()


@dataclass
class Report:
    """All that a page is made from."""

    matrix: Matrix
    contestants: Sequence[Contestant]
    runs: Sequence[Run]
    facts: Mapping[str, str]
    versions: Mapping[str, str]
    skipped: Sequence[str] = field(default_factory=list)

    def workloads(self, section: Section) -> list[Workload]:
        measured = {run.workload for run in self.runs}
        return [one for one in self.matrix.workloads if one.section is section and one in measured]

    def names(self, section: Section) -> list[str]:
        return [one.name for one in self.contestants if section in one.sections]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table that is aligned, so that it reads in a terminal too."""
    lines = [list(head), *map(list, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    padded = [
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) + " |"
        for line in lines
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return [padded[0], rule, *padded[1:]]


def text(spread: figures.Spread | None, digits: int, suffix: str = "") -> str:
    return "-" if spread is None else spread.text(digits) + suffix


def digits_for(value: float) -> int:
    """Three figures are what rounds agree on."""
    return 0 if value >= 100 else 1 if value >= 10 else 2


def figure_cell(report: Report, name: str, workload: Workload) -> str:
    found = figures.spread(report.runs, name, workload, figures.main_figure(workload))
    return text(found, digits_for(found.middle)) if found else "failed"


def ratio_cell(report: Report, name: str, workload: Workload) -> str:
    figure = figures.main_figure(workload)
    return text(figures.ratio(report.runs, name, BASE, workload, figure), 2, "x")


def section_lines(report: Report, section: Section) -> list[str]:
    """A heading, the figures, and the ratios; nothing when nothing was measured."""
    workloads = report.workloads(section)
    if not workloads:
        return []
    names = report.names(section)
    what = FIGURE_TITLES[figures.main_figure(workloads[0])].format(unit=workloads[0].unit)
    own = [[one.title, *(figure_cell(report, name, one) for name in names)] for one in workloads]
    others = [name for name in names if name != BASE]
    times = [[one.title, *(ratio_cell(report, name, one) for name in others)] for one in workloads]
    lines = [f"## {TITLES[section]}", "", *table([what, *names], own), ""]
    if others:
        lines += [*table([f"times {BASE}", *others], times), ""]
    return lines


def busy_rows(report: Report) -> Iterable[list[str]]:
    for section in Section:
        for workload in report.workloads(section):
            if workload.mode == "hold":
                continue
            for name in report.names(section):
                yield [f"{section}: {workload.title}", name, *busy_cells(report, name, workload)]


def busy_cells(report: Report, name: str, workload: Workload) -> list[str]:
    digits = {"rate": 0, "p50_us": 0, "p99_us": 0, "server_share": 2, "client_share": 2}
    cells = [
        text(figures.spread(report.runs, name, workload, figure), count)
        for figure, count in digits.items()
    ]
    if figures.is_generator_the_limit(report.runs, name, workload):
        cells[-1] += " !"
    return cells


def busy_lines(report: Report) -> list[str]:
    head = ["workload", "server", "per second", "p50 us", "p99 us", "server CPU", "client CPU"]
    return ["## Rates, latencies, and which side was busy", "", *table(head, busy_rows(report)), ""]


def trouble_lines(report: Report) -> list[str]:
    failed = [
        f"- failed: {run.contestant}, {run.workload.section}: {run.workload.title},"
        f" round {run.number + 1}: {run.failure}"
        for run in figures.failures(report.runs)
    ]
    return [*failed, *(f"- left out: {reason}" for reason in report.skipped)]


def contestant_rows(report: Report) -> Iterable[list[str]]:
    for one in report.contestants:
        found = ", ".join(f"{name} {report.versions.get(name, '?')}" for name in one.packages)
        yield [one.name, one.says, found]


def tables(report: Report) -> str:
    """What the terminal shows at the end."""
    lines = [line for section in Section for line in section_lines(report, section)]
    return "\n".join([*lines, *busy_lines(report), *trouble_lines(report)])


def page(report: Report, plot: str) -> str:
    """docs/benchmarks.md; `plot` is the name of the picture beside it."""
    matrix = report.matrix
    times = f"{matrix.rounds} rounds of {matrix.seconds:g} s"
    command = {"default": "make bench", "quick": "make bench-quick"}.get(
        matrix.name, "make bench FULL=1"
    )
    lines = [
        "# Benchmarks",
        "",
        f"Written by `{command}`: {times} for each workload and server. Do not edit.",
        "",
        *(f"- {name}: {value}" for name, value in report.facts.items()),
        "",
        f"![CPU per message]({plot})",
        "",
        "## Method",
        "",
        METHOD,
        "## Servers",
        "",
        *table(["name", "what it is", "versions"], contestant_rows(report)),
        "",
        tables(report),
    ]
    return "\n".join(lines).rstrip() + "\n"
