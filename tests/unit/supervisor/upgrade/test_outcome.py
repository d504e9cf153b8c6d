"""outcome: the sentence and the report of an upgrade."""

import pytest

from shardws_supervisor.upgrade.outcome import Kind, UpgradeOutcome
from shardws_supervisor.upgrade.rehearsal import Versions

OLD, NEW, OTHER = Versions("1.0", "3.11.7"), Versions("1.1", "3.11.7"), Versions("1.1", "3.13.0")
SAID = {
    "new version": (
        UpgradeOutcome(Kind.DONE, OLD, NEW, "reloaded"),
        "upgraded: shardws 1.0 to 1.1; reloaded",
    ),
    "new Python": (
        UpgradeOutcome(Kind.DONE, NEW, OTHER, "reloaded"),
        "upgraded: shardws still 1.1, Python 3.11.7 to 3.13.0; reloaded",
    ),
    "both": (
        UpgradeOutcome(Kind.DONE, OLD, OTHER, "reloaded"),
        "upgraded: shardws 1.0 to 1.1, Python 3.11.7 to 3.13.0; reloaded",
    ),
    "neither": (
        UpgradeOutcome(Kind.DONE, OLD, OLD, "reloaded"),
        "upgraded: shardws still 1.0; reloaded",
    ),
    "refused": (UpgradeOutcome(Kind.REFUSED, OLD, OLD, "no"), "upgrade refused: no"),
    "failed": (
        UpgradeOutcome(Kind.FAILED, OLD, NEW, "reload refused: no"),
        "upgrade failed: the supervisor runs shardws 1.1, but reload refused: no",
    ),
    "cancelled": (
        UpgradeOutcome(Kind.CANCELLED, OLD, OLD, "it ends"),
        "upgrade cancelled: it ends",
    ),
}


@pytest.mark.parametrize("name", SAID)
def test_one_sentence(name: str) -> None:
    outcome, sentence = SAID[name]
    assert str(outcome) == sentence
    assert outcome.is_success is (outcome.kind is Kind.DONE)


def test_report() -> None:
    assert SAID["both"][0].report() == {
        "kind": "done",
        "reason": "reloaded",
        "version_before": "1.0",
        "version": "1.1",
        "python_before": "3.11.7",
        "python": "3.13.0",
    }
