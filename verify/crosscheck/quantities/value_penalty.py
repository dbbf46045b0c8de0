"""The value penalty (3.2): value and gradients (Lemmas 6, 7), exact and inexact (C.29)."""

from reference.evaluation import evaluate
from reference.optimality import policy_iteration
from reference.penalties.value import PENALTY, value_penalty
from verify.crosscheck.quantity import Case, Measured, Quantity, Single
from verify.crosscheck.tolerances import (
    at_optimum,
    policy_gradient_tolerance,
    scale_of,
    x_gradient,
)
from verify.oracles import definitions as primitive
from verify.oracles.arithmetic import Arithmetic, Native
from verify.oracles.route import Point, Variable


def penalized(case: Case[Single]) -> bool:
    """Where the penalty is defined: rho > 0, and an optimum that is unique."""
    mdp = case.problem.at(case.point.x)
    return bool(mdp.tau > 0.0 and mdp.rho_s.min() > 0.0)


def _measured_value(case: Case[Single]) -> Measured:
    point = case.point
    found = PENALTY.exact(case.problem, point.x, point.policies)
    mdp = case.problem.at(point.x)
    best, own = at_optimum(policy_iteration(mdp)), scale_of(evaluate(mdp, point.policies[0]))
    return Measured.of(found.value, best.value + own.value_error)


def _measured_grad_x(case: Case[Single]) -> Measured:
    point = case.point
    found = PENALTY.exact(case.problem, point.x, point.policies)
    mdp = case.problem.at(point.x)
    best, own = at_optimum(policy_iteration(mdp)), scale_of(evaluate(mdp, point.policies[0]))
    horizon = own.horizon
    tolerance = x_gradient(
        case.problem,
        best.scale,
        mass=horizon,
        mass_error=best.visits + horizon * best.row,
        value_error=best.value,
    ) + x_gradient(
        case.problem,
        own,
        mass=horizon,
        mass_error=own.visits_error(1.0),
        value_error=own.value_error,
    )
    return Measured.of(found.grad_x, tolerance)


def _measured_grad_pi(case: Case[Single]) -> Measured:
    point = case.point
    found = PENALTY.exact(case.problem, point.x, point.policies)
    own = evaluate(case.problem.at(point.x), point.policies[0])
    h_sa = own.mdp.regularizer.gradient(own.pi_sa)
    slope_sa = own.q_sa - own.mdp.tau * h_sa
    return Measured.of(found.grad_policies[0], policy_gradient_tolerance(own, slope_sa, h_sa))


def _inexact_scales(case: Case[Single]) -> tuple[float, float]:
    """Tolerances of the value and of the gradient in x at an approximate companion."""
    mdp = case.problem.at(case.point.x)
    values, gradients = 0.0, 0.0
    for pi_sa in (case.point.policies[0], case.point.companions[0]):
        scale = scale_of(evaluate(mdp, pi_sa))
        values += scale.value_error
        gradients += x_gradient(
            case.problem,
            scale,
            mass=scale.horizon,
            mass_error=scale.visits_error(1.0),
            value_error=scale.value_error,
        )
    return values, gradients


def _measured_inexact_value(case: Case[Single]) -> Measured:
    point = case.point
    found = value_penalty(case.problem, point.x, point.policies[0], point.companions[0])
    return Measured.of(found.value, _inexact_scales(case)[0])


def _measured_inexact_grad_x(case: Case[Single]) -> Measured:
    point = case.point
    found = value_penalty(case.problem, point.x, point.policies[0], point.companions[0])
    return Measured.of(found.grad_x, _inexact_scales(case)[1])


def _define(case: Case[Single], number: Arithmetic, point: Point) -> Native:
    m = primitive.model(number, case.problem, point.x)
    best_s = primitive.optimal_values(number, m)
    return (m.rho_s * (best_s - primitive.evaluate(number, m, point.policies[0]))).sum(-1)


def _define_inexact(case: Case[Single], number: Arithmetic, point: Point) -> Native:
    m = primitive.model(number, case.problem, point.x)
    best_s = primitive.evaluate(number, m, point.companions[0])
    return (m.rho_s * (best_s - primitive.evaluate(number, m, point.policies[0]))).sum(-1)


X, PI = Variable("x"), Variable("policies", 0)

QUANTITIES = (
    Quantity(
        "value",
        "value penalty",
        "(3.2)",
        Single,
        _measured_value,
        _define,
        optimum=True,
        premise=penalized,
    ),
    Quantity(
        "grad_x",
        "its gradient in x",
        "Lemmas 6, 7",
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
        "§4.1",
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
        "(C.29)",
        Single,
        _measured_inexact_value,
        _define_inexact,
        premise=penalized,
    ),
    Quantity(
        "inexact_grad_x",
        "its inexact gradient in x",
        "(C.29)",
        Single,
        _measured_inexact_grad_x,
        _define_inexact,
        X,
        premise=penalized,
    ),
)
