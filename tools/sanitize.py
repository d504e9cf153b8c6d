"""Run tests against the C extensions built with the address and undefined behaviour sanitizers.

Builds into a copy of the source in build/sanitize, so that the extensions of the checkout stay what
they are. Warnings are errors here. With PYTHONMALLOC=malloc each Python object is an allocation of
its own: a use after its end is found at the access. Leaks are left to the tests, which count
references: the interpreter itself keeps memory to the end.

Processes that the tests start inherit the preloaded runtimes and the extensions, shards too. What a
sanitizer finds in any of them is written to build/sanitize/reports, and any report fails the run: a
test that expects its shard to die would not notice. Arguments go to pytest, in place of TESTS; all
tests of processes are `make sanitize TESTS=tests/processes`.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
COPY: Final = ROOT / "build" / "sanitize"
COPIED: Final = ("shardws", "supervisor", "tests", "examples", "pyproject.toml")
FLAGS: Final = (
    *("-O1", "-g", "-fno-omit-frame-pointer", "-fPIC", "-shared"),
    *("-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
    *("-Wall", "-Wextra", "-Werror"),
)
TESTS: Final = (
    "tests/unit/net/pump",
    "tests/unit/protocol",
    "tests/unit/test_hotpath.py",
    "tests/unit/routing",
    "tests/shard",
    "--ignore-glob=*/test_tls*",  # OpenSSL's own, at length; TLS uses the same frame code
)
REPORTS: Final = COPY / "reports"


def copy() -> None:
    """Copy the source, without what was built in it."""
    shutil.rmtree(COPY, ignore_errors=True)
    COPY.mkdir(parents=True)
    for name in COPIED:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("*.so", "__pycache__", "*.egg-info")
            shutil.copytree(ROOT / name, COPY / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, COPY / name)


def build() -> None:
    """Compile each extension that pyproject.toml names."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        extensions = tomllib.load(file)["tool"]["setuptools"]["ext-modules"]
    compiler, suffix = os.environ.get("CC", "gcc"), sysconfig.get_config_var("EXT_SUFFIX")
    for extension in extensions:
        out = extension["name"].replace(".", "/") + suffix
        include = "-I" + sysconfig.get_path("include")
        command = [compiler, *FLAGS, include, *extension["sources"], "-o", out]
        subprocess.run(command, cwd=COPY, check=True)


def libraries() -> str:
    """Return the runtimes of the sanitizers: they must be there before the interpreter's malloc."""
    compiler = os.environ.get("CC", "gcc")
    return " ".join(
        subprocess.run(
            [compiler, f"-print-file-name={name}"], capture_output=True, text=True, check=True
        ).stdout.strip()
        for name in ("libasan.so", "libubsan.so")
    )


def main(arguments: list[str]) -> int:
    copy()
    build()
    environment = {
        **os.environ,
        "LD_PRELOAD": libraries(),
        "ASAN_OPTIONS": f"detect_leaks=0:log_path={REPORTS / 'report'}",
        "UBSAN_OPTIONS": f"print_stacktrace=1:log_path={REPORTS / 'report'}",
        "PYTHONMALLOC": "malloc",
        "PYTHONPATH": f"{COPY}{os.pathsep}{COPY / 'supervisor'}",
    }
    # Slower by far: each test has a multiple of its time.
    command = [sys.executable, "-m", "pytest", "-q", "--timeout=300", *(arguments or TESTS)]
    REPORTS.mkdir()
    code = subprocess.run(command, cwd=COPY, env=environment, check=False).returncode
    return print_reports() or code


def print_reports() -> int:
    """Print what the sanitizers found in any process; return 1 when there is a report, else 0."""
    found = sorted(REPORTS.iterdir())
    for report in found:
        print(f"--- {report.name}\n{report.read_text(errors='replace')}", file=sys.stderr)
    return min(len(found), 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
