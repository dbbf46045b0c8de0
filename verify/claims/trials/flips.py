"""Runs of PBRL with one state: flips, which attain the bounds, and what fails without a premise."""

from typing import Any

import numpy as np
from flint import fmpq

from reference.algorithms.bilevel import Bilevel
from reference.algorithms.contract import Constant
from reference.algorithms.oracles import Exact, Oracle
from reference.algorithms.pbrl import Pbrl
from reference.domains import Box
from reference.objectives.contract import Objective
from reference.penalties import nikaido_isoda, value
from reference.penalties.contract import Penalty
from reference.policies import DirectPolicy
from reference.problems.mdp import MdpFamily
from reference.problems.parametrizations import FixedKernel, LinearReward
from reference.problems.zero_sum_game import GameFamily
from reference.regularizers import NegativeEntropy, Quadratic, Regularizer
from reference.validation import Array
from verify.claims.trials.erring import Flipping, Tilted
from verify.claims.trials.runs import Setup
from verify.claims.trials.separable import quadratic, upper
from verify.crosscheck.tolerances import UNIT


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
