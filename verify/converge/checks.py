"""Checks of the group ``convergence``: every bound at each K, on short runs."""

import time
from collections.abc import Iterator

from verify.contract import Context, Level, Outcome, Status
from verify.converge.bounds import findings
from verify.converge.findings import Finding
from verify.converge.kinds import KINDS
from verify.converge.units import Size, bound_units, flip_unit

LENGTHS = {Level.QUICK: 30, Level.STANDARD: 150, Level.DEEP: 1000}
"""Iterations K of a run; the tight family makes 40 at least."""

INEXACT = ("mirror", "biased")


def run(key: str, context: Context) -> tuple[Outcome, ...]:
    """Hold one penalty to every bound, with the tight family and with real oracles that err."""
    begin = time.perf_counter()
    (kind,) = (kind for kind in KINDS if kind.key == key)
    length = LENGTHS[context.level]
    size = Size(4, length, max(40, length), (), 0, 0, 0, 0, 0, ())
    units = [
        unit
        for unit in bound_units(size, context.seed, (kind,))
        if unit.word.rpartition(".")[2] in INEXACT
    ]
    worst: dict[str, Finding] = {}
    counts: dict[str, int] = {}
    for unit in (flip_unit(kind, size.flips), *units):
        for found in findings(unit.course()):
            counts[found.key] = counts.get(found.key, 0) + found.instances
            if found.key not in worst or not found.ratio <= worst[found.key].ratio:
                worst[found.key] = found
    seconds = (time.perf_counter() - begin) / len(worst)
    return tuple(_outcomes(key, worst, counts, seconds))


def _outcomes(
    key: str, worst: dict[str, Finding], counts: dict[str, int], seconds: float
) -> Iterator[Outcome]:
    for name, found in worst.items():
        yield Outcome(
            name=f"convergence.{key}.{name}",
            title=found.words,
            status=Status.AS_EXPECTED if found.holds else Status.DEVIATION,
            margin=found.ratio,
            instance=found.where,
            instances=counts[name],
            seconds=seconds,
            detail="" if found.holds else f"{found.lhs:.9g} > {found.rhs:.9g} + {found.tolerance:.1g}",
        )
