"""Counting instructions per message, and comparing with the stored table; see commands/check.py.

Owns instructions.toml: a set of counts for each environment.
"""

import platform
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.errors import CannotRun
from benchmarks.micro.counted import BATCHES, EMPTY
from benchmarks.micro.scenarios import SCENARIOS
from benchmarks.packages import PROJECT

HERE = Path(__file__).resolve().parent
TABLE = HERE / "instructions.toml"
TOLERANCE = 0.02  # the same code counted twice differs by under 0.5 %,
SLACK = 15  # and by some instructions more: where an address or a hash falls
LIMIT_S = 540
SEED = {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
CLOCK = "LD_PRELOAD"  # of marks.c: callgrind slows code down fifty times, so time is slowed as well
NEEDED = "valgrind with its headers, and cc (Debian: apt-get install valgrind gcc)"

Counts = dict[str, int]  # instructions per message by scenario


def environment() -> str:
    """What the counts depend on, as a key of the table."""
    words = ["cc", "-dumpfullversion"]
    compiler = subprocess.run(words, capture_output=True, text=True).stdout.strip()
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{python}, {platform.machine()}, cc {compiler or '?'}"


def build_marks(directory: Path) -> Path:
    """Compile marks.c; raises CannotRun without a compiler or valgrind's headers."""
    library = directory / "marks.so"
    words = ["cc", "-O2", "-shared", "-fPIC", "-o", str(library), str(HERE / "marks.c")]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    except OSError as error:
        raise CannotRun(f"no C compiler; needed: {NEEDED}") from error
    if done.returncode:
        raise CannotRun(f"needed: {NEEDED}\n{done.stderr[-400:]}")
    return library


def run_callgrind(directory: Path, names: Sequence[str]) -> None:
    marks = build_marks(directory)
    words = ["valgrind", "--tool=callgrind", "--dump-instr=no", "--dump-line=no"]
    words += [f"--callgrind-out-file={directory}/out", sys.executable]
    words += ["-m", "benchmarks.micro.counted", str(marks), *names]
    try:
        done = subprocess.run(
            words,
            cwd=PROJECT,
            env={**SEED, CLOCK: str(marks)},
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
        )
    except subprocess.TimeoutExpired as error:
        raise CannotRun(f"callgrind did not end within {LIMIT_S} s") from error
    if done.returncode:
        raise CannotRun(f"the counted program failed:\n{done.stderr[-2000:]}")


def totals(texts: Sequence[str]) -> dict[str, int]:
    """Instructions between the marks, by name, from callgrind's dumps."""
    found = {}
    for text in texts:
        name = re.search(r"^desc: Trigger: Client Request: (\w+)$", text, re.MULTILINE)
        total = re.search(r"^(?:summary|totals): (\d+)", text, re.MULTILINE)
        if name and total:
            found[name[1]] = int(total[1])
    return found


def per_message(found: Mapping[str, int]) -> Counts:
    """Counts minus the cost of the marks; raises CannotRun when there are no marks."""
    if EMPTY not in found:
        raise CannotRun("callgrind wrote no dump for the marks")
    messages = {one.name: BATCHES * one.per_batch for one in SCENARIOS}
    return {
        name: round((total - found[EMPTY]) / messages[name])
        for name, total in found.items()
        if name != EMPTY
    }


def count(names: Sequence[str]) -> Counts:
    """Instructions per message of these scenarios; raises CannotRun."""
    if shutil.which("valgrind") is None:
        raise CannotRun(f"no valgrind; needed: {NEEDED}")
    with tempfile.TemporaryDirectory(prefix="callgrind-") as directory:
        run_callgrind(Path(directory), names)
        dumps = sorted(Path(directory).glob("out*"))
        return per_message(totals([dump.read_text() for dump in dumps]))


def verdict(counted: int, stored: int | None) -> str:
    """A label for a count; "" when it is as stored."""
    if stored is None:
        return "new"
    allowed = stored * TOLERANCE + SLACK
    if counted > stored + allowed:
        return "LONGER"
    return "shorter" if counted < stored - allowed else ""


def lines(counted: Counts, stored: Mapping[str, int]) -> list[str]:
    found = []
    for scenario in SCENARIOS:
        if scenario.name not in counted:
            continue
        now, before = counted[scenario.name], stored.get(scenario.name)
        change = f"{now / before - 1:+.1%}" if before else "-"
        told = f"{before:,}" if before else "-"
        word = verdict(now, before)
        found.append(f"{scenario.name:18} {now:>9,} {told:>9} {change:>7}  {word:8}{scenario.says}")
    return found


def stored_table() -> dict[str, dict[str, int]]:
    return tomllib.loads(TABLE.read_text()) if TABLE.exists() else {}


def store(table: Mapping[str, Mapping[str, int]]) -> None:
    parts = ["# Instructions per message; written by `make bench-check UPDATE=1`."]
    for key, counts in sorted(table.items()):
        parts.append(f'\n["{key}"]')
        parts += [f"{name} = {number}" for name, number in counts.items()]
    TABLE.write_text("\n".join(parts) + "\n")


def check(counted: Counts, is_update: bool) -> int:
    """Show, compare or store; the exit code."""
    key, table = environment(), stored_table()
    stored = table.get(key, {})
    print(f"Instructions per message, {key}")
    print(f"{'scenario':18} {'now':>9} {'stored':>9} {'change':>7}")
    print("\n".join(lines(counted, stored)))
    if is_update:
        merged = {**stored, **counted}
        ordered = {one.name: merged[one.name] for one in SCENARIOS if one.name in merged}
        store({**table, key: ordered})
        print(f"check: stored in {TABLE.name}")
        return 0
    if not stored:
        print("check: NOT COMPARED: no counts are stored for this environment (--update)")
        return 0
    longer = [name for name in counted if verdict(counted[name], stored.get(name)) == "LONGER"]
    if longer:
        print(f"check: over {TOLERANCE:.0%} more than stored: {', '.join(longer)}")
    return 1 if longer else 0
