"""Values and gradients of a pair of policies in a zero-sum game ((5.1), (5.2))."""

import numpy as np

from reference.evaluation import (
    JointEvaluation,
    evaluate_joint,
    joint_policy_gradients,
)
from verify.crosscheck.quantity import Case, Measured, Pair, Quantity
from verify.crosscheck.tolerances import UNIT, joint_scale
from verify.oracles import definitions as primitive
from verify.oracles.arithmetic import Arithmetic, Native
from verify.oracles.route import Point, Variable


def _evaluation(case: Case[Pair]) -> JointEvaluation:
    return evaluate_joint(case.problem.at(case.point.x), *case.point.policies)


def _measured_v(case: Case[Pair]) -> Measured:
    found = _evaluation(case)
    return Measured.of(found.v_s, joint_scale(found).value_error)


def _measured_q(case: Case[Pair]) -> Measured:
    found = _evaluation(case)
    return Measured.of(found.q_sab, joint_scale(found).q_error)


def _measured_gradient(case: Case[Pair], player: int) -> Measured:
    found = _evaluation(case)
    game, scale = found.game, joint_scale(found)
    gradient = joint_policy_gradients(found, found.q_sab)[player]
    h = (game.regularizer_1, game.regularizer_2)[player]
    visits_s = found.visits(game.rho_s)
    h_size = np.abs(h.gradient(case.point.policies[player]))
    slope_size = scale.reward + scale.value + game.tau * h_size
    rounding = scale.q_error + UNIT * (scale.n_actions + 8) * slope_size
    tolerance = scale.visits_error(1.0) * slope_size + visits_s[:, None] * rounding
    return Measured.of(gradient, tolerance)


def _measured_grad_1(case: Case[Pair]) -> Measured:
    return _measured_gradient(case, 0)


def _measured_grad_2(case: Case[Pair]) -> Measured:
    return _measured_gradient(case, 1)


def _define_v(case: Case[Pair], number: Arithmetic, point: Point) -> Native:
    g = primitive.game_model(number, case.problem, point.x)
    return primitive.joint_value(number, g, *point.policies)


def _define_q(case: Case[Pair], number: Arithmetic, point: Point) -> Native:
    g = primitive.game_model(number, case.problem, point.x)
    v_s = primitive.joint_value(number, g, *point.policies)
    return g.r_sab + g.gamma * number.einsum("sabt,t->sab", g.P_sabt, v_s)


def _define_start(case: Case[Pair], number: Arithmetic, point: Point) -> Native:
    g = primitive.game_model(number, case.problem, point.x)
    return (g.rho_s * primitive.joint_value(number, g, *point.policies)).sum(-1)


QUANTITIES = (
    Quantity("v", "values of a pair", "(5.1)", Pair, _measured_v, _define_v),
    Quantity("q", "action values of a pair", "(5.2)", Pair, _measured_q, _define_q),
    Quantity(
        "grad_pi1",
        "gradient in player 1's policy",
        "Lemma 13",
        Pair,
        _measured_grad_1,
        _define_start,
        Variable("policies", 0),
    ),
    Quantity(
        "grad_pi2",
        "gradient in player 2's policy",
        "Lemma 13",
        Pair,
        _measured_grad_2,
        _define_start,
        Variable("policies", 1),
    ),
)
