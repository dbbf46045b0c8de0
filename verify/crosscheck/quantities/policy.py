"""Values, occupancies and gradients of one policy (Section 2.1, (B.9), (B.10), (C.1), (C.5))."""

import numpy as np

from reference.evaluation import (
    PolicyEvaluation,
    evaluate,
    parameter_policy_gradient,
    policy_gradient,
    q_gradient_x,
    value_gradient_x,
)
from reference.policies import SoftmaxPolicy
from verify.crosscheck.quantity import Case, Measured, Quantity, Single
from verify.crosscheck.tolerances import (
    UNIT,
    policy_gradient_tolerance,
    regularizer_gradient_tolerance,
    regularizer_tolerance,
    scale_of,
    x_gradient,
)
from verify.oracles import definitions as primitive
from verify.oracles.arithmetic import Arithmetic, Native
from verify.oracles.route import Point, Variable


def _evaluation(case: Case[Single]) -> PolicyEvaluation:
    return evaluate(case.problem.at(case.point.x), case.point.policies[0])


def _regularized(case: Case[Single]) -> bool:
    return case.problem.at(case.point.x).tau > 0.0


def _model(case: Case[Single], number: Arithmetic, point: Point) -> primitive.Model:
    return primitive.model(number, case.problem, point.x)


# Values.


def _measured_v(case: Case[Single]) -> Measured:
    found = _evaluation(case)
    return Measured.of(found.v_s, scale_of(found).value_error)


def _define_v(case: Case[Single], number: Arithmetic, point: Point) -> Native:
    return primitive.evaluate(number, _model(case, number, point), point.policies[0])


def _measured_q(case: Case[Single]) -> Measured:
    found = _evaluation(case)
    return Measured.of(found.q_sa, scale_of(found).q_error)


def _define_q(case: Case[Single], number: Arithmetic, point: Point) -> Native:
    m = _model(case, number, point)
    return primitive.backup(number, m, primitive.evaluate(number, m, point.policies[0]))


def _measured_advantage(case: Case[Single]) -> Measured:
    found = _evaluation(case)
    scale = scale_of(found)
    return Measured.of(found.advantage_sa, scale.q_error + scale.value_error)


def _define_advantage(case: Case[Single], number: Arithmetic, point: Point) -> Native:
    m, pi = _model(case, number, point), point.policies[0]
    v_s = primitive.evaluate(number, m, pi)
    own_s = v_s + primitive.charge(number, m, pi)
    return primitive.backup(number, m, v_s) - own_s[:, None]


# Occupancies: the probability of each state is the value of its indicator, so that the definition
# shares nothing with the adjoint solve.


def _measured_occupancy(case: Case[Single]) -> Measured:
    found = _evaluation(case)
    tolerance = (1.0 - found.mdp.gamma) * scale_of(found).visits_error(1.0)
    return Measured.of(found.occupancy(found.mdp.rho_s), tolerance)


def _measured_signed(case: Case[Single]) -> Measured:
    found = _evaluation(case)
    mass = float(np.abs(case.measure_s).sum())
    tolerance = (1.0 - found.mdp.gamma) * scale_of(found).visits_error(mass)
    return Measured.of(found.occupancy(case.measure_s), tolerance)


def _occupancy(case: Case[Single], number: Arithmetic, point: Point, start_s: Native) -> Native:
    m = _model(case, number, point)
    P_st = number.einsum("sa,sat->st", point.policies[0], m.P_sat)
    indicators = number.lift(np.eye(len(case.measure_s)))
    visits = number.einsum("s,st->t", start_s, number.solve(P_st, m.gamma, indicators))
    return (number.lift(1.0) - m.gamma) * visits


def _define_occupancy(case: Case[Single], number: Arithmetic, point: Point) -> Native:
    return _occupancy(case, number, point, _model(case, number, point).rho_s)


def _define_signed(case: Case[Single], number: Arithmetic, point: Point) -> Native:
    return _occupancy(case, number, point, number.lift(case.measure_s))


# Gradients of V(rho).


def _start_value(case: Case[Single], number: Arithmetic, point: Point) -> Native:
    m = _model(case, number, point)
    return (m.rho_s * primitive.evaluate(number, m, point.policies[0])).sum(-1)


def _measured_grad_pi(case: Case[Single]) -> Measured:
    found = _evaluation(case)
    h_sa = found.mdp.regularizer.gradient(found.pi_sa)
    slope_sa = found.q_sa - found.mdp.tau * h_sa
    return Measured.of(policy_gradient(found), policy_gradient_tolerance(found, slope_sa, h_sa))


def _measured_grad_y(case: Case[Single]) -> Measured:
    y = case.point.logits[0]
    softmax = SoftmaxPolicy(y.shape)
    found = evaluate(case.problem.at(case.point.x), softmax(y))
    h_sa = found.mdp.regularizer.gradient(found.pi_sa)
    slope_sa = found.q_sa - found.mdp.tau * h_sa
    inner = policy_gradient_tolerance(found, slope_sa, h_sa)
    # The pullback pi * (g - <pi, g>) averages, with a few more roundings of terms of its size.
    spread = (found.pi_sa * inner).sum(axis=-1, keepdims=True)
    size = np.abs(policy_gradient(found)).max(axis=-1, keepdims=True)
    extra = UNIT * (2 * found.mdp.n_actions + 8) * size
    gradient = parameter_policy_gradient(found, softmax, y)
    return Measured.of(gradient, found.pi_sa * (inner + spread + extra))


def _define_softmax(case: Case[Single], number: Arithmetic, point: Point) -> Native:
    m = _model(case, number, point)
    pi_sa = primitive.softmax(number, point.logits[0])
    return (m.rho_s * primitive.evaluate(number, m, pi_sa)).sum(-1)


def _measured_grad_x(case: Case[Single]) -> Measured:
    found = _evaluation(case)
    scale = scale_of(found)
    tolerance = x_gradient(
        case.problem,
        scale,
        mass=scale.horizon,
        mass_error=scale.visits_error(1.0),
        value_error=scale.value_error,
    )
    return Measured.of(value_gradient_x(case.problem, case.point.x, found), tolerance)


def _measured_q_grad_x(case: Case[Single]) -> Measured:
    found = _evaluation(case)
    scale = scale_of(found)
    mass = float(np.abs(case.weights_sa).sum())
    tolerance = x_gradient(
        case.problem,
        scale,
        mass=mass * scale.horizon,
        mass_error=scale.visits_error(mass),
        value_error=scale.value_error,
    )
    gradient = q_gradient_x(case.problem, case.point.x, found, case.weights_sa)
    return Measured.of(gradient, tolerance)


def _define_weighted_q(case: Case[Single], number: Arithmetic, point: Point) -> Native:
    m = _model(case, number, point)
    q_sa = primitive.backup(number, m, primitive.evaluate(number, m, point.policies[0]))
    return (number.lift(case.weights_sa) * q_sa).sum()


# The regulariser of a policy.


def _measured_h(case: Case[Single]) -> Measured:
    h, pi_sa = case.problem.at(case.point.x).regularizer, case.point.policies[0]
    return Measured.of(h.value(pi_sa), regularizer_tolerance(h, pi_sa.shape[1]))


def _define_h(case: Case[Single], number: Arithmetic, point: Point) -> Native:
    return primitive.bonus(number, _model(case, number, point).regularizer, point.policies[0])


def _measured_grad_h(case: Case[Single]) -> Measured:
    h, pi_sa = case.problem.at(case.point.x).regularizer, case.point.policies[0]
    return Measured.of(h.gradient(pi_sa), regularizer_gradient_tolerance(h, pi_sa))


def _define_sum_of_h(case: Case[Single], number: Arithmetic, point: Point) -> Native:
    return _define_h(case, number, point).sum(-1)


X, PI, Y = Variable("x"), Variable("policies", 0), Variable("logits", 0)

QUANTITIES = (
    Quantity("v", "state values", "(2.1)", Single, _measured_v, _define_v),
    Quantity("q", "action values", "(2.2)", Single, _measured_q, _define_q),
    Quantity("advantage", "advantages", "(B.6)", Single, _measured_advantage, _define_advantage),
    Quantity("occupancy", "occupancy from rho", "(B.9)", Single, _measured_occupancy, _define_occupancy),
    Quantity(
        "signed_occupancy",
        "occupancy from a signed measure",
        "Lemma 9",
        Single,
        _measured_signed,
        _define_signed,
    ),
    Quantity("grad_pi", "policy gradient", "(B.10)", Single, _measured_grad_pi, _start_value, PI),
    Quantity("grad_y", "softmax gradient", "(B.9)", Single, _measured_grad_y, _define_softmax, Y),
    Quantity("grad_x", "gradient of V in x", "(C.1), (C.5)", Single, _measured_grad_x, _start_value, X),
    Quantity(
        "q_grad_x",
        "weighted gradient of Q in x",
        "(C.10), (C.14)",
        Single,
        _measured_q_grad_x,
        _define_weighted_q,
        X,
    ),
    Quantity("h", "regulariser", "§2.1", Single, _measured_h, _define_h, premise=_regularized),
    Quantity(
        "grad_h",
        "gradient of the regulariser",
        "§2.1",
        Single,
        _measured_grad_h,
        _define_sum_of_h,
        PI,
        premise=_regularized,
    ),
)
