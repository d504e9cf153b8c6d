"""Run the Autobahn|Testsuite (fuzzing client) against this server; exit 1 when a case fails.

    make compliance                       # all 517 cases, both codecs, 1 and 4 shards
    make compliance CASES='1.* 2.*'       # some of them
    make compliance CODECS=c SHARDS=1     # one combination

The suite is Python 2.7 only. It is looked for as `wstest` in $WSTEST, in .tools/wstest/bin and on
PATH; where a python2.7 can be found (on PATH or as a pyenv version) it is installed from PyPI into
.tools. Exit status 77: there is no wstest to be had here, and how to get one is printed.
"""

import argparse
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
HERE = Path(__file__).resolve().parent
TOOLS = ROOT / ".tools"
REPORTS = HERE / "reports"
QUICK = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"]
SKIPPED = 77
START_S = 30.0
SUITE_S = 3600.0
GOOD = {"OK", "INFORMATIONAL"}
APPLICATION = "tests.compliance.application:server"
# A race in the suite between the echo of an earlier message and the violation: see README.md.
MAY_BE_NON_STRICT = (
    "3.2",
    "3.3",
    "3.4",
    "4.1.3",
    "4.1.4",
    "4.1.5",
    "4.2.3",
    "4.2.4",
    "4.2.5",
    "5.15",
)


@dataclass(frozen=True)
class Verdict:
    """What became of one run of the suite."""

    cases: int
    failed: list[str]
    non_strict: list[str]


def runs_python2(python: str) -> bool:
    """Tell whether this is a Python 2.7; a pyenv shim without a version set is none."""
    check = "import sys; sys.exit(sys.version_info[:2] != (2, 7))"
    try:
        done = subprocess.run([python, "-c", check], capture_output=True, timeout=START_S)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def find_python2() -> str | None:
    """Return the first Python 2.7 that runs: of PATH, then of pyenv's versions."""
    on_path = shutil.which("python2.7")
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [on_path] if on_path else []
    candidates += map(str, sorted(versions.glob("2.7*/bin/python2.7"), reverse=True))
    for candidate in candidates:
        if runs_python2(candidate):
            return candidate
        print(f"compliance: {candidate} does not run as Python 2.7", file=sys.stderr)
    return None


def found_wstest() -> str | None:
    """Return a wstest that is there already."""
    for candidate in (os.environ.get("WSTEST"), str(TOOLS / "wstest" / "bin" / "wstest")):
        if candidate and Path(candidate).exists():
            return candidate
    return shutil.which("wstest")


def find_wstest() -> str | None:
    """Return a wstest, installing it when that is possible; None when there is none."""
    found = found_wstest()
    if found:
        return found
    python2 = find_python2()
    return install(python2) if python2 else None


def install(python2: str) -> str | None:
    """Install the suite from PyPI into .tools; None when that fails."""
    print(f"installing the Autobahn|Testsuite with {python2} ...", flush=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    site = TOOLS / "virtualenv"
    steps: list[tuple[list[str], dict[str, str]]] = [
        # 20.15.1 is the last version that makes environments of Python 2.7.
        ([*pip, "--target", str(site), "virtualenv==20.15.1"], {}),
        (
            [sys.executable, "-m", "virtualenv", "-q", "-p", python2, str(TOOLS / "wstest")],
            {"PYTHONPATH": str(site)},
        ),
        (
            [str(TOOLS / "wstest/bin/python"), "-m", "pip", "install", "--quiet", "--no-deps"]
            + ["-r", str(HERE / "requirements-py27.txt")],
            {},
        ),
    ]
    for command, extra in steps:
        done = subprocess.run(command, env={**os.environ, **extra}, capture_output=True, text=True)
        if done.returncode:
            print(f"compliance: failed: {shlex.join(command)}", file=sys.stderr)
            print((done.stdout + done.stderr)[-2000:], file=sys.stderr)
            return None
    return str(TOOLS / "wstest" / "bin" / "wstest")


class Server:
    """`shardws run` of the echo application, on a port of the system's choice."""

    def __init__(self, shards: int, codec: str) -> None:
        self.run_directory = tempfile.mkdtemp(prefix="shardws-compliance-")
        self.log = open(Path(self.run_directory) / "log", "w+")  # noqa: SIM115  closed in stop
        self.process = subprocess.Popen(
            [sys.executable, "-m", "shardws_supervisor", "run", APPLICATION]
            + ["--local-host", "127.0.0.1", "--local-port", "0", "--shards", str(shards)]
            + ["--run-dir", self.run_directory],
            cwd=ROOT,
            env={**os.environ, "SHARDWS_CODEC": codec},
            stdout=self.log,
            stderr=self.log,
        )  # fmt: skip
        self.url = self._wait()

    def _wait(self) -> str:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            text = Path(self.log.name).read_text()
            for word in text.split():
                if word.startswith("ws://"):
                    return word.rstrip(",;")
            if self.process.poll() is not None:
                raise SystemExit(f"the server did not start: {text}")
            time.sleep(0.05)
        self.stop()
        raise SystemExit("the server did not start in time")

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
        shutil.rmtree(self.run_directory, ignore_errors=True)


def run_suite(wstest: str, url: str, cases: list[str], name: str) -> Verdict:
    """Run the cases once; the reports stay in tests/compliance/reports/NAME."""
    out = REPORTS / name
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    spec = {
        "outdir": str(out),
        "servers": [{"agent": "shardws", "url": url}],
        "cases": cases,
        "exclude-cases": [],
        "exclude-agent-cases": {},
    }
    (out / "spec.json").write_text(json.dumps(spec))
    with (out / "wstest.log").open("w") as log:
        subprocess.run(
            [wstest, "-m", "fuzzingclient", "-s", str(out / "spec.json")],
            stdout=log,
            stderr=log,
            cwd=out,
            timeout=SUITE_S,  # the suite waits for ever on a server that never drops TCP
            check=True,
        )
    results = json.loads((out / "index.json").read_text())["shardws"]
    failed, non_strict = [], []
    for case, result in sorted(results.items(), key=lambda item: natural(item[0])):
        verdicts = {result["behavior"], result["behaviorClose"]}
        if verdicts <= GOOD:
            continue
        if verdicts <= GOOD | {"NON-STRICT"}:
            non_strict.append(case)
        else:
            failed.append(f"{case} {result['behavior']}/{result['behaviorClose']}")
    return Verdict(len(results), failed, non_strict)


def natural(case: str) -> list[int]:
    return [int(part) for part in case.split(".")]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cases", nargs="*", default=["*"])
    parser.add_argument("--quick", action="store_true", help="sections 1-7 and 10")
    parser.add_argument("--codecs", nargs="*", default=["c", "python"])
    parser.add_argument("--shards", nargs="*", type=int, default=[1, 4])
    args = parser.parse_args()
    wstest = find_wstest()
    if wstest is None:
        print(
            "compliance: no wstest here, and none could be installed. Set WSTEST, or put a"
            " python2.7 on PATH (pyenv install 2.7.18) and run this again, or use the"
            " container image crossbario/autobahn-testsuite as tests/compliance/README.md says."
        )
        return SKIPPED
    is_good = True
    for codec in args.codecs:
        for shards in args.shards:
            server = Server(shards, codec)
            try:
                cases = QUICK if args.quick else args.cases
                verdict = run_suite(wstest, server.url, cases, f"{codec}-{shards}")
            finally:
                server.stop()
            unexplained = [c for c in verdict.non_strict if not c.startswith(MAY_BE_NON_STRICT)]
            print(
                f"codec {codec}, {shards} shard(s): {verdict.cases} cases,"
                f" {len(verdict.failed)} failed, non-strict: {verdict.non_strict or 'none'}",
                flush=True,
            )
            for line in verdict.failed:
                print(f"  FAILED {line}")
            is_good &= bool(verdict.cases) and not verdict.failed and not unexplained
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
