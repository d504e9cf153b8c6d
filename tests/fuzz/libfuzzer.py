"""Build fuzz_find.c with clang's libFuzzer, address and undefined behaviour sanitizers, and run it.

python -m tests.fuzz.libfuzzer -max_total_time=60 [corpus/]     (libFuzzer's options)
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Final

SOURCE: Final = Path(__file__).with_name("fuzz_find.c")
FLAGS: Final = (
    *("-g", "-O1", "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all"),
    *("-Wall", "-Wextra", "-Werror", "-Wno-unused-function"),
)


def missing() -> str:
    """Return what is missing to build it, "" for nothing."""
    if shutil.which("clang") is None:
        return "no clang here (Debian package: clang)"
    runtime = subprocess.run(
        ["clang", "-print-file-name=libclang_rt.fuzzer-x86_64.a"], capture_output=True, text=True
    )
    if not Path(runtime.stdout.strip()).is_absolute():
        return "no libFuzzer here (Debian package: libclang-rt-dev)"
    return ""


def run(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """Build it and run it; stderr has libFuzzer's report.

    Without preloaded libraries: `make sanitize` preloads another sanitizer.
    """
    with tempfile.TemporaryDirectory() as directory:
        program = Path(directory) / "fuzz_find"
        include = "-I" + sysconfig.get_path("include")
        subprocess.run(["clang", *FLAGS, include, str(SOURCE), "-o", str(program)], check=True)
        command = [str(program), *arguments]
        environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
        return subprocess.run(
            command, cwd=directory, env=environment, stderr=subprocess.PIPE, text=True
        )


if __name__ == "__main__":
    if missing():
        sys.exit(missing())
    done = run(sys.argv[1:])
    print(done.stderr, file=sys.stderr)
    sys.exit(done.returncode)
