"""The quick sections of the Autobahn|Testsuite, where a `wstest` is at hand (README.md here)."""

import shutil

import pytest

from shardws.protocol import codec
from tests.compliance import run

CASES = 247  # sections 1-7 and 10


@pytest.mark.timeout(300)
def test_the_quick_sections_pass() -> None:
    wstest = run.found_wstest()
    if wstest is None:
        pytest.skip("no wstest here; `make compliance` installs one where there is a python2.7")
    server = run.Server(shards=2, codec=codec.IMPLEMENTATION)
    try:
        verdict = run.run_suite(wstest, server.url, run.QUICK, "quick")
    finally:
        server.stop()
    assert verdict.failed == []
    assert [c for c in verdict.non_strict if not c.startswith(run.MAY_BE_NON_STRICT)] == []
    assert verdict.cases == CASES
    shutil.rmtree(run.REPORTS / "quick")
