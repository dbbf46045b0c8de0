"""The Nikaido-Isoda function (5.6): value and gradients (Lemma 13), exact and inexact (§5.3)."""

import numpy as np

from reference.evaluation import JointEvaluation, evaluate_joint
from reference.optimality import Optimum, policy_iteration
from reference.penalties.nikaido_isoda import PENALTY, nikaido_isoda
from verify.crosscheck.quantity import Case, Measured, Pair, Quantity
from verify.crosscheck.tolerances import (
    UNIT,
    AtOptimum,
    at_optimum,
    joint_scale,
    x_gradient,
)
from verify.oracles import definitions as primitive
from verify.oracles.arithmetic import Arithmetic, Native
from verify.oracles.route import Point, Variable


def penalized(case: Case[Pair]) -> bool:
    """Where the function is differentiable: rho > 0 and tau > 0."""
    game = case.problem.at(case.point.x)
    return bool(game.tau > 0.0 and game.rho_s.min() > 0.0)


def _responses(case: Case[Pair]) -> tuple[Optimum, Optimum]:
    game = case.problem.at(case.point.x)
    pi_sa, pi_sb = case.point.policies
    return (
        policy_iteration(game.for_player_1(pi_sb)),
        policy_iteration(game.for_player_2(pi_sa)),
    )


def _pairs(case: Case[Pair]) -> tuple[tuple[JointEvaluation, AtOptimum], ...]:
    """(best response 1, pi_2) and (pi_1, best response 2), each with its errors."""
    game = case.problem.at(case.point.x)
    pi_sa, pi_sb = case.point.policies
    first, second = _responses(case)
    return (
        (evaluate_joint(game, first.pi_sa, pi_sb), at_optimum(first)),
        (evaluate_joint(game, pi_sa, second.pi_sa), at_optimum(second)),
    )


def _measured_value(case: Case[Pair]) -> Measured:
    found = PENALTY.exact(case.problem, case.point.x, case.point.policies)
    tolerance = sum(joint_scale(pair).value_error + errors.value for pair, errors in _pairs(case))
    return Measured.of(found.value, tolerance)


def _measured_grad_x(case: Case[Pair]) -> Measured:
    found = PENALTY.exact(case.problem, case.point.x, case.point.policies)
    tolerance = 0.0
    for pair, errors in _pairs(case):
        scale = joint_scale(pair)
        tolerance += x_gradient(
            case.problem,
            scale,
            mass=scale.horizon,
            mass_error=scale.visits_error(1.0) + errors.visits + scale.horizon * errors.row,
            value_error=scale.value_error + errors.value,
        )
    return Measured.of(found.grad_x, tolerance)


def _measured_gradient(case: Case[Pair], player: int) -> Measured:
    """Player 1's gradient is taken at player 2's best response, and the reverse."""
    found = PENALTY.exact(case.problem, case.point.x, case.point.policies)
    pair, errors = _pairs(case)[1 - player]
    game, scale = pair.game, joint_scale(pair)
    h = (game.regularizer_1, game.regularizer_2)[player]
    h_size = np.abs(h.gradient(case.point.policies[player]))
    slope_size = scale.reward + scale.value + game.tau * h_size
    moved = errors.value + errors.row * slope_size
    rounding = scale.q_error + UNIT * (scale.n_actions + 8) * slope_size + moved
    visits_s = pair.visits(game.rho_s)[:, None]
    visits_error = scale.visits_error(1.0) + errors.visits
    return Measured.of(found.grad_policies[player], visits_error * slope_size + visits_s * rounding)


def _measured_grad_1(case: Case[Pair]) -> Measured:
    return _measured_gradient(case, 0)


def _measured_grad_2(case: Case[Pair]) -> Measured:
    return _measured_gradient(case, 1)


def _measured_inexact_grad_x(case: Case[Pair]) -> Measured:
    point = case.point
    found = nikaido_isoda(case.problem, point.x, *point.policies, *point.companions)
    game = case.problem.at(point.x)
    tolerance = 0.0
    for pair in ((point.companions[0], point.policies[1]), (point.policies[0], point.companions[1])):
        scale = joint_scale(evaluate_joint(game, *pair))
        tolerance += x_gradient(
            case.problem,
            scale,
            mass=scale.horizon,
            mass_error=scale.visits_error(1.0),
            value_error=scale.value_error,
        )
    return Measured.of(found.grad_x, tolerance)


def _measured_inexact_value(case: Case[Pair]) -> Measured:
    point = case.point
    found = nikaido_isoda(case.problem, point.x, *point.policies, *point.companions)
    game = case.problem.at(point.x)
    pairs = (point.companions[0], point.policies[1]), (point.policies[0], point.companions[1])
    scales = [joint_scale(evaluate_joint(game, *pair)) for pair in pairs]
    return Measured.of(found.value, sum(scale.value_error for scale in scales))


def _measured_inexact_gradient(case: Case[Pair], player: int) -> Measured:
    """Player 1's gradient is taken at player 2's companion, and the reverse."""
    point, game = case.point, case.problem.at(case.point.x)
    found = nikaido_isoda(case.problem, point.x, *point.policies, *point.companions)
    pairs = (point.policies[0], point.companions[1]), (point.companions[0], point.policies[1])
    pair = evaluate_joint(game, *pairs[player])
    scale, h = joint_scale(pair), (game.regularizer_1, game.regularizer_2)[player]
    slope_size = scale.reward + scale.value + game.tau * np.abs(h.gradient(point.policies[player]))
    rounding = scale.q_error + UNIT * (scale.n_actions + 8) * slope_size
    visits_s = pair.visits(game.rho_s)[:, None]
    tolerance = scale.visits_error(1.0) * slope_size + visits_s * rounding
    return Measured.of(found.grad_policies[player], tolerance)


def _measured_inexact_grad_1(case: Case[Pair]) -> Measured:
    return _measured_inexact_gradient(case, 0)


def _measured_inexact_grad_2(case: Case[Pair]) -> Measured:
    return _measured_inexact_gradient(case, 1)


def _define(case: Case[Pair], number: Arithmetic, point: Point) -> Native:
    g = primitive.game_model(number, case.problem, point.x)
    pi_sa, pi_sb = point.policies
    first_s = primitive.optimal_values(number, primitive.against_second(number, g, pi_sb))
    second_s = primitive.optimal_values(number, primitive.against_first(number, g, pi_sa))
    return (g.rho_s * (first_s + second_s)).sum(-1)


def _define_inexact(case: Case[Pair], number: Arithmetic, point: Point) -> Native:
    g = primitive.game_model(number, case.problem, point.x)
    first_s = primitive.joint_value(number, g, point.companions[0], point.policies[1])
    second_s = primitive.joint_value(number, g, point.policies[0], point.companions[1])
    return (g.rho_s * (first_s - second_s)).sum(-1)


X, PI_1, PI_2 = Variable("x"), Variable("policies", 0), Variable("policies", 1)

QUANTITIES = (
    Quantity(
        "value",
        "Nikaido-Isoda function",
        "(5.6)",
        Pair,
        _measured_value,
        _define,
        optimum=True,
        premise=penalized,
    ),
    Quantity(
        "grad_x",
        "its gradient in x",
        "Lemma 13",
        Pair,
        _measured_grad_x,
        _define,
        X,
        True,
        premise=penalized,
    ),
    Quantity(
        "grad_pi1",
        "in player 1's policy",
        "Lemma 13",
        Pair,
        _measured_grad_1,
        _define,
        PI_1,
        True,
        premise=penalized,
    ),
    Quantity(
        "grad_pi2",
        "in player 2's policy",
        "Lemma 13",
        Pair,
        _measured_grad_2,
        _define,
        PI_2,
        True,
        premise=penalized,
    ),
    Quantity(
        "inexact_value",
        "its estimate at approximate responses",
        "§5.3",
        Pair,
        _measured_inexact_value,
        _define_inexact,
        premise=penalized,
    ),
    Quantity(
        "inexact_grad_x",
        "its inexact gradient in x",
        "§5.3",
        Pair,
        _measured_inexact_grad_x,
        _define_inexact,
        X,
        premise=penalized,
    ),
    Quantity(
        "inexact_grad_pi1",
        "in player 1's policy",
        "§5.3",
        Pair,
        _measured_inexact_grad_1,
        _define_inexact,
        PI_1,
        premise=penalized,
    ),
    Quantity(
        "inexact_grad_pi2",
        "in player 2's policy",
        "§5.3",
        Pair,
        _measured_inexact_grad_2,
        _define_inexact,
        PI_2,
        premise=penalized,
    ),
)
