r"""Contextual problems and others whose smoothness is known, for runs of PBRL.

In *contextual* problems the transitions depend neither on the actions nor on x, and the
rewards are linear in x.  With h(p) = |p|^2 / 2, w(s) the expected visits from rho (value penalty,
Nikaido-Isoda function) or rho itself (Bellman penalty)::

    p = sum_s w(s) [ max_q ( <q, r_x> - tau |q|^2 / 2 ) - <pi, r_x> + tau |pi|^2 / 2 ]

The maximiser q is 1/tau-Lipschitz in r_x.  Let m(s) be the operator norm of the features (d, A) of
state s.  Then::

    |d grad_x p|      <=  sum_s w(s) m(s) ( m(s) |dx| / tau + |dpi_s| )
    |d grad_pi_s p|   <=  w(s) ( m(s) |dx| + tau |dpi_s| )

so the largest eigenvalue of the symmetric matrix of these constants bounds the constant of grad p.

In games, per state, let R bound the operator norm of r_x (A, B) over X, m1 that of the features
(d, A) when player 2 plays b, over b, and m2 that of (d, B) when player 1 plays a.  The best response
of player 1 is Lipschitz with m1 / tau in x and R / tau in pi_2, so that for the first half of psi ::

    |d grad_x|      <=  (m1^2 / tau) |dx| + (m1 R / tau + m2) |dpi_2|
    |d grad_pi_2|   <=  (m1 R / tau + m2) |dx| + (R^2 / tau + tau) |dpi_2|

and the same with the players exchanged for the second half.
"""

from itertools import product
from typing import Any

import numpy as np

from reference.algorithms.bilevel import Bilevel
from reference.algorithms.contract import Constant
from reference.algorithms.oracles import Oracle
from reference.algorithms.pbrl import Estimator, Pbrl, plug_in
from reference.constants import (
    bellman_penalty_smoothness,
    bounds,
    nikaido_isoda_smoothness,
    value_penalty_smoothness,
)
from reference.domains import Box
from reference.objectives.contract import Objective
from reference.penalties import bellman, nikaido_isoda, value
from reference.penalties.contract import Penalty
from reference.policies import DirectPolicy
from reference.problems.mdp import MdpFamily
from reference.problems.parametrizations import FixedKernel, LinearReward, SoftmaxKernel
from reference.problems.zero_sum_game import GameFamily
from reference.regularizers import Quadratic
from reference.validation import Array
from verify.claims.trials.instances import sparse
from verify.claims.trials.runs import Setup
from verify.claims.trials.separable import quadratic
from verify.crosscheck.tolerances import UNIT


def _chain(generator: np.random.Generator, batch: int, n_states: int) -> tuple[Array, float, Array]:
    """Transitions (B, S, S) without actions, gamma, and an uneven start distribution (B, S)."""
    gamma = float(generator.choice([0.0, 0.5, 0.9]))
    P_st = sparse(generator, (batch, n_states, n_states), float(generator.choice([0.05, 1.0])))
    rho_s = 0.99 * sparse(generator, (batch, n_states), 0.7) + 0.01 / n_states
    return P_st, gamma, np.asarray(rho_s / rho_s.sum(axis=-1, keepdims=True))


def _visits(P_st: Array, gamma: float, rho_s: Array) -> Array:
    system = np.eye(P_st.shape[-1]) - gamma * np.swapaxes(P_st, -1, -2)
    return np.asarray(np.linalg.solve(system, rho_s[..., None])[..., 0])


def _largest(blocks: Array) -> float:
    """Largest eigenvalue over a batch of symmetric matrices."""
    return float(np.linalg.eigvalsh(blocks)[..., -1].max())


def _rounding(gamma: float, n: int, reward: float, feature: float, tau: float, strength: float) -> float:
    """Bound on the rounding of F_lambda and its gradients, from `verify.crosscheck.tolerances`.

    A row of an optimal policy errs by the error of V* over tau, which enters visits and values once.
    """
    horizon = 1.0 / (1.0 - gamma)
    relative = UNIT * (16 * n + 32) * horizon
    row = n * relative * (1.0 + horizon * reward / tau)
    slopes = n * (horizon * (reward + tau) + horizon * feature)
    return 4.0 * (1.0 + strength) * horizon**2 * (relative + row) * (1.0 + slopes)


def _upper(
    generator: np.random.Generator, batch: int, box: Box, shapes: tuple[tuple[int, int], ...]
) -> tuple[Objective[Any], Array, float]:
    """A random f, its infimum (B,) and the constant of its gradient."""
    d = box.shape[0]
    a, b = generator.normal(size=(batch, d)), generator.normal(size=(batch, d))
    weights = tuple(generator.normal(size=(batch, *shape)) for shape in shapes)
    objective, lowest = quadratic(a, b, weights, box)
    return objective, lowest, float(np.abs(a).max())


def contextual_mdp(
    generator: np.random.Generator,
    batch: int,
    penalty: Penalty[Any],
    oracle: Oracle,
    estimator: Estimator = plug_in,
) -> Setup:
    """Random contextual MDPs with alpha = 1 / L, one L for the batch."""
    n_states, n_actions, d = (int(k) for k in generator.integers([1, 2, 1], [4, 5, 4]))
    P_st, gamma, rho_s = _chain(generator, batch, n_states)
    tau, strength = (float(generator.choice(c)) for c in ([0.1, 0.5, 2.0], [0.3, 1.0, 5.0]))
    box = Box(-generator.uniform(0.1, 2.0, d), generator.uniform(0.1, 2.0, d))
    features = generator.normal(size=(batch, d, n_states, n_actions))
    offset = generator.normal(size=(batch, n_states, n_actions))
    P_sat = np.repeat(P_st[:, :, None, :], n_actions, axis=2)
    reward = LinearReward(features, offset, box, batch_axes=1)
    family = MdpFamily(reward, FixedKernel(P_sat), gamma, rho_s, tau, Quadratic())
    objective, lowest, upper_constant = _upper(generator, batch, box, ((n_states, n_actions),))

    w_s = rho_s if penalty is bellman.PENALTY else _visits(P_st, gamma, rho_s)
    m_s = np.linalg.norm(np.moveaxis(features, 1, 2), ord=2, axis=(-2, -1))
    blocks = np.zeros((batch, n_states + 1, n_states + 1))
    blocks[:, 0, 0] = (w_s * m_s**2).sum(axis=-1) / tau
    blocks[:, 0, 1:] = blocks[:, 1:, 0] = w_s * m_s
    blocks[:, range(1, n_states + 1), range(1, n_states + 1)] = tau * w_s
    smoothness = upper_constant + strength * _largest(blocks)

    bilevel = Bilevel[Any](family, objective, (DirectPolicy((n_states, n_actions)),))
    steps = Constant(1.0 / (smoothness * (1.0 + 1e-12)))
    algorithm = Pbrl[Any](bilevel, penalty, (oracle,), steps, Constant(strength), estimator)
    x = generator.uniform(box.low, box.high, (batch, d))
    y = sparse(generator, (batch, n_states, n_actions), float(generator.choice([0.01, 1.0])))
    largest = float(np.abs(offset).max()) + 2.0 * d * float(np.abs(features).max()) + tau
    n = n_states * n_actions
    rounding = _rounding(gamma, n, largest, d * float(np.abs(features).max()), tau, strength)
    name = f"{penalty.name} penalty, S = {n_states}, A = {n_actions}, gamma = {gamma:g}, tau = {tau:g}"
    return Setup(name, algorithm, algorithm.start(x, (y,)), lowest, smoothness, rounding)


def contextual_game(generator: np.random.Generator, batch: int, oracles: tuple[Oracle, Oracle]) -> Setup:
    """Random contextual games with alpha = 1 / L, one L for the batch."""
    n_states, n, m, d = (int(k) for k in generator.integers([1, 1, 1, 1], [3, 4, 4, 3]))
    P_st, gamma, rho_s = _chain(generator, batch, n_states)
    tau, strength = (float(generator.choice(c)) for c in ([0.3, 1.0, 3.0], [0.3, 1.0, 5.0]))
    box = Box(-generator.uniform(0.1, 1.0, d), generator.uniform(0.1, 1.0, d))
    features = generator.normal(size=(batch, d, n_states, n, m))
    offset = generator.normal(size=(batch, n_states, n, m))
    P_sat = np.repeat(P_st[:, :, None, :], n * m, axis=2)
    reward = LinearReward(features, offset, box, batch_axes=1)
    family = GameFamily(reward, FixedKernel(P_sat), gamma, rho_s, tau, Quadratic(), Quadratic())
    objective, lowest, upper_constant = _upper(generator, batch, box, ((n_states, n), (n_states, m)))

    corners = np.array(list(product(*zip(box.low, box.high, strict=True))))
    rewards = offset[:, None] + np.einsum("cd,zdsab->zcsab", corners, features)
    R_s = np.linalg.norm(rewards, ord=2, axis=(-2, -1)).max(axis=1)
    m1_s = np.linalg.norm(np.einsum("zdsab->zsbad", features), ord=2, axis=(-2, -1)).max(axis=-1)
    m2_s = np.linalg.norm(np.einsum("zdsab->zsabd", features), ord=2, axis=(-2, -1)).max(axis=-1)
    w_s = _visits(P_st, gamma, rho_s)
    first, second = slice(1, n_states + 1), slice(n_states + 1, 2 * n_states + 1)
    blocks = np.zeros((batch, 2 * n_states + 1, 2 * n_states + 1))
    blocks[:, 0, 0] = (w_s * (m1_s**2 + m2_s**2)).sum(axis=-1) / tau
    blocks[:, 0, second] = blocks[:, second, 0] = w_s * (m1_s * R_s / tau + m2_s)
    blocks[:, 0, first] = blocks[:, first, 0] = w_s * (m2_s * R_s / tau + m1_s)
    diagonal = range(1, 2 * n_states + 1)
    blocks[:, diagonal, diagonal] = np.tile(w_s * (R_s**2 / tau + tau), 2)
    smoothness = upper_constant + strength * _largest(blocks)

    bilevel = Bilevel[Any](family, objective, (DirectPolicy((n_states, n)), DirectPolicy((n_states, m))))
    steps = Constant(1.0 / (smoothness * (1.0 + 1e-12)))
    algorithm = Pbrl[Any](bilevel, nikaido_isoda.PENALTY, oracles, steps, Constant(strength))
    x = generator.uniform(box.low, box.high, (batch, d))
    sharpness = float(generator.choice([0.01, 1.0]))
    y = tuple(sparse(generator, (batch, n_states, k), sharpness) for k in (n, m))
    largest = float(np.abs(offset).max()) + d * float(np.abs(features).max()) + tau
    size, slope = n_states * n * m, d * float(np.abs(features).max())
    rounding = _rounding(gamma, size, largest, slope, tau, strength)
    name = f"game, S = {n_states}, A = {n}, B = {m}, gamma = {gamma:g}, tau = {tau:g}"
    return Setup(name, algorithm, algorithm.start(x, y), lowest, smoothness, rounding)


# Problems in general position, with the constants of `reference.constants`.


def general(generator: np.random.Generator, penalty: Penalty[Any], oracles: tuple[Oracle, ...]) -> Setup:
    """One problem whose rewards and transitions depend on x and on the actions; alpha = 1 / L."""
    game = penalty is nikaido_isoda.PENALTY
    n_states, d = 3, 2
    actions = (2, 3) if game else (2,)
    shape, joint = (n_states, *actions), int(np.prod(actions))
    gamma, tau = float(generator.choice([0.1, 0.5])), float(generator.choice([0.5, 2.0]))
    strength = float(generator.choice([0.3, 1.0, 5.0]))
    box = Box(np.array([-0.2, -0.5]), np.array([0.7, 0.3]))
    features, offset = generator.normal(size=(d, *shape)), generator.normal(size=shape)
    logits = generator.normal(size=(n_states, joint, n_states))
    tilts = 0.3 * generator.normal(size=(d, *logits.shape))
    rho_s = sparse(generator, (n_states,), 2.0)
    h = Quadratic()

    def family(lead: tuple[int, ...]) -> MdpFamily | GameFamily:
        reward = LinearReward(
            features.reshape(*lead, *features.shape), offset.reshape(*lead, *shape), box, len(lead)
        )
        kernel = SoftmaxKernel(
            logits.reshape(*lead, *logits.shape), tilts.reshape(*lead, *tilts.shape), box
        )
        start_s = rho_s.reshape(*lead, n_states)
        if game:
            return GameFamily(reward, kernel, gamma, start_s, tau, h, h)
        return MdpFamily(reward, kernel, gamma, start_s, tau, h)

    given = bounds(family(()))
    constant = {
        value.PENALTY.name: value_penalty_smoothness,
        bellman.PENALTY.name: bellman_penalty_smoothness,
        nikaido_isoda.PENALTY.name: nikaido_isoda_smoothness,
    }[penalty.name]
    objective, lowest, upper_constant = _upper(generator, 1, box, tuple((n_states, n) for n in actions))
    smoothness = upper_constant + strength * constant(given)
    maps = tuple(DirectPolicy((n_states, n)) for n in actions)
    bilevel = Bilevel[Any](family((1,)), objective, maps)
    steps = Constant(1.0 / (smoothness * (1.0 + 1e-12)))
    algorithm = Pbrl[Any](bilevel, penalty, oracles, steps, Constant(strength))
    x = generator.uniform(box.low, box.high, (1, d))
    y = tuple(sparse(generator, (1, n_states, n), 0.5) for n in actions)
    size = float(np.abs(features).max())
    largest = float(np.abs(offset).max()) + d * size + tau
    # Transitions that depend on x weigh values like rewards.
    slope = d * (size + float(np.abs(tilts).max()) * largest / (1.0 - gamma))
    rounding = _rounding(gamma, n_states * joint, largest, slope, tau, strength)
    name = f"{penalty.name} in general position, gamma = {gamma:g}, tau = {tau:g}"
    return Setup(name, algorithm, algorithm.start(x, y), lowest, smoothness, rounding)
