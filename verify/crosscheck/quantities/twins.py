"""Penalties and objectives from trajectories: their expectations against the truncated closed forms."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from reference.evaluated import Evaluated
from reference.objectives.rlhf import preference_loss
from reference.problems.incentive_design import IncentiveDesign
from reference.problems.mdp import MdpFamily
from reference.problems.parametrizations import FixedKernel
from reference.problems.reward_shaping import RewardShaping
from reference.problems.rlhf import Rlhf
from reference.problems.stackelberg import StackelbergGame
from reference.problems.zero_sum_game import GameFamily
from reference.truncated import (
    Truncation,
    truncated_bellman_penalty,
    truncated_designer_loss,
    truncated_leader_loss,
    truncated_nikaido_isoda,
    truncated_original_loss,
    truncated_value_penalty,
)
from reference.validation import Array
from sampled.baselines import StateValues
from sampled.conversion import tensors
from sampled.enumeration import Everything
from sampled.estimators.gpomdp import Gpomdp
from sampled.objectives.incentive_design import designer_loss
from sampled.objectives.reward_shaping import original_loss
from sampled.objectives.rlhf import PreferenceLoss
from sampled.objectives.stackelberg import leader_loss
from sampled.penalties.bellman import bellman_penalty
from sampled.penalties.nikaido_isoda import nikaido_isoda
from sampled.penalties.value import value_penalty
from verify.crosscheck.estimates import (
    Closed,
    Parameters,
    Sizes,
    ending,
    estimated,
    sizes,
    trajectories,
)
from verify.crosscheck.quantity import Case, Pair, Quantity, Single
from verify.oracles import definitions as primitive
from verify.oracles import walks
from verify.oracles.arithmetic import Arithmetic, Native

Tables = Sequence[Tensor]


def _cut(case: Case[Any]) -> Truncation:
    return Truncation(case.steps)


def _baseline(case: Case[Any]) -> StateValues:
    return StateValues(torch.tensor(case.measure_s)[None])


def _everything(case: Case[Any]) -> Everything:
    return Everything(Gpomdp(case.steps, _baseline(case)), case.steps)


# Penalties of one player: (a) where only rewards depend on x, (b) where transitions do.


def _penalty(
    estimate: Any, case: Case[Any], x: Tensor, policies: Tables, others: Tables
) -> tuple[Tensor, int]:
    found = estimate(tensors(case.problem), x, policies, others, _everything(case))
    return found, trajectories(case)


def _single(
    closed: Any, case: Case[Single], x: Array, policies: tuple[Array, ...], others: tuple[Array, ...]
) -> Evaluated:
    found: Evaluated = closed(case.problem, x, policies[0], others[0], _cut(case))
    return found


def _of_policy(case: Case[Single], number: Arithmetic, x: Native, pi: Native, first: Native) -> Native:
    m = primitive.model(number, case.problem, x)
    return walks.value(number, walks.single(number, m, pi, first), _cut(case))


def _define_value(case: Case[Single], number: Arithmetic, at: Parameters) -> Native:
    (pi,), (best,) = at.policies, at.others
    return _of_policy(case, number, at.x, best, best) - _of_policy(case, number, at.x, pi, pi)


def _define_bellman(case: Case[Single], number: Arithmetic, at: Parameters) -> Native:
    (pi,), (best,) = at.policies, at.others
    return _of_policy(case, number, at.x, best, best) - _of_policy(case, number, at.x, best, pi)


# Two players.


def _closed_ni(
    case: Case[Pair], x: Array, policies: tuple[Array, ...], others: tuple[Array, ...]
) -> Evaluated:
    two, best = (policies[0], policies[1]), (others[0], others[1])
    return truncated_nikaido_isoda(case.problem, x, two, best, _cut(case))


def _define_ni(case: Case[Pair], number: Arithmetic, at: Parameters) -> Native:
    game = primitive.game_model(number, case.problem, at.x)

    def value(pi_sa: Native, pi_sb: Native) -> Native:
        return walks.value(number, walks.joint(number, game, pi_sa, pi_sb), _cut(case))

    return value(at.others[0], at.policies[1]) - value(at.policies[0], at.others[1])


# Objectives.


def _objective(
    loss: Any, case: Case[Any], x: Tensor, policies: Tables, _others: Tables
) -> tuple[Tensor, int]:
    return loss(tensors(case.problem), x, policies, _everything(case)), trajectories(case)


def _closed_loss(
    loss: Any, case: Case[Any], x: Array, policies: tuple[Array, ...], _others: tuple[Array, ...]
) -> Evaluated:
    found: Evaluated = loss(case.problem, x, *policies, _cut(case))
    return found


def _define_leader(case: Case[StackelbergGame], number: Arithmetic, at: Parameters) -> Native:
    game = case.problem
    pi_sa = primitive.leader_policy(number, game.leader, at.x)
    own_s = -number.lift(game.tau_leader) * primitive.bonus(number, game.regularizer_leader, pi_sa)
    lift = number.lift
    walk = walks.pair(
        number,
        lift(game.P_sabt),
        lift(game.r_leader_sab),
        lift(game.gamma),
        lift(game.rho_s),
        (pi_sa, at.policies[0]),
        own_s,
    )
    return -walks.value(number, walk, _cut(case))


def _define_designer(case: Case[IncentiveDesign], number: Arithmetic, at: Parameters) -> Native:
    problem = case.problem
    g = primitive.game_model(number, problem, at.x)
    walk = walks.pair(
        number,
        number.lift(problem.P_design_sabt),
        number.lift(problem.r_design_sab),
        g.gamma,
        g.rho_s,
        (at.policies[0], at.policies[1]),
        -number.lift(problem.cost_s),
    )
    return -walks.value(number, walk, _cut(case))


def _define_shaping(case: Case[RewardShaping], number: Arithmetic, at: Parameters) -> Native:
    given, pi = case.problem.original, at.policies[0]
    m = primitive.Model(
        number.lift(given.P_sat),
        number.lift(given.r_sa),
        number.lift(given.gamma),
        number.lift(given.rho_s),
        number.lift(given.tau),
        given.regularizer,
        given.tau == 0.0,
    )
    return -walks.value(number, walks.single(number, m, pi, pi), _cut(case))


# Preferences: nothing is cut off.


def _closed_preferences(
    case: Case[Rlhf], x: Array, policies: tuple[Array, ...], _others: tuple[Array, ...]
) -> Evaluated:
    return preference_loss(case.problem, x, policies[0])


def _define_preferences(case: Case[Rlhf], number: Arithmetic, at: Parameters) -> Native:
    return primitive.preference_loss(number, case.problem, at.x, at.policies[0])


def _estimate_preferences(
    case: Case[Rlhf], x: Tensor, policies: Tables, _others: Tables
) -> tuple[Tensor, int]:
    loss = PreferenceLoss(_baseline(case))(tensors(case.problem), x, policies, _everything(case))
    return loss, trajectories(case) ** 2


def _preference_sizes(case: Case[Rlhf]) -> Sizes:
    """A loss is at most 1 + 2 L C, its derivative by rewards at most 1, and two segments are scored."""
    own = sizes(case)
    loss = 1.0 + 2.0 * own.steps * own.earned
    return Sizes(own.steps, own.followed, own.n_states, own.n_actions, own.gamma, loss, 2.0, own.slope)


def _moves(case: Case[Single]) -> bool:
    """Whether transitions depend on x, and truncation shows."""
    fixed = isinstance(case.problem, MdpFamily) and isinstance(case.problem.kernel, FixedKernel)
    return ending(case) and isinstance(case.problem, MdpFamily | StackelbergGame) and not fixed


def _stays(case: Case[Single]) -> bool:
    """Whether only rewards depend on x."""
    return not isinstance(case.problem, StackelbergGame) and not _moves(case) and ending(case)


def _pair(
    name: str, title: str, source: str, closed: Any, define: Any, estimate: Any
) -> tuple[Quantity[Any], ...]:
    return tuple(
        estimated(
            f"{name}_{part}",
            f"{title}, {what}",
            f"{source} {part}",
            Single,
            closed=partial(_single, closed),
            define=define,
            estimate=partial(_penalty, estimate),
            companions=True,
            premise=premise,
        )
        for part, what, premise in (
            ("a", "rewards depend on x", _stays),
            ("b", "transitions depend on x", _moves),
        )
    )


def _loss(
    name: str, title: str, source: str, problems: type, closed: Any, define: Any, loss: Any
) -> Quantity[Any]:
    closes: Closed[Any] = partial(_closed_loss, closed)
    return estimated(
        name, title, source, problems, closed=closes, define=define, estimate=partial(_objective, loss)
    )


QUANTITIES: tuple[Quantity[Any], ...] = (
    *_pair(
        "value_penalty",
        "value penalty",
        "Lemma 7",
        truncated_value_penalty,
        _define_value,
        value_penalty,
    ),
    *_pair(
        "bellman_penalty",
        "Bellman penalty",
        "Lemma 9",
        truncated_bellman_penalty,
        _define_bellman,
        bellman_penalty,
    ),
    estimated(
        "nikaido_isoda",
        "Nikaido-Isoda function",
        "§5.3",
        GameFamily | IncentiveDesign,
        closed=_closed_ni,
        define=_define_ni,
        estimate=partial(_penalty, nikaido_isoda),
        companions=True,
    ),
    _loss(
        "leader_loss",
        "leader's loss",
        "(2.4)",
        StackelbergGame,
        truncated_leader_loss,
        _define_leader,
        leader_loss,
    ),
    _loss(
        "design_loss",
        "designer's loss",
        "(5.5)",
        IncentiveDesign,
        truncated_designer_loss,
        _define_designer,
        designer_loss,
    ),
    _loss(
        "shaping_loss",
        "original return",
        "(2.6)",
        RewardShaping,
        truncated_original_loss,
        _define_shaping,
        original_loss,
    ),
    estimated(
        "preference_loss",
        "preference loss",
        "(2.5)",
        Rlhf,
        closed=_closed_preferences,
        define=_define_preferences,
        estimate=_estimate_preferences,
        bound=_preference_sizes,
    ),
)
