"""Runs quantities by routes over cases and keeps the worst error of each cell.

A cell's error is measured in units of the derived tolerance of the quantity, doubled because a route
in float64 rounds like the reference does, plus the route's own stated error.  An instance whose
tolerance is more than `RESOLVED` of the quantity's size says little in float64: it is not counted, nor
shown as the worst one, but it must not contradict a route either.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from verify.contract import Outcome, Status
from verify.crosscheck.quantity import Case, Measured, Quantity
from verify.oracles import definitions as primitive
from verify.oracles.route import Answer, Request, Route, undefined

RESOLVED = 1e-3
"""Largest tolerance, relative to the largest entry of the quantity, that still means something."""

DIRECTIONS = 3
"""Directions along which the routes that have no full gradient are compared."""


@dataclass(frozen=True)
class Comparison:
    """One instance of one cell: the worst error in units of the tolerance, and where.

    ``counts`` says whether the tolerance is small against the quantity.
    """

    case: str
    margin: float
    detail: str
    counts: bool

    @property
    def contradicts(self) -> bool:
        """Whether the error is above the tolerance, or no number."""
        return not self.margin <= 1.0


def request(quantity: Quantity[Any], case: Case[Any], generator: np.random.Generator) -> Request:
    """Ask for a quantity at a case."""
    directions: tuple[np.ndarray, ...] = ()
    if quantity.variable is not None:
        shape = quantity.variable.get(case.point).shape
        directions = tuple(generator.uniform(-1.0, 1.0, shape) for _ in range(DIRECTIONS))
    traits = primitive.traits(case.problem)
    return Request(
        define=undefined if quantity.define is None else partial(quantity.define, case),
        point=case.point,
        variable=quantity.variable,
        directions=directions,
        gamma=traits.gamma,
        n_states=traits.n_states,
        transcendental=traits.transcendental
        or (quantity.variable is not None and quantity.variable.field == "logits"),
        optimum=quantity.optimum,
        unregularized=traits.unregularized,
        estimate=None if quantity.estimate is None else partial(quantity.estimate, case),
    )


def compare(case: Case[Any], measured: Measured, asked: Request, answer: Answer) -> Comparison:
    """Hold a measured quantity to a route's answer."""
    if answer.slopes:
        values = np.array([(measured.values * u).sum() for u in asked.directions])
        # Inner products of computed entries with directions of size at most one.
        allowed = np.array([(measured.tolerance * np.abs(u)).sum() for u in asked.directions])
    else:
        values, allowed = measured.values, measured.tolerance
    if values.shape != answer.values.shape:
        return Comparison(
            case.name, np.inf, f"the shapes differ: {values.shape} and {answer.values.shape}", True
        )
    allowed = 2.0 * allowed + answer.error + np.finfo(np.float64).tiny
    difference = np.abs(values - answer.values)
    if not np.isfinite(difference).all():
        return Comparison(case.name, np.inf, "an entry is not finite", True)
    with np.errstate(over="ignore"):
        ratio = difference / allowed
    where = np.unravel_index(int(ratio.argmax()), ratio.shape) if ratio.ndim else ()
    return Comparison(
        case.name,
        float(ratio.max()),
        f"entry {tuple(map(int, where))}: reference {values[where]:.12g}, route "
        f"{answer.values[where]:.12g}, tolerance {allowed[where]:.1e}",
        resolved(measured),
    )


def resolved(measured: Measured) -> bool:
    """Whether the tolerance is small against the quantity; one that is not finite is never let off."""
    size = float(np.abs(measured.values).max(initial=0.0))
    return not bool(measured.tolerance.max(initial=0.0) > RESOLVED * size)


def compared(
    quantity: Quantity[Any], cases: Iterable[Case[Any]], routes: tuple[Route, ...], seed: int
) -> Iterator[tuple[Route, Comparison]]:
    """Compare one quantity on one case by one route after the other."""
    generator = np.random.default_rng(seed)
    for case in cases:
        if quantity.applies(case):
            measured = quantity.measured(case)
            asked = request(quantity, case, generator)
            for route in routes:
                if route.applies(asked):
                    yield route, compare(case, measured, asked, route.answer(asked))


def row(
    prefix: str,
    quantity: Quantity[Any],
    cases: tuple[Case[Any], ...],
    routes: tuple[Route, ...],
    seed: int,
) -> tuple[Outcome, ...]:
    """All cells of one quantity, in the order of the routes; empty if nothing could be compared."""
    found: dict[str, list[Comparison]] = {route.name: [] for route in routes}
    seconds = dict.fromkeys(found, 0.0)
    started = time.perf_counter()
    for route, comparison in compared(quantity, cases, routes, seed):
        found[route.name].append(comparison)
        finished = time.perf_counter()
        seconds[route.name] += finished - started
        started = finished
    name = f"{prefix}.{quantity.name}"
    return tuple(
        _outcome(name, quantity, route, found[route.name], seconds[route.name])
        for route in routes
        if any(comparison.counts or comparison.contradicts for comparison in found[route.name])
    )


def _outcome(
    name: str, quantity: Quantity[Any], route: Route, comparisons: list[Comparison], seconds: float
) -> Outcome:
    counted = [comparison for comparison in comparisons if comparison.counts]
    contradicting = [comparison for comparison in comparisons if comparison.contradicts]
    worst = max(contradicting or counted, key=lambda comparison: comparison.margin)
    return Outcome(
        name=f"{name}.{route.name.replace(' ', '_')}",
        title=f"{quantity.title}, {quantity.source}, by {route.name}",
        status=Status.DEVIATION if contradicting else Status.AS_EXPECTED,
        margin=worst.margin,
        instance=worst.case,
        instances=len(counted),
        seconds=seconds,
        detail=worst.detail,
    )
