"""What is installed, and in which version: our own packages, those of the contestants, programs."""

import json
import re
import subprocess
from importlib import metadata
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
VENV = PROJECT / ".venv-bench"
NODE_MODULES = PROJECT / "build" / "bench" / "js" / "node_modules"
NPM = frozenset(json.loads((Path(__file__).parent / "package.json").read_text())["dependencies"])
ASK_LIMIT_S = 30


def output(*words: str | Path) -> str:
    """The output of a short program, "" when it fails."""
    try:
        done = subprocess.run(
            [str(word) for word in words],
            capture_output=True,
            text=True,
            cwd=PROJECT,
            timeout=ASK_LIMIT_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def program(name: str) -> str:
    """The version that a program prints, "" when it is not installed."""
    found = re.search(r"\d+(\.\d+)+", output(name, "--version"))
    return found[0] if found else ""


def own(name: str) -> str:
    """The version in the running environment, "" when it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def theirs(name: str) -> str:
    """The version of a contestant's package, "" when it is not installed."""
    if name in NPM:
        file = NODE_MODULES / name / "package.json"
        return str(json.loads(file.read_text())["version"]) if file.exists() else ""
    paths = [str(path) for path in VENV.glob("lib/python*/site-packages")]
    return next((one.version for one in metadata.distributions(name=name, path=paths)), "")
