r"""The loss of reward shaping (2.6): the policy is judged by the original task.

::

    f(pi) = -V_M^{pi}(rho),     grad_pi f = -grad_pi V_M^{pi}(rho)  (B.10),     grad_x f = 0
"""

import numpy as np

from reference.domains import member
from reference.evaluated import Evaluated
from reference.evaluation import evaluate, policy_gradient
from reference.objectives.contract import Objective
from reference.problems.reward_shaping import RewardShaping
from reference.validation import Array, instance, several


def original_loss(problem: RewardShaping, x: Array, pi_sa: Array) -> Evaluated:
    """Evaluate minus the value of a policy in the original MDP.

    Parameters
    ----------
    problem : RewardShaping
    x : (..., *problem.domain.shape)
    pi_sa : (..., S, A)

    Raises
    ------
    InputError
        If x is outside its domain or ``pi_sa`` is not a policy of the MDP's shape.
    """
    instance("problem", problem, RewardShaping)
    x = member("x", x, problem.domain)
    own = evaluate(problem.original, pi_sa)
    return Evaluated(-own.value, np.zeros_like(x), (-policy_gradient(own),))


def _evaluate(problem: RewardShaping, x: Array, policies: tuple[Array, ...]) -> Evaluated:
    (pi_sa,) = several("policies", policies, 1, "give one policy: (pi_sa,)")
    return original_loss(problem, x, pi_sa)


OBJECTIVE = Objective[RewardShaping]("reward-shaping", "(2.6)", _evaluate)
