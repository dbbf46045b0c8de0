r"""Tolerances from rounding: what float64 can promise for each kind of quantity.

With u the unit roundoff, kappa = 1 / (1 - gamma), R the largest one-step reward with regularisation,
and norms of a chain's resolvent M = (I - gamma P)^{-1} bounded by kappa (rows and, for measures,
columns)::

    one-step rewards and rows of P_pi    A + 4 operations each
    LU with partial pivoting             backward error 3 S u |L||U|, |L||U| <= 4 for these matrices
    value        u kappa ((A + 4) R + (A + 4 + 12 S) max|v|)
    visits       u kappa (A + 4 + 12 S) kappa |mu|_1                              (in the 1-norm)
    Q            gamma value + u (S + 2) (R + max|v|)

A gradient in x contracts weights w (1-norm |w|, error dw) with the derivative of the backup at v
(size max|v|, error dv), where |dr/dx_i| <= L_r and sum_t |dP/dx_i| <= L_P::

    |dw| (L_r + gamma L_P max|v|) + |w| gamma L_P dv + u (S + 8) |w| (L_r + gamma L_P max|v|)

At an optimum the certified error of V* and of the policy's rows enter to first order.
"""

from dataclasses import dataclass

import numpy as np

from reference.evaluation import JointEvaluation, PolicyEvaluation
from reference.optimality import Optimum
from reference.policies import DirectPolicy
from reference.problems.incentive_design import IncentiveDesign
from reference.problems.mdp import MdpFamily
from reference.problems.parametrizations import (
    BoundedIncentive,
    FixedReward,
    LinearReward,
    SoftmaxKernel,
)
from reference.problems.reward_shaping import RewardShaping
from reference.problems.rlhf import Rlhf
from reference.problems.stackelberg import StackelbergGame
from reference.problems.zero_sum_game import GameFamily
from reference.regularizers import Regularizer, Weighted
from reference.validation import Array
from verify.crosscheck.quantity import Pair, Single

UNIT = float(np.finfo(np.float64).eps) / 2.0


@dataclass(frozen=True)
class Scale:
    """Sizes that every tolerance is made of.

    Attributes
    ----------
    n_states, n_actions : int
    gamma : float
    reward : float
        Largest one-step reward with regularisation.
    value : float
        Largest |v|.
    """

    n_states: int
    n_actions: int
    gamma: float
    reward: float
    value: float

    @property
    def horizon(self) -> float:
        """kappa = 1 / (1 - gamma)."""
        return 1.0 / (1.0 - self.gamma)

    @property
    def solve(self) -> float:
        """Relative rounding of one solve, before the condition number."""
        return UNIT * (self.n_actions + 4 + 12 * self.n_states)

    @property
    def value_error(self) -> float:
        """Error of a computed value."""
        one_step = UNIT * (self.n_actions + 4) * self.reward
        return self.horizon * (one_step + self.solve * self.value)

    def visits_error(self, mass: float) -> float:
        """1-norm error of computed visits from a start measure of the given 1-norm."""
        return self.horizon * self.solve * self.horizon * mass

    @property
    def q_error(self) -> float:
        """Error of a computed Q."""
        rounding = UNIT * (self.n_states + 2) * (self.reward + self.value)
        return self.gamma * self.value_error + rounding


def scale_of(evaluation: PolicyEvaluation) -> Scale:
    """Sizes of a policy evaluation."""
    mdp = evaluation.mdp
    return Scale(
        mdp.n_states,
        mdp.n_actions,
        mdp.gamma,
        mdp.reward_bound,
        float(np.abs(evaluation.v_s).max()),
    )


def joint_scale(evaluation: JointEvaluation) -> Scale:
    """Sizes of the evaluation of a pair of policies; a joint action is one of A * B."""
    game = evaluation.game
    n_first, n_second = game.n_actions
    reward = (
        float(np.abs(game.r_sab).max())
        + game.tau * game.regularizer_1.bound(n_first)
        + game.tau * game.regularizer_2.bound(n_second)
    )
    value = float(np.abs(evaluation.v_s).max())
    return Scale(game.n_states, n_first * n_second, game.gamma, reward, value)


def derivative_bounds(problem: Single | Pair) -> tuple[float, float]:
    """L_r and L_P: bounds on |dr(s,a)/dx_i| and on sum_t |dP(t|s,a)/dx_i|."""
    match problem:
        case Rlhf():
            return derivative_bounds(problem.lower)  # type: ignore[arg-type]  # a family of these
        case RewardShaping():
            return derivative_bounds(problem.shaped)  # type: ignore[arg-type]  # a family of these
        case IncentiveDesign():
            return derivative_bounds(problem.game)  # type: ignore[arg-type]  # a family of these
        case StackelbergGame():
            mixing = 1.0 if isinstance(problem.leader, DirectPolicy) else 0.5
            return mixing * float(np.abs(problem.r_follower_sab).max()), mixing
        case MdpFamily() | GameFamily():
            kernel = problem.kernel
            moves = (
                2.0 * float(np.abs(kernel.features_isat).max())
                if isinstance(kernel, SoftmaxKernel)
                else 0.0
            )
            return _reward_slope(problem.reward), moves
    raise TypeError(f"no bounds for {type(problem).__name__}")


def _reward_slope(given: object) -> float:
    match given:
        case FixedReward():
            return 0.0
        case LinearReward():
            return float(np.abs(given.features_isa).max())
        case BoundedIncentive():
            return 0.25 * abs(given.scale)
    return 1.0


def x_gradient(
    problem: Single | Pair,
    scale: Scale,
    *,
    mass: float,
    mass_error: float,
    value_error: float,
) -> float:
    """Tolerance of every entry of a gradient in x; see the module's last formula."""
    slope_r, slope_P = derivative_bounds(problem)
    size = slope_r + scale.gamma * slope_P * scale.value
    rounding = UNIT * (scale.n_states + scale.n_actions + 8) * mass * size
    return mass_error * size + mass * scale.gamma * slope_P * value_error + rounding


def policy_gradient_tolerance(
    evaluation: PolicyEvaluation, slope_sa: Array, h_gradient_sa: Array
) -> Array:
    """Tolerance of visits times slope, entry by entry."""
    mdp, scale = evaluation.mdp, scale_of(evaluation)
    visits_s = evaluation.visits(mdp.rho_s)
    slope_error = scale.q_error + 4.0 * UNIT * mdp.tau * np.abs(h_gradient_sa)
    return np.asarray(scale.visits_error(1.0) * np.abs(slope_sa) + visits_s[:, None] * slope_error)


def regularizer_tolerance(h: Regularizer, n_actions: int) -> float:
    """Of h: A terms p log p and p log m, of which the bound of h exceeds each sum."""
    return float(UNIT * (n_actions + 8) * 2.0 * h.bound(n_actions))


def regularizer_gradient_tolerance(h: Regularizer, pi_sa: Array) -> Array:
    """Of grad h: 1 and logarithms, of p and of a reference, times a weight."""
    weight = float(h.weight_s.max()) if isinstance(h, Weighted) else 1.0
    logs_sa = np.abs(np.log(np.where(pi_sa > 0.0, pi_sa, 1.0)))
    return np.asarray(8.0 * UNIT * (weight * (1.0 + logs_sa) + h.bound(pi_sa.shape[-1])))


def maximiser_tolerance(h: Regularizer, q_sa: Array, tau: float) -> float:
    """Of argmax_p <p, q> - tau h(p): rounding of q / tau, exponentiated or projected."""
    n_actions = q_sa.shape[-1]
    least = float(h.weight_s.min()) if isinstance(h, Weighted) else 1.0
    scores = float(np.abs(q_sa).max()) / tau + h.bound(n_actions)
    return float(UNIT * (n_actions + 16 + 8.0 * scores / least))


def conjugate_tolerance(h: Regularizer, q_sa: Array, tau: float) -> float:
    """Of the maximum itself, which errors of the maximiser change to second order only."""
    n_actions = q_sa.shape[-1]
    weight = float(h.weight_s.max()) if isinstance(h, Weighted) else 1.0
    size = float(np.abs(q_sa).max()) + tau * (h.bound(n_actions) + weight * np.log(n_actions))
    return float(UNIT * (n_actions + 16) * 2.0 * size)


@dataclass(frozen=True)
class AtOptimum:
    """First-order effects of an inexact optimum.

    Attributes
    ----------
    scale : Scale
    row : float
        1-norm error of a row of the optimal policy.
    value : float
        Error of V of the computed optimal policy.
    """

    scale: Scale
    row: float
    value: float

    @property
    def visits(self) -> float:
        """1-norm error of the visits of the optimal policy, from a start measure of mass one."""
        moved = self.scale.horizon**2 * self.scale.gamma * self.row
        return self.scale.visits_error(1.0) + moved


def at_optimum(optimum: Optimum) -> AtOptimum:
    """Errors of quantities of the computed optimal policy."""
    mdp = optimum.mdp
    scale = Scale(
        mdp.n_states,
        mdp.n_actions,
        mdp.gamma,
        mdp.reward_bound,
        float(np.abs(optimum.v_s).max()),
    )
    error = float(np.max(optimum.error))
    row = 0.0 if mdp.tau == 0.0 else float(np.sqrt(mdp.n_actions) * np.max(optimum.policy_error))
    # A policy greedy for values with error e loses at most 2 gamma e / (1 - gamma).
    return AtOptimum(scale, row, scale.value_error + 2.0 * mdp.gamma * error * scale.horizon)
