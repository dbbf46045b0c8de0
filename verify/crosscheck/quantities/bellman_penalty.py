"""The Bellman penalty (3.5)-(3.7): value and gradients (Lemmas 8, 9), exact and inexact (C.7)."""

import numpy as np

from reference.evaluation import evaluate
from reference.optimality import policy_iteration
from reference.penalties.bellman import PENALTY, bellman_penalty
from reference.validation import Array
from verify.crosscheck.quantity import Case, Measured, Quantity, Single
from verify.crosscheck.tolerances import UNIT, Scale, at_optimum, scale_of, x_gradient
from verify.oracles import definitions as primitive
from verify.oracles.arithmetic import Arithmetic, Native
from verify.oracles.route import Point, Variable


def penalized(case: Case[Single]) -> bool:
    """Where the penalty is defined: rho > 0, and an optimum that is unique."""
    mdp = case.problem.at(case.point.x)
    return bool(mdp.tau > 0.0 and mdp.rho_s.min() > 0.0)


def _gap_rounding(scale: Scale) -> float:
    """Rounding of E_rho of a difference of one-step values, given their Q."""
    size = scale.reward + scale.value
    return 2.0 * scale.q_error + UNIT * (scale.n_states + 4 * scale.n_actions + 8) * 4.0 * size


def _x_tolerance(
    case: Case[Single], scale: Scale, row: float, moved: float, value_error: float
) -> float:
    """Gradient in x with weights of mass 2 at the start and their visits from there."""
    return x_gradient(
        case.problem,
        scale,
        mass=2.0 * scale.horizon,
        mass_error=scale.visits_error(2.0) + 2.0 * moved + row * scale.horizon,
        value_error=value_error,
    )


def _measured_value(case: Case[Single]) -> Measured:
    point = case.point
    found = PENALTY.exact(case.problem, point.x, point.policies)
    best = at_optimum(policy_iteration(case.problem.at(point.x)))
    # The companion maximises the gap, so its error enters to second order; the first is a bound.
    size = best.scale.reward + best.scale.value
    return Measured.of(found.value, _gap_rounding(best.scale) + 2.0 * best.value + best.row * size)


def _measured_grad_x(case: Case[Single]) -> Measured:
    point = case.point
    found = PENALTY.exact(case.problem, point.x, point.policies)
    best = at_optimum(policy_iteration(case.problem.at(point.x)))
    tolerance = _x_tolerance(case, best.scale, best.row, best.visits, best.value)
    return Measured.of(found.grad_x, tolerance)


def _grad_pi_tolerance(case: Case[Single], scale: Scale, value_error: float) -> Array:
    mdp = case.problem.at(case.point.x)
    h_sa = mdp.regularizer.gradient(case.point.policies[0])
    error = scale.q_error + mdp.gamma * value_error + 4.0 * UNIT * mdp.tau * np.abs(h_sa)
    return np.asarray(mdp.rho_s[:, None] * (error + 2.0 * UNIT * (scale.reward + scale.value)))


def _measured_grad_pi(case: Case[Single]) -> Measured:
    point = case.point
    found = PENALTY.exact(case.problem, point.x, point.policies)
    best = at_optimum(policy_iteration(case.problem.at(point.x)))
    return Measured.of(found.grad_policies[0], _grad_pi_tolerance(case, best.scale, best.value))


def _inexact(case: Case[Single]) -> Scale:
    return scale_of(evaluate(case.problem.at(case.point.x), case.point.companions[0]))


def _measured_inexact_value(case: Case[Single]) -> Measured:
    point = case.point
    found = bellman_penalty(case.problem, point.x, point.policies[0], point.companions[0])
    return Measured.of(found.value, _gap_rounding(_inexact(case)))


def _measured_inexact_grad_x(case: Case[Single]) -> Measured:
    point = case.point
    found = bellman_penalty(case.problem, point.x, point.policies[0], point.companions[0])
    scale = _inexact(case)
    tolerance = _x_tolerance(case, scale, 0.0, scale.visits_error(1.0), scale.value_error)
    return Measured.of(found.grad_x, tolerance)


def _measured_inexact_grad_pi(case: Case[Single]) -> Measured:
    point = case.point
    found = bellman_penalty(case.problem, point.x, point.policies[0], point.companions[0])
    tolerance = _grad_pi_tolerance(case, _inexact(case), 0.0)
    return Measured.of(found.grad_policies[0], tolerance)


def _define(case: Case[Single], number: Arithmetic, point: Point) -> Native:
    m = primitive.model(number, case.problem, point.x)
    best_s = primitive.optimal_values(number, m)
    return _gap(number, m, point, primitive.backup(number, m, best_s), best_s)


def _define_inexact(case: Case[Single], number: Arithmetic, point: Point) -> Native:
    m, pi = primitive.model(number, case.problem, point.x), point.companions[0]
    best_s = primitive.evaluate(number, m, pi)
    return _gap(number, m, point, primitive.backup(number, m, best_s), best_s)


def _gap(number: Arithmetic, m: primitive.Model, point: Point, q_sa: Native, best_s: Native) -> Native:
    pi = point.policies[0]
    own_s = (pi * q_sa).sum(-1) - primitive.charge(number, m, pi)
    return (m.rho_s * (best_s - own_s)).sum(-1)


def _define_frozen(case: Case[Single], number: Arithmetic, point: Point) -> Native:
    """What (C.31) differentiates in x: both policies fixed, only Q of the companion moves."""
    m, pi = primitive.model(number, case.problem, point.x), point.companions[0]
    q_sa = primitive.backup(number, m, primitive.evaluate(number, m, pi))
    return (m.rho_s * ((pi - point.policies[0]) * q_sa).sum(-1)).sum(-1)


X, PI = Variable("x"), Variable("policies", 0)

QUANTITIES = (
    Quantity(
        "value",
        "Bellman penalty",
        "(3.5)",
        Single,
        _measured_value,
        _define,
        optimum=True,
        premise=penalized,
    ),
    Quantity(
        "grad_x",
        "its gradient in x",
        "Lemmas 8, 9",
        Single,
        _measured_grad_x,
        _define,
        X,
        True,
        premise=penalized,
    ),
    Quantity(
        "grad_pi",
        "its gradient in y",
        "(C.27)",
        Single,
        _measured_grad_pi,
        _define,
        PI,
        True,
        premise=penalized,
    ),
    Quantity(
        "inexact_value",
        "at an approximate companion",
        "C.7",
        Single,
        _measured_inexact_value,
        _define_inexact,
        premise=penalized,
    ),
    Quantity(
        "inexact_grad_x",
        "its inexact gradient in x",
        "(C.31)",
        Single,
        _measured_inexact_grad_x,
        _define_frozen,
        X,
        premise=penalized,
    ),
    Quantity(
        "inexact_grad_pi",
        "its inexact gradient in y",
        "C.7",
        Single,
        _measured_inexact_grad_pi,
        _define_inexact,
        PI,
        premise=penalized,
    ),
)
