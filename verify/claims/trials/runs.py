r"""Runs of PBRL whose premises are known, for Theorems 11 and 16 and the equations of their proofs.

A run gives, for each K and each member of a batch, with sums over k <= K::

    G = sum |G_k|^2     E = sum lambda^2 |grad^ p - grad p|^2     U = sum |z_{k+1} - z_k|^2 / alpha^2
    D = ( F(z_1) - inf f ) / alpha                                k = max(0, 20 E - U)

and k / K is the least accuracy eps_orac with which Assumption 3 (or 7) holds.

What the statements rely on besides, Assumptions 4, 5 and 8 with a valid step, is the upper half of
smoothness: for z, z' in Z, and with the constant L by which the step was chosen,

    F(z')  <=  F(z) + <grad F(z), z' - z> + (L / 2) |z' - z|^2.

Each run is held to it between its start and three points, in both directions: the next iterate, and
one far and one near.  So the values and the gradients belong together, and L is large enough there.
The near one is where an error of the gradient counts most: over a distance d it gains d times the error
against L d^2 / 2 and the rounding e of the two values, 2 e, so d = 2 sqrt(e / L).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from reference.algorithms.contract import State, run
from reference.algorithms.pbrl import Pbrl
from reference.errors import NotDifferentiableError
from reference.validation import Array
from verify.claims.contract import Margin, PremiseError
from verify.crosscheck.tolerances import UNIT


@dataclass(frozen=True, eq=False)
class Setup:
    """A run that is to be made, with what is known of it.

    Attributes
    ----------
    name : str
    algorithm : Pbrl
    state : State
        Where it starts; one batch axis (B,).
    lowest : (B,)
        inf f over Z.
    smoothness : float
        A proved constant of grad F_lambda for the batch; ``inf`` where Assumption 4, 5 or 8 fails.
    rounding : float
        Bound on the rounding of a computed F_lambda, and of its gradients in the norm.
    """

    name: str
    algorithm: Pbrl[Any]
    state: State
    lowest: Array
    smoothness: float
    rounding: float

    @property
    def alpha(self) -> float:
        """The step."""
        return self.algorithm.step_size(0)

    @property
    def admissible(self) -> bool:
        """Whether alpha <= 1 / L, the premise on the step; fails where there is no L."""
        return self.alpha * self.smoothness <= 1.0


@dataclass(frozen=True, eq=False)
class Course:
    """What was seen of a run, as sums over the iterations up to K; arrays (K, B).

    Attributes
    ----------
    setup : Setup
    G, E, U, D, k : (K, B)
    falls : (K - 1, B)
        Of single iterations: (F(z_k) - F(z_{k+1})) / alpha.
    rounding : (K, B)
        Bound on the rounding of each of G, 20 E and U.
    """

    setup: Setup
    G: Array
    E: Array
    U: Array
    D: Array
    k: Array
    falls: Array
    rounding: Array

    @property
    def objective_rounding(self) -> float:
        """Bound on the rounding of D and of a fall."""
        return 2.0 * self.setup.rounding / self.setup.alpha


def smooth(setup: Setup) -> None:
    """Hold F to the constant by which the step was chosen, if there is one.

    Raises
    ------
    PremiseError
        If F rises faster than the constant allows, beyond rounding, or is not differentiable on Z.
    """
    if not np.isfinite(setup.smoothness):
        return
    generator = np.random.default_rng(0)
    start = (setup.state.x, *setup.state.y)
    z = _in_domain(setup, start)
    others = _in_domain(setup, tuple(part + generator.normal(size=part.shape) for part in start))
    here = _penalized(setup, z)
    following = setup.algorithm.step(setup.state)
    near = 2.0 * np.sqrt(setup.rounding / setup.smoothness)
    for far in (_in_domain(setup, (following.x, *following.y)), others, _towards(z, others, near)):
        there = _penalized(setup, far)
        d = tuple(b - a for a, b in zip(z, far, strict=True))
        square = _inner(d, d)
        tolerance = 2.0 * setup.rounding * (1.0 + np.sqrt(square))
        allowed = 0.5 * setup.smoothness * square + tolerance
        for (before, slopes), (after, _), sign in ((here, there, 1.0), (there, here, -1.0)):
            rise = after - before - sign * _inner(slopes, d)
            if not np.all(rise <= allowed):
                raise PremiseError(
                    f"F is not smooth with {setup.smoothness:.6g} on {setup.name}: over a distance of "
                    f"{np.sqrt(square).max():.2g} it rises by up to {(rise - allowed).max():.3g} more"
                )


Point = tuple[Array, ...]
"""x, and the parameters of each policy."""


def _in_domain(setup: Setup, z: Point) -> Point:
    x, y = setup.algorithm.bilevel.projected(z[0], z[1:])
    return x, *y


def _towards(a: Point, b: Point, distance: float) -> Point:
    """The point at a distance from a on the way to b, or b; per member of the batch."""
    d = tuple(end - start for start, end in zip(a, b, strict=True))
    whole = np.sqrt(_inner(d, d))
    share = np.minimum(1.0, distance / np.where(whole > 0.0, whole, 1.0))
    return tuple(
        start + share.reshape(-1, *(1,) * (part.ndim - 1)) * part
        for start, part in zip(a, d, strict=True)
    )


def _inner(a: Point, b: Point) -> Array:
    """Inner products, per member of the batch."""
    products = [(p * q).reshape(len(p), -1).sum(axis=1) for p, q in zip(a, b, strict=True)]
    return np.asarray(np.sum(products, axis=0))


def _penalized(setup: Setup, z: Point) -> tuple[Array, Point]:
    """F with exact companions, and its gradient."""
    algorithm = setup.algorithm
    bilevel, (x, *parts) = algorithm.bilevel, z
    y = tuple(parts)
    policies = bilevel.policies(y)
    companions = algorithm.penalty.companions(bilevel.problem, x, policies)
    penalty = algorithm.penalty.evaluate(bilevel.problem, x, policies, companions)
    total = bilevel.evaluate(x, y) + algorithm.strength(0) * penalty
    try:
        return total.value, (total.grad_x, *bilevel.pulled_to_y(y, total.grad_policies))
    except NotDifferentiableError as error:
        raise PremiseError(f"F is not smooth on {setup.name}: {error}") from error


def observed(setup: Setup, iterations: int) -> Course:
    """Run PBRL and sum up; every quantity is recorded with exact companions.

    Raises
    ------
    PremiseError
        As :func:`smooth`.
    """
    smooth(setup)
    alpha, strength = setup.alpha, setup.algorithm.strength(0)
    records = run(setup.algorithm, setup.state, iterations, record_every=1).records
    gradients = np.stack([record.projected_gradient for record in records])
    errors = np.stack([strength * record.oracle_error for record in records])
    moves = np.stack([np.sqrt(record.movement) for record in records])
    objective = np.stack([record.penalized for record in records])
    G, E, U = (np.cumsum(part**2, axis=0) for part in (gradients, errors, moves))
    # Points are rounded to their last digits, which differences divided by alpha magnify.
    size = sum(float(np.max(np.abs(part))) * part[0].size for part in (setup.state.x, *setup.state.y))
    slip = 2.0 * setup.rounding + 8.0 * UNIT * (1.0 + size) / alpha
    sizes = gradients + 20.0 * errors + moves
    own = 2.0 * slip * sizes + 20.0 * slip**2 + 8.0 * UNIT * (G + 20.0 * E + U)
    D = np.broadcast_to((objective[0] - setup.lowest) / alpha, G.shape)
    falls = (objective[:-1] - objective[1:]) / alpha
    return Course(setup, G, E, U, D, np.maximum(0.0, 20.0 * E - U), falls, np.cumsum(own, axis=0))


def bounded(course: Course, c1: float | Array, c2: float) -> Iterator[Margin]:
    """The average of |G_k|^2 against c1 D / K + c2 eps_orac: per member of the batch, its worst K.

    c1 is one number, or one for each K, (K, 1).
    """
    counts = np.arange(1.0, len(course.G) + 1.0)[:, None]
    lhs, rhs = course.G / counts, (c1 * course.D + c2 * course.k) / counts
    tolerance = (1.0 + 2.0 * c2) * course.rounding + c1 * course.objective_rounding
    yield from worst(course, lhs, rhs, tolerance / counts)


def worst(course: Course, lhs: Array, rhs: Array, tolerance: Array) -> Iterator[Margin]:
    """Per member of the batch, the margin of the iteration where it is tightest."""
    ratio = np.where(lhs <= tolerance, 0.0, lhs / np.maximum(rhs, np.finfo(float).tiny))
    rank = np.where(lhs > rhs + tolerance, 1e6, 0.0) + ratio
    for member, i in enumerate(rank.argmax(axis=0)):
        where = f"{course.setup.name}, member {member}, K = {i + 1}"
        at = (i, member)
        yield Margin(float(lhs[at]), float(rhs[at]), float(tolerance[at]), where)
