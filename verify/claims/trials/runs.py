r"""Runs of PBRL whose premises are known, for Theorems 11 and 16 and the equations of their proofs.

A run gives, for each K and each member of a batch, with sums over k <= K::

    G = sum |G_k|^2     E = sum lambda^2 |grad^ p - grad p|^2     U = sum |z_{k+1} - z_k|^2 / alpha^2
    D = ( F(z_1) - inf f ) / alpha                                k = max(0, 20 E - U)

and k / K is the least accuracy eps_orac with which Assumption 3 (or 7) holds.

Smoothness.  In *contextual* problems the transitions depend neither on the actions nor on x, and the
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

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
from flint import fmpq

from reference.algorithms.bilevel import Bilevel
from reference.algorithms.contract import Constant, State, run
from reference.algorithms.oracles import Exact, MirrorDescent, Oracle
from reference.algorithms.pbrl import Estimator, Pbrl, exact_in_policies, plug_in
from reference.constants import (
    bellman_penalty_smoothness,
    bounds,
    nikaido_isoda_smoothness,
    value_penalty_smoothness,
)
from reference.domains import Box
from reference.evaluated import Evaluated
from reference.objectives.contract import Objective
from reference.optimality import policy_iteration
from reference.penalties import bellman, nikaido_isoda, value
from reference.penalties.contract import Penalty
from reference.policies import DirectPolicy
from reference.problems.mdp import Mdp, MdpFamily
from reference.problems.parametrizations import FixedKernel, LinearReward, SoftmaxKernel
from reference.problems.zero_sum_game import GameFamily
from reference.regularizers import NegativeEntropy, Quadratic, Regularizer
from reference.validation import Array
from verify.claims.contract import Margin
from verify.claims.trials.instances import generator_of, sparse
from verify.contract import Context, Level
from verify.crosscheck.tolerances import UNIT

RUNS = {Level.QUICK: 6, Level.STANDARD: 24, Level.DEEP: 300}
"""Random runs per statement, each of a batch of 16 problems."""

ITERATIONS = {Level.QUICK: 6, Level.STANDARD: 16, Level.DEEP: 60}
"""Their length K."""

GENERATIONS = {Level.QUICK: 2, Level.STANDARD: 12, Level.DEEP: 60}
"""Of the search for worse errors, with 64 members."""

SHARES = np.array([2.0 / 7.0, 0.5, 0.8, 0.9, 0.95, 1.0])
"""Of the flips; with 40 iterations the bound is attained up to 0.2% at 0.9."""


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


# Upper objectives.


def upper(
    value: Callable[[Array], Array], slope: Callable[[Array], Array], weights: tuple[Array, ...]
) -> Objective[Any]:
    """f(x, pi) = value(x) + sum_i <weights_i, pi_i>."""

    def evaluate(problem: object, x: Array, policies: tuple[Array, ...]) -> Evaluated:  # noqa: ARG001 - the contract's signature
        linear = sum((w * pi).sum(axis=(-2, -1)) for w, pi in zip(weights, policies, strict=True))
        gradients = tuple(np.broadcast_to(w, pi.shape) for w, pi in zip(weights, policies, strict=True))
        return Evaluated(np.asarray(value(x) + linear), slope(x), gradients)

    return Objective("separable", "-", evaluate)


def quadratic(a: Array, b: Array, weights: tuple[Array, ...], box: Box) -> tuple[Objective[Any], Array]:
    """f(x, pi) = sum_i a_i x_i^2 / 2 + b_i x_i + <weights, pi>, and its infimum; a of any sign."""

    def value(x: Array) -> Array:
        return np.asarray((a * x * x / 2.0 + b * x).sum(axis=-1))

    def slope(x: Array) -> Array:
        return np.asarray(a * x + b)

    inner = np.clip(-b / np.where(a > 0.0, a, 1.0), box.low, box.high)
    candidates = [np.broadcast_to(box.low, a.shape), np.broadcast_to(box.high, a.shape), inner]
    lowest = np.min([a * x * x / 2.0 + b * x for x in candidates], axis=0).sum(axis=-1)
    for w in weights:
        lowest = lowest + w.min(axis=-1).sum(axis=-1)
    return upper(value, slope, weights), np.asarray(lowest)


# Oracles.


@dataclass(frozen=True, eq=False)
class Tilted:
    """The optimal policy, mixed with a vertex: an oracle with a lasting bias.

    Attributes
    ----------
    share : (B,) or (1,)
        Weight of the first action.
    """

    share: Array

    def start(self, mdp: Mdp, pi_sa: Array) -> Array:  # noqa: ARG002 - the contract's signature
        """The policy."""
        return pi_sa

    def improve(self, mdp: Mdp, state: Array) -> Array:  # noqa: ARG002 - the contract's signature
        """Solve, and tilt."""
        best_sa = policy_iteration(mdp).unique_policy()
        share = self.share[:, None, None]
        return np.asarray((1.0 - share) * best_sa + share * np.eye(mdp.n_actions)[0])

    def policy(self, mdp: Mdp, state: Array) -> Array:  # noqa: ARG002 - the contract's signature
        """The state itself."""
        return state


@dataclass(frozen=True, eq=False)
class Flipping:
    """In `flip`: a policy that makes the error in x equal to share times x.

    The state is the policy, and a fourth entry that counts the iterations.

    Attributes
    ----------
    share : (K, B)
        The last one is kept.
    scale : float
        kappa of the problem.
    """

    share: Array
    scale: float

    def start(self, mdp: Mdp, pi_sa: Array) -> Array:  # noqa: ARG002 - the contract's signature
        """The policy, and zero."""
        return np.concatenate([pi_sa, np.zeros_like(pi_sa[..., :1])], axis=-1)

    def improve(self, mdp: Mdp, state: Array) -> Array:
        """Weigh the second or the third action by share |x| / kappa."""
        k = state[..., 0, 3]
        share = self.share[min(int(k[0]), len(self.share) - 1)]
        x = (mdp.r_sa[..., 0, 1] - mdp.r_sa[..., 0, 2]) / (2.0 * self.scale)
        weight = share * x / self.scale
        entries = [1.0 - np.abs(weight), np.maximum(weight, 0.0), np.maximum(-weight, 0.0), k + 1.0]
        return np.stack(entries, axis=-1)[..., None, :]

    def policy(self, mdp: Mdp, state: Array) -> Array:  # noqa: ARG002 - the contract's signature
        """The policy of the state."""
        return state[..., :3]


# Problems with one state.


def one_state(
    name: str,
    objective: Objective[Any],
    *,
    box: Box,
    offset_a: Array,
    feature_a: Array,
    start_x: Array,
    start_a: Array,
    tau: float,
    alpha: float,
    smoothness: float,
    oracle: Oracle,
    penalty: Penalty[Any] = value.PENALTY,
    regularizer: Regularizer | None = None,
    strength: float = 1.0,
) -> Setup:
    """gamma = 0, r_x = offset + x feature; f >= 0 with infimum 0; strength is lambda.

    With the Nikaido-Isoda function it becomes a game, in which player 2 has one action.
    """
    batch, n = len(start_x), len(offset_a)
    h: Regularizer = Quadratic() if regularizer is None else regularizer
    game = penalty is nikaido_isoda.PENALTY
    shape = (batch, 1, n, 1) if game else (batch, 1, n)
    features = np.broadcast_to(feature_a.reshape(shape[2:]), (batch, 1, *shape[1:]))
    offset = np.broadcast_to(offset_a.reshape(shape[2:]), shape)
    reward = LinearReward(features, offset, box, batch_axes=1)
    kernel, rho_s = FixedKernel(np.ones((batch, 1, n, 1))), np.ones((batch, 1))
    y: tuple[Array, ...] = (np.broadcast_to(start_a, (batch, 1, n)),)
    maps: tuple[DirectPolicy, ...] = (DirectPolicy((1, n)),)
    oracles: tuple[Oracle, ...] = (oracle,)
    problem: MdpFamily | GameFamily
    if game:
        problem = GameFamily(reward, kernel, 0.0, rho_s, tau, h, Quadratic())
        y, maps, oracles = (*y, np.ones((batch, 1, 1))), (*maps, DirectPolicy((1, 1))), (oracle, Exact())
    else:
        problem = MdpFamily(reward, kernel, 0.0, rho_s, tau, h)
    bilevel = Bilevel[Any](problem, objective, maps)
    algorithm = Pbrl[Any](bilevel, penalty, oracles, Constant(alpha), Constant(strength))
    slope = tau * float(np.abs(h.gradient(start_a)).max())
    largest = float(np.abs(offset_a).max()) + float(np.abs(feature_a).max()) + slope
    rounding = 16.0 * UNIT * (n + 4) * (strength * largest + float(np.abs(start_x).max()))
    state = algorithm.start(start_x[:, None], y)
    return Setup(name, algorithm, state, np.zeros(batch), smoothness, rounding)


def flip(
    share: Array, *, alpha: float = 1.0, kappa: float = 1e-5, penalty: Penalty[Any] = value.PENALTY
) -> Setup:
    """The tight family: f = x^2 / 2 and errors share times x, so that x -> -share x (times L).

    Three actions with r_x = (c, kappa x, -kappa x), X = [-kappa, kappa], and y at the first action,
    which is optimal for all x in X and where y stays.  So p = const - <y, r_x> + tau |y|^2 / 2 on X x Y:
    its gradient has the constant lmax [[0, m], [m, tau]], m = sqrt(2) kappa: at most 2 kappa for
    tau <= kappa.

    In the MDP c = 1, tau = kappa, and the constant L_v (2 + C_J / tau) printed in Lemma 10 is at most
    7 kappa.  In the game c = 2 kappa^2, tau = kappa^2, for the inexact gradient in player 2's only
    action errs by <pi^ - pi*, r_x>, which is then of smaller order than kappa.

    Parameters
    ----------
    share : (B,) or (K, B)
        For all iterations, or for each.
    alpha : float
        Times 1 / L, with L = 1 + 7 kappa.
    """
    game = penalty is nikaido_isoda.PENALTY
    top, tau = (2.0 * kappa**2, kappa**2) if game else (1.0, kappa)
    box = Box(np.array([-kappa]), np.array([kappa]))
    none = (np.zeros((1, 3)), np.zeros((1, 1)))
    objective, _ = quadratic(np.ones(1), np.zeros(1), none if game else none[:1], box)
    smoothness = 1.0 + 7.0 * kappa
    shares = "that vary" if share.ndim > 1 else np.array2string(share, precision=4)
    largest = np.abs(np.atleast_2d(share)).max(axis=0)
    return one_state(
        f"flips with shares {shares}, kappa = {kappa:g}, alpha L = {alpha:g}",
        objective,
        box=box,
        offset_a=np.array([top, 0.0, 0.0]),
        feature_a=np.array([0.0, kappa, -kappa]),
        start_x=kappa / np.maximum(1.0, largest),
        start_a=np.array([1.0, 0.0, 0.0]),
        tau=tau,
        alpha=alpha / smoothness,
        smoothness=smoothness,
        oracle=Flipping(np.atleast_2d(share), kappa),
        penalty=penalty,
    )


def flip_for_ever(theta: fmpq, penalty: Penalty[Any] = value.PENALTY) -> Setup:
    """Flips x -> -x that never end (but for kappa), at alpha L = theta."""
    step = float(theta.p) / float(theta.q)
    return flip(np.array([2.0 / step - 1.0]), alpha=step, penalty=penalty)


def rough_objective(penalty: Penalty[Any] = value.PENALTY, alpha: float = 0.5) -> Setup:
    """Assumption 5 fails: f = |x|^(3/2), one action; from (3 alpha / 4)^2 exact steps only flip x."""
    box = Box(np.array([-1.0]), np.array([1.0]))
    weights = (np.zeros((1, 1)), np.zeros((1, 1)))

    def f(x: Array) -> Array:
        return np.asarray((np.abs(x) ** 1.5).sum(axis=-1))

    def slope(x: Array) -> Array:
        return np.asarray(1.5 * np.sign(x) * np.sqrt(np.abs(x)))

    objective = upper(f, slope, weights if penalty is nikaido_isoda.PENALTY else weights[:1])
    start = np.array([(0.75 * alpha) ** 2])
    return one_state(
        "f = |x|^(3/2)",
        objective,
        box=box,
        offset_a=np.zeros(1),
        feature_a=np.zeros(1),
        start_x=start,
        start_a=np.ones(1),
        tau=1.0,
        alpha=alpha,
        smoothness=np.inf,
        oracle=Exact(),
        penalty=penalty,
    )


def rough_penalty(penalty: Penalty[Any] = value.PENALTY) -> Setup:
    """Assumption 4 (or 8) fails: negative entropy and direct policies, from near a vertex.

    The step is 1/16, below the inverse of the curvature wherever both probabilities exceed 1/16.
    """
    box = Box(np.array([-1.0]), np.array([1.0]))
    weights = (np.zeros((1, 2)), np.zeros((1, 1)))
    game = penalty is nikaido_isoda.PENALTY
    objective, _ = quadratic(np.zeros(1), np.zeros(1), weights if game else weights[:1], box)
    return one_state(
        "entropy near a vertex",
        objective,
        box=box,
        offset_a=np.zeros(2),
        feature_a=np.zeros(2),
        start_x=np.zeros(1),
        start_a=np.array([1e-15, 1.0 - 1e-15]),
        tau=1.0,
        alpha=1.0 / 16.0,
        smoothness=np.inf,
        oracle=Exact(),
        penalty=penalty,
        regularizer=NegativeEntropy(),
    )


def cold_start(strength: float) -> Setup:
    """r = 0, f = 0, tau = 1: from a vertex, |G_1|^2 = lambda^2 / 2; the printed L_p is 2."""
    box = Box(np.array([-1.0]), np.array([1.0]))
    objective, _ = quadratic(np.zeros(1), np.zeros(1), (np.zeros((1, 2)),), box)
    return one_state(
        f"start at a vertex, lambda = {strength:g}",
        objective,
        box=box,
        offset_a=np.zeros(2),
        feature_a=np.zeros(2),
        start_x=np.zeros(1),
        start_a=np.array([1.0, 0.0]),
        tau=1.0,
        alpha=0.5 / strength,
        smoothness=2.0 * strength,
        oracle=Exact(),
        strength=strength,
    )


def standstill(share: float) -> Setup:
    """The errors undo grad f, so that nothing moves: r_x = (x, -x), f = -share x, from (0, uniform).

    The optimal policy at x = 0 is uniform, the oracle errs by share / 2 along (1, -1), and the
    inexact gradient in x is zero.  (Of f only the gradient matters, and its infimum is not 0.)
    """
    box = Box(np.array([-1.0]), np.array([1.0]))
    objective, _ = quadratic(np.zeros(1), np.array([-share]), (np.zeros((1, 2)),), box)
    return one_state(
        f"errors that undo the gradient, share = {share:g}",
        objective,
        box=box,
        offset_a=np.zeros(2),
        feature_a=np.array([1.0, -1.0]),
        start_x=np.zeros(1),
        start_a=np.array([0.5, 0.5]),
        tau=1.0,
        alpha=0.25,
        smoothness=3.0,
        oracle=Tilted(np.array([share])),
    )


# Contextual problems.


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


# Runs for trials.


def _oracle(generator: np.random.Generator, kind: int) -> Oracle:
    """A real oracle that lags behind, a biased one, or an exact one."""
    if kind == 0:
        return MirrorDescent(float(generator.choice([0.1, 1.0, 10.0])), 1)
    if kind == 1:
        return Tilted(generator.uniform(0.0, 1.0, 1) ** 3)
    return Exact()


@lru_cache(maxsize=16)
def courses(context: Context, *, game: bool) -> tuple[Course, ...]:
    """Runs that meet the premises: the tight family, and random contextual problems."""
    generator = generator_of(context, "descent of games" if game else "descent of MDPs")
    setups = [flip(SHARES, penalty=nikaido_isoda.PENALTY if game else value.PENALTY)]
    lengths = [40]
    for i in range(RUNS[context.level]):
        if game:
            kinds = i % 3, i // 3 % 3
            oracles = tuple(_oracle(generator, kind) for kind in kinds)
            setups.append(contextual_game(generator, 16, (oracles[0], oracles[1])))
        else:
            penalty = bellman.PENALTY if i % 2 else value.PENALTY
            estimator = exact_in_policies if i % 4 == 3 else plug_in
            oracle = _oracle(generator, i // 2 % 3)
            setups.append(contextual_mdp(generator, 16, penalty, oracle, estimator))
        lengths.append(ITERATIONS[context.level])
        if i % 3 == 0:
            if game:
                setups.append(general(generator, nikaido_isoda.PENALTY, oracles))
            else:
                setups.append(general(generator, penalty, (oracle,)))
            lengths.append(ITERATIONS[context.level])
    return tuple(observed(s, n) for s, n in zip(setups, lengths, strict=True) if s.admissible)


def adverse(context: Context, *, game: bool, c1: float, c2: float) -> Iterator[Margin]:
    """Search for errors, one share per iteration, that bring the bound closest; see `flip`."""
    generator = generator_of(context, "adverse errors of games" if game else "adverse errors of MDPs")
    penalty = nikaido_isoda.PENALTY if game else value.PENALTY
    share = generator.uniform(-1.0, 1.0, (8, 64))
    for _ in range(GENERATIONS[context.level]):
        margins = list(bounded(observed(flip(share, penalty=penalty), 8), c1, c2))
        order = np.argsort([-margin.ratio for margin in margins])
        yield margins[order[0]]
        parents = share[:, order[:16]]
        moved = parents + generator.normal(0.0, 0.1, (3, 8, 16))
        share = np.clip(np.concatenate([parents, *moved], axis=1), -1.0, 1.0)
