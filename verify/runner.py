"""Runs checks, in this process or in several, and yields what each of them returned as it completes."""

import contextlib
import math
import os
import signal
import time
import traceback
import warnings
from collections.abc import Generator, Iterator, Mapping, Sequence
from types import FrameType

from verify.contract import Check, Context, Outcome, Status, within
from verify.processes import unordered

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)

GRACE = 2.0
"""Seconds in which further signals do nothing, so that ending after the first one is not cut short."""

_KINDS: dict[str, type | tuple[type, ...]] = {
    "name": str,
    "title": str,
    "status": Status,
    "margin": (int, float),
    "instance": str,
    "instances": int,
    "seconds": (int, float),
    "detail": str,
    "traceback": str,
    "verdict": str,
}

Finished = tuple[Check, tuple[Outcome, ...]]


def single_threaded() -> None:
    """Have the numerical libraries that are loaded from now on, here and in workers, use one thread.

    A product of large matrices differs in its last bits with the number of threads: with one thread,
    outcomes do not depend on the number of jobs or of cores.
    """
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Raise ``KeyboardInterrupt`` for SIGTERM as for SIGINT, at most once every :data:`GRACE` seconds.

    A signal that is ignored stays ignored.
    """
    last = -math.inf

    def interrupt(_signum: int, _frame: FrameType | None) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= GRACE:
            last = now
            raise KeyboardInterrupt

    numbers = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) is not signal.SIG_IGN]
    previous = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def run(checks: Sequence[Check], context: Context, *, jobs: int = 1) -> Generator[Finished, None, None]:
    """Run checks and yield each with its outcomes, in the order in which they complete.

    The outcomes depend on the context alone (their seconds apart), not on ``jobs``.  A check that
    raises, ends its process or breaks the contract yields one outcome with the status ``ERROR``.
    Closing the iterator ends the checks under way.

    Parameters
    ----------
    checks : sequence of Check
    context : Context
    jobs : int
        Number of processes; one job runs in this process.
    """
    workers = min(jobs, len(checks))
    if workers <= 1:
        for check in checks:
            yield check, perform(check, context)
        return
    left = dict(enumerate(checks))
    with contextlib.suppress(Exception):  # a worker died, or a check could not be sent to one
        for index, outcomes in _pool(left, context, workers):
            yield left.pop(index), outcomes
    for check in left.values():  # each alone, to tell which one it was
        start = time.perf_counter()
        try:
            [(_, outcomes)] = _pool({0: check}, context, workers=2)
        except Exception as error:
            outcomes = (_error(check, error, start),)
        yield check, outcomes


def perform(check: Check, context: Context) -> tuple[Outcome, ...]:
    """Run one check in this process; what it raises becomes its outcome.

    A ``RuntimeWarning`` (overflow, division by zero, an ill-conditioned system) counts as raised.
    """
    start = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            outcomes = check.run(context)
        _require(check, outcomes)
    except (Exception, SystemExit) as error:
        return (_error(check, error, start),)
    return outcomes


def _require(check: Check, outcomes: object) -> None:
    """Raise ``TypeError`` or ``ValueError`` for what the contract does not allow a check to return."""
    if not isinstance(outcomes, tuple) or not all(isinstance(outcome, Outcome) for outcome in outcomes):
        raise TypeError(f"{check.name} returned {outcomes!r}; it must return a tuple of outcomes")
    if not outcomes:
        raise ValueError(f"{check.name} returned no outcome; it must return at least one")
    names = [outcome.name for outcome in outcomes]
    if len(set(names)) < len(names) or not all(within(name, check.name) for name in names):
        raise ValueError(
            f"outcomes {names} must be unique, and be or continue {check.name!r} with a dot"
        )
    for outcome in outcomes:
        for field, kind in _KINDS.items():
            if not isinstance(value := getattr(outcome, field), kind):
                raise TypeError(f"{outcome.name} has {field} = {value!r}, a {type(value).__name__}")
        if outcome.instances < 0 or not 0 <= outcome.seconds < math.inf:
            raise ValueError(f"{outcome.name} has {outcome.instances} instances in {outcome.seconds} s")


def _pool(
    checks: Mapping[int, Check], context: Context, workers: int
) -> Generator[tuple[int, tuple[Outcome, ...]], None, None]:
    """Perform checks in at least two other processes; what ends a process or the sending is raised."""
    return unordered(_perform, ((index, check, context) for index, check in checks.items()), workers)


def _perform(index: int, check: Check, context: Context) -> tuple[int, tuple[Outcome, ...]]:
    return index, perform(check, context)


def _error(check: Check, error: BaseException, start: float) -> Outcome:
    message = str(error).strip() or "no message"
    return Outcome(
        name=check.name,
        title=check.title,
        status=Status.ERROR,
        margin=math.nan,
        instance="",
        instances=0,
        seconds=time.perf_counter() - start,
        detail=f"{type(error).__name__}: {message.splitlines()[0]}",
        traceback="".join(traceback.format_exception(error)),
    )
