r"""Instances for trials: small MDPs where constants become tight, and a maximiser that looks for them.

Constants are tight at the corners: vertices of the simplices, one rare start state, gamma 0 or near
one, no regulariser or the quadratic one.  `corners` draws such MDPs; `adversary` climbs on the ratio
lhs / rhs from there.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from reference.problems.general_position import general_mdp
from reference.problems.hard_cases import hard_cases
from reference.problems.mdp import Mdp
from reference.regularizers import Quadratic
from reference.validation import Array
from verify.claims.contract import Margin
from verify.contract import Context, Level

DRAWS = {Level.QUICK: 60, Level.STANDARD: 600, Level.DEEP: 6000}
"""Random instances per claim."""

CLIMBS = {Level.QUICK: 1, Level.STANDARD: 6, Level.DEEP: 40}
"""Restarts of the adversary per claim."""


@dataclass(frozen=True, eq=False)
class Instance:
    """An MDP with a policy.

    Attributes
    ----------
    name : str
    mdp : Mdp
    pi_sa : (S, A)
    """

    name: str
    mdp: Mdp
    pi_sa: Array


def generator_of(context: Context, claim: str) -> np.random.Generator:
    """A generator of its own for each claim, so that claims can be run alone or together."""
    return np.random.default_rng([context.seed, *claim.encode()])


def sparse(generator: np.random.Generator, shape: tuple[int, ...], sharpness: float) -> Array:
    """Distributions over the last axis: uneven at sharpness 1, nearly vertices as it goes to 0."""
    rows = generator.dirichlet(np.full(shape[-1], sharpness), shape[:-1])
    return np.asarray(rows / rows.sum(axis=-1, keepdims=True))


def corner(generator: np.random.Generator) -> Instance:
    """One small MDP with a policy, near the corners of what is allowed."""
    n_states, n_actions = (int(k) for k in generator.integers(1, 5, 2))
    sharpness = float(10.0 ** generator.uniform(-2.5, 0.0))
    gamma = float(generator.choice([0.0, 0.3, 0.5, 0.9, 0.99]))
    tau = float(generator.choice([0.0, 0.01, 0.3, 2.0]))
    rewards = generator.choice([0.0, 1.0, -1.0, float(generator.normal())], (n_states, n_actions))
    start = 0.999 * sparse(generator, (n_states,), max(sharpness, 0.2)) + 0.001 / n_states
    mdp = Mdp(
        sparse(generator, (n_states, n_actions, n_states), sharpness),
        rewards,
        gamma,
        start / start.sum(),
        tau,
        Quadratic(),
    )
    name = f"S = {n_states}, A = {n_actions}, gamma = {gamma:g}, tau = {tau:g}"
    return Instance(name, mdp, sparse(generator, (n_states, n_actions), sharpness))


def corners(context: Context, claim: str) -> Iterator[Instance]:
    """Small MDPs near corners, some in general position, and the hard cases."""
    generator = generator_of(context, claim)
    for _ in range(DRAWS[context.level]):
        yield corner(generator)
    for _ in range(DRAWS[context.level] // 10):
        mdp = general_mdp(generator)
        yield Instance("general position", mdp, sparse(generator, mdp.r_sa.shape, 1.0))
    for name, mdp in hard_cases().items():
        yield Instance(name, mdp, sparse(generator, mdp.r_sa.shape, 1.0))


def adversary(
    context: Context,
    claim: str,
    dimension: int,
    margin: Callable[[Array], Margin],
) -> Iterator[Margin]:
    """Climb on lhs / rhs over R^dimension, and yield what each climb ends with.

    Parameters
    ----------
    context : Context
    claim : str
        Seeds the starts.
    dimension : int
    margin : callable
        Decodes a vector into an instance that meets the premises, and returns its margin.
    """
    generator = generator_of(context, f"{claim} adversary")

    def loss(z: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
        return -min(margin(z).ratio, 1e6)

    for _ in range(CLIMBS[context.level]):
        start = 2.0 * generator.standard_normal(dimension)
        found = minimize(
            loss,
            start,
            method="Nelder-Mead",
            options={"maxfev": 200 * dimension, "adaptive": True},
        )
        yield margin(np.asarray(found.x))


def simplex(z: Array) -> Array:
    """Decode numbers into distributions over the last axis; large numbers give vertices."""
    powers = np.exp(z - z.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def unit(z: float) -> float:
    """Decode a number into (0, 1)."""
    return float(1.0 / (1.0 + np.exp(-z)))
