"""The fuzz targets on a bounded number of inputs: they stay runnable, and find what is shallow."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shardws.protocol import codec
from tests.fuzz import (
    driver,
    fuzz_deflate,
    fuzz_frames,
    fuzz_heads,
    fuzz_links,
    fuzz_pump,
    fuzz_record,
    libfuzzer,
)
from tests.fuzz.driver import Target

TARGETS = pytest.mark.parametrize(
    "target",
    [
        fuzz_frames.fuzz_frames,
        fuzz_deflate.fuzz_deflate,
        fuzz_links.fuzz_links,
        fuzz_heads.fuzz_heads,
        fuzz_record.fuzz_record,
    ],
    ids=["frames", "deflate", "links", "heads", "record"],
)


@pytest.fixture(autouse=True)
def _same_body() -> Iterator[None]:
    """The target changes the body in use."""
    yield
    fuzz_frames.use(codec.implementation)


@TARGETS
def test_random_inputs(target: Target) -> None:
    driver.run_random(target, 500, 7)


@TARGETS
@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=300))
def test_inputs_that_hypothesis_finds(target: Target, data: bytes) -> None:
    target(data)


@pytest.mark.timeout(180)
def test_random_clients_of_both_data_paths() -> None:
    """Fewer inputs: each is a connection to two servers."""
    pytest.importorskip("shardws.net.pump._pump", exc_type=ImportError)
    try:
        driver.run_random(fuzz_pump.fuzz_pump, 20, 7)
    finally:
        fuzz_pump.close()


def test_the_c_that_reads_frames_by_coverage() -> None:
    if libfuzzer.missing():
        pytest.skip(libfuzzer.missing())
    done = libfuzzer.run(["-runs=30000", "-seed=7", "-max_len=400"])
    assert done.returncode == 0, done.stderr


def test_a_find_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    def target(data: bytes) -> None:
        raise AssertionError

    with pytest.raises(AssertionError):
        driver.run_random(target, 1, 3)
    assert "run 0 of seed 3 fails on b'" in capsys.readouterr().err
