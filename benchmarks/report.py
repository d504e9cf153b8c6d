"""The report: tables for the terminal, and the page docs/benchmarks.md with its picture.

Turns runs and facts into text; the section on the method is that of README.md. Rows are
workloads, columns contestants, the base first.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import figures, svg
from benchmarks.contestants import BASE, Contestant
from benchmarks.matrix import Matrix, Section, Workload, broadcast, echo, storm
from benchmarks.rounds import Run
from benchmarks.tables import cell, table

TITLES = {
    Section.ECHO: "Echo",
    Section.STORM: "Connect storm",
    Section.BROADCAST: "Broadcast",
    Section.MEMORY: "Idle memory",
    Section.TLS: "Echo over TLS",
    Section.CROSS: "From one process to another",
}
FIGURE_TITLES = {"cpu_us": "CPU us per {unit}", "kib": "resident KiB per {unit}"}
README = Path(__file__).resolve().parent / "README.md"
METHOD = "## Method"
PICTURED = (echo(64, 125, 1), echo(64, 125, 16), storm(), broadcast(8))


@dataclass
class Report:
    """The input of a page."""

    matrix: Matrix
    contestants: Sequence[Contestant]
    runs: Sequence[Run]
    facts: Mapping[str, str]
    skipped: Sequence[str] = field(default_factory=list)

    def workloads(self, section: Section) -> list[Workload]:
        measured = {run.workload for run in self.runs}
        return [one for one in self.matrix.workloads if one.section is section and one in measured]

    def names(self, section: Section) -> list[str]:
        return [one.name for one in self.contestants if section in one.sections]


def figure_name(workload: Workload) -> str:
    """The main figure as a heading."""
    return FIGURE_TITLES[figures.main_figure(workload)].format(unit=workload.unit)


def figure_cell(report: Report, name: str, workload: Workload) -> str:
    found = figures.spread(report.runs, name, workload, figures.main_figure(workload))
    return cell(found) if found else "failed"


def ratio_cell(report: Report, name: str, workload: Workload) -> str:
    figure = figures.main_figure(workload)
    return cell(figures.ratio(report.runs, name, BASE, workload, figure), 2, "x")


def section_lines(report: Report, section: Section) -> list[str]:
    """A heading, the figures, and the ratios; empty when nothing was measured."""
    workloads = report.workloads(section)
    if not workloads:
        return []
    names = report.names(section)
    own = [[one.title, *(figure_cell(report, name, one) for name in names)] for one in workloads]
    others = [name for name in names if name != BASE]
    times = [[one.title, *(ratio_cell(report, name, one) for name in others)] for one in workloads]
    lines = [f"## {TITLES[section]}", "", *table([figure_name(workloads[0]), *names], own), ""]
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
        cell(figures.spread(report.runs, name, workload, figure), count)
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


def line(run: Run) -> str:
    """The line printed after each run."""
    name = figures.main_figure(run.workload)
    result = run.failure or f"{run.figures[name]:9.2f} {name}"
    if "client_share" in run.figures:
        result += f"  server {run.figures['server_share']:.2f} client"
        result += f" {run.figures['client_share']:.2f} of a core"
    title = f"{run.workload.section}: {run.workload.title}"
    return f"{run.number + 1}  {run.contestant:16} {title:50} {result}"


def contestant_rows(report: Report) -> Iterable[list[str]]:
    for one in report.contestants:
        found = ", ".join(f"{name} {version or '?'}" for name, version in one.versions().items())
        yield [one.name, one.says, found]


def tables(report: Report) -> str:
    """The text printed at the end."""
    lines = [line for section in Section for line in section_lines(report, section)]
    return "\n".join([*lines, *busy_lines(report), *trouble_lines(report)])


def method() -> str:
    """The section of README.md that describes the method."""
    return README.read_text().partition(f"{METHOD}\n")[2].partition("\n## ")[0].strip()


def picture(report: Report) -> str:
    """Bars of CPU per message, a panel for each measured workload."""
    names = [one.name for one in report.contestants]
    panels = []
    for workload in PICTURED:
        found = {name: figures.spread(report.runs, name, workload, "cpu_us") for name in names}
        title = f"{workload.section}: {workload.title}. {figure_name(workload)}, lower is better"
        panels.append(svg.bars(title, {name: one for name, one in found.items() if one}, BASE))
    return svg.picture(panels)


def page(report: Report, picture_name: str) -> str:
    """docs/benchmarks.md; the picture is beside it."""
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
        f"![CPU per message]({picture_name})",
        "",
        METHOD,
        "",
        method(),
        "",
        "## Servers",
        "",
        *table(["name", "what it is", "versions"], contestant_rows(report)),
        "",
        tables(report),
    ]
    return "\n".join(lines).rstrip() + "\n"
