r"""Rows of what samples estimate: one closed form, one definition, and the code that samples would run.

The variable is one row of numbers z = (m, x, logits of the policies, logits of others): companions, or
the policies of the first step.  With J(z) the quantity and z_0 the point itself, the matrix compares the
gradient at z_0, where m = 1, of

    F(z) = (m - 1) J(z_0) + G(z),

so that one gradient holds the quantity's value and its gradients in x and in all policies.  G is J,
unless an estimator aims at something that is no function's gradient (:mod:`verify.oracles.walks`).

Tolerances.  With T steps (1 / (1 - gamma) without end), |c| <= C with critic and baseline, scores at
most S and derivatives of earnings at most D, an estimate and each of its derivatives are at most

    B = T (T C S + D).

A closed form of S states and J joint actions rounds n = 2 T (S + J + 8) + S J T times on the way to an
entry, the solve of an infinite sum 12 S T more; a mean over N trajectories N T + 64 T times.  For a
difference of two values all that is doubled, and a horizon without end leaves out, after K steps,
at most

    gamma^K T ( (K + 1 + T) C S + D ).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import UnionType
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from reference.evaluated import Evaluated
from reference.policies import SoftmaxPolicy
from reference.problems.incentive_design import IncentiveDesign
from reference.problems.stackelberg import StackelbergGame
from reference.problems.zero_sum_game import ZeroSumGame
from reference.validation import Array
from verify.crosscheck.cases import ENDLESS, small_cases
from verify.crosscheck.quantity import Case, Measured, Quantity, always
from verify.crosscheck.tolerances import UNIT, derivative_bounds
from verify.oracles import definitions as primitive
from verify.oracles.arithmetic import Arithmetic, Native
from verify.oracles.route import Point, Variable

if TYPE_CHECKING:
    from torch import Tensor

ProblemT = TypeVar("ProblemT")


@dataclass(frozen=True, eq=False)
class Parameters:
    """The parts of z, in numbers of any kind; policies in place of their logits.

    Attributes
    ----------
    factor : number
    x : the shape of the problem's
    policies, others : one array (S, A) of each player
    """

    factor: Native
    x: Native
    policies: tuple[Native, ...]
    others: tuple[Native, ...]


def parameters(case: Case[Any], z: Native, softmax: Callable[[Native], Native]) -> Parameters:
    """Take z apart."""
    tables = case.point.policies * 2
    shapes = [tuple(case.problem.domain.shape), *(pi.shape for pi in tables)]
    parts, start = [], 1
    for shape in shapes:
        size = int(np.prod(shape))
        parts.append(z[start : start + size].reshape(shape))
        start += size
    x, *logits = parts
    policies = [softmax(y) for y in logits]
    players = len(case.point.policies)
    return Parameters(z[0], x, tuple(policies[:players]), tuple(policies[players:]))


def endless(case: Case[Any]) -> bool:
    """Whether a few steps are all that float64 resolves of the infinite sum."""
    return bool(primitive.traits(case.problem).gamma == ENDLESS)


def ending(case: Case[Any]) -> bool:
    """Whether truncation shows."""
    return not endless(case)


def trajectories(case: Case[Any]) -> int:
    """How many trajectories there are: S (J S)^K, with all players' actions in J."""
    n_states = int(case.point.policies[0].shape[0])
    joint = math.prod(int(pi.shape[1]) for pi in case.point.policies)
    if isinstance(case.problem, StackelbergGame):
        joint *= case.problem.n_actions[0]
    count: int = n_states * (joint * n_states) ** case.steps
    return count


# The closed form.

Closed = Callable[[Case[ProblemT], Array, tuple[Array, ...], tuple[Array, ...]], Evaluated]
"""At x, the policies and the others; its gradients are in the policies, then in the others if any."""


def _closed(closed: Closed[Any], bound: "Bound", case: Case[Any]) -> Measured:
    z = case.point.x
    at = parameters(case, z, lambda y: SoftmaxPolicy(y.shape)(y))
    found = closed(case, at.x, at.policies, at.others)
    tables = list(found.grad_policies)
    tables += [np.zeros_like(pi) for pi in (*at.policies, *at.others)[len(tables) :]]
    own = parameters(case, z, lambda y: y)  # the logits themselves
    pulled = [
        SoftmaxPolicy(y.shape).pullback(y, grad).ravel()
        for y, grad in zip((*own.policies, *own.others), tables, strict=True)
    ]
    values = np.concatenate([[float(found.value)], found.grad_x.ravel(), *pulled])
    return Measured.of(values, bound(case).closed)


# The definition.

Define = Callable[[Case[ProblemT], Arithmetic, Parameters], Native]
"""The quantity J."""

Aimed = Callable[[Case[ProblemT], Arithmetic, Parameters, Parameters], Native]
"""G, at the parameters that move and at the point itself."""


def _define(
    define: Define[Any],
    aimed: Aimed[Any] | None,
    companions: bool,
    case: Case[Any],
    number: Arithmetic,
    point: Point,
) -> Native:
    def at(z: Native) -> Parameters:
        return parameters(case, z, partial(primitive.softmax, number))

    moving, fixed = at(point.x), at(number.lift(case.point.x))
    if companions:
        moving = replace(moving, others=fixed.others)
    known = define(case, number, fixed)
    goal = define(case, number, moving) if aimed is None else aimed(case, number, moving, fixed)
    return (moving.factor - number.lift(1.0)) * known + goal


# The samples.

Estimate = Callable[
    [Case[ProblemT], "Tensor", "Sequence[Tensor]", "Sequence[Tensor]"], "tuple[Tensor, int]"
]
"""Expectation (1,) at x, policies and others, with an axis of problems; how many terms it averages."""


def _estimate(
    estimate: Estimate[Any], bound: "Bound", case: Case[Any], z: "Tensor"
) -> "tuple[Tensor, float]":
    at = parameters(case, z, lambda y: y.softmax(-1))
    policies, others = ([pi[None] for pi in some] for some in (at.policies, at.others))
    found, terms = estimate(case, at.x[None], policies, others)
    total = found.sum()
    return (at.factor - 1.0) * total.detach() + total, bound(case).sampled(terms)


# Tolerances.


@dataclass(frozen=True)
class Sizes:
    """What tolerances are made of; see the module.

    Attributes
    ----------
    steps : float
        T.
    followed : int
        K.
    n_states, n_actions : int
        S and J.
    gamma : float
    earned, score, slope : float
        C, S and D.
    """

    steps: float
    followed: int
    n_states: int
    n_actions: int
    gamma: float
    earned: float
    score: float
    slope: float

    @property
    def size(self) -> float:
        """2 B."""
        return 2.0 * self.steps * (self.steps * self.earned * self.score + self.slope)

    @property
    def closed(self) -> float:
        """Rounding of the closed form."""
        S, J, T = self.n_states, self.n_actions, self.steps
        return UNIT * (2 * T * (S + J + 8) + S * J * T + 12 * S * T) * self.size

    def sampled(self, terms: int) -> float:
        """Rounding of the mean, and what lies beyond the steps that are followed."""
        rounding = UNIT * (terms + 64) * self.followed * self.size
        if self.gamma != ENDLESS:
            return rounding
        horizon = 1.0 / (1.0 - self.gamma)
        late = (self.followed + 1 + horizon) * self.earned * self.score + self.slope
        return rounding + 2.0 * self.gamma**self.followed * horizon * late


Bound = Callable[[Case[Any]], Sizes]

BASELINE = 1.0
"""Bound on the constants that estimators subtract in the matrix."""


def sizes(case: Case[Any]) -> Sizes:
    """Sizes of a case, from the largest entries of its tables."""
    return sizes_at(case, parameters(case, case.point.x, lambda y: y).x)


def sizes_at(case: Case[Any], x: Array) -> Sizes:
    """Sizes of a case at x."""
    problem = case.problem
    here = problem.at(x)
    if isinstance(here, ZeroSumGame):
        n_actions = int(np.prod(here.n_actions))
        bonus = here.tau * (
            here.regularizer_1.bound(here.n_actions[0]) + here.regularizer_2.bound(here.n_actions[1])
        )
        reward = float(np.abs(here.r_sab).max())
    else:
        n_actions, bonus = here.n_actions, here.tau * here.regularizer.bound(here.n_actions)
        reward = float(np.abs(here.r_sa).max())
    match problem:
        case StackelbergGame():
            n_leader, n_actions = problem.n_actions[0], int(np.prod(problem.n_actions))
            bonus += problem.tau_leader * problem.regularizer_leader.bound(n_leader)
            reward = max(float(np.abs(r).max()) for r in (problem.r_leader_sab, problem.r_follower_sab))
        case IncentiveDesign():
            paid = float(np.abs(problem.r_design_sab).max() + np.abs(problem.cost_s).max())
            reward = max(reward, paid)
    slope_r, slope_P = derivative_bounds(problem)
    return Sizes(
        case.steps,
        case.steps,
        here.n_states,
        n_actions,
        here.gamma,
        reward + bonus + float(np.abs(case.measure_s).max()) + BASELINE,
        max(1.0, slope_P),
        # A logit moves an entropy by no more than twice its bound and one unit of tau.
        slope_r + 2.0 * bonus + here.tau,
    )


# Rows.


def estimated(
    name: str,
    title: str,
    source: str,
    problems: type | UnionType,
    *,
    closed: Closed[ProblemT],
    define: Define[ProblemT],
    estimate: Estimate[ProblemT],
    aimed: Aimed[ProblemT] | None = None,
    companions: bool = False,
    bound: Bound = sizes,
    premise: Callable[[Case[ProblemT]], bool] = always,
) -> Quantity[ProblemT]:
    """One row: value and gradients in x and in the policies, all at once.

    Where the others are ``companions`` they are constants: the gradient in them must vanish.
    """
    return Quantity(
        name,
        title,
        source,
        problems,
        partial(_closed, closed, bound),
        partial(_define, define, aimed, companions),
        Variable("x"),
        premise=premise,
        estimate=partial(_estimate, estimate, bound),
        instances=small_cases,
    )
