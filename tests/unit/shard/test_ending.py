"""ending: what the application left running ends in order, and never holds the process."""

import subprocess
import sys

import pytest

PREAMBLE = """
import asyncio, atexit, os, signal, subprocess, sys, threading, time
from shardws.log import shard_logger
from shardws.shard.ending import Ending
import logging
logging.basicConfig(stream=sys.stdout, format="%(message)s", level=logging.INFO)
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
ending = Ending(shard_logger("shard", 0))
def say(text):
    print(text, flush=True)
def end(code=0, deadline=0.0, coroutine=None):
    ending.begin(deadline)
    if coroutine is not None:
        loop.run_until_complete(coroutine)
    ending.finish(loop, code)
    say("finished")
    os._exit(code)
"""

CASES = {
    "executors, then threads, then atexit functions": (
        """
from concurrent.futures import ThreadPoolExecutor
def work():
    time.sleep(0.2)
    say("executor")
def thread():
    threading.main_thread().join(0.4)
    say("thread")
atexit.register(say, "atexit")
threading.Thread(target=thread).start()
ThreadPoolExecutor(2).submit(work)
end()
""",
        ["executor", "thread", "atexit", "finished"],
    ),
    "what it forked as a pool has ended": (
        """
from concurrent.futures import ProcessPoolExecutor
pool = ProcessPoolExecutor(1)
say(pool.submit(abs, -3).result())
end()
""",
        ["3", "finished"],
    ),
    "a busy default executor is left behind": (
        """
async def busy():
    asyncio.get_running_loop().run_in_executor(None, time.sleep, 3600)
    await ending.end_executor()
from shardws.shard import ending as module
module.LATE_S = 0.3
atexit.register(say, "atexit")
end(coroutine=busy())
""",
        [
            "work in the default executor still runs: it ends with the shard",
            "threads of the application still run: they end with the shard",
            "atexit",
            "finished",
        ],
    ),
    "an atexit function without end is cut off": (
        """
from shardws.shard import ending as module
module.LIMIT_S = 0.5
atexit.register(say, "never")
atexit.register(time.sleep, 3600)
end(code=0)
""",
        ["the application's atexit functions still run: the shard ends"],
    ),
    "a task that will not be cancelled is left behind": (
        """
async def stubborn():
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            say("no")
async def begin():
    task = asyncio.get_running_loop().create_task(stubborn())
    await asyncio.sleep(0)
    return task
end(coroutine=begin())
""",
        ["no", "finished"],
    ),
    "an async generator is closed": (
        """
async def numbers():
    try:
        while True:
            yield 1
    finally:
        say("closed")
async def begin():
    global kept
    kept = numbers()
    await anext(kept)
end(coroutine=begin())
""",
        ["closed", "finished"],
    ),
    "programs in the group get TERM, and are waited for": (
        """
os.setpgid(0, 0)
child = subprocess.Popen(
    [sys.executable, "-c", "import signal, sys\\nsignal.signal(15, lambda *_: sys.exit("
     "print('term', flush=True)))\\nprint('up', flush=True)\\nsignal.pause()"],
    stdout=subprocess.PIPE)
child.stdout.readline()
ending.begin(0.0)
ending.finish(loop, 0)
say(child.stdout.read().decode().strip())
""",
        ["term"],
    ),
    "ends it could not see are hastened": (
        """
ending.begin(3600.0)
assert ending.work_left == 5.0
ending.hasten()
assert ending.work_left <= 1.0
end()
""",
        ["finished"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_ending(name: str) -> None:
    text, expected = CASES[name]
    done = subprocess.run(
        [sys.executable, "-c", PREAMBLE + text],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.stdout.splitlines(), done.returncode) == (expected, 0), done.stderr
