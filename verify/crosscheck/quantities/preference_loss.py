"""The expected preference loss of RLHF (§2.2, (2.5)), and its gradients."""

import numpy as np

from reference.evaluated import Evaluated
from reference.objectives.rlhf import OBJECTIVE
from reference.problems.rlhf import Rlhf
from verify.crosscheck.quantity import Case, Measured, Quantity
from verify.crosscheck.tolerances import UNIT, derivative_bounds
from verify.oracles import definitions as primitive
from verify.oracles.arithmetic import Arithmetic, Native
from verify.oracles.route import Point, Variable

LARGEST = 3000
"""Segments above which listing every pair takes too long."""


def _listable(case: Case[Rlhf]) -> bool:
    problem = case.problem
    return bool(problem.r_true_sa.size**problem.segment_length <= LARGEST)


def _evaluated(case: Case[Rlhf]) -> tuple[Evaluated, float, float]:
    """The loss, a bound on one pair's loss, and the rounding of a mean over all pairs.

    A pair's loss is at most log 2 plus its margin, which is at most twice the segment's length times
    the largest reward.  The mean takes a product per step and a sum over segments.
    """
    problem = case.problem
    mdp = problem.at(case.point.x)
    length = problem.segment_length
    largest = np.log(2.0) + 2.0 * length * float(np.abs(mdp.r_sa).max())
    n_segments = mdp.r_sa.size**length
    operations = 2 * n_segments + (length + problem.delay) * (mdp.n_states + mdp.n_actions) + 64
    found = OBJECTIVE.evaluate(problem, case.point.x, case.point.policies)
    return found, largest, UNIT * operations


def _measured_value(case: Case[Rlhf]) -> Measured:
    found, largest, rounding = _evaluated(case)
    return Measured.of(found.value, rounding * largest)


def _measured_grad_x(case: Case[Rlhf]) -> Measured:
    found, _, rounding = _evaluated(case)
    slope_r, _ = derivative_bounds(case.problem)
    # The derivative of a pair's loss in its margin is at most one.
    mass = 2.0 * case.problem.segment_length
    return Measured.of(found.grad_x, 2.0 * rounding * mass * slope_r)


def _measured_grad_pi(case: Case[Rlhf]) -> Measured:
    found, largest, rounding = _evaluated(case)
    problem = case.problem
    # Each step of either segment, and of the delay, differentiates to a probability without one factor.
    smallest = float(case.point.policies[0].min())
    steps = 2.0 * (problem.segment_length + problem.delay)
    return Measured.of(found.grad_policies[0], 2.0 * rounding * largest * steps / smallest)


def _define(case: Case[Rlhf], number: Arithmetic, point: Point) -> Native:
    return primitive.preference_loss(number, case.problem, point.x, point.policies[0])


QUANTITIES = (
    Quantity("value", "preference loss", "§2.2", Rlhf, _measured_value, _define, premise=_listable),
    Quantity(
        "grad_x",
        "its gradient in x",
        "§2.2",
        Rlhf,
        _measured_grad_x,
        _define,
        Variable("x"),
        premise=_listable,
    ),
    Quantity(
        "grad_pi",
        "its gradient in the policy",
        "§2.2",
        Rlhf,
        _measured_grad_pi,
        _define,
        Variable("policies", 0),
        premise=_listable,
    ),
)
