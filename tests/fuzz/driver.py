"""Runs a fuzz target: by coverage with atheris where it is installed, else on random inputs.

    python -m tests.fuzz.fuzz_frames --runs 100000 [--seed 1]
    python -m tests.fuzz.fuzz_frames -max_total_time=60 corpus/     (atheris: libFuzzer's options)
    python -m tests.fuzz.fuzz_frames crash-1234                     (atheris: one input again)

`pip install 'shardws[fuzz]'` brings atheris.
"""

import argparse
import importlib
import random
import sys
from collections.abc import Callable

Target = Callable[[bytes], None]
MAX_INPUT = 1500  # bytes


def random_input(source: random.Random) -> bytes:
    """Noise, or noise with long runs, which reaches other branches."""
    size = source.randrange(MAX_INPUT)
    if source.randrange(2):
        return source.randbytes(size)
    few = source.randbytes(1 + source.randrange(6)) + b"\x00\x00\xff"
    return bytes(source.choices(few, k=size))


def run_random(target: Target, runs: int, seed: int) -> None:
    """Call the target; print the input that it fails on."""
    source = random.Random(seed)
    for run in range(runs):
        data = random_input(source)
        try:
            target(data)
        except BaseException:
            print(f"run {run} of seed {seed} fails on {data!r}", file=sys.stderr)
            raise


def main(target: Target) -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=0, help="random inputs, without atheris")
    parser.add_argument("--seed", type=int, default=1)
    known, rest = parser.parse_known_args()
    if known.runs:
        run_random(target, known.runs, known.seed)
        print(f"{known.runs} runs, nothing found")
        return
    try:
        atheris = importlib.import_module("atheris")
    except ImportError:
        sys.exit("atheris is not installed: give --runs N for random inputs")
    atheris.instrument_all()
    atheris.Setup([sys.argv[0], f"-max_len={MAX_INPUT}", *rest], target)
    atheris.Fuzz()
