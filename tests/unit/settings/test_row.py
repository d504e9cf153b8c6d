"""A row: its names elsewhere, its bounds in words, and the check of one value."""

from dataclasses import replace
from typing import Any

import pytest

from shardws.errors import SettingError
from shardws.settings import table
from shardws.settings.kinds import Int, Text
from shardws.settings.kinds_bytes import Bytes
from shardws.settings.row import Access, Group, Refusal, Row, Scope, When, brief

NUMBER: Row[int] = Row(
    name="some_number",
    vendor="SomeNumber",
    kind=Int("apples"),
    default=1,
    low=0,
    high=10,
    group=Group.SERVER,
    when=When.LIVE,
    module="shardws.some",
    text="Text.",
)
SECRET: Row[str] = Row(
    name="some_secret",
    vendor="SomeSecret",
    kind=Text(),
    default="",
    group=Group.SERVER,
    when=When.LIVE,
    module="shardws.some",
    text="Text.",
    sensitive=True,
)


def test_a_row_names_its_option_and_variable() -> None:
    assert NUMBER.option == "--some-number"
    assert NUMBER.variable == "SHARDWS_SOME_NUMBER"
    assert NUMBER.unit == "apples"
    assert repr(NUMBER) == "<Row SomeNumber>"
    assert not NUMBER.is_bool
    assert table.USE_SSL.is_bool


def test_an_option_may_be_named_otherwise_or_left_out() -> None:
    assert replace(NUMBER, flag="--number").option == "--number"
    assert replace(NUMBER, flag="").option == ""


def test_a_secret_has_no_option() -> None:
    assert SECRET.option == ""
    assert SECRET.variable == "SHARDWS_SOME_SECRET"


@pytest.mark.parametrize("change", [{"access": Access.RO}, {"scope": Scope.CONNECTION}])
def test_what_nobody_may_set_has_neither_option_nor_variable(change: dict[str, Any]) -> None:
    row = replace(NUMBER, **change)
    assert (row.is_settable, row.option, row.variable) == (False, "", "")


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0, 10, "0 to 10"),
        (1, None, "at least 1"),
        (None, 2**40, "at most 1099511627776"),
        (None, None, ""),
        (0.5, 2, "0.5 to 2"),
    ],
)
def test_bounds_read_as_words(low: float | None, high: float | None, words: str) -> None:
    assert replace(NUMBER, low=low, high=high).bounds == words


@pytest.mark.parametrize("value", [0, 10, "0", "10"])
def test_the_bounds_themselves_are_accepted(value: object) -> None:
    assert NUMBER.accept(value) == int(str(value))


@pytest.mark.parametrize("value", [-1, 11, "11"])
def test_beyond_the_bounds_is_error_213_that_names_them(value: object) -> None:
    with pytest.raises(
        SettingError, match=r"SomeNumber: must be 0 to 10 apples, not '?-?1"
    ) as caught:
        NUMBER.accept(value)
    assert caught.value.code == 213


@pytest.mark.parametrize(
    ("low", "high", "bad"), [(5, None, 4), (None, 5, 6)], ids=["low alone", "high alone"]
)
def test_one_bound_alone_holds(low: float | None, high: float | None, bad: int) -> None:
    row = replace(NUMBER, low=low, high=high)
    assert row.accept(5) == 5
    with pytest.raises(SettingError):
        row.accept(bad)


def test_a_check_of_its_own_may_name_the_code() -> None:
    def never(value: int) -> None:
        raise Refusal(270, "never")

    with pytest.raises(SettingError, match="SomeNumber: never, not 5") as caught:
        replace(NUMBER, valid=never).accept(5)
    assert caught.value.code == 270


def test_an_error_never_names_a_secret() -> None:
    with pytest.raises(SettingError) as caught:
        SECRET.accept("hunter2\0")
    assert str(caught.value) == "SomeSecret: must not contain NUL (213)"


def test_a_secret_is_shown_as_stars_when_it_is_set() -> None:
    assert SECRET.show("hunter2") == "***"
    assert SECRET.show("") == ""
    assert NUMBER.show(3) == "3"


def test_rows_are_told_apart_by_identity() -> None:
    """Settings look a row up in a dict for each read: hashing all its fields would be slow."""
    assert replace(NUMBER) != NUMBER
    assert hash(NUMBER) == object.__hash__(NUMBER)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (5, "5"),
        (b"secret", "6 bytes"),
        ("-----BEGIN PRIVATE KEY-----", "that text"),
        ("x" * 100, "'" + "x" * 56 + "..."),
    ],
)
def test_an_error_shows_a_value_briefly(value: object, shown: str) -> None:
    assert brief(value) == shown


def test_bytes_are_not_bounded_as_numbers() -> None:
    row: Row[bytes] = Row(
        name="blob",
        vendor="Blob",
        kind=Bytes(),
        default=b"",
        group=Group.TLS,
        when=When.LIVE,
        module="",
        text="Text.",
    )
    assert row.accept(b"x") == b"x"
