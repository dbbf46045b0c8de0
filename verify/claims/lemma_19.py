r"""Lemma 19: the gradient of a maximum over a compact set (Danskin).

::

    h(x) = max_{y in F} l(x, y),    F compact, l continuous, grad_x l continuous on R^d x F,
    grad_x l(x, .) the same at all maximisers
    printed   grad h(x) = grad_x l(x, y*)   for any maximiser y*

Derivation.  Fix x, let M be its maximisers and G the common gradient.  With y* in M held fixed,

    h(x + d) - h(x) >= l(x + d, y*) - l(x, y*) = <G, d> + o(|d|).

For the other side let e > 0.  The y for which grad_x l(x', y') is within e of G for all (x', y') near
(x, y) form an open set U around M; outside U, l(x, .) stays below h(x) by a margin, as F is compact, and
l(x', .) below h(x') for x' near x.  So for small d every maximiser y_d at x + d is in U, and

    h(x + d) - h(x) <= l(x + d, y_d) - l(x, y_d) = <grad_x l(x + s d, y_d), d> <= <G, d> + e |d|.

The conditions are used at the one point x and next to it only.  All are needed:

    F compact        F = {0} and 1 < |y| <= 2, l = x y - (|y| - 1)^2 / 2, 0 at y = 0:  h = |x| + x^2/2
    grad continuous  F = [0, 1], l = 2 x^2 y / (x^2 + y^2), 0 at x = y = 0:            h = |x|
    one gradient     F = {1, 2}, l = x, -x:                                           h = |x|

In the first two the gradients of all maximisers agree at each x.

Trials.  Difference quotients in exact rationals with a step of 2^-40, whose error is the curvature times
half the step: of finite maxima of quadratics with ties, of strongly concave problems on a box with
bounds that become active at x, and of a problem with two maximisers for x > 0.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from flint import fmpq

from verify.claims.contract import Claim, Fault, Form, Margin
from verify.claims.trials.gradients import equal
from verify.claims.trials.instances import DRAWS, generator_of
from verify.contract import Context
from verify.oracles.rational import nearest

STEP = fmpq(1, 2**40)

Line = Callable[[fmpq], fmpq]
"""h along a line through x: t -> h(x + t u)."""


@dataclass(frozen=True)
class Danskin:
    """A maximum along a line through a point x.

    Attributes
    ----------
    name : str
    largest : t -> h(x + t u)
    slopes : rationals
        <grad_x l(x, y), u> at maximisers y.
    others : rationals
        The same at points of F that are no maximisers.
    curvature : rational
        Bound on the change of h's slope along the line per unit of t.
    """

    name: str
    largest: Line
    slopes: tuple[fmpq, ...]
    others: tuple[fmpq, ...]
    curvature: fmpq


def rationals(generator: np.random.Generator, *shape: int) -> np.ndarray:
    """Random fractions of eighths."""
    drawn = generator.integers(-24, 25, shape)
    return np.array([fmpq(int(k), 8) for k in drawn.flat], dtype=object).reshape(shape)


def dot(a: np.ndarray, b: np.ndarray) -> fmpq:
    """Inner product."""
    found: fmpq = sum((p * q for p, q in zip(a, b, strict=True)), start=fmpq(0))
    return found


def finite(generator: np.random.Generator) -> Danskin:
    """Maximum of quadratics: some tangent to each other at x, others below."""
    n_tied, n_below, d = (int(k) for k in generator.integers(1, 4, 3))
    gradient, u = rationals(generator, d), rationals(generator, d)
    bends = [dot(u, row) for row in rationals(generator, n_tied + n_below, d)]
    below = [dot(g, u) for g in rationals(generator, n_below, d)]
    slopes = [dot(gradient, u)] * n_tied + below
    levels = [fmpq(0)] * n_tied + [-fmpq(int(k), 8) for k in generator.integers(1, 9, n_below)]

    def largest(t: fmpq) -> fmpq:
        return max(c + t * b + t * t * a for c, b, a in zip(levels, slopes, bends, strict=True))

    curvature = 2 * max(abs(a) for a in bends)
    return Danskin("finite F", largest, tuple(slopes[:n_tied]), tuple(below), curvature)


def box(generator: np.random.Generator) -> Danskin:
    """max over y in [0, 1]^k of <y, B x + b> - |y|^2 / 2, with bounds about to become active."""
    k, d = (int(n) for n in generator.integers(1, 4, 2))
    B, u = rationals(generator, k, d), rationals(generator, d)
    moved = [dot(row, u) for row in B]
    start = [fmpq(int(n), 4) for n in generator.integers(-2, 7, k)]

    def best(z: fmpq) -> fmpq:
        inside = [z] if 0 < z < 1 else []
        return max(z * y - y * y / 2 for y in (fmpq(0), fmpq(1), *inside))

    def largest(t: fmpq) -> fmpq:
        return sum((best(z + t * b) for z, b in zip(start, moved, strict=True)), start=fmpq(0))

    clipped = [min(max(z, fmpq(0)), fmpq(1)) for z in start]
    slope = sum((y * b for y, b in zip(clipped, moved, strict=True)), start=fmpq(0))
    vertex = sum(((1 if y < 1 else 0) * b for y, b in zip(clipped, moved, strict=True)), start=fmpq(0))
    return Danskin("box", largest, (slope,), (vertex,), dot(np.array(moved), np.array(moved)))


def two_maximisers(generator: np.random.Generator) -> Danskin:
    """max over |y| <= 1 of x y^2 - y^4, at x = 2 w^2 with maximisers w and -w, w in [0, 1]."""
    w = fmpq(int(generator.integers(0, 9)), 8)
    x = 2 * w * w

    def largest(t: fmpq) -> fmpq:
        z = x + t
        # y = 0, |y| = 1, and y^2 = z / 2 where that is inside.
        return max(fmpq(0), z - 1, *([z * z / 4] if 0 <= z <= 2 else []))

    others = tuple(y * y for y in (fmpq(0), fmpq(1, 2), fmpq(1)) if y != w)
    return Danskin(f"two maximisers, x = {x}", largest, (w * w,), others, fmpq(1, 2))


def problems(context: Context) -> Iterator[Danskin]:
    """All three kinds in turn."""
    generator = generator_of(context, "lemma_19")
    for _ in range(DRAWS[context.level] // 3):
        for draw in (finite, box, two_maximisers):
            yield draw(generator)


def trials_with(
    claimed: Callable[[Danskin], tuple[fmpq, ...]],
) -> Callable[[Context], Iterator[Margin]]:
    """Difference quotients of h against claimed slopes."""

    def trials(context: Context) -> Iterator[Margin]:
        for problem in problems(context):
            quotient = (problem.largest(STEP) - problem.largest(-STEP)) / (2 * STEP)
            tolerance = nearest(STEP * problem.curvature)
            for slope in claimed(problem):
                # Both sides are rounded to floats once.
                size = max(abs(nearest(quotient)), abs(nearest(slope)))
                rounding = float(np.finfo(np.float64).eps) * size
                yield equal(nearest(slope), nearest(quotient), tolerance + rounding, problem.name)

    return trials


def at_maximisers(problem: Danskin) -> tuple[fmpq, ...]:
    """As printed."""
    return problem.slopes


def elsewhere(problem: Danskin) -> tuple[fmpq, ...]:
    """At points that are no maximisers."""
    return problem.others


def one_sided(
    largest: Line, gradient: int, curvature: int, where: str
) -> Callable[[Context], Iterator[Margin]]:
    """Quotients of h at x = 0 to either side, against the claimed gradient."""

    def trials(context: Context) -> Iterator[Margin]:  # noqa: ARG001 - the same at every level
        for side in (1, -1):
            step = fmpq(side, 8)
            quotient = (largest(step) - largest(fmpq(0))) / step
            yield equal(float(gradient), nearest(quotient), curvature / 8.0, where)

    return trials


def over_open_set(x: fmpq) -> fmpq:
    """max over y = 0 and 1 < |y| <= 2 of x y - (|y| - 1)^2 / 2, or 0 at y = 0: at y = x + sign(x)."""
    size = abs(x)
    y = size + 1
    return max(fmpq(0), size * y - (y - 1) * (y - 1) / 2) if size > 0 else fmpq(0)


def bumps(x: fmpq) -> fmpq:
    """max over y in [0, 1] of 2 x^2 y / (x^2 + y^2): at y = |x|."""
    y = abs(x)
    return 2 * x * x * y / (x * x + y * y) if y > 0 else fmpq(0)


CLAIM = Claim(
    number="Lemma 19",
    title="gradient of a maximum (Danskin)",
    premise="F compact; l and grad_x l continuous in (x, y); one gradient at all maximisers",
    printed=Form(
        words="The maximum over y of l(x, y) is differentiable; its gradient is that of l at any "
        "maximiser.",
        formula=r"\nabla\max_{y\in\mathcal F}\ell(x,y)=\nabla_x\ell(x,y^*),\quad "
        r"y^*\in\operatorname*{argmax}_{y\in\mathcal F}\ell(x,y)",
        trials=trials_with(at_maximisers),
    ),
    faults=(
        Fault("elsewhere", "the gradient at a point that is no maximiser", trials_with(elsewhere)),
        Fault(
            "not_compact",
            "F is not closed: the maximum is |x| + x^2/2, with one maximiser for each x",
            one_sided(over_open_set, 0, 1, "F = {0} and 1 < |y| <= 2"),
        ),
        Fault(
            "gradient_jumps",
            "grad_x l is not continuous in (x, y): the maximum is |x|, all gradients at 0 are 0",
            one_sided(bumps, 0, 0, "l = 2 x^2 y / (x^2 + y^2)"),
        ),
        Fault(
            "two_gradients",
            "two maximisers with different gradients: the maximum is |x|",
            one_sided(abs, 1, 0, "l = x or -x"),
        ),
    ),
    remark="Right as printed; a direct proof stands in the docstring. The conditions are needed at the "
    "point x and near it only.",
    tried="Open sets, jumping gradients and two gradients each break it; as stated, exact maxima of"
    " rational problems agree.",
)
