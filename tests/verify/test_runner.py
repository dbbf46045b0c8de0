import os
import re
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from verify import runner
from verify.contract import Check, Context, Level, Outcome, Status

CONTEXT = Context(Level.QUICK, 5)
ROOT = str(Path(__file__).parents[2])


@pytest.fixture(autouse=True)
def _workers_can_import_this_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [ROOT, *sys.path])


def outcome(name: str, margin: float = 0.25, **fields: Any) -> Outcome:
    return replace(
        Outcome(name, "left against right", Status.AS_EXPECTED, margin, "instance 3", 2, 0.0), **fields
    )


def check(name: str, run: Callable[[Context], Any]) -> Check:
    return Check(name, "fake", f"Title of {name}", run)


def drawing(name: str, delay: float = 0.0) -> Check:
    """A check whose outcomes depend on the seed and on nothing else."""

    def run(context: Context) -> tuple[Outcome, ...]:
        time.sleep(delay)
        draws = np.random.default_rng([context.seed, len(name)]).random(2)
        return tuple(outcome(f"{name}.{i}", float(draw)) for i, draw in enumerate(draws))

    return check(name, run)


def raising(error: BaseException) -> Check:
    def run(_context: Context) -> tuple[Outcome, ...]:
        raise error

    return check("raising", run)


def collected(checks: list[Check], jobs: int) -> dict[str, tuple[Outcome, ...]]:
    return {check.name: outcomes for check, outcomes in runner.run(checks, CONTEXT, jobs=jobs)}


def timeless(outcomes: tuple[Outcome, ...]) -> str:
    return repr([replace(outcome, seconds=0.0) for outcome in outcomes])  # repr: nan is not itself


def test_outcomes_do_not_depend_on_the_number_of_jobs() -> None:
    checks = [
        drawing("slow", 0.2),
        drawing("b"),
        raising(ValueError("x")),
        drawing("cc"),
        drawing("ddd"),
    ]
    one, two = collected(checks, 1), collected(checks, 2)
    assert set(one) == set(two) == {check.name for check in checks}
    assert [timeless(one[name]) for name in one] == [timeless(two[name]) for name in one]
    other = dict(runner.run([checks[1]], Context(Level.QUICK, 6)))
    assert timeless(other[checks[1]]) != timeless(one["b"])


def test_outcomes_come_as_they_complete(tmp_path: Path) -> None:
    sign = tmp_path / "sign"

    def wait(_context: Context) -> tuple[Outcome, ...]:
        deadline = time.monotonic() + 60
        while not sign.exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return (outcome("waiting"),)

    results = runner.run([check("waiting", wait), drawing("fast")], CONTEXT, jobs=2)
    assert next(results)[0].name == "fast"
    sign.touch()
    assert [(check.name, found.status) for check, (found,) in results] == [
        ("waiting", Status.AS_EXPECTED)
    ]


def test_two_jobs_overlap_to_the_end(tmp_path: Path) -> None:
    """Each check waits for its neighbour: one after the other, they would wait in vain."""

    def meeting(i: int) -> Check:
        def meet(_context: Context) -> tuple[Outcome, ...]:
            (tmp_path / str(i)).touch()
            deadline = time.monotonic() + 60
            while not (tmp_path / str(i ^ 1)).exists():
                assert time.monotonic() < deadline
                time.sleep(0.005)
            return (outcome(f"meeting_{i}"),)

        return check(f"meeting_{i}", meet)

    checks = [meeting(i) for i in range(24)]  # many more than joblib takes at first
    for _, (found,) in runner.run(checks, CONTEXT, jobs=2):
        assert found.status is Status.AS_EXPECTED, found.detail


def test_one_job_runs_in_this_process_and_two_do_not() -> None:
    def process(name: str) -> Check:
        return check(name, lambda _context: (outcome(name, detail=str(os.getpid())),))

    checks = [process("a"), process("b")]
    assert {found[0].detail for found in collected(checks, 1).values()} == {str(os.getpid())}
    assert str(os.getpid()) not in {found[0].detail for found in collected(checks, 2).values()}


def numpy_overflow() -> Any:
    return np.float64(1e300) * np.float64(1e300)


@pytest.mark.parametrize(
    ("run", "detail"),
    [
        (lambda _: 1 / 0, "ZeroDivisionError: division by zero"),
        (lambda _: sys.exit("enough"), "SystemExit: enough"),
        (lambda _: numpy_overflow(), "RuntimeWarning: overflow encountered in scalar multiply"),
        (
            lambda _: warnings.warn("ill-conditioned", RuntimeWarning, stacklevel=1),
            "RuntimeWarning: ill-c",
        ),
        (lambda _: (), "ValueError: fake returned no outcome"),
        (lambda _: None, "TypeError: fake returned None"),
        (lambda _: [outcome("fake")], "TypeError: fake returned \\["),
        (lambda _: (outcome("fakes.a"),), "ValueError: outcomes \\['fakes.a'\\] must be unique, and"),
        (lambda _: (outcome("fake.a"), outcome("fake.a")), "ValueError: outcomes"),
        (lambda _: (outcome("fake", instances=np.int64(3)),), "TypeError: fake has instances = .*int64"),
        (lambda _: (outcome("fake", status="deviation"),), "TypeError: fake has status = 'deviation'"),
        (lambda _: (outcome("fake", instances=-1),), "ValueError: fake has -1 instances"),
        (lambda _: (outcome("fake", seconds=nan),), "ValueError: fake has 2 instances in nan s"),
    ],
)
def test_what_goes_wrong_in_a_check_is_an_error(run: Callable[[Context], Any], detail: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the runner has its own mind
        (found,) = runner.perform(check("fake", run), CONTEXT)
    assert (found.name, found.title, found.status) == ("fake", "Title of fake", Status.ERROR)
    assert re.match(detail, found.detail), found.detail
    assert found.traceback.startswith("Traceback (most recent call last)")
    assert found.detail in found.traceback


def test_message_of_many_lines_stays_whole_in_the_traceback() -> None:
    (found,) = runner.perform(raising(KeyError("first\nsecond")), CONTEXT)
    (also,) = runner.perform(raising(ValueError("first\nsecond")), CONTEXT)
    (empty,) = runner.perform(raising(ValueError()), CONTEXT)
    assert found.detail == "KeyError: 'first\\nsecond'"
    assert also.detail == "ValueError: first"
    assert "second" in also.traceback
    assert empty.detail == "ValueError: no message"


def test_interruption_is_not_taken_for_an_error_of_the_check() -> None:
    with pytest.raises(KeyboardInterrupt):
        runner.perform(raising(KeyboardInterrupt()), CONTEXT)


def test_check_that_ends_its_process_is_found_among_the_others() -> None:
    deadly = check("deadly", lambda _context: os._exit(3))
    lock = threading.Lock()
    unsendable = check("unsendable", lambda _context: (outcome(f"unsendable.{lock}"),))
    found = collected([drawing("a"), deadly, drawing("bb"), unsendable, drawing("ccc")], 2)
    assert len(found) == 5
    assert {name for name, (first, *_) in found.items() if first.status is Status.ERROR} == {
        "deadly",
        "unsendable",
    }
    assert found["deadly"][0].detail.startswith("TerminatedWorkerError")
    assert found["unsendable"][0].detail.startswith("PicklingError")


def test_closing_ends_the_checks_under_way() -> None:
    results = runner.run([drawing("fast"), drawing("endless", 600.0)], CONTEXT, jobs=2)
    assert next(results)[0].name == "fast"
    start = time.monotonic()
    results.close()
    assert time.monotonic() - start < 60


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_interrupt_once_within_the_grace_and_are_then_as_before(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with runner.interruptible():
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)  # to this thread: it is handled before the next line
        signal.raise_signal(number)  # must do nothing
    assert signal.getsignal(number) is before


def test_signals_interrupt_again_after_the_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "GRACE", 0.0)
    with runner.interruptible():
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGTERM)


def test_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with runner.interruptible():
            signal.raise_signal(signal.SIGINT)  # must do nothing
    finally:
        signal.signal(signal.SIGINT, before)
