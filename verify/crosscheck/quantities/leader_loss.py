"""The leader's loss in a Stackelberg game (2.4), and its gradients."""

import numpy as np

from reference.evaluated import Evaluated
from reference.objectives.stackelberg import OBJECTIVE
from reference.problems.stackelberg import StackelbergGame
from verify.crosscheck.quantity import Case, Measured, Quantity
from verify.crosscheck.tolerances import UNIT, Scale
from verify.oracles import definitions as primitive
from verify.oracles.arithmetic import Arithmetic, Native
from verify.oracles.route import Point, Variable


def _evaluated(case: Case[StackelbergGame]) -> tuple[Evaluated, Scale]:
    """The loss with the sizes that bound its rounding: |v| <= R / (1 - gamma)."""
    game = case.problem
    n_first, n_second = game.n_actions
    reward = float(np.abs(game.r_leader_sab).max())
    reward += game.tau_leader * game.regularizer_leader.bound(n_first)
    scale = Scale(len(game.rho_s), n_first * n_second, game.gamma, reward, reward / (1.0 - game.gamma))
    return OBJECTIVE.evaluate(game, case.point.x, case.point.policies), scale


def _slope_tolerance(scale: Scale, extra: float) -> float:
    """Visits (at most the horizon) times slopes of the size of Q."""
    size = scale.reward + scale.value + extra
    return scale.visits_error(1.0) * size + scale.horizon * (scale.q_error + 8.0 * UNIT * extra)


def _measured_value(case: Case[StackelbergGame]) -> Measured:
    found, scale = _evaluated(case)
    return Measured.of(found.value, scale.value_error)


def _measured_grad_pi(case: Case[StackelbergGame]) -> Measured:
    found, scale = _evaluated(case)
    return Measured.of(found.grad_policies[0], _slope_tolerance(scale, 0.0))


def _measured_grad_x(case: Case[StackelbergGame]) -> Measured:
    found, scale = _evaluated(case)
    game = case.problem
    h_size = np.abs(game.regularizer_leader.gradient(game.leader(case.point.x))).max()
    # The pullback of a policy map at most doubles an error.
    tolerance = 2.0 * _slope_tolerance(scale, game.tau_leader * float(h_size))
    return Measured.of(found.grad_x, tolerance)


def _define(case: Case[StackelbergGame], number: Arithmetic, point: Point) -> Native:
    return primitive.leader_loss(number, case.problem, point.x, point.policies[0])


QUANTITIES = (
    Quantity("value", "leader's loss", "(2.4)", StackelbergGame, _measured_value, _define),
    Quantity(
        "grad_x", "its gradient in x", "§2.2", StackelbergGame, _measured_grad_x, _define, Variable("x")
    ),
    Quantity(
        "grad_pi",
        "its gradient in the follower's policy",
        "§2.2",
        StackelbergGame,
        _measured_grad_pi,
        _define,
        Variable("policies", 0),
    ),
)
