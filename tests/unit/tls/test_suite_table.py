"""The rows of cipher suites against the openssl tool, which prints the registry."""

import re
import shutil
import subprocess

import pytest

from shardws.tls.suite_table import TABLE


def test_numbers_and_names_are_unique() -> None:
    assert len({suite.number for suite in TABLE}) == len(TABLE)
    assert len({suite.name for suite in TABLE}) == len(TABLE)
    names = [suite.openssl for suite in TABLE if suite.openssl]
    assert len(set(names)) == len(names)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is missing")
def test_rows_are_those_of_the_tool() -> None:
    command = ["openssl", "ciphers", "-V", "-stdname", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rows = {suite.number: suite for suite in TABLE}
    lines = printed.splitlines()
    assert len(lines) > 100
    for line in lines:
        words = line.split()
        suite = rows[int(words[0].replace("0x", "").replace(",", ""), 16)]
        assert (suite.name, suite.openssl) == (words[2], words[4])
        bits = re.search(r"Enc=\S+\((\d+)\)", line)
        assert suite.bits == (int(bits[1]) if bits else 0)
