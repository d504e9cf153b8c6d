"""Figures of several rounds, and their presentation as Markdown tables."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median


@dataclass(frozen=True)
class Spread:
    """The median of some rounds, and the smallest and largest."""

    middle: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread | None":
        found = sorted(values)
        return cls(median(found), found[0], found[-1]) if found else None

    def text(self, digits: int) -> str:
        """`12.3 (11.9-13.0)`; a single figure when they are equal at that precision."""
        middle, low, high = (f"{one:,.{digits}f}" for one in (self.middle, self.low, self.high))
        return middle if low == high else f"{middle} ({low}-{high})"


def digits_for(value: float) -> int:
    """Three significant digits: rounds agree on no more."""
    return 0 if value >= 100 else 1 if value >= 10 else 2


def cell(spread: Spread | None, digits: int | None = None, suffix: str = "") -> str:
    """`12.3 (11.9-13.0)`, or `-` when not measured; three significant digits by default."""
    if spread is None:
        return "-"
    if digits is None:
        digits = digits_for(spread.middle)
    return spread.text(digits) + suffix


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


@dataclass
class Sheet:
    """A row for each number of something, a column for each figure, a value for each round."""

    corner: str = "shards"  # what the row numbers count
    digits: int | None = None
    values: dict[str, dict[int, list[float]]] = field(default_factory=dict)

    def add(self, column: str, row: int, value: float) -> None:
        self.values.setdefault(column, {}).setdefault(row, []).append(value)

    def spread(self, column: str, row: int) -> Spread | None:
        return Spread.of(self.values.get(column, {}).get(row, []))

    def spreads(self, column: str) -> dict[int, Spread]:
        """By row, in order; rows not measured are left out."""
        found = {row: self.spread(column, row) for row in self.rows()}
        return {row: spread for row, spread in found.items() if spread}

    def middle(self, column: str, row: int) -> float:
        """The median; raises KeyError when it was not measured."""
        spread = self.spread(column, row)
        if spread is None:
            raise KeyError(f"{column} with {row} {self.corner}")
        return spread.middle

    def middles(self, column: str) -> dict[int, float]:
        """Medians by row."""
        return {row: spread.middle for row, spread in self.spreads(column).items()}

    def rows(self) -> list[int]:
        return sorted({row for column in self.values.values() for row in column})

    def table(self, columns: Sequence[str]) -> list[str]:
        """Markdown: medians (min-max)."""
        lines = [
            [str(row), *(self._cell(self.spread(column, row)) for column in columns)]
            for row in self.rows()
        ]
        return table([self.corner, *columns], lines)

    def _cell(self, spread: Spread | None) -> str:
        """Counts are shown as such."""
        values = (spread.middle, spread.low, spread.high) if spread else (0.5,)
        is_count = self.digits is None and all(one == int(one) for one in values)
        return cell(spread, 0 if is_count else self.digits)


def slope(points: dict[int, float]) -> float:
    """What one more row adds: the line of least squares; 0.0 for fewer than two points."""
    count = len(points)
    if count < 2:
        return 0.0
    mean_x, mean_y = sum(points) / count, sum(points.values()) / count
    above = sum((x - mean_x) * (y - mean_y) for x, y in points.items())
    return above / sum((x - mean_x) ** 2 for x in points)
