r"""(C.37)-(C.38): how much one inexact projected gradient step descends.

With g = G_k, the error e = lambda (grad^ p - grad p), fall = (F(z_k) - F(z_{k+1})) / alpha and
alpha L <= 1::

    printed   |g|^2  <=  8 fall + 10 |e|^2        what (C.37) and (C.38) add up to, before (C.39)
    proved    |g|^2  <=  2 fall +    |e|^2        the one-step lemma

Derivation.  For any closed convex Z.  Let h = (z_k - z_{k+1}) / alpha, d = g - h, and let n = g - grad
F and m = h - grad F - e be the normals of Z at the exact projection and at z_{k+1}.  Then e = n - m -
d, and identically

    2 fall + |e|^2 - |g|^2  =  2 (fall - <grad F, h> + |h|^2 / 2) - 2 <n, g> + 2 <m, d> + |n - m|^2.

The first term is nonnegative because F is smooth and alpha L <= 1; -<n, g> because z_k is in Z; <m, d>
because the exact projection is.

It is attained by F = L z^2 / 2 on a line with alpha = 1 / L, for errors of any size: z_{k+1} = -e / L,
so 2 fall + |e|^2 = (L z)^2.  So neither the 2 nor the 1 can be smaller while the other stays.
"""

from collections.abc import Iterator

import numpy as np

from reference.domains import Ball, Box, Domain, Simplices
from reference.validation import Array
from verify.claims.contract import Claim, Fault, Form, Margin, Proof
from verify.claims.exact import descent, facts
from verify.claims.trials.courses import courses
from verify.claims.trials.instances import DRAWS, adversary, generator_of, unit
from verify.claims.trials.runs import Course, worst
from verify.contract import Context
from verify.crosscheck.tolerances import UNIT

PRINTED, PROVED = (8.0, 10.0), (2.0, 1.0)


def margin(
    domain: Domain, curvature: Array, z: Array, slope: Array, e: Array, c: tuple[float, float]
) -> Margin:
    """One step of length 1 from z, for the quadratic F with this gradient and curvature at z, L = 1."""
    exact, inexact = domain.project(z - slope), domain.project(z - slope - e)
    move = inexact - z
    fall = -float(slope @ move) - 0.5 * float(move @ curvature @ move)
    lhs = float((z - exact) @ (z - exact))
    rhs = c[0] * fall + c[1] * float(e @ e)
    size = 1.0 + float(np.abs(z).sum() + np.abs(slope).sum() + np.abs(e).sum())
    tolerance = 16.0 * len(z) * UNIT * (1.0 + sum(c)) * size**2
    return Margin(lhs, rhs, tolerance, f"{type(domain).__name__} in {len(z)} dimensions")


def normalized(matrix: Array) -> Array:
    """A symmetric matrix of norm at most 1."""
    symmetric = matrix + matrix.T
    largest = np.abs(np.linalg.eigvalsh(symmetric)).max() * (1.0 + 1e-12)
    return np.asarray(symmetric / max(largest, 1e-300))


def steps(context: Context, c: tuple[float, float]) -> Iterator[Margin]:
    """Single steps on balls, boxes and simplices, from inside and from the boundary."""
    generator = generator_of(context, "eq_c38")
    for i in range(DRAWS[context.level]):
        n = int(generator.integers(1, 6))
        domain = (Ball(np.zeros(n), 1.0), Box(-np.ones(n), np.ones(n)), Simplices((n,)))[i % 3]
        size = 10.0 ** generator.uniform(-1.0, 1.0, 3)
        z = domain.project(size[0] * generator.normal(size=n))
        curvature = normalized(generator.normal(size=(n, n)))
        slope, e = size[1] * generator.normal(size=n), size[2] * generator.normal(size=n)
        yield margin(domain, curvature, z, slope, e, c)


def of_course(course: Course, c: tuple[float, float]) -> Iterator[Margin]:
    """The steps of a run of PBRL but the last, after which F is not recorded."""
    G, E = (np.diff(part, axis=0, prepend=0.0)[:-1] for part in (course.G, course.E))
    tolerance = (1.0 + c[1]) * course.rounding[:-1] + c[0] * course.objective_rounding
    yield from worst(course, G, c[0] * course.falls + c[1] * E, tolerance)


def trials(context: Context, c: tuple[float, float]) -> Iterator[Margin]:
    """Single steps, and steps of PBRL."""
    yield from steps(context, c)
    for game in (False, True):
        for course in courses(context, game=game):
            yield from of_course(course, c)


def climbs(context: Context, c: tuple[float, float]) -> Iterator[Margin]:
    """Climbs on the ratio in a box."""

    def climbed(x: Array) -> Margin:
        box = Box(-np.ones(2), np.ones(2))
        curvature = normalized(np.array([[x[0], x[1]], [0.0, x[2]]]))
        z = np.array([2.0 * unit(x[3]) - 1.0, 2.0 * unit(x[4]) - 1.0])
        return margin(box, curvature, z, x[5:7], x[7:9], c)

    yield from adversary(context, "eq_c38", 9, climbed)


def printed_trials(context: Context) -> Iterator[Margin]:
    """8 and 10."""
    yield from trials(context, PRINTED)


def proved_trials(context: Context) -> Iterator[Margin]:
    """2 and 1."""
    yield from trials(context, PROVED)
    yield from climbs(context, PROVED)


def less_fall(context: Context) -> Iterator[Margin]:
    """1.98 in place of 2."""
    yield from trials(context, (1.98, 1.0))


def less_error(context: Context) -> Iterator[Margin]:
    """0.99 in place of 1."""
    yield from trials(context, (2.0, 0.99))


CLAIM = Claim(
    number="(C.37)-(C.38)",
    title="descent of one step",
    premise="F smooth with constant L on a closed convex set; alpha <= 1 / L; any error of the gradient",
    printed=Form(
        words="The squared projected gradient is at most 8 times the fall of F over alpha, plus 10 "
        "times the squared error.",
        formula=r"\|G_k\|^2\le\frac8\alpha\bigl(F(z_k)-F(z_{k+1})\bigr)+10\|e_k\|^2",
        trials=printed_trials,
        proofs=(
            Proof("(C.34)-(C.37)", descent.paper_descent),
            Proof("(C.38)", descent.paper_triangle),
            Proof("their combination", descent.paper_step),
        ),
        textbook=(
            facts.SMOOTH,
            facts.PROJECTION,
        ),
    ),
    proved=Form(
        words="The squared projected gradient is at most twice the fall of F over alpha, plus the "
        "squared error; neither constant can be smaller.",
        formula=r"\|G_k\|^2\le\frac2\alpha\bigl(F(z_k)-F(z_{k+1})\bigr)+\|e_k\|^2",
        trials=proved_trials,
        proofs=(Proof("an identity of inner products", descent.one_step),),
        textbook=(
            facts.SMOOTH,
            facts.PROJECTION,
        ),
    ),
    faults=(
        Fault("less_fall", "2 is replaced by 1.98", less_fall),
        Fault("less_error", "1 is replaced by 0.99", less_error),
    ),
    remark="The chain is right. (C.36) has an equality where it says <=, which is harmless.",
    tried="Balls, boxes, simplices, indefinite F, errors of any size, climbs in nine numbers, and "
    "flips: the chain holds with much to spare.",
)
