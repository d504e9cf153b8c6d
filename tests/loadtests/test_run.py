"""A whole load test as `make load` runs it, in processes of its own: locust patches its process."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import certificate
from benchmarks.processes import free_port

PROJECT = Path(__file__).resolve().parent.parent.parent

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(importlib.util.find_spec("locust") is None, reason="needs .[load]"),
]


def run(*options: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "loadtests.run", *options],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=50,
    )
    return done.returncode, done.stdout + done.stderr


def test_every_user_reaches_its_point() -> None:
    code, output = run("--users", "10", "--seconds", "4", "--", "--max-p95", "5000")
    assert code == 0, output
    assert "gates: passed" in output
    assert "generator process:" in output
    assert "MiB resident" in output


def test_over_tls() -> None:
    code, output = run("--tls", "--users", "10", "--seconds", "4", "--", "--max-p95", "5000")
    assert code == 0, output
    assert "gates: passed" in output


def test_a_certificate_nobody_vouches_for_is_exit_code_1(tmp_path: Path) -> None:
    other, _ = certificate.make(tmp_path)
    code, output = run(
        *("--tls", "--users", "1", "--seconds", "1"), "--", "--ca-file", str(other), "Echo"
    )
    assert code == 1, output
    assert "CERTIFICATE_VERIFY_FAILED" in output


def test_a_missed_gate_is_exit_code_1() -> None:
    code, output = run("--users", "2", "--seconds", "2", "--", "--max-p95", "0.001", "Reconnector")
    assert code == 1, output
    assert "GATE MISSED: connect: p95" in output


def test_no_server_is_exit_code_1() -> None:
    host = f"127.0.0.1:{free_port()}"
    code, output = run("--host", host, "--users", "1", "--seconds", "1", "--", "Reconnector")
    assert code == 1, output
    assert "first echo: never succeeded" in output
    assert "exceptions escaped" not in output


def test_workers_report_their_cpu() -> None:
    code, output = run(
        *("--users", "2", "--seconds", "4"), "--", "--processes", "2", "--max-p95", "5000", "Echo"
    )
    assert code == 0, output
    lines = [line for line in output.splitlines() if line.startswith("generator ")]
    assert len(lines) == 2, output
    assert not all(": 0% of a core" in line for line in lines)
