r"""The loss of reward shaping (2.6) from samples: the policy is judged by the original task.

::

    f(pi) = -V_M^{pi}(rho),     M the original task with its own regularisation

f does not depend on x.
"""

from collections.abc import Sequence

from torch import Tensor

from sampled.expectations import Expectation, Term, combined
from sampled.objectives.contract import Objective
from sampled.problems import RewardShaping
from sampled.processes import task_process


def terms(
    problem: RewardShaping,
    x: Tensor,  # noqa: ARG001 - the contract's signature
    policies: Sequence[Tensor],
) -> tuple[Term, ...]:
    """The value, negative."""
    return ((-1.0, task_process(problem.original, policies)),)


def original_loss(
    problem: RewardShaping,
    x: Tensor,
    policies: Sequence[Tensor],
    mean: Expectation,
) -> Tensor:
    """Estimate minus the value of a policy in the original task.

    Parameters
    ----------
    problem : RewardShaping
    x : (P, *shape) or (1, *shape)
    policies : one of (P, S, A)
    mean : Expectation

    Returns
    -------
    (P,)

    Raises
    ------
    InputError
        If the policy does not fit the task.
    """
    return combined(terms(problem, x, policies), mean)


OBJECTIVE = Objective[RewardShaping]("reward-shaping", "(2.6)", original_loss, terms)
