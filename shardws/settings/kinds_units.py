"""Kinds of setting with a unit: durations and sizes.

Owns which numbers are whole and how they are shown; the suffixes are those of `units`.
"""

import math
from decimal import Decimal

from shardws.settings import units
from shardws.settings.kinds import Int, Kind


class Seconds(Kind[float]):
    """A duration; fractions are kept."""

    name = "duration"
    unit = units.SECONDS
    metavar = "DURATION"

    def parse(self, text: str) -> float:
        return float(units.parse_duration(text, self.unit))

    def check(self, value: object) -> float:
        if isinstance(value, str):
            return self.parse(value)
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise ValueError("must be a duration such as 30s, or plain seconds")
        if not math.isfinite(value):
            raise ValueError("must be finite")
        return float(value)

    def render(self, value: float) -> str:
        # Without exponent and without ".0": `config()` gives a plain number back.
        return f"{Decimal(repr(value)).normalize():f}"

    def show(self, value: float) -> str:
        return units.format_duration(value, self.unit)


class WholeDuration(Int):
    """A duration of whole seconds or milliseconds."""

    name = "duration"
    metavar = "DURATION"

    def parse(self, text: str) -> int:
        value = units.parse_duration(text, self.unit)
        if value != int(value):
            raise ValueError(f"must be whole {self.unit}")
        return int(value)

    def show(self, value: int) -> str:
        return units.format_duration(value, self.unit)


class Size(Int):
    """A number of bytes."""

    name = "size"
    metavar = "SIZE"

    def __init__(self) -> None:
        super().__init__(units.BYTES)

    def parse(self, text: str) -> int:
        return units.parse_size(text)

    def show(self, value: int) -> str:
        return units.format_size(value)
