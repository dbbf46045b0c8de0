"""The designer's loss (5.5) under its own transitions, and its gradients."""

import numpy as np

from reference.evaluated import Evaluated
from reference.objectives.incentive_design import OBJECTIVE
from reference.problems.incentive_design import IncentiveDesign
from verify.crosscheck.quantity import Case, Measured, Quantity
from verify.crosscheck.tolerances import Scale
from verify.oracles import definitions as primitive
from verify.oracles.arithmetic import Arithmetic, Native
from verify.oracles.route import Point, Variable


def _evaluated(case: Case[IncentiveDesign]) -> tuple[Evaluated, Scale]:
    """The loss with the sizes that bound its rounding: |v| <= R / (1 - gamma)."""
    problem = case.problem
    gamma = problem.at(case.point.x).gamma
    n_states, n_first, n_second = problem.r_design_sab.shape
    reward = float(np.abs(problem.r_design_sab).max() + np.abs(problem.cost_s).max())
    scale = Scale(n_states, n_first * n_second, gamma, reward, reward / (1.0 - gamma))
    return OBJECTIVE.evaluate(problem, case.point.x, case.point.policies), scale


def _measured_value(case: Case[IncentiveDesign]) -> Measured:
    found, scale = _evaluated(case)
    return Measured.of(found.value, scale.value_error)


def _measured_gradient(case: Case[IncentiveDesign], player: int) -> Measured:
    found, scale = _evaluated(case)
    size = scale.reward + scale.value
    tolerance = scale.visits_error(1.0) * size + scale.horizon * scale.q_error
    return Measured.of(found.grad_policies[player], tolerance)


def _measured_grad_1(case: Case[IncentiveDesign]) -> Measured:
    return _measured_gradient(case, 0)


def _measured_grad_2(case: Case[IncentiveDesign]) -> Measured:
    return _measured_gradient(case, 1)


def _define(case: Case[IncentiveDesign], number: Arithmetic, point: Point) -> Native:
    return primitive.design_loss(number, case.problem, *point.policies)


QUANTITIES = (
    Quantity("value", "designer's loss", "(5.5)", IncentiveDesign, _measured_value, _define),
    Quantity(
        "grad_pi1",
        "its gradient in player 1's policy",
        "(5.5)",
        IncentiveDesign,
        _measured_grad_1,
        _define,
        Variable("policies", 0),
    ),
    Quantity(
        "grad_pi2",
        "its gradient in player 2's policy",
        "(5.5)",
        IncentiveDesign,
        _measured_grad_2,
        _define,
        Variable("policies", 1),
    ),
)
