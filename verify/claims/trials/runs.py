r"""Runs of PBRL whose premises are known, for Theorems 11 and 16 and the equations of their proofs.

A run gives, for each K and each member of a batch, with sums over k <= K::

    G = sum |G_k|^2     E = sum lambda^2 |grad^ p - grad p|^2     U = sum |z_{k+1} - z_k|^2 / alpha^2
    D = ( F(z_1) - inf f ) / alpha                                k = max(0, 20 E - U)

and k / K is the least accuracy eps_orac with which Assumption 3 (or 7) holds.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from reference.algorithms.contract import State, run
from reference.algorithms.pbrl import Pbrl
from reference.validation import Array
from verify.claims.contract import Margin
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


def observed(setup: Setup, iterations: int) -> Course:
    """Run PBRL and sum up; every quantity is recorded with exact companions."""
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
