"""The loss of reward shaping (2.6): the original return, and its gradient in the policy."""

from reference.evaluation import evaluate
from reference.objectives.reward_shaping import OBJECTIVE
from reference.problems.reward_shaping import RewardShaping
from verify.crosscheck.quantity import Case, Measured, Quantity
from verify.crosscheck.tolerances import policy_gradient_tolerance, scale_of
from verify.oracles import definitions as primitive
from verify.oracles.arithmetic import Arithmetic, Native
from verify.oracles.route import Point, Variable


def _measured_value(case: Case[RewardShaping]) -> Measured:
    problem, (pi_sa,) = case.problem, case.point.policies
    found = OBJECTIVE.evaluate(problem, case.point.x, (pi_sa,))
    return Measured.of(found.value, scale_of(evaluate(problem.original, pi_sa)).value_error)


def _measured_grad_pi(case: Case[RewardShaping]) -> Measured:
    problem, (pi_sa,) = case.problem, case.point.policies
    own = evaluate(problem.original, pi_sa)
    h_sa = own.mdp.regularizer.gradient(pi_sa)
    slope_sa = own.q_sa - own.mdp.tau * h_sa
    found = OBJECTIVE.evaluate(problem, case.point.x, (pi_sa,))
    return Measured.of(found.grad_policies[0], policy_gradient_tolerance(own, slope_sa, h_sa))


def _define(case: Case[RewardShaping], number: Arithmetic, point: Point) -> Native:
    return primitive.shaping_loss(number, case.problem, point.policies[0])


QUANTITIES = (
    Quantity("value", "original return", "(2.6)", RewardShaping, _measured_value, _define),
    Quantity(
        "grad_pi",
        "its gradient in the policy",
        "(2.6)",
        RewardShaping,
        _measured_grad_pi,
        _define,
        Variable("policies", 0),
    ),
)
