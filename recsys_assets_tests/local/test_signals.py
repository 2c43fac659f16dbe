"""Signals at moments of their own choosing: none is lost, and what is being stopped is stopped."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from recsys_assets.local import signals
from recsys_assets.local.processes import pause, wait_until
from recsys_assets.settings import CHECKOUT

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def _usual_handlers() -> Iterator[None]:
    """As a program of its own has them; the tests' own ones come back."""
    before = {number: signal.getsignal(number) for number in NUMBERS}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def ending(body: Callable[[], object]) -> BaseException:
    """What ``body`` is ended by."""
    with pytest.raises((KeyboardInterrupt, SystemExit)) as raised:
        body()
    return raised.value


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_within_a_shield_is_raised_after_it(number: signal.Signals) -> None:
    done = []

    def body() -> None:
        with signals.terminable():
            with signals.shielded():
                signal.raise_signal(number)
                pause(0.01)  # what is stopped is waited for
                done.append("stopped")
            done.append("not reached")

    assert getattr(ending(body), "code", 130) == 128 + number
    assert done == ["stopped"]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_second_signal_ends_at_once_whatever_is_wrong_with_what_it_still_does() -> None:
    script = """
import os, signal, time
from recsys_assets.local import signals
signals.SAME_SECONDS = 0.0
signals.AT_ONCE.append(lambda: 1 / 0)
with signals.terminable(), signals.shielded():
    signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGTERM)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=CHECKOUT, capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (128 + signal.SIGTERM, b"")


def test_deferred_raises_where_we_look_and_nowhere_else() -> None:
    done = []

    def body() -> None:
        with signals.terminable(), signals.deferred():
            signal.raise_signal(signal.SIGTERM)
            done.append("a program is started, and the line that will stop it is read")
            pause(60)
            done.append("not reached")

    ending(body)
    assert len(done) == 1


def test_a_signal_that_was_swallowed_is_raised_by_the_next_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    class Destroyed:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGTERM)

    swallowed: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda _: swallowed.append("exception"))

    def body() -> None:
        with signals.terminable():
            Destroyed()
            swallowed.append("goes on")
            pause(60)

    ending(body)
    assert swallowed == ["exception", "goes on"]


def test_one_that_was_swallowed_and_never_waited_for_is_raised_at_the_end() -> None:
    def body() -> None:
        with signals.terminable():
            ending(lambda: signal.raise_signal(signal.SIGTERM))

    ending(body)


def test_what_was_fulfilled_is_not_raised_again() -> None:
    with signals.terminable(), signals.deferred():
        signal.raise_signal(signal.SIGINT)
        ending(lambda: pause(60))
        assert signals.asked()
        signals.taken()


def test_an_ignored_signal_stays_ignored_and_a_handler_of_others_is_called() -> None:
    called = []
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, _frame: called.append(number))
    with signals.terminable():
        signal.raise_signal(signal.SIGHUP)
        with signals.shielded():
            signal.raise_signal(signal.SIGTERM)
            assert called == []
        assert called == [signal.SIGTERM]
        signal.raise_signal(signal.SIGTERM)
    assert called == [signal.SIGTERM, signal.SIGTERM]


STARTS = """
import signal, subprocess, sys
from recsys_assets.local.signals import terminable
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
with terminable():
    subprocess.run(["grep", "SigIgn", "/proc/self/status"])
    signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGHUP)
    signal.raise_signal(signal.SIGTERM)
"""


def test_what_is_started_in_the_background_obeys_signals_and_so_do_its_programs() -> None:
    done = subprocess.run([sys.executable, "-c", STARTS], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 128 + signal.SIGTERM
    ignored = int(done.stdout.split()[1], 16)
    assert [number for number in signals.ENDING if ignored & 1 << number - 1] == []


DEAF = """
import signal, sys, time
from pathlib import Path
from recsys_assets.local.processes import Child, Program
from recsys_assets.local.signals import terminable
with terminable():
    child = Child(Program("deaf", ("sh", "-c", "trap '' TERM; echo ready; sleep 1000"), Path(sys.argv[1]) / "log"))
    while "ready" not in child.tail():
        time.sleep(0.01)
    try:
        print(child.pid, flush=True)
        time.sleep(1000)
    finally:
        child.stop()
"""


def test_a_second_signal_ends_at_once_and_kills_what_was_started(tmp_path: os.PathLike[str]) -> None:
    command = [sys.executable, "-c", DEAF, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        process.send_signal(signal.SIGTERM)
        time.sleep(2 * signals.SAME_SECONDS)
        assert process.poll() is None  # it waits for its child, which has 20 seconds
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 128 + signal.SIGTERM
    assert wait_until(lambda: not os.path.exists(f"/proc/{child}"), 10)  # noqa: PTH110
