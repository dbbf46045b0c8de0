r"""The designer's loss in incentive design (5.5), with the cost discounted.

The players' joint policy is run under the designer's transitions, from the players' start
distribution and with their discount::

    f(pi) = -V(rho),   V the value of (pi_1, pi_2) with reward r_id(s,a,b) - c(s) under P_id

    grad of f in pi_1(a|s) = -d(s) sum_b pi_2(b|s) Q(s,a,b)
    grad of f in pi_2(b|s) = -d(s) sum_a pi_1(a|s) Q(s,a,b)
    grad of f in x         = 0

with the action values Q and the discounted visits d of that process.
"""

import numpy as np

from reference.domains import member
from reference.evaluated import Evaluated
from reference.evaluation import evaluate_joint, joint_policy_gradients
from reference.objectives.contract import Objective
from reference.problems.incentive_design import IncentiveDesign
from reference.problems.zero_sum_game import ZeroSumGame
from reference.regularizers import Quadratic
from reference.validation import Array, instance, several


def designer_loss(problem: IncentiveDesign, x: Array, pi_sa: Array, pi_sb: Array) -> Evaluated:
    """Evaluate minus the designer's value of the players' joint policy.

    Parameters
    ----------
    problem : IncentiveDesign
    x : (..., *problem.domain.shape)
    pi_sa, pi_sb : (..., S, A) and (..., S, B)

    Raises
    ------
    InputError
        If x is outside its domain or an array is not a policy of the game's shape.
    """
    instance("problem", problem, IncentiveDesign)
    x = member("x", x, problem.domain)
    game = problem.at(x)
    designer = ZeroSumGame.unchecked(
        problem.P_design_sabt,
        problem.r_design_sab - problem.cost_s[..., None, None],
        game.gamma,
        game.rho_s,
        0.0,
        Quadratic(),
        Quadratic(),
    )
    own = evaluate_joint(designer, pi_sa, pi_sb)
    grad_sa, grad_sb = joint_policy_gradients(own, own.q_sab)
    return Evaluated(-own.value, np.zeros_like(x), (-grad_sa, -grad_sb))


def _evaluate(problem: IncentiveDesign, x: Array, policies: tuple[Array, ...]) -> Evaluated:
    pi_sa, pi_sb = several("policies", policies, 2, "give one per player: (pi_sa, pi_sb)")
    return designer_loss(problem, x, pi_sa, pi_sb)


OBJECTIVE = Objective[IncentiveDesign]("incentive-design", "(5.5)", _evaluate)
