r"""One step of each sampled algorithm, every trajectory through its code, against its exact twin.

The problems are over after two steps (:mod:`verify.crosscheck.layered`), so that nothing is truncated,
and the state is that of an iteration k > 0 whose companions are not the policies: steps and strength,
all of which change with k, the oracle's steps and their projections show in the next state alone::

    (x, y, companions) of the state k + 1

There is no definition: the twin of ``reference.algorithms`` goes by closed forms, and the two have no
code in common.

Tolerances.  A gradient from closed forms and one from all trajectories err by e together, each at most
B (:mod:`verify.crosscheck.estimates`).  With scores of at most S, of a direction 2 S, over T steps, the
gradient changes by at most

    H = 4 T S B

per unit in the largest entry of the policies.  T' inner steps of eta thus err by at most
T' eta e (1 + eta H)^(T'-1), and the step of alpha along f + lambda p, or through an inner step, by

    alpha (1 + lambda) e ( 1 + H T' eta (1 + eta H)^(T'-1) ).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reference.algorithms import bilevel as exact_bilevel
from reference.algorithms import contract as exact_contract
from reference.algorithms import independent_gradient as exact_independent
from reference.algorithms import meta_gradient as exact_meta
from reference.algorithms import oracles as exact_oracles
from reference.algorithms import pbrl as exact_pbrl
from reference.objectives import incentive_design, reward_shaping, stackelberg
from reference.penalties import bellman as exact_bellman
from reference.penalties import nikaido_isoda as exact_ni
from reference.penalties import value as exact_value
from reference.problems.incentive_design import IncentiveDesign
from reference.problems.reward_shaping import RewardShaping
from reference.problems.stackelberg import StackelbergGame
from reference.validation import Array
from sampled.algorithms.bilevel import bilevel
from sampled.algorithms.contract import Algorithm, Power, Schedule, State
from sampled.algorithms.independent_gradient import IndependentGradient
from sampled.algorithms.meta_gradient import MetaGradient
from sampled.algorithms.oracles import PolicyGradient
from sampled.algorithms.pbrl import Pbrl
from sampled.algorithms.steps import Descent
from sampled.enumeration import Everything
from sampled.estimators.dice import Dice
from sampled.estimators.gpomdp import Gpomdp
from sampled.maps import DirectPolicy, SoftmaxPolicy
from sampled.penalties import bellman, nikaido_isoda, value
from verify.contract import Level
from verify.crosscheck import layered
from verify.crosscheck.cases import DRAWS
from verify.crosscheck.estimates import Sizes, sizes_at
from verify.crosscheck.quantity import Case, Measured, Quantity
from verify.oracles.route import Point

K = 3
"""The iteration."""

ALPHA, BETA, LAMBDA = (0.3, -0.3), (0.07, -0.3), (3.0, -0.5)
"""First value and exponent of the steps of x and y, of the players' or the companions', of lambda."""

INNER = 2
"""The oracle's steps T'."""


@dataclass(frozen=True)
class Method:
    """An algorithm on both sides; each is given the bilevel problem of its side.

    Attributes
    ----------
    exact : Bilevel of ``reference`` -> algorithm of ``reference``
    own : Bilevel of ``sampled`` -> algorithm of ``sampled``
    companions : bool
        Whether it has an oracle.
    carried : bool
        Whether the oracle goes on from its state; the exact one always does.
    """

    exact: Callable[[Any], Any]
    own: Callable[[Any], Algorithm]
    companions: bool = False
    carried: bool = True


def _rate(first_and_exponent: tuple[float, float]) -> Schedule:
    return Power(*first_and_exponent)


def _exact_rate(first_and_exponent: tuple[float, float]) -> exact_contract.Schedule:
    return exact_contract.Power(*first_and_exponent)


GRADIENTS = Everything(Gpomdp(layered.STEPS), layered.STEPS)
EVERY_ORDER = Everything(Dice(layered.STEPS), layered.STEPS)


def _pbrl(exact_penalty: Any, penalty: Any, *, carried: bool = True) -> Method:
    def exact(problem: Any) -> Any:
        step = _rate(BETA)(K)
        oracles = tuple(exact_oracles.PolicyGradient(m, step, INNER) for m in problem.policy_maps)
        return exact_pbrl.Pbrl(problem, exact_penalty, oracles, _exact_rate(ALPHA), _exact_rate(LAMBDA))

    def own(problem: Any) -> Algorithm:
        oracle = PolicyGradient(_rate(BETA), INNER, carried)
        return Pbrl(problem, penalty, oracle, Descent(_rate(ALPHA)), _rate(LAMBDA), GRADIENTS)

    return Method(exact, own, companions=True, carried=carried)


# An exact baseline has a penalty, which only records.
_RECORDED = exact_value.PENALTY

INDEPENDENT = Method(
    lambda given: exact_independent.IndependentGradient(
        given, _RECORDED, _exact_rate(ALPHA), _exact_rate(BETA)
    ),
    lambda given: IndependentGradient(given, Descent(_rate(ALPHA)), Descent(_rate(BETA)), GRADIENTS),
)
X_FIXED = Method(
    lambda given: exact_independent.IndependentGradient(given, _RECORDED, None, _exact_rate(BETA)),
    lambda given: IndependentGradient(given, None, Descent(_rate(BETA)), GRADIENTS),
)
META = Method(
    lambda given: exact_meta.MetaGradient(given, _RECORDED, _exact_rate(ALPHA), _exact_rate(BETA)),
    lambda given: MetaGradient(given, Descent(_rate(ALPHA)), _rate(BETA), EVERY_ORDER),
)


# Problems, their parametrisation, and a point.


def _is_direct(case: Case[Any]) -> bool:
    return case.name.endswith("direct")


def _exact_problem(problem: Any, *, direct: bool) -> Any:
    objective: Any
    sizes: tuple[int, ...]
    match problem:
        case StackelbergGame():
            objective, sizes = stackelberg.OBJECTIVE, (layered.B,)
        case IncentiveDesign():
            objective, sizes = incentive_design.OBJECTIVE, (layered.A, layered.B)
        case _:
            objective, sizes = reward_shaping.OBJECTIVE, (layered.B,)
    maps = tuple(layered.policy_map(n, direct) for n in sizes)
    return exact_bilevel.Bilevel(problem, objective, maps)


def _case(name: str, problem: Any, seed: int) -> Case[Any]:
    twin = _exact_problem(problem, direct=name.endswith("direct"))
    x, y = layered.point(seed, twin)
    _, companions = layered.point(seed + 1, twin)
    none = np.zeros(layered.S)
    return Case(name, problem, Point(x, y, companions), none, none[:, None], layered.STEPS)


@lru_cache(maxsize=1)
def layered_cases(level: Level, seed: int) -> tuple[Case[Any], ...]:
    """Every kind of problem, with logits and with policies themselves as parameters."""
    found = []
    for draw in range(DRAWS[level]):
        start = 1000 * seed + 10 * draw
        kinds: dict[str, Callable[..., Any]] = {
            "Stackelberg": layered.stackelberg,
            "shaping": layered.shaping,
            "incentive design": layered.incentive,
        }
        for title, make in kinds.items():
            for suffix, direct in ((", logits", False), (", direct", True)):
                problem: Any = make(start, direct=direct)
                found.append(_case(title + suffix, problem, start))
    return tuple(found)


# Both sides.


def _row(x: Any, y: Any, companions: Any, join: Callable[[list[Any]], Any]) -> Any:
    return join([part.reshape(-1) for part in (x, *y, *companions)])


def _measured(method: Method, case: Case[Any]) -> Measured:
    at = case.point
    begun = at.companions if method.carried else at.policies
    state = exact_contract.State(K, at.x, at.policies, begun if method.companions else ())
    found = method.exact(_exact_problem(case.problem, direct=_is_direct(case))).step(state)
    values = _row(found.x, found.y, found.oracle, np.concatenate)
    # A closed form is of the infinite sum.
    horizon = 1.0 / (1.0 - layered.GAMMA)
    return Measured.of(values, _error(case, at.x, lambda own: replace(own, steps=horizon).closed))


def _estimate(method: Method, case: Case[Any], x: Tensor) -> tuple[Tensor, float]:
    at = case.point
    policy = DirectPolicy() if _is_direct(case) else SoftmaxPolicy()
    y, companions = (
        tuple(torch.tensor(part)[None] for part in parts) for parts in (at.policies, at.companions)
    )
    key_p = torch.zeros(1, dtype=torch.int64)
    state = State(K, x[None], y, companions if method.companions else (), (), key_p, key_p)
    found = method.own(bilevel(case.problem, policy=policy)).step(state)
    values = _row(found.x, found.y, found.oracle, torch.cat)
    return values, _error(case, at.x, lambda own: own.sampled(_trajectories(case)))


def _trajectories(case: Case[Any]) -> int:
    """Number of trajectories of two steps."""
    joint = layered.B if isinstance(case.problem, RewardShaping) else layered.A * layered.B
    count: int = layered.S * (joint * layered.S) ** layered.STEPS
    return count


def _error(case: Case[Any], x: Array, rounding: Callable[[Sizes], float]) -> float:
    """What a step makes of one side's rounding; see the module."""
    own = sizes_at(case, x)
    bent = 4.0 * own.steps * own.score * own.size
    alpha, eta, strength = (_rate(rate)(K) for rate in (ALPHA, BETA, LAMBDA))
    inner = bent * INNER * eta * (1.0 + eta * bent) ** (INNER - 1)
    return alpha * (1.0 + strength) * rounding(own) * (1.0 + inner)


def _step(name: str, title: str, source: str, problems: Any, method: Method) -> Quantity[Any]:
    return Quantity(
        name,
        f"one step of {title}",
        source,
        problems,
        partial(_measured, method),
        None,
        estimate=partial(_estimate, method),
        instances=layered_cases,
    )


_SINGLE = StackelbergGame | RewardShaping

QUANTITIES: tuple[Quantity[Any], ...] = (
    _step(
        "pbrl_value",
        "PBRL with the value penalty",
        "Algorithm 1",
        _SINGLE,
        _pbrl(exact_value.PENALTY, value.PENALTY),
    ),
    _step(
        "pbrl_value_afresh",
        "PBRL whose companions begin at the policy",
        "Algorithm 1",
        StackelbergGame,
        _pbrl(exact_value.PENALTY, value.PENALTY, carried=False),
    ),
    _step(
        "pbrl_bellman",
        "PBRL with the Bellman penalty",
        "Algorithm 1",
        _SINGLE,
        _pbrl(exact_bellman.PENALTY, bellman.PENALTY),
    ),
    _step(
        "pbrl_nikaido_isoda",
        "PBRL with the Nikaido-Isoda function",
        "(5.12)",
        IncentiveDesign,
        _pbrl(exact_ni.PENALTY, nikaido_isoda.PENALTY),
    ),
    _step(
        "independent_gradient",
        "independent policy gradient",
        "§6.1",
        StackelbergGame | IncentiveDesign,
        INDEPENDENT,
    ),
    _step("no_incentive", "the players alone", "§6.3", IncentiveDesign, X_FIXED),
    _step("meta_gradient", "the meta-gradient", "§6.3", StackelbergGame | IncentiveDesign, META),
)
