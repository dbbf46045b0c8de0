r"""Runs an audit: estimates in, alarm and certificate forward, until one of them decides.

One observation is one row: the result of the whole estimator for one batch.  Rows come in calls,
numbered k = 0, 1, ..., each with a generator of its own that is seeded by the run's seed, the audit's
name and k; so what call k draws depends on nothing else, and a run that is taken up again after any
call goes on as if it had never ended.

Filtration and stopping.  F_k holds calls 0, ..., k - 1.  The bet, the weights, the centre of the
penalties and the expected total of call k are functions of F_k, and within a call rows are independent
of each other and of F_k.  Both instruments are (super)martingales row by row (:mod:`.statistics.alarm`,
:mod:`.statistics.interval`) and hold at all times at once; the rule by which the run stops, a function
of them, therefore needs no correction.  An alarm is false with probability at most the level that the
demand states, a certificate is wrong with probability at most alpha, whatever the rule.

The verdict after each call, in this order:

    BIASED     the alarm's capital reached 1 / level, or an estimate left its computed range
    CERTIFIED  in every block, the farthest corner of the intervals' box is within epsilon of declared
    UNDECIDED  the limit of rows was reached first; the forecast says how many more it would take
"""

import contextlib
import itertools
import json
import time
import zlib
from collections import deque
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import torch

from reference.errors import InputError
from reference.validation import Array
from verify.audit.contract import Demand, Subject, Verdict
from verify.audit.statistics.alarm import Alarm
from verify.audit.statistics.interval import Interval, OutsideRangeError

FIRST_ROWS = 256
"""Rows of the first call; they double from call to call up to the subject's most."""


@dataclass(frozen=True)
class Point:
    """The state of one block after some rows, for the plot.

    Attributes
    ----------
    count : int
    deviation : float
        Norm of centre - declared.
    low, bound : float
        Least and largest norm of the bias that the box allows.
    along, width : float
        Middle and half the length of the interval of the expectation's component along the declared
        gradient, in units of its Euclidean norm: if all is well it narrows around 1.
    """

    count: int
    deviation: float
    low: float
    bound: float
    along: float
    width: float


@dataclass(frozen=True, eq=False)
class Progress:
    """All that a run has come to; what follows depends on nothing else.

    Attributes
    ----------
    calls : int
    alarm : Alarm
    interval : Interval
    trace : mapping of block to tuple of Point
    outside : str
        What was outside the range, if anything was.
    seconds : float
        Process time spent so far.
    """

    calls: int
    alarm: Alarm
    interval: Interval
    trace: Mapping[str, tuple[Point, ...]]
    outside: str = ""
    seconds: float = 0.0

    @classmethod
    def begin(cls, subject: Subject, demand: Demand) -> "Progress":
        """Nothing has been drawn."""
        declared = subject.declared
        return cls(
            0,
            Alarm.of(declared, subject.low, subject.high),
            Interval.of(declared, subject.low, subject.high, demand.alpha),
            dict.fromkeys(subject.shapes, ()),
        )

    @property
    def count(self) -> int:
        """Rows so far."""
        return self.interval.count

    def dumps(self) -> str:
        """Return it as JSON text."""
        plain = {
            "calls": self.calls,
            "outside": self.outside,
            "seconds": self.seconds,
            "alarm": _plain(self.alarm),
            "interval": _plain(self.interval),
            "trace": {name: [asdict(p) for p in points] for name, points in self.trace.items()},
        }
        return json.dumps(plain)

    def loads(self, text: str) -> "Progress":
        """Read what :meth:`dumps` of a progress of the same subject and demand gave.

        Raises
        ------
        InputError
            If the text is none.
        """
        try:
            read = json.loads(text)
            trace = {n: tuple(Point(**p) for p in points) for n, points in read["trace"].items()}
            return replace(
                self,
                calls=int(read["calls"]),
                outside=str(read["outside"]),
                seconds=float(read["seconds"]),
                alarm=_restored(self.alarm, read["alarm"]),
                interval=_restored(self.interval, read["interval"]),
                trace=trace,
            )
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"the saved state of an audit cannot be read: {error}") from error


def _plain(record: Any) -> dict[str, Any]:
    return {
        name: value.tolist() if isinstance(value, np.ndarray) else value
        for name, value in vars(record).items()
    }


def _restored(like: Any, read: Mapping[str, Any]) -> Any:
    fields = {
        name: np.asarray(read[name], dtype=np.float64).reshape(np.shape(value))
        if isinstance(value, np.ndarray)
        else type(value)(read[name])
        for name, value in vars(like).items()
    }
    return replace(like, **fields)


@dataclass(frozen=True, eq=False)
class Result:
    """What an audit found.

    Attributes
    ----------
    subject : Subject
    demand : Demand
    seed : int
    progress : Progress
    verdict : Verdict
    reason : str
        One sentence.
    exact_error : Array or None
        Tier 0: implementation error by enumeration, (I,).
    exact_rounding : Array or None
        Its bound on rounding.
    """

    subject: Subject
    demand: Demand
    seed: int
    progress: Progress
    verdict: Verdict
    reason: str
    exact_error: Array | None = None
    exact_rounding: Array | None = field(default=None)

    @property
    def certified(self) -> bool:
        """Whether the verdict is CERTIFIED."""
        return self.verdict is Verdict.CERTIFIED


def generator_of(seed: int, name: str, call: int) -> torch.Generator:
    """The generator of one call."""
    words = np.random.SeedSequence([seed, zlib.crc32(name.encode()), call]).generate_state(2)
    return torch.Generator().manual_seed(int(words[0]) << 31 ^ int(words[1]))


def corner(interval: Interval, declared: Array, part: slice) -> tuple[Array, Array]:
    """Least and largest |bias| of each coordinate that the box allows."""
    off, radius = np.abs(interval.centre - declared)[part], interval.radius[part]
    return np.maximum(off - radius, 0.0), off + radius


def forecast(interval: Interval, declared: Array, slices: Mapping[str, slice], demand: Demand) -> float:
    """Total of rows after which a certificate is to be expected; infinite if the bias looks too large.

    A deviation that exceeds four standard errors is taken for bias, a smaller one for noise.
    """
    # Before the first row the variance is the largest in the range, which makes the first weights small.
    deviation_sd = np.sqrt(interval.variance / max(interval.count, 1))
    off = np.abs(interval.mean - declared)
    lasting = np.where(off > 4.0 * deviation_sd, off, 0.0)

    def met(total: float) -> bool:
        noise = 0.8 * np.sqrt(interval.variance / total)
        corner_d = np.maximum(lasting, noise) + interval.spread_at(total)
        return all(
            demand.size(corner_d[part]) <= demand.allowed(declared[part]) for part in slices.values()
        )

    low, high = 1.0, 1e15
    if not met(high):
        return np.inf
    while high / low > 1.01:
        middle = float(np.sqrt(low * high))
        low, high = (low, middle) if met(middle) else (middle, high)
    return high


def decide(subject: Subject, demand: Demand, progress: Progress) -> tuple[Verdict, str] | None:
    """Return the verdict and its reason, or None while neither instrument decides."""
    if progress.outside:
        return Verdict.BIASED, progress.outside
    declared, interval, parts = subject.declared, progress.interval, subject.slices.values()
    full = progress.count >= demand.limit

    def within(vector: Array) -> bool:
        """Whether every block of a vector is no larger than the bias that is allowed there."""
        return all(demand.size(vector[part]) <= demand.allowed(declared[part]) for part in parts)

    if progress.alarm.raised(demand.alarm):
        known = not demand.measure or within(interval.radius)
        return (Verdict.BIASED, _alarmed(demand, progress)) if known or full else None
    if interval.count and within(corner(interval, declared, slice(None))[1]):
        return Verdict.CERTIFIED, (
            f"at confidence {1.0 - demand.alpha:g} the {demand.norm} norm of the bias of every block is "
            f"at most {demand.epsilon:g}{' of the declared gradient' if demand.relative else ''}"
        )
    return (Verdict.UNDECIDED, _undecided(subject, demand, progress)) if full else None


def _alarmed(demand: Demand, progress: Progress) -> str:
    return (
        f"the capital of a bet against the declared gradient reached "
        f"exp({progress.alarm.log_highest:.1f}); of right estimators at most {demand.alarm:.1e} get as "
        f"far as 1/{demand.alarm:.1e}"
    )


def _undecided(subject: Subject, demand: Demand, progress: Progress) -> str:
    total = forecast(progress.interval, subject.declared, subject.slices, demand)
    if np.isfinite(total):
        more = max(total - progress.count, 1.0)
        return f"after {progress.count} estimates a certificate would take about {more:.2g} more"
    alarm = progress.alarm.forecast(demand.alarm)
    hint = f"an alarm would take about {alarm:.2g} more" if np.isfinite(alarm) else "more may tell"
    return (
        f"after {progress.count} estimates the bias looks larger than epsilon, without an alarm; {hint}"
    )


def _calls(subject: Subject, seed: int, first: int, threads: int) -> Generator[Array, None, None]:
    """Yield the rows of calls ``first``, ``first`` + 1, ...; some are made ahead in other threads."""

    def call(k: int) -> Array:
        rows = min(FIRST_ROWS << min(k, 20), subject.most_rows)
        return subject.draw(rows, generator_of(seed, subject.name, k))

    if threads == 1:
        for k in itertools.count(first):
            yield call(k)
    with ThreadPoolExecutor(threads) as pool:
        ahead = deque(pool.submit(call, first + i) for i in range(threads))
        try:
            for k in itertools.count(first + threads):
                done = ahead.popleft().result()
                ahead.append(pool.submit(call, k))
                yield done
        finally:
            pool.shutdown(cancel_futures=True)


def _after(
    subject: Subject, demand: Demand, progress: Progress, calls: Generator[Array, None, None]
) -> Progress:
    """Take in the rows of one more call."""
    begun = time.process_time()
    x_nd = next(calls)
    total = forecast(progress.interval, subject.declared, subject.slices, demand)
    try:
        interval = progress.interval.after(x_nd, min(total, float(demand.limit)))
        alarm = progress.alarm.after(x_nd)
    except OutsideRangeError as error:
        return replace(progress, calls=progress.calls + 1, outside=str(error))
    seconds = progress.seconds + time.process_time() - begun
    moved = replace(progress, calls=progress.calls + 1, interval=interval, alarm=alarm, seconds=seconds)
    return replace(moved, trace=_traced(subject, demand, moved))


def _traced(subject: Subject, demand: Demand, progress: Progress) -> Mapping[str, tuple[Point, ...]]:
    """The trace with one more point in each block, if as many rows as a tenth came since the last."""
    trace = {}
    for name in subject.shapes:
        points = progress.trace[name]
        if not points or progress.count >= 1.1 * points[-1].count:
            points = (*points, point(subject, demand, progress.interval, name))
        trace[name] = points
    return trace


def point(subject: Subject, demand: Demand, interval: Interval, block: str) -> Point:
    """The state of a block."""
    declared, part = subject.declared, subject.slices[block]
    low, high = corner(interval, declared, part)
    centre, radius, g = interval.centre[part], interval.radius[part], declared[part]
    square = float(g @ g) or 1.0
    return Point(
        interval.count,
        demand.size(centre - g),
        demand.size(low),
        demand.size(high),
        float(centre @ g) / square,
        float(np.abs(g) @ radius) / square,
    )


def run(
    subject: Subject,
    demand: Demand,
    seed: int,
    *,
    begun: Progress | None = None,
    watch: Callable[[Progress], None] = lambda _: None,
    threads: int = 1,
) -> Result:
    """Audit a subject.

    Parameters
    ----------
    subject : Subject
    demand : Demand
    seed : int
    begun : Progress, optional
        Of an interrupted run with the same arguments.
    watch : callable
        Is told of the progress after each call, such as to save it.
    threads : int
        Calls that are made at once; what they draw, and so the result, does not depend on it.
    """
    progress = Progress.begin(subject, demand) if begun is None else begun
    with contextlib.closing(_calls(subject, seed, progress.calls, threads)) as calls:
        while (found := decide(subject, demand, progress)) is None:
            progress = _after(subject, demand, progress, calls)
            watch(progress)
    verdict, reason = found
    error = rounding = None
    if subject.exact is not None:
        error, rounding = subject.exact()
        if (np.abs(error) > rounding).any():
            worst = int((np.abs(error) - rounding).argmax())
            verdict, reason = (
                Verdict.BIASED,
                (
                    f"over every trajectory the expectation is off by {error[worst]:.3g} in coordinate "
                    f"{worst}, and rounding explains {rounding[worst]:.1e}"
                ),
            )
    if subject.anchored is not None and verdict is Verdict.CERTIFIED:
        rows, called = subject.anchored(seed)
        # Sums of as many products in another order: rounding of order sqrt(eps) would be a fault.
        scale = float(np.maximum(np.abs(subject.low), np.abs(subject.high)).max())
        if float(np.abs(rows - called).max()) > 1e-10 * scale:
            verdict, reason = (
                Verdict.BIASED,
                (
                    "for the same trajectories the audited rows and the estimate as it is called "
                    f"differ by {float(np.abs(rows - called).max()):.3g}"
                ),
            )
    return Result(subject, demand, seed, progress, verdict, reason, error, rounding)
