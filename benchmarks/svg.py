"""Charts as SVG: panels of bars or of curves, one below the other.

Readable on light and dark pages: the text is a grey that contrasts with both.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

from benchmarks.tables import Spread

WIDTH = 720
OURS, OTHERS, INK = "#2f6fb2", "#9aa5b1", "#7a7f87"

BARS_LEFT, BARS_RIGHT, BARS_TOP, BARS_BOTTOM = 130, 120, 34, 14
BAR, GAP = 16, 6

LEFT, RIGHT, TOP, BOTTOM, HEIGHT = 40, 190, 40, 30, 230
LABEL = 16  # the height of one


@dataclass(frozen=True)
class Panel:
    """Elements from y = 0 to a height; an empty panel is left out of the picture."""

    height: float = 0
    elements: Sequence[str] = field(default_factory=list)


def picture(panels: Iterable[Panel]) -> str:
    """The whole file."""
    body: list[str] = []
    top = 0.0
    for panel in panels:
        if panel.elements:
            body += [f'<g transform="translate(0 {top:g})">', *panel.elements, "</g>"]
            top += panel.height
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {max(top, 1):g}"'
        f' width="{WIDTH}" font-family="sans-serif" font-size="13" fill="{INK}">'
    )
    return "\n".join([head, *body, "</svg>"]) + "\n"


def text(x: float, y: float, words: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}"{more and " " + more}>{escape(words)}</text>'


def title(words: str) -> str:
    return text(0, 20, words, 'font-weight="bold"')


def bars(words: str, spreads: Mapping[str, Spread], marked: str) -> Panel:
    """A bar for each name, the shortest first; one name is highlighted."""
    if not spreads:
        return Panel()
    scale = (WIDTH - BARS_LEFT - BARS_RIGHT) / max(spread.high for spread in spreads.values())
    elements = [title(words)]
    top = BARS_TOP
    for name, spread in sorted(spreads.items(), key=lambda one: one[1].middle):
        elements += bar(name, spread, top, scale, OURS if name == marked else OTHERS)
        top += BAR + GAP
    return Panel(top + BARS_BOTTOM, elements)


def bar(name: str, spread: Spread, top: int, scale: float, colour: str) -> list[str]:
    """A label, a bar, a line from min to max, and the figure."""
    length, low, high = (one * scale for one in (spread.middle, spread.low, spread.high))
    level = top + BAR - 4
    return [
        text(BARS_LEFT - 8, level, name, 'text-anchor="end"'),
        f'<rect x="{BARS_LEFT}" y="{top}" width="{length:.1f}" height="{BAR}" fill="{colour}"/>',
        f'<path d="M{BARS_LEFT + low:.1f} {top + BAR / 2}H{BARS_LEFT + high:.1f}" stroke="{INK}"/>',
        text(BARS_LEFT + max(length, high) + 6, level, f"{spread.middle:,.2f}"),
    ]


def curves(
    words: str, lines: Mapping[str, Mapping[int, Spread]], colours: Mapping[str, str]
) -> Panel:
    """A line for each name through its medians; the numbers below are evenly spaced, in order."""
    if not lines:
        return Panel()
    base = HEIGHT - BOTTOM
    most = max(spread.high for line in lines.values() for spread in line.values())
    scale = (base - TOP) / most
    at = columns(sorted({x for line in lines.values() for x in line}))
    elements = [
        title(words),
        f'<path d="M{LEFT} {base}H{WIDTH - RIGHT}" stroke="{INK}"/>',
        text(LEFT - 8, TOP + 4, f"{most:.0f}", 'text-anchor="end"'),
        text(LEFT - 8, base + 4, "0", 'text-anchor="end"'),
        *(text(x, base + 18, str(number), 'text-anchor="middle"') for number, x in at.items()),
    ]
    for name, line in lines.items():
        elements += curve({at[x]: spread for x, spread in line.items()}, scale, colours[name])
    return Panel(HEIGHT, elements + labels(lines, scale, colours))


def columns(numbers: Sequence[int]) -> dict[int, float]:
    step = (WIDTH - LEFT - RIGHT) / max(len(numbers) - 1, 1)
    return {number: LEFT + place * step for place, number in enumerate(numbers)}


def curve(points: Mapping[float, Spread], scale: float, colour: str) -> list[str]:
    """A line through the medians, and bars from min to max."""
    base = HEIGHT - BOTTOM
    path = " ".join(f"{x:.1f},{base - one.middle * scale:.1f}" for x, one in points.items())
    ranges = "".join(
        f"M{x:.1f} {base - one.low * scale:.1f}V{base - one.high * scale:.1f}"
        for x, one in points.items()
    )
    return [
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>',
        f'<path d="{ranges}" stroke="{colour}"/>',
    ]


def labels(
    lines: Mapping[str, Mapping[int, Spread]], scale: float, colours: Mapping[str, str]
) -> list[str]:
    """The name of each line and its last figure, at its end."""
    last = {name: list(line.values())[-1].middle for name, line in lines.items()}
    levels = apart({name: HEIGHT - BOTTOM - value * scale + 4 for name, value in last.items()})
    return [
        text(WIDTH - RIGHT + 8, levels[name], f"{name}: {value:.1f}", f'fill="{colours[name]}"')
        for name, value in last.items()
    ]


def apart(levels: Mapping[str, float]) -> dict[str, float]:
    """Levels from top to bottom, moved down where two labels would overlap."""
    found: dict[str, float] = {}
    lowest = float("-inf")
    for name, level in sorted(levels.items(), key=lambda one: one[1]):
        found[name] = lowest = max(level, lowest + LABEL)
    return found
