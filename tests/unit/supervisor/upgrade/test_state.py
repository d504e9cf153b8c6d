"""state: the document of a supervisor, field by field, and what refuses it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from shardws import stats
from shardws_supervisor.plan.plan import KeptPlan
from shardws_supervisor.system.kept import KeptError, descriptors
from shardws_supervisor.upgrade import state
from tests.unit.supervisor.upgrade.sample_state import STATE

DOCUMENT: dict[str, Any] = json.loads(state.encode(STATE))
FREE = ("explicit", "value", "given")  # whose content is the settings' own
Path = tuple[str | int, ...]


def paths(value: Any, above: Path = ()) -> Iterator[Path]:
    """Return the place of every field of the document."""
    for key, inner in value.items() if isinstance(value, dict) else ():
        yield (*above, key)
        yield from paths(inner, (*above, key))
    for at, inner in enumerate(value) if isinstance(value, list) else ():
        yield from paths(inner, (*above, at))


def is_field(path: Path) -> bool:
    """Tell whether a place is a field, not a key of a dict or what a setting holds."""
    maps = ("sockets", "ends", "owed", "keepers", "unmoved", "variables", "explicit")
    return len(path) < 2 or path[-2] not in maps


FIELDS = [path for path in paths(DOCUMENT["state"], ("state",)) if is_field(path)]


def changed(path: Path, change: Any) -> bytes:
    """Return the document with another value at a place; ... takes the field out."""
    document = json.loads(json.dumps(DOCUMENT))
    place = document
    for key in path[:-1]:
        place = place[key]
    if change is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = change
    return json.dumps(document).encode()


def name(path: Path) -> str:
    return ".".join(map(str, path))


def test_there_and_back() -> None:
    assert state.decode(state.encode(STATE)) == STATE


def test_all_descriptors_are_known() -> None:
    """One that is forgotten is closed by the exec."""
    wanted = [20, 30, 31, 32, 33, 40, 41, 50, 51, 52, 53, 60, 61]
    assert sorted(descriptors(STATE)) == wanted


@pytest.mark.parametrize("path", FIELDS, ids=name)
def test_a_field_that_is_missing_refuses_it(path: Path) -> None:
    with pytest.raises(KeptError, match=str(path[-1])):
        state.decode(changed(path, ...))


@pytest.mark.parametrize("path", [path for path in FIELDS if path[-1] not in FREE], ids=name)
def test_a_field_of_another_type_refuses_it(path: Path) -> None:
    with pytest.raises(KeptError, match=name(path).replace("[", "")):
        state.decode(changed(path, [{}]))


@pytest.mark.parametrize(
    "path", [("state",), ("state", "resources"), ("state", "shards")], ids=name
)
def test_a_field_that_is_unknown_refuses_it(path: Path) -> None:
    with pytest.raises(KeptError, match="new"):
        state.decode(changed((*path, "new"), 1))


OTHERS: dict[str, tuple[Path, Any, str]] = {
    "version": (("version",), 2, "the state: the running version has format 2, this one 1"),
    "wire": (("wire",), 1, "the messages between processes"),
    "census": (("state", "resources", "memory", "census_version"), 9, "census"),
    "words": (("state", "resources", "memory", "words"), ["pid", "x"], "another layout"),
    "no version": (("version",), ..., "no document"),
    "more": (("more",), 1, "no document"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_another_format_is_refused(case: str) -> None:
    path, change, reason = OTHERS[case]
    with pytest.raises(KeptError, match=reason):
        state.decode(changed(path, change))


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"1", b"[" * 100_000])
def test_what_is_no_document_is_refused(data: bytes) -> None:
    with pytest.raises(KeptError):
        state.decode(data)


def test_words_may_be_added_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    data = state.encode(STATE)
    new = stats.Field("new", stats.FIELDS[-1].join, is_kept=True)
    monkeypatch.setattr(stats, "FIELDS", (*stats.FIELDS, new))
    assert state.decode(data) == STATE


def test_a_setting_that_json_cannot_hold_is_refused() -> None:
    plan = state.ServerState(**{**vars_of(STATE), "plan": with_value(object())})
    with pytest.raises(KeptError, match="cannot be written"):
        state.encode(plan)


def vars_of(value: state.ServerState) -> dict[str, Any]:
    return {field: getattr(value, field) for field in value.__dataclass_fields__}


def with_value(value: object) -> KeptPlan:
    given = STATE.plan.given[0]
    kept = type(given)(given.name, value, given.source, given.detail)
    return KeptPlan([kept], {})
