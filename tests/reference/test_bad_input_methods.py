"""Methods of domains, regularisers, policies and problems refuse bad input, as their classes do.

The table and its completeness test are those of :mod:`tests.reference.test_bad_input`, for methods.
"""

import inspect
from collections.abc import Callable, Iterator
from enum import Enum
from functools import partial
from types import FunctionType
from typing import Any

import numpy as np
import pytest

from reference.domains import Ball, Box, Euclidean, Simplices
from reference.errors import InputError
from reference.policies import DirectPolicy, SoftmaxPolicy
from reference.problems.general_position import general_point
from reference.problems.mdp import MdpFamily
from reference.problems.parametrizations import (
    FixedKernel,
    FixedReward,
    SoftmaxKernel,
    TabularReward,
    UserKernel,
    UserMap,
)
from reference.problems.rlhf import BradleyTerryLabels, LabelByReturn
from reference.problems.zero_sum_game import ZeroSumGame
from reference.regularizers import Quadratic
from reference.validation import Array
from tests.reference.test_bad_input import (
    BALL,
    BOUNDED,
    BOX,
    DESIGN,
    FEATURES,
    GAME,
    GAMES,
    KL,
    LINEAR,
    MDP,
    PI,
    PI_B,
    RLHF,
    SHAPED,
    SHAPING,
    STACKELBERG,
    TILTED,
    WEIGHTED,
    A,
    B,
    Cases,
    H,
    S,
    X,
    edited,
    modules,
    outside_domain,
    rng,
    user_kernel,
    user_map,
    wrong_policies,
)
from tests.reference.test_bad_input_solvers import no_array, no_count, no_policy

Q = np.linspace(-1.0, 1.0, S * A).reshape(S, A)
REWARD, POTENTIAL = np.zeros((S, A)), np.zeros(S)
W, V = np.ones((2, S, A)), np.ones((2, S))
XG, XD, XR, XS, XL = (
    general_point(rng(), p.domain) for p in (GAMES, DESIGN, RLHF, SHAPING, STACKELBERG)
)
TABULAR = TabularReward(Euclidean((S, A)))
FIXED = FixedReward(MDP.r_sa, Euclidean((2,)))


def no_temperature(call: Callable[[Any], object]) -> Cases:
    """Neither a positive number nor one for each state."""
    bad: list[Any] = [0.0, -1.0, np.nan, np.inf, None, "1", 1j, np.array(0.0)]
    states = {"a state's": np.array([1.0, 0.0, 1.0, 1.0]), "NaN": np.full(S, np.nan)}
    return {
        **{f"tau = {value!r}": (partial(call, value), "tau is .*must be") for value in bad},
        "tau of a state": (partial(call, states["a state's"]), r"tau\[1\] is 0; .*use tau > 0"),
        "tau NaN": (partial(call, states["NaN"]), r"tau\[0\] is nan; every entry"),
    }


def number(name: str, call: Callable[[Any], object]) -> Cases:
    """Numbers in place of a table with axes that are not known beforehand."""
    kept = no_array(name, call, PI)
    kept = {case: row for case, row in kept.items() if "short" not in case and "number" not in case}
    return {**kept, f"{name} number": (partial(call, 1.0), f"{name} is one number; it needs axes")}


def a_regularizer(h: Any, *, signed: bool) -> dict[Callable[..., object], Cases]:
    kind = type(h)
    negative = edited(PI, (2, 1), -0.5)
    table = {
        kind.value: number("pi_sa", h.value),
        kind.gradient: number("pi_sa", h.gradient),
        kind.argmax: number("q_sa", lambda q: h.argmax(q, 0.5))
        | no_temperature(lambda tau: h.argmax(Q, tau)),
        kind.conjugate: number("q_sa", lambda q: h.conjugate(q, 0.5))
        | no_temperature(lambda tau: h.conjugate(Q, tau)),
        kind.bound: no_count("n_actions", h.bound),
    }
    if not signed:
        for method in (kind.value, kind.gradient):
            table[method]["negative"] = (
                partial(method, h, negative),
                r"pi_sa\[2, 1\] is -0\.5; a probability is never negative",
            )
    return table


def of_states(h: Any) -> dict[Callable[..., object], Cases]:
    """With a table of its own, of S states."""
    kind, other = type(h), np.full((S + 1, A), 1.0 / A)
    message = "has shape .*give both the same states"
    return {
        kind.value: {"states": (partial(h.value, other), message)},
        kind.gradient: {"states": (partial(h.gradient, other), message)},
        kind.argmax: {"states": (partial(h.argmax, other, 0.5), message)},
        kind.conjugate: {"states": (partial(h.conjugate, other, 0.5), message)},
    }


def a_map(map_: Any, x: Array, gradient: Array, *, infinite: bool = False) -> dict[Any, Cases]:
    kind = type(map_)
    of_gradient = no_array("gradient", partial(map_.pullback, x), gradient)
    if infinite:  # an entropy's may be
        of_gradient = {k: v for k, v in of_gradient.items() if "NaN" not in k and "infinite" not in k}
    return {
        kind.__call__: no_array("x", map_, x),
        kind.pullback: {**no_array("x", lambda p: map_.pullback(p, gradient), x), **of_gradient},
    }


def weights(name: str, call: Callable[[Any, Any], object], w: Array) -> Cases:
    """Weights (K, S, A, ...) and value vectors (K, S)."""
    of_weights = no_array(name, lambda bad: call(bad, V), w)
    message = rf"({name}|gradient) has shape .*its last axes are"
    for case in [case for case in of_weights if "short" in case or "number" in case]:
        of_weights[case] = (of_weights[case][0], message)
    return {
        **of_weights,
        **no_array("v_kt", partial(call, w), V),
        "no k": (lambda: call(w[0], V[0]), f"{name} has shape"),
        "other k": (lambda: call(w, V[:1]), r"v_kt has shape \(1, 4\)"),
    }


def a_family(problem: Any, x: Array, name: str, w: Array) -> dict[Callable[..., object], Cases]:
    kind = type(problem)
    return {
        kind.at: no_array("x", problem.at, x),
        kind.pullback: {
            **no_array("x", lambda p: problem.pullback(p, w, V), x),
            **weights(name, partial(problem.pullback, x), w),
        },
    }


def merged(*tables: dict[Callable[..., object], Cases]) -> dict[Callable[..., object], Cases]:
    table: dict[Callable[..., object], Cases] = {}
    for rows in tables:
        for entry, cases in rows.items():
            table[entry] = {**table.get(entry, {}), **cases}
    return table


TABLE: dict[Callable[..., object], Cases] = merged(
    {
        Euclidean.project: no_array("x", Euclidean((S, A)).project, PI),
        Box.project: no_array("x", BOX.project, X),
        Ball.project: no_array("x", BALL.project, X),
        Simplices.project: no_array("x", Simplices((S, A)).project, PI),
        SoftmaxPolicy.inverse: {
            **no_array("pi_sa", SoftmaxPolicy((S, A)).inverse, PI),
            "a zero": (lambda: SoftmaxPolicy((S, A)).inverse(np.eye(S)[:, :A]), r"pi_sa\[0, 1\] is 0"),
        },
        DirectPolicy.inverse: no_array("pi_sa", DirectPolicy((S, A)).inverse, PI),
        ZeroSumGame.for_player_1: {
            **no_policy("pi_sb", GAME.for_player_1, PI_B),
            **wrong_policies(GAME.for_player_1, "pi_sb", PI_B),
        },
        ZeroSumGame.for_player_2: {
            **no_policy("pi_sa", GAME.for_player_2, PI),
            **wrong_policies(GAME.for_player_2, "pi_sa", PI),
        },
        MdpFamily.at: outside_domain(LINEAR.at),
    },
    a_regularizer(H, signed=False),
    a_regularizer(KL, signed=False),
    a_regularizer(Quadratic(), signed=True),
    a_regularizer(WEIGHTED, signed=False),
    of_states(KL),
    of_states(WEIGHTED),
    a_map(DirectPolicy((S, A)), PI, PI, infinite=True),
    a_map(SoftmaxPolicy((S, A)), PI, PI, infinite=True),
    a_map(TABULAR, REWARD, REWARD),
    a_map(FIXED, X, REWARD),
    a_map(FEATURES, X, REWARD),
    a_map(BOUNDED, REWARD, REWARD),
    a_map(SHAPED, POTENTIAL, REWARD),
    {
        UserMap.__call__: no_array("x", user_map(), X),
        UserMap.pullback: {
            **no_array("x", lambda x: user_map().pullback(x, X), X),
            "gradient": (lambda: user_map().pullback(X, X * np.nan), r"gradient\[0\] is nan"),
        },
        SoftmaxKernel.__call__: no_array("x", TILTED, X),
        SoftmaxKernel.pullback: {
            **no_array("x", lambda x: TILTED.pullback(x, W, V), X),
            **weights("w_ksa", partial(TILTED.pullback, X), W),
        },
        UserKernel.__call__: no_array("x", user_kernel(), X),
        UserKernel.pullback: {
            **no_array("x", lambda x: user_kernel().pullback(x, W, V), X),
            "weights": (lambda: user_kernel().pullback(X, W[0, 0], V), r"w_ksa has shape \(3,\)"),
            "values": (lambda: user_kernel().pullback(X, W, V[:, 1:]), r"v_kt has shape \(2, 3\)"),
            "NaN": (lambda: user_kernel().pullback(X, W * np.nan, V), r"w_ksa\[0, 0, 0\] is nan"),
        },
    },
    a_family(LINEAR, X, "w_ksa", W),
    a_family(SHAPING, XS, "w_ksa", W),
    a_family(RLHF, XR, "w_ksa", W),
    a_family(STACKELBERG, XL, "w_ksa", np.ones((2, S, B))),
    a_family(GAMES, XG, "w_ksab", np.ones((2, S, A, B))),
    a_family(DESIGN, XD, "w_ksab", np.ones((2, S, A, B))),
    {
        LabelByReturn.__call__: {
            "NaN": (lambda: LabelByReturn()(np.array([0.0, np.nan])), r"return_difference\[1\] is nan"),
            "text": (lambda: LabelByReturn()("1"), "return_difference has dtype"),  # type: ignore[arg-type]  # tested
        },
        BradleyTerryLabels.__call__: {
            "NaN": (lambda: BradleyTerryLabels()(np.full(1, np.nan)), r"return_difference\[0\] is nan"),
            "text": (lambda: BradleyTerryLabels()("1"), "return_difference has dtype"),  # type: ignore[arg-type]  # tested
        },
    },
)

ROWS = [
    pytest.param(call, message, id=f"{entry.__qualname__}: {case}")
    for entry, cases in TABLE.items()
    for case, (call, message) in cases.items()
]


@pytest.mark.parametrize(("call", "message"), ROWS)
def test_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=f"(?s){message}"):
        call()


# Completeness.

EXEMPT: dict[Callable[..., object], str] = {
    FixedKernel.__call__: "reads nothing of what it is given: any x will do",
    FixedKernel.pullback: "reads nothing of what it is given: there is nothing to pull back",
}


def entries() -> Iterator[Callable[..., object]]:
    """Public methods that take something, contracts and enumerations aside."""
    for module in modules():
        for name, value in vars(module).items():
            own = getattr(value, "__module__", None) == module.__name__
            if name.startswith("_") or not own or not isinstance(value, type):
                continue
            if getattr(value, "_is_protocol", False) or issubclass(value, Enum):
                continue
            for label, method in vars(value).items():
                if label.startswith("_") and label != "__call__":
                    continue
                if isinstance(method, FunctionType) and len(inspect.signature(method).parameters) > 1:
                    yield method


def test_every_method_has_rows() -> None:
    missing = [method.__qualname__ for method in entries() if method not in {**TABLE, **EXEMPT}]
    assert not missing, f"add rows of bad input for {missing}, or exempt them with a reason"
    assert all(TABLE.values())


def test_exemptions_are_needed() -> None:
    assert not set(TABLE) & set(EXEMPT)
    stale = [method.__qualname__ for method in {**TABLE, **EXEMPT} if method not in set(entries())]
    assert not stale


@pytest.mark.parametrize("h", [H, KL, Quadratic(), WEIGHTED])
def test_temperatures_of_the_states_are_accepted(h: Any) -> None:
    tau_s = np.linspace(0.5, 2.0, S)
    one_by_one = np.stack([h.argmax(Q, float(tau))[s] for s, tau in enumerate(tau_s)])
    assert np.array_equal(h.argmax(Q, tau_s), one_by_one)
    assert np.array_equal(h.argmax(Q, np.array(0.5)), h.argmax(Q, 0.5))
