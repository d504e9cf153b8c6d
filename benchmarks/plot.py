"""A picture of the main figures as SVG: bars of CPU per message, a panel a workload.

Pure. Readable on light and dark pages: the text takes a grey that both bear.
"""

from collections.abc import Sequence
from html import escape

from benchmarks import figures
from benchmarks.contestants import BASE
from benchmarks.matrix import Section, Workload
from benchmarks.rounds import Run

WIDTH = 720
LABEL_WIDTH = 130
VALUE_WIDTH = 120
BAR = 16
GAP = 6
PANEL_HEAD = 34
PANEL_FOOT = 14
OURS, OTHERS, INK = "#2f6fb2", "#9aa5b1", "#7a7f87"
WANTED = (
    Workload(Section.ECHO, "echo", 64, 125, 1),
    Workload(Section.ECHO, "echo", 64, 125, 16),
    Workload(Section.STORM, "storm", 32),
    Workload(Section.BROADCAST, "broadcast", 1000, 125, 8, is_text=True),
)


def bar(name: str, spread: figures.Spread, top: int, scale: float) -> list[str]:
    """A label, a bar, a line from min to max, and the figure."""
    middle = top + BAR - 4
    colour = OURS if name == BASE else OTHERS
    length, low, high = (one * scale for one in (spread.middle, spread.low, spread.high))
    level = top + BAR / 2
    end = LABEL_WIDTH + max(length, high) + 6
    return [
        f'<text x="{LABEL_WIDTH - 8}" y="{middle}" text-anchor="end">{escape(name)}</text>',
        f'<rect x="{LABEL_WIDTH}" y="{top}" width="{length:.1f}" height="{BAR}" fill="{colour}"/>',
        f'<path d="M{LABEL_WIDTH + low:.1f} {level}H{LABEL_WIDTH + high:.1f}" stroke="{INK}"/>',
        f'<text x="{end:.1f}" y="{middle}">{spread.middle:,.2f}</text>',
    ]


def panel(runs: Sequence[Run], names: Sequence[str], workload: Workload, top: int) -> list[str]:
    found = {name: figures.spread(runs, name, workload, "cpu_us") for name in names}
    bars = {name: spread for name, spread in found.items() if spread}
    if not bars:
        return []
    scale = (WIDTH - LABEL_WIDTH - VALUE_WIDTH) / max(spread.high for spread in bars.values())
    title = f"{workload.section}: {workload.title}. CPU us per {workload.unit}, less is better"
    lines = [f'<text x="0" y="{top + 20}" font-weight="bold">{escape(title)}</text>']
    for number, (name, spread) in enumerate(sorted(bars.items(), key=lambda one: one[1].middle)):
        lines += bar(name, spread, top + PANEL_HEAD + number * (BAR + GAP), scale)
    return lines


def height_of(lines: Sequence[str]) -> int:
    bars = sum(line.startswith("<rect") for line in lines)
    return PANEL_HEAD + bars * (BAR + GAP) + PANEL_FOOT


def svg(runs: Sequence[Run], names: Sequence[str]) -> str:
    """The picture; panels of workloads that were not measured are left out."""
    body: list[str] = []
    top = 0
    for workload in WANTED:
        lines = panel(runs, names, workload, top)
        if lines:
            body += lines
            top += height_of(lines)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {max(top, 1)}"'
        f' width="{WIDTH}" font-family="sans-serif" font-size="13" fill="{INK}">'
    )
    return "\n".join([head, *body, "</svg>"]) + "\n"
