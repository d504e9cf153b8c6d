"""kept: dataclasses to JSON and back, strictly."""

import enum
import json
from dataclasses import dataclass
from typing import Any

import pytest

from shardws_supervisor.system.kept import Descriptor, KeptError, descriptors, from_json, to_json


class Colour(enum.Enum):
    """Two of them."""

    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Inner:
    """A part."""

    file: Descriptor


@dataclass(frozen=True)
class Outer:
    """One field of each type."""

    whole: int
    real: float
    text: str
    is_so: bool
    data: bytes
    colour: Colour
    maybe: float | None
    inner: Inner | None
    file: Descriptor | None
    listed: list[Inner]
    pair: tuple[int, ...]
    numbers: frozenset[int]
    by_slot: dict[int, Descriptor]
    by_name: dict[str, str]
    anything: Any


WHOLE = Outer(
    1, 2.5, "x", True, b"\0\xff", Colour.BLUE, 1.5, Inner(Descriptor(7)), Descriptor(8),
    [Inner(Descriptor(9))], (4, 5), frozenset({6, 2}), {3: Descriptor(10)}, {"a": "b"}, [None, "x"],
)  # fmt: skip
EMPTY = Outer(
    0, 0.0, "", False, b"", Colour.RED, None, None, None, [], (), frozenset(), {}, {}, None
)


@pytest.mark.parametrize("value", [WHOLE, EMPTY])
def test_there_and_back(value: Outer) -> None:
    assert from_json(Outer, json.loads(json.dumps(to_json(value)))) == value


def test_all_descriptors_are_found() -> None:
    assert sorted(descriptors(WHOLE)) == [7, 8, 9, 10]
    assert list(descriptors(EMPTY)) == []


WRONG: dict[str, Any] = {
    "whole": True, "real": "1", "text": 1, "is_so": 1, "data": "0g", "colour": "green",
    "maybe": "x", "inner": 7, "file": -1, "listed": {}, "pair": ["4"], "numbers": [None],
    "by_slot": {"x": 1}, "by_name": [],
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_another_type_is_refused_with_its_place(name: str) -> None:
    document = to_json(WHOLE) | {name: WRONG[name]}
    with pytest.raises(KeptError, match=rf"state\.{name}"):
        from_json(Outer, document)


@pytest.mark.parametrize("name", WRONG)
def test_a_field_that_is_missing_is_named(name: str) -> None:
    document = to_json(WHOLE)
    del document[name]
    with pytest.raises(KeptError, match=name):
        from_json(Outer, document)


def test_a_field_that_is_unknown_is_named() -> None:
    with pytest.raises(KeptError, match="other fields: new"):
        from_json(Outer, to_json(WHOLE) | {"new": 1})


def test_a_whole_number_is_a_real_one_too() -> None:
    assert from_json(Outer, to_json(WHOLE) | {"real": 2}).real == 2.0
