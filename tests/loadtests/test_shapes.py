"""Shapes are tables of stages: each kind's numbers, and what holds at every moment."""

import pytest

from loadtests.shapes import SHAPES, Stage, stage_at, stages_of

CASES = [
    ("ramp", 100, 50.0, [Stage(50.0, 100, 2.0)]),
    (
        "step",
        10,
        50.0,
        [
            Stage(10.0, 2, 2.0),
            Stage(20.0, 4, 4.0),
            Stage(30.0, 6, 6.0),
            Stage(40.0, 8, 8.0),
            Stage(50.0, 10, 10.0),
        ],
    ),
    (
        "spike",
        50,
        30.0,
        [Stage(10.0, 5, 5.0), Stage(20.0, 50, 50.0), Stage(30.0, 5, 50.0)],
    ),
    ("soak", 40, 100.0, [Stage(10.0, 40, 4.0), Stage(100.0, 40, 4.0)]),
]


@pytest.mark.parametrize(("name", "users", "seconds", "expected"), CASES)
def test_stages_of_each_shape(name: str, users: int, seconds: float, expected: list[Stage]) -> None:
    assert list(stages_of(name, users, seconds)) == expected


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("users", [1, 3, 1000])
def test_every_shape_has_users_to_its_end_and_reaches_all(name: str, users: int) -> None:
    stages = stages_of(name, users, 12.0)
    assert stages[-1].until_s == pytest.approx(12.0)
    assert max(stage.users for stage in stages) == users
    assert all(stage.users >= 1 and stage.spawn_rate > 0 for stage in stages)


@pytest.mark.parametrize(
    ("name", "users", "seconds", "words"),
    [
        ("ramq", 1, 1.0, "one of ramp, step, spike, soak"),
        ("ramp", 0, 1.0, "above 0"),
        ("soak", 5, 0.0, "above 0"),
    ],
)
def test_what_cannot_be_a_shape(name: str, users: int, seconds: float, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        stages_of(name, users, seconds)


@pytest.mark.parametrize(
    ("elapsed", "users"), [(0.0, 1), (4.99, 1), (5.0, 9), (9.99, 9), (10.0, None), (99.0, None)]
)
def test_the_stage_of_a_moment(elapsed: float, users: int | None) -> None:
    stage = stage_at((Stage(5.0, 1, 1.0), Stage(10.0, 9, 1.0)), elapsed)
    assert (stage.users if stage else None) == users
