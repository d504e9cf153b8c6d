"""outcome: the data of a reload that is over, and the sentence about it."""

import pytest

from shardws_supervisor.reload.outcome import Kind, ReloadOutcome

CASES = [
    (ReloadOutcome(Kind.DONE, 2), "reloaded: 2 shards replaced"),
    (ReloadOutcome(Kind.DONE, 1), "reloaded: 1 shard replaced"),
    (
        ReloadOutcome(Kind.DONE, 2, moved=1),
        "reloaded: 2 shards replaced, 1 connection moved",
    ),
    (
        ReloadOutcome(Kind.DONE, 2, moved=70, unmoved=3),
        "reloaded: 2 shards replaced, 70 connections moved, 3 closed",
    ),
    (ReloadOutcome(Kind.REFUSED, reason="no module"), "reload refused: no module"),
    (
        ReloadOutcome(Kind.FAILED, 1, "the port is gone", 3),
        "reload failed: the new shard 3 did not become ready (the port is gone);"
        " 1 shard replaced, the others keep serving",
    ),
    (
        ReloadOutcome(Kind.FAILED, 0, "", 0),
        "reload failed: the new shard 0 did not become ready; 0 shards replaced,"
        " the others keep serving",
    ),
    (ReloadOutcome(Kind.CANCELLED, 1, "the server stops"), "reload cancelled: the server stops"),
]


@pytest.mark.parametrize(("outcome", "sentence"), CASES)
def test_the_sentence(outcome: ReloadOutcome, sentence: str) -> None:
    assert str(outcome) == sentence


def test_every_kind_has_a_sentence_and_one_is_a_success() -> None:
    assert {outcome.kind for outcome, _ in CASES} == set(Kind)
    assert {outcome.kind for outcome, _ in CASES if outcome.is_success} == {Kind.DONE}


def test_the_report() -> None:
    assert ReloadOutcome(Kind.FAILED, 1, "why", 3).report() == {
        "kind": "failed",
        "replaced": 1,
        "reason": "why",
        "slot": 3,
        "moved": 0,
        "unmoved": 0,
    }
