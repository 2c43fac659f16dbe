"""Signals at random moments of start, run and stop: each ends it, with its exit code, and no process is left.

A few in `make test`, 500 in `make chaos`: of an owner of the servers, every 20th of a whole `recsys up`; `BUSY` other
processes keep the machine from being idle meanwhile.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from recsys_assets.local.processes import wait_until
from recsys_assets.local.state import owner_lock
from recsys_assets.settings import CHECKOUT, Home
from recsys_assets_tests.conftest import remove_postgres

ROUNDS = min(500, int(os.environ.get("CHAOS_ROUNDS", "6")))
UP_EVERY = 20  # the first round is one
NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
DEADLINE = 120.0
BUSY = 2
COMPUTES = "import os; parent = os.getppid()\nwhile os.getppid() == parent: sum(range(10_000))"


@contextmanager
def load() -> Iterator[None]:
    """Processes that compute for as long as the block."""
    with ExitStack() as stack:
        for _ in range(BUSY):
            stack.callback(stack.enter_context(subprocess.Popen([sys.executable, "-c", COMPUTES])).kill)
        yield


def processes_of(home: Path) -> list[str]:
    """Command lines with this home in them, ours left out."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if str(home).encode() in words and int(entry.name) != os.getpid():
            found.append(f"{entry.name} {words.decode(errors='replace')}")
    return found


def measured(home: Path) -> tuple[float, float]:
    """Seconds until an owner's servers run, and until they have been stopped again: moments are of this machine."""
    begun = time.monotonic()
    command = [sys.executable, "-m", "recsys_assets_tests.local.owner", str(home)]
    with subprocess.Popen(command, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline()
        start = time.monotonic() - begun
        process.stdin.close()
        assert process.wait(DEADLINE) == 0
    return start, time.monotonic() - begun


def test_signals_at_random_moments_end_everything(home: Home) -> None:
    with load():
        _signals_end_everything(home)


def _signals_end_everything(home: Home) -> None:
    start, whole = measured(home.path)
    dice, codes = random.Random(20), dict[int, int]()
    try:
        for turn in range(ROUNDS):
            module = "platform" if turn % UP_EVERY == 0 else "owner"
            number, again = dice.choice(NUMBERS), dice.random() < 0.3
            moment, gap = dice.uniform(0.1 * start, whole), dice.uniform(0.0, 1.5)
            # The owner ends by itself, too, when its input does: signals then come while it stops.
            itself = moment * dice.uniform(0.7, 1.0) if dice.random() < 0.3 else None
            command = [sys.executable, "-m", f"recsys_assets_tests.local.{module}", str(home.path)]
            with subprocess.Popen(
                command, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
            ) as process:
                begun = time.monotonic()
                assert process.stdin is not None
                assert process.stderr is not None
                if itself is not None and module == "owner":
                    wait_until(lambda: time.monotonic() > begun + itself, 60)  # noqa: B023
                    process.stdin.close()
                wait_until(lambda: time.monotonic() > begun + moment, 60)  # noqa: B023
                process.send_signal(number)
                if again:
                    time.sleep(gap)
                    process.send_signal(dice.choice(NUMBERS))
                try:
                    code = process.wait(DEADLINE)
                except subprocess.TimeoutExpired:
                    process.kill()
                    raise AssertionError(f"round {turn}: {module} outlives {number.name} at {moment:.3f} s") from None
                told = process.stderr.read().decode()
            # Ended as asked, or (of the first signal, before any handler is set; of `up`, whose way to end it is) so.
            right = {-one for one in NUMBERS} | {128 + one for one in NUMBERS}
            finished = module == "platform" or itself is not None
            assert code in right or (finished and code == 0), f"round {turn}, {number.name} at {moment:.3f} s: {told}"
            codes[code] = codes.get(code, 0) + 1
            assert wait_until(lambda: not processes_of(home.path), 30), f"round {turn}: {processes_of(home.path)}"
            lock = owner_lock(home.path)
            assert lock.take()
            lock.release()
    finally:
        remove_postgres(home.path)
    sys.stdout.write(f"\n{ROUNDS} signals: 0 lost, 0 processes left; exit codes {dict(sorted(codes.items()))}\n")
