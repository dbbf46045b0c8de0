"""Every public entry point refuses bad input with a message that names the entry and a remedy.

The table has rows ``entry: case -> (call, message)``.  A completeness test holds it to the public
names of the modules: whoever adds one adds a row, or says here why none is needed.
"""

import importlib
import inspect
import pkgutil
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

import reference.problems
from reference import domains, evaluation, optimality, policies, regularizers
from reference.domains import Ball, Box, Euclidean, Simplices
from reference.errors import InputError
from reference.penalties.bellman import bellman_penalty
from reference.penalties.nikaido_isoda import nikaido_isoda
from reference.penalties.value import value_penalty
from reference.policies import DirectPolicy, SoftmaxPolicy
from reference.problems import (
    general_position,
    instances,
    mdp,
    parametrizations,
    storage,
    structure,
    tables,
)
from reference.problems.incentive_design import IncentiveDesign
from reference.problems.mdp import Mdp, MdpFamily
from reference.problems.parametrizations import (
    BoundedIncentive,
    FixedKernel,
    FixedReward,
    LinearReward,
    PotentialShaping,
    SoftmaxKernel,
    TabularReward,
    UserKernel,
    UserMap,
)
from reference.problems.reward_shaping import RewardShaping
from reference.problems.rlhf import BradleyTerryLabels, LabelByReturn, Rlhf
from reference.problems.stackelberg import StackelbergGame
from reference.problems.zero_sum_game import GameFamily, ZeroSumGame
from reference.regularizers import KLDivergence, NegativeEntropy, Quadratic, Weighted
from reference.validation import Array

Call = Callable[[], object]
Cases = dict[str, tuple[Call, str]]

S, A, B, D = 4, 3, 2, 2
H = NegativeEntropy()


def rng() -> np.random.Generator:
    return np.random.default_rng(1)


MDP = general_position.general_mdp(rng())
GAME = general_position.general_game(rng())
STACKELBERG = general_position.general_stackelberg(rng())
LINEAR = general_position.linear_family(rng())
POTENTIAL = general_position.potential_family(rng(), MDP)
GAMES = general_position.general_game_family(rng(), GAME)
RLHF = general_position.general_rlhf(rng())
SHAPING = general_position.general_shaping(rng(), MDP)
DESIGN = general_position.general_incentive_design(rng(), GAME)
PI, PI_B = np.full((S, A), 1.0 / A), np.full((S, B), 1.0 / B)
X = np.array([0.1, 0.2])

SHAPES: list[Any] = [3, (0,), (2.0,), (-1,), "ab", (True,), None, ("2",)]
PAIRS: list[Any] = [3, (3,), (2, 0), (2, 3, 4), (2.0, 3), None]
"""What no shape, or no shape of a policy, may be."""


def edited(array: Array, where: tuple[int, ...], value: float) -> Array:
    array = array.copy()
    array[where] = value
    return array


def changed(record: Any, **parts: object) -> Call:
    """Rebuild a valid record with one part replaced."""
    return partial(replace, record, **parts)


class Elsewhere:
    """Refuses to become an array, as tensors do that need gradients."""

    def __array__(self, *_args: object, **_kinds: object) -> Array:
        raise RuntimeError("use tensor.detach().numpy() instead")


def wrong_arrays(record: Any, name: str) -> Cases:
    """What no array of real numbers may be, for one field of a valid record."""
    array: Array = getattr(record, name)
    ragged = [array.tolist(), [1.0]]
    first = "".join(rf"\[{', '.join('0' * array.ndim)}\]")
    return {
        f"{name} complex": (
            changed(record, **{name: array + 0j}),
            f"{name} has dtype complex.*real if",
        ),
        f"{name} boolean": (changed(record, **{name: array > 0}), f"{name} has dtype bool.*astype"),
        f"{name} object": (changed(record, **{name: array.astype(object)}), f"{name} has dtype object"),
        f"{name} text": (changed(record, **{name: array.astype(str)}), f"{name} has dtype <U.*astype"),
        f"{name} ragged": (changed(record, **{name: ragged}), f"{name} is ragged.*one length"),
        f"{name} masked": (
            changed(record, **{name: np.ma.masked_less(array, 0.1)}),
            f"{name} is masked.*filled",
        ),
        f"{name} NaN": (
            changed(record, **{name: edited(array, (0,) * array.ndim, np.nan)}),
            f"{name}{first} is nan.*look for",
        ),
        f"{name} elsewhere": (changed(record, **{name: Elsewhere()}), f"{name} is no array.*detach"),
        f"{name} infinite": (
            changed(record, **{name: edited(array, (0,) * array.ndim, np.inf)}),
            f"{name}{first} is inf.*({'Euclidean' if isinstance(record, domains.Box) else 'look for'})",
        ),
        f"{name} with other axes": (changed(record, **{name: array[..., :-1]}), f"{name}.*shape"),
    }


def wrong_rows(record: Any, name: str) -> Cases:
    """What no array of distributions may be."""
    array: Array = getattr(record, name)
    start = (0,) * (array.ndim - 1)
    row = rf"\[{', '.join(map(str, start))}\]" if start else ""
    negative = edited(edited(array, (*start, 0), -0.25), (*start, 1), array[start][:2].sum() + 0.25)
    return wrong_arrays(record, name) | {
        f"{name} not summing to one": (
            changed(record, **{name: edited(array, (*start, 0), array[start][0] + 1e-9)}),
            rf"{name}{row} sums to 1\.0000000.*divide the row",
        ),
        f"{name} negative": (
            changed(record, **{name: negative}),
            rf"{name}\[.*\] is -0\.25; a probability is never negative.*correct",
        ),
    }


def wrong_numbers(record: Any, name: str = "gamma", *, discount: bool = True) -> Cases:
    """What no discount, or no temperature, may be."""
    outside: list[object] = [-1e-9, np.nan, np.inf, "0.5", None, True, 0.5j, np.array([0.5])]
    outside += [1.0, 1.5] if discount else []
    return {
        f"{name} = {value!r}": (changed(record, **{name: value}), rf"{name} is .*must be")
        for value in outside
    }


def wrong_regularizers(record: Any, name: str = "regularizer", actions: int = A) -> Cases:
    """What no regulariser of a problem may be."""
    other = np.full((S + 1, actions), 1.0 / actions)
    return {
        f"{name} class": (changed(record, **{name: Quadratic}), f"{name} is the class Quadratic"),
        f"{name} none": (changed(record, **{name: None}), f"{name} is NoneType.*must be a Regularizer"),
        f"{name} text": (changed(record, **{name: "entropy"}), f"{name} is str.*must be a Regularizer"),
        f"{name} of other states": (
            changed(record, **{name: KLDivergence(other)}),
            f"{name} does not take policies.*give its reference or weights",
        ),
        f"{name} with other weights": (
            changed(record, **{name: Weighted(H, np.ones(S + 1))}),
            f"{name} does not take policies.*give its reference or weights",
        ),
    }


def wrong_generators(make: Callable[..., object], **arguments: object) -> Cases:
    return {
        f"generator {type(value).__name__}": (
            partial(make, value, **arguments),
            r"generator is .*default_rng",
        )
        for value in (0, None, np.random.RandomState(0))
    }


def wrong_sizes(make: Callable[..., object], *names: str) -> Cases:
    return {
        f"{name} = {value!r}": (
            partial(make, rng(), **{name: value}),
            r"whole number >= 1|positive whole",
        )
        for name in names
        for value in (0, -1, 2.0, "2", True)
    }


def not_a_domain(make: Callable[[Any], object]) -> Cases:
    return {
        "domain class": (partial(make, Box), "domain is the class Box; give an instance"),
        "domain shape": (partial(make, (S, A)), "domain is tuple.*must be a Domain"),
        "domain none": (partial(make, None), "domain is NoneType.*must be a Domain"),
    }


def outside_domain(at: Callable[[Any], object]) -> Cases:
    """For x in a ball of shape (2,)."""
    return {
        "x outside": (partial(at, np.array([9.0, 9.0])), r"x\[0\] is 9, outside the Ball.*project it"),
        "x of another shape": (partial(at, np.zeros(3)), r"x has shape \(3,\).*must be \(2,\)"),
        "x a number": (partial(at, 0.5), r"x has shape \(\).*must be \(2,\)"),
        "x NaN": (partial(at, np.array([np.nan, 0.0])), r"x\[0\] is nan"),
        "x complex": (partial(at, np.array([0j, 0.0])), r"x has dtype complex128"),
    }


def wrong_policies(call: Callable[[Any], object], name: str, good: Array) -> Cases:
    return {
        f"{name} of another shape": (partial(call, good[:-1]), f"{name} has shape.*check the order"),
        f"{name} transposed": (partial(call, good.T), f"{name} has shape.*check the order"),
        f"{name} not summing to one": (
            partial(call, 1.25 * good),
            rf"{name}\[0\] sums to 1\.25.*divide",
        ),
        f"{name} negative": (
            partial(
                call, np.where(np.arange(good.shape[1]) == 0, 1.5, -0.5 / (good.shape[1] - 1)) + 0 * good
            ),
            rf"{name}\[0, 1\] is -0\..*never negative",
        ),
        f"{name} NaN": (partial(call, good * np.nan), rf"{name}\[0, 0\] is nan"),
        f"{name} complex": (partial(call, good + 0j), f"{name} has dtype complex"),
    }


def with_policy(penalty: Callable[..., object], **parts: Any) -> object:
    return penalty(**{"lower": LINEAR, "x": X, "pi_sa": PI, "companion_sa": PI} | parts)


def with_policies(**parts: Any) -> object:
    given: dict[str, Any] = {"lower": GAMES, "x": X, "pi_sa": PI, "pi_sb": PI_B}
    return nikaido_isoda(**given | {"companion_sa": PI, "companion_sb": PI_B} | parts)


def penalties(penalty: Callable[..., object]) -> Cases:
    zero = replace(LINEAR, rho_s=np.array([0.5, 0.5, 0.0, 0.0]))
    return {
        "rho with a zero": (
            partial(with_policy, penalty, lower=zero),
            r"rho_s\[2\] is 0; .*mix rho_s with the uniform",
        ),
        **outside_domain(lambda x: with_policy(penalty, x=x)),
        **wrong_policies(lambda pi: with_policy(penalty, pi_sa=pi), "pi_sa", PI),
    }


def wrong_tolerances(solve: Callable[..., object]) -> Cases:
    return {
        **{
            f"tolerance {value!r}": (partial(solve, MDP, tolerance=value), "tolerance is .*must be")
            for value in (-1.0, np.nan, "small", 1j)
        },
        "no iterations": (partial(solve, MDP, max_iterations=0), "max_iterations is 0.*must be"),
    }


def tied() -> Mdp:
    r = np.zeros((S, A))
    return replace(MDP, P_sat=np.full((S, A, S), 0.25), r_sa=r, tau=0.0, regularizer=H)


def user_map(**parts: Any) -> UserMap:
    given: dict[str, Any] = {"value": lambda x: x, "vjp": lambda _, g: g, "domain": Euclidean((D,))}
    return UserMap(**given | parts)


def user_kernel(**parts: Any) -> UserKernel:
    P = MDP.P_sat
    given: dict[str, Any] = {"value": lambda _: P, "vjp": lambda x, _: 0 * x, "domain": Euclidean((D,))}
    return UserKernel(**given | parts)


def not_callable(make: Callable[..., object]) -> Cases:
    return {
        "value": (partial(make, value=np.zeros(3)), "value is ndarray; it must be a callable"),
        "vjp": (partial(make, vjp=None), "vjp is NoneType; it must be a callable"),
    } | not_a_domain(lambda domain: make(domain=domain))


def saved(change: Callable[[Path], object], folder: list[Path]) -> object:
    path = folder[0] / "mdp.npz"
    storage.save(path, MDP)
    change(path)
    return storage.load(path, Mdp)


FOLDER: list[Path] = []
"""Set by the test to a fresh directory; rows are made before there is one."""


def old_version() -> Mdp:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # gymnasium's own, before its error
        return gym("Taxi-v0")


def with_version(path: Path) -> None:
    with np.load(path) as archive:
        arrays = dict(archive)
    header = str(arrays.pop("header")).replace('"version": 1', '"version": 2')
    np.savez(path, header=np.array(header), **arrays)


BOX = Box(np.zeros(2), np.ones(2))
BALL = Ball(np.zeros(2), 1.0)
KL = KLDivergence(PI)
WEIGHTED = Weighted(H, np.ones(S))
BOUNDED = BoundedIncentive(MDP.r_sa, 0.2, Euclidean((S, A)))
SHAPED = PotentialShaping(MDP.r_sa, MDP.P_sat, MDP.gamma, Euclidean((S,)))
FEATURES = LinearReward(np.ones((D, S, A)), MDP.r_sa, Euclidean((D,)))
TILTED = SoftmaxKernel(np.log(MDP.P_sat), np.ones((D, S, A, S)), Euclidean((D,)))

gym = partial(tables.from_gymnasium, gamma=0.9, tau=0.1, regularizer=H)


def pair(P: Any = MDP.P_sat, R: Any = MDP.r_sa, **parts: Any) -> Mdp:
    given: dict[str, Any] = {"layout": tables.Layout.STATE_ACTION_NEXT, "gamma": 0.9, "tau": 0.1}
    return tables.from_arrays(P, R, **given | {"rho_s": MDP.rho_s, "regularizer": H} | parts)


TABLE: dict[Callable[..., object], Cases] = {
    # Domains.
    domains.member: {
        "outside": (
            lambda: domains.member("x", np.array([2.0, 0.0]), BOX),
            r"x\[0\] is 2, outside the Box",
        ),
        "shape": (lambda: domains.member("y", np.zeros(3), BOX), r"y has shape \(3,\)"),
    },
    domains.located: {
        "shape": (lambda: domains.located("y", np.zeros(3), BOX), r"y has shape \(3,\)"),
        "NaN": (lambda: domains.located("y", np.full(2, np.nan), BOX), r"y\[0\] is nan.*look for"),
    },
    domains.point: {
        "shape": (lambda: domains.point("y", np.zeros(3), BOX), r"y has shape \(3,\)"),
        "NaN": (lambda: domains.point("y", np.full(2, np.nan), BOX), r"y\[0\] is nan.*look for"),
    },
    Euclidean: {
        repr(shape): (partial(Euclidean, shape), r"shape.* is .*whole number") for shape in SHAPES
    },
    Simplices: {
        repr(shape): (partial(Simplices, shape), r"shape.* is .*(whole number|give at least)")
        for shape in [*SHAPES, ()]
    },
    Box: {
        **{k: v for name in ("low", "high") for k, v in wrong_arrays(BOX, name).items()},
        "crossed": (changed(BOX, low=np.array([0.0, 2.0])), r"low\[1\] exceeds high\[1\]: swap"),
    },
    Ball: {
        **{k: v for k, v in wrong_arrays(BALL, "centre").items() if "axes" not in k},
        **wrong_numbers(BALL, "radius", discount=False),
        "a point": (changed(BALL, radius=0.0), r"radius is 0\.0; it must be a number in \(0"),
    },
    # Regularisers and policies.
    KLDivergence: {
        **{k: v for k, v in wrong_rows(KL, "reference_sa").items() if "axes" not in k},
        "a zero": (
            changed(KL, reference_sa=np.tile([1.0, 0.0], (S, 1))),
            r"reference_sa\[0, 1\] is 0; .*mix the reference",
        ),
        "one row": (changed(KL, reference_sa=PI[0]), r"reference_sa has shape \(3,\).*repeat the row"),
    },
    Weighted: {
        **{k: v for k, v in wrong_arrays(WEIGHTED, "weight_s").items() if "axes" not in k},
        "a zero": (
            changed(WEIGHTED, weight_s=np.array([1.0, 0.0])),
            r"weight_s\[1\] is 0; .*give every",
        ),
        "negative": (changed(WEIGHTED, weight_s=np.array([-1.0, 1.0])), r"weight_s\[0\] is -1; "),
        "a number": (
            changed(WEIGHTED, weight_s=2.0),
            r"weight_s is one number; give one weight per state",
        ),
        "no base": (changed(WEIGHTED, base=2.0), r"base is float; it must be a Regularizer"),
        "class": (changed(WEIGHTED, base=Quadratic), r"base is the class Quadratic; give an instance"),
    },
    regularizers.fitting: {
        "class": (lambda: regularizers.fitting("h", Quadratic, S, A), "h is the class"),  # type: ignore[arg-type]  # tested
        "states": (lambda: regularizers.fitting("h", KL, S + 1, A), "h does not take policies"),
        "one row": (
            lambda: regularizers.fitting("h", KLDivergence(np.full((S, A), 1 / A)), 1, A),
            r"h gives values of shape \(4,\) for 1 states: give",
        ),
    },
    DirectPolicy: {
        repr(shape): (partial(DirectPolicy, shape), r"shape.* is .*whole number") for shape in PAIRS
    },
    SoftmaxPolicy: {
        repr(shape): (partial(SoftmaxPolicy, shape), r"shape.* is .*whole number") for shape in PAIRS
    },
    # Parametrisations.
    TabularReward: {
        **not_a_domain(TabularReward),
        "states only": (
            lambda: TabularReward(Euclidean((S,))),
            r"points of shape \(4,\).*give a domain",
        ),
    },
    FixedReward: {
        **not_a_domain(lambda domain: FixedReward(MDP.r_sa, domain)),
        "states only": (lambda: FixedReward(np.zeros(S), BOX), r"r_sa has shape \(4,\); it needs axes"),
        "NaN": (lambda: FixedReward(np.full((S, A), np.nan), BOX), r"r_sa\[0, 0\] is nan"),
    },
    LinearReward: {
        **wrong_arrays(FEATURES, "offset_sa"),
        **{k: v for k, v in wrong_arrays(FEATURES, "features_isa").items() if "axes" not in k},
        **not_a_domain(lambda domain: replace(FEATURES, domain=domain)),
        "features": (
            changed(FEATURES, features_isa=np.ones((3, S, A))),
            r"features_isa.*give the domain",
        ),
        "no actions": (
            changed(FEATURES, features_isa=np.ones((D, S))),
            r"features_isa has shape \(2, 4\)",
        ),
        "actions": (changed(FEATURES, features_isa=np.ones((D, S, B))), r"offset_sa.*np\.zeros"),
        "batch": (changed(FEATURES, batch_axes=1), r"features_isa.*1 batch axes"),
        "negative batch": (changed(FEATURES, batch_axes=-1), r"batch_axes is -1.*whole number >= 0"),
    },
    BoundedIncentive: {
        **wrong_arrays(BOUNDED, "r_sa"),
        **not_a_domain(lambda domain: replace(BOUNDED, domain=domain)),
        "scale": (changed(BOUNDED, scale=np.nan), "scale is nan"),
        "domain of another shape": (changed(BOUNDED, domain=BOX), r"r_sa has shape.* must be \(2,\)"),
    },
    PotentialShaping: {
        **wrong_arrays(SHAPED, "r_sa"),
        **wrong_rows(SHAPED, "P_sat"),
        **wrong_numbers(SHAPED),
        **not_a_domain(lambda domain: replace(SHAPED, domain=domain)),
        "domain of another shape": (changed(SHAPED, domain=BOX), r"one number per state: give a domain"),
        "batch": (changed(SHAPED, r_sa=np.zeros((2, S, A)), P_sat=np.stack([MDP.P_sat] * 3)), r"batch"),
    },
    UserMap: not_callable(user_map),
    UserKernel: not_callable(user_kernel),
    FixedKernel: wrong_rows(FixedKernel(MDP.P_sat), "P_sat"),
    SoftmaxKernel: {
        **wrong_arrays(TILTED, "features_isat"),
        **{
            k: v
            for k, v in wrong_arrays(TILTED, "logits_sat").items()
            if "NaN" not in k and "infinite" not in k
        },
        **not_a_domain(lambda domain: replace(TILTED, domain=domain)),
        "NaN": (changed(TILTED, logits_sat=np.full((S, A, S), np.nan)), "NaN.*needs a finite logit"),
        "inf": (changed(TILTED, logits_sat=np.full((S, A, S), np.inf)), "needs a finite logit"),
        "no transition": (changed(TILTED, logits_sat=np.full((S, A, S), -np.inf)), "a finite logit"),
        "domain of another shape": (
            changed(TILTED, domain=Euclidean((3,))),
            r"features_isat has shape .*must be \(3, 4, 3, 4\)",
        ),
        "batch": (
            changed(TILTED, logits_sat=np.zeros((2, S, A, S)), features_isat=np.zeros((3, D, S, A, S))),
            r"batch.*logits_sat \(2,\), features_isat \(3,\); give",
        ),
    },
    parametrizations.check_pullback: {
        "no map": (lambda: parametrizations.check_pullback(3, X, rng()), "map_ is int"),  # type: ignore[arg-type]  # tested
        "wrong": (
            lambda: parametrizations.check_pullback(user_map(vjp=lambda _, g: 2.0 * g), X, rng()),
            "slope.*correct the pullback",
        ),
        "x": (
            lambda: parametrizations.check_pullback(user_map(), np.zeros(3), rng()),
            r"x has shape \(3,\)",
        ),
    },
    parametrizations.check_kernel_pullback: {
        "no kernel": (lambda: parametrizations.check_kernel_pullback(3, X, rng()), "kernel is int"),  # type: ignore[arg-type]  # tested
        "wrong": (
            lambda: parametrizations.check_kernel_pullback(
                user_kernel(vjp=lambda x, _: x + 1.0), X, rng()
            ),
            "slope.*correct the pullback",
        ),
        "x": (
            lambda: parametrizations.check_kernel_pullback(user_kernel(), np.zeros(3), rng()),
            r"x has shape \(3,\)",
        ),
    },
    parametrizations.check_gradient: {
        "shape": (
            lambda: parametrizations.check_gradient(np.sum, X, np.ones(3), rng(), size=1.0),
            r"gradient has shape \(3,\)",
        ),
        "directions": (
            lambda: parametrizations.check_gradient(
                np.sum, X, np.ones(2), rng(), size=1.0, directions=0
            ),
            r"directions is 0; it must be a whole number >= 1",
        ),
        "wrong": (
            lambda: parametrizations.check_gradient(np.sum, X, np.zeros(2), rng(), size=1.0),
            "slope.*correct the pullback",
        ),
    },
    # Problems.
    Mdp: {
        **wrong_rows(MDP, "P_sat"),
        **wrong_arrays(MDP, "r_sa"),
        **wrong_rows(MDP, "rho_s"),
        **wrong_numbers(MDP),
        **wrong_numbers(MDP, "tau", discount=False),
        **wrong_regularizers(MDP),
        "order of axes": (
            changed(MDP, P_sat=MDP.P_sat.transpose(1, 0, 2)),
            r"P_sat has shape \(3, 4, 4\).*check the order",
        ),
        "two axes": (changed(MDP, P_sat=np.eye(S)), r"P_sat has shape \(4, 4\).*check the order"),
        "no state": (changed(MDP, P_sat=np.zeros((0, A, 0))), r"there must be a state"),
        "batch": (
            changed(MDP, r_sa=np.zeros((2, S, A)), rho_s=np.full((3, S), 0.25)),
            r"batch.*give every",
        ),
    },
    mdp.discount: {"one": (lambda: mdp.discount(1.0), r"gamma is 1\.0; .*\[0, 1\): .*undiscounted")},
    mdp.temperature: {"negative": (lambda: mdp.temperature(-1.0), r"tau is -1\.0; .*rewards the")},
    MdpFamily: {
        **wrong_rows(LINEAR, "rho_s"),
        **wrong_numbers(LINEAR),
        **wrong_numbers(LINEAR, "tau", discount=False),
        **wrong_regularizers(LINEAR),
        **outside_domain(LINEAR.at),
        "reward class": (changed(LINEAR, reward=LinearReward), "reward is the class LinearReward"),
        "reward array": (changed(LINEAR, reward=MDP.r_sa), r"reward is ndarray; it must be a SmoothMap"),
        "kernel array": (changed(LINEAR, kernel=MDP.P_sat), r"kernel is ndarray; it must be a Kernel"),
        "different x": (
            changed(LINEAR, reward=BOUNDED),
            r"reward takes x of shape \(4, 3\) and the kernel of shape \(2,\): give both the same x",
        ),
        "different states": (
            changed(POTENTIAL, kernel=FixedKernel(np.full((3, A, 3), 1 / 3))),
            r"r_sa has shape \(4, 3\); .*check the order",
        ),
    },
    ZeroSumGame: {
        **wrong_rows(GAME, "P_sabt"),
        **wrong_arrays(GAME, "r_sab"),
        **wrong_rows(GAME, "rho_s"),
        **wrong_numbers(GAME),
        **wrong_numbers(GAME, "tau", discount=False),
        **wrong_regularizers(GAME, "regularizer_1"),
        **wrong_regularizers(GAME, "regularizer_2", B),
        "players exchanged": (
            changed(GAME, regularizer_2=KL),
            r"regularizer_2 does not take policies of shape \(4, 2\)",
        ),
        "three axes": (
            changed(GAME, P_sabt=MDP.P_sat),
            r"P_sabt has shape \(4, 3, 4\).*check their order",
        ),
        "no action": (
            changed(GAME, P_sabt=np.zeros((S, A, 0, S))),
            "there must be a state and two actions",
        ),
        "batch": (changed(GAME, r_sab=np.zeros((2, S, A, B)), rho_s=np.full((3, S), 0.25)), r"batch"),
    },
    GameFamily: {
        **wrong_rows(GAMES, "rho_s"),
        **wrong_numbers(GAMES),
        **wrong_numbers(GAMES, "tau", discount=False),
        **wrong_regularizers(GAMES, "regularizer_1"),
        **wrong_regularizers(GAMES, "regularizer_2", B),
        **outside_domain(GAMES.at),
        "reward class": (changed(GAMES, reward=LinearReward), "reward is the class LinearReward"),
        "kernel array": (changed(GAMES, kernel=MDP.P_sat), "kernel is ndarray; it must be a Kernel"),
        "different x": (changed(GAMES, reward=BOUNDED), r"give both the same x"),
        "one player's reward": (
            changed(GAMES, reward=FEATURES),
            r"the reward has shape \(4, 3\); a game",
        ),
        "one player's kernel": (
            changed(GAMES, kernel=FixedKernel(MDP.P_sat)),
            r"the kernel has 3 joint actions and the reward 3 x 2 = 6: index",
        ),
    },
    StackelbergGame: {
        **wrong_rows(STACKELBERG, "P_sabt"),
        **wrong_arrays(STACKELBERG, "r_leader_sab"),
        **wrong_arrays(STACKELBERG, "r_follower_sab"),
        **wrong_rows(STACKELBERG, "rho_s"),
        **wrong_numbers(STACKELBERG),
        **wrong_numbers(STACKELBERG, "tau", discount=False),
        **wrong_numbers(STACKELBERG, "tau_leader", discount=False),
        **wrong_regularizers(STACKELBERG, "regularizer", B),
        **wrong_regularizers(STACKELBERG, "regularizer_leader"),
        "three axes": (changed(STACKELBERG, P_sabt=MDP.P_sat), r"P_sabt has shape \(4, 3, 4\)"),
        "no action": (changed(STACKELBERG, P_sabt=np.zeros((S, 0, B, S))), "there must be a state"),
        "leader's shape": (
            changed(STACKELBERG, leader=SoftmaxPolicy((S, B))),
            r"leader's map takes x of shape \(4, 2\).*must be .*\(4, 3\)",
        ),
        "leader class": (
            changed(STACKELBERG, leader=SoftmaxPolicy),
            "leader is the class SoftmaxPolicy",
        ),
        "leader no policy": (changed(STACKELBERG, leader=BOUNDED), "leader is BoundedIncentive"),
        "x outside": (
            lambda: replace(STACKELBERG, leader=DirectPolicy((S, A))).at(np.zeros((S, A))),
            r"x\[0, 0\] is 0, outside the Simplices.*project it",
        ),
        "x of another shape": (lambda: STACKELBERG.at(np.zeros((A, S))), r"x has shape \(3, 4\)"),
        "batch": (
            changed(STACKELBERG, r_leader_sab=np.zeros((2, S, A, B)), rho_s=np.full((3, S), 0.25)),
            "batch",
        ),
    },
    LabelByReturn: wrong_numbers(LabelByReturn(), "tolerance", discount=False),
    BradleyTerryLabels: {
        **wrong_numbers(BradleyTerryLabels(), "temperature", discount=False),
        "zero": (lambda: BradleyTerryLabels(0.0), r"temperature is 0\.0; it must be a number in \(0"),
    },
    Rlhf: {
        **wrong_arrays(RLHF, "r_true_sa"),
        **outside_domain(RLHF.at),
        **{
            f"{name} = {value!r}": (changed(RLHF, **{name: value}), rf"{name} is .*whole number >= ")
            for name in ("segment_length", "delay")
            for value in (-1, 1.5, "1", None, True)
        },
        "no length": (changed(RLHF, segment_length=0), "segment_length is 0.*>= 1"),
        "labels class": (changed(RLHF, labels=LabelByReturn), "labels is the class LabelByReturn"),
        "labels none": (changed(RLHF, labels=None), r"labels is NoneType; it must be a LabelRule"),
        "no family": (changed(RLHF, lower=MDP), r"lower is Mdp; it must be a ParametricMdp"),
        "moving transitions": (
            changed(RLHF, lower=LINEAR),
            r"transitions depend on x; .*use a FixedKernel",
        ),
        "batch": (
            changed(
                RLHF,
                r_true_sa=np.zeros((3, S, A)),
                lower=replace(RLHF.lower, kernel=FixedKernel(np.stack([MDP.P_sat] * 2))),  # type: ignore[type-var]  # a family
            ),
            r"batch.*r_true_sa \(3,\), P_sat \(2,\)",
        ),
    },
    RewardShaping: {
        **outside_domain(SHAPING.at),
        "no MDP": (changed(SHAPING, original=SHAPING.shaped), "original is MdpFamily; it must be"),
        "no family": (changed(SHAPING, shaped=MDP), "shaped is Mdp; it must be a ParametricMdp"),
        **{
            f"another {name}": (
                changed(SHAPING, original=changed(MDP, **{name: value})()),
                rf"differ in {name}; .*build both from one {name}",
            )
            for name, value in {
                "gamma": 0.5,
                "tau": 0.5,
                "rho_s": np.full(S, 0.25),
                "P_sat": np.full((S, A, S), 0.25),
                "regularizer": H,
            }.items()
        },
        "batch": (
            changed(SHAPING, original=replace(MDP, r_sa=np.zeros((2, S, A)))),
            r"shape.*give both",
        ),
    },
    IncentiveDesign: {
        **wrong_rows(DESIGN, "P_design_sabt"),
        **wrong_arrays(DESIGN, "r_design_sab"),
        **wrong_arrays(DESIGN, "cost_s"),
        "no family": (changed(DESIGN, game=GAME), "game is ZeroSumGame; it must be a ParametricGame"),
        "x of another shape": (lambda: DESIGN.at(np.zeros(3)), r"x has shape \(3,\)"),
        "batch": (
            changed(DESIGN, r_design_sab=np.zeros((2, S, A, B)), cost_s=np.zeros((3, S))),
            "batch",
        ),
    },
    # Instances.
    instances.random_stackelberg: {
        **wrong_generators(instances.random_stackelberg),
        **wrong_sizes(instances.random_stackelberg, "n_states", "n_leader", "n_follower"),
        "sparsity": (lambda: instances.random_stackelberg(rng(), sparsity=1.5), "sparsity is 1.5"),
        "gamma": (lambda: instances.random_stackelberg(rng(), n_states=2, gamma=1.0), "gamma is 1.0"),
        "rho": (
            lambda: instances.random_stackelberg(rng(), n_states=2, rho_s=np.ones(2)),
            "rho_s sums to 2",
        ),
    },
    instances.random_incentive_design: {
        **wrong_generators(instances.random_incentive_design),
        **wrong_sizes(instances.random_incentive_design, "n_states", "n_first", "n_second"),
        "scale": (lambda: instances.random_incentive_design(rng(), scale=np.inf), "scale is inf"),
        "tau": (lambda: instances.random_incentive_design(rng(), tau=-0.1), "tau is -0.1"),
    },
    general_position.general_distributions: {
        **wrong_generators(general_position.general_distributions, shape=(2,)),
        "shape": (lambda: general_position.general_distributions(rng(), (0,)), r"shape\[0\] is 0"),
    },
    general_position.general_point: {
        **wrong_generators(general_position.general_point, domain=BOX),
        **not_a_domain(lambda domain: general_position.general_point(rng(), domain)),
    },
    general_position.general_regularizers: {
        **wrong_generators(general_position.general_regularizers, n_states=2, n_actions=2),
        "sizes": (lambda: general_position.general_regularizers(rng(), 2, 0), r"shape\[1\] is 0"),
    },
    general_position.general_mdp: {
        **wrong_generators(general_position.general_mdp),
        **wrong_sizes(general_position.general_mdp, "n_states", "n_actions"),
        "gamma": (lambda: general_position.general_mdp(rng(), gamma=1.0), "gamma is 1.0"),
    },
    general_position.general_game: {
        **wrong_generators(general_position.general_game),
        **wrong_sizes(general_position.general_game, "n_states", "n_first", "n_second"),
        "tau": (lambda: general_position.general_game(rng(), tau=-1.0), "tau is -1.0"),
    },
    general_position.tabular_family: {
        **wrong_generators(general_position.tabular_family),
        "domain class": (
            lambda: general_position.tabular_family(rng(), domain=Box),  # type: ignore[arg-type]  # tested
            "domain is the class Box",
        ),
        "no MDP": (lambda: general_position.tabular_family(rng(), GAME), "mdp is ZeroSumGame"),  # type: ignore[arg-type]  # tested
    },
    general_position.linear_family: {
        **wrong_generators(general_position.linear_family),
        **wrong_sizes(general_position.linear_family, "n_features"),
        "no MDP": (lambda: general_position.linear_family(rng(), GAME), "mdp is ZeroSumGame"),  # type: ignore[arg-type]  # tested
    },
    general_position.potential_family: {
        **wrong_generators(general_position.potential_family),
        "no MDP": (lambda: general_position.potential_family(rng(), GAME), "mdp is ZeroSumGame"),  # type: ignore[arg-type]  # tested
    },
    general_position.general_game_family: {
        **wrong_generators(general_position.general_game_family),
        **wrong_sizes(general_position.general_game_family, "n_features"),
        "no game": (lambda: general_position.general_game_family(rng(), MDP), "game is Mdp"),  # type: ignore[arg-type]  # tested
    },
    general_position.general_stackelberg: {
        **wrong_generators(general_position.general_stackelberg),
        **wrong_sizes(general_position.general_stackelberg, "n_states", "n_leader", "n_follower"),
        "leader": (lambda: general_position.general_stackelberg(rng(), leader=Euclidean), "leader is"),  # type: ignore[arg-type]  # tested
    },
    general_position.general_rlhf: {
        **wrong_generators(general_position.general_rlhf),
        **wrong_sizes(general_position.general_rlhf, "n_features", "segment_length"),
        "delay": (lambda: general_position.general_rlhf(rng(), delay=-1), "delay is -1"),
    },
    general_position.general_shaping: {
        **wrong_generators(general_position.general_shaping),
        **wrong_sizes(general_position.general_shaping, "n_features"),
        "no MDP": (lambda: general_position.general_shaping(rng(), GAME), "mdp is ZeroSumGame"),  # type: ignore[arg-type]  # tested
    },
    general_position.general_incentive_design: {
        **wrong_generators(general_position.general_incentive_design),
        "scale": (
            lambda: general_position.general_incentive_design(rng(), scale=np.nan),
            "scale is nan",
        ),
        "no game": (lambda: general_position.general_incentive_design(rng(), MDP), "game is Mdp"),  # type: ignore[arg-type]  # tested
    },
    structure.stack: {
        "nothing": (lambda: structure.stack([]), "problems is empty; give"),
        "arrays": (lambda: structure.stack([PI]), r"problems\[0\] is ndarray; give problems"),
        "kinds": (
            lambda: structure.stack([MDP, GAME]),
            r"problems\[1\] is ZeroSumGame and problems\[0\] Mdp",
        ),
        "shapes": (
            lambda: structure.stack([MDP, general_position.general_mdp(rng(), n_states=2)]),
            r"problems\[1\].P_sat has shape",
        ),
        "numbers": (
            lambda: structure.stack([MDP, replace(MDP, gamma=0.5)]),
            r"problems\[1\].gamma is 0.5 .*give them one value",
        ),
    },
    # Tables and files.
    tables.from_arrays: {
        **{
            f"P {case}": (partial(pair, P=wrong), message)
            for case, wrong, message in (
                ("complex", MDP.P_sat + 0j, "P has dtype complex"),
                ("sparse", [object()], "P has dtype object"),
                ("two axes", np.eye(S), r"P has shape \(4, 4\); it must have the three axes"),
                ("order", MDP.P_sat.transpose(1, 0, 2), r"P has shape .*check the layout"),
                ("rows", 2.0 * MDP.P_sat, r"P\[0, 0\] sums to (2|1\.99)"),
            )
        },
        "R": (lambda: pair(R=MDP.r_sa.T), r"R has shape \(3, 4\).*must be \(4,\), \(4, 3\) or"),
        "R NaN": (lambda: pair(R=np.full(S, np.nan)), r"R\[0\] is nan"),
        "layout": (lambda: pair(layout=(0, 1, 2)), r"layout is \(0, 1, 2\); it must be one of Layout"),
        "rho": (lambda: pair(rho_s=np.ones(S)), "rho_s sums to 4"),
        "gamma": (lambda: pair(gamma=1.0), "gamma is 1.0"),
        "regularizer": (lambda: pair(regularizer=None), "regularizer is NoneType"),
    },
    tables.from_gymnasium: {
        "unknown id": (lambda: gym("FrozenPond-v1"), r"'FrozenPond-v1' cannot be made.*registry"),
        "old version": (old_version, r"'Taxi-v0' cannot be made.*registry"),
        "unknown namespace": (lambda: gym("nowhere/Taxi-v4"), r"cannot be made.*registry"),
        "no id": (lambda: gym(""), r"cannot be made.*registry"),
        "number": (partial(gym, 3), r"environment is int; give a Gymnasium environment or its id"),
        "not tabular": (lambda: gym("CartPole-v1"), r"CartPole.* no table of transitions.*from_arrays"),
        "cards": (lambda: gym("Blackjack-v1"), r"Blackjack.* no table of transitions"),
        "rho": (lambda: gym("CliffWalking-v1", rho_s=np.ones(3) / 3), r"rho_s has shape \(3,\)"),
        "gamma": (lambda: gym("CliffWalking-v1", gamma=1.0), "gamma is 1.0"),
        "fickle": (
            lambda: gym(gymnasium.make("Taxi-v4", fickle_passenger=True)),
            "fickle_passenger=False",
        ),
    },
    tables.spread_start: {
        "no MDP": (lambda: tables.spread_start(GAME), "mdp is ZeroSumGame"),  # type: ignore[arg-type]  # tested
        "zero": (lambda: tables.spread_start(MDP, 0.0), r"share is 0\.0; .*\(0, 1\]"),
        "two": (lambda: tables.spread_start(MDP, 2.0), r"share is 2\.0"),
    },
    storage.save: {
        "array": (lambda: storage.save(FOLDER[0] / "x", PI), "record is ndarray.*wrap it in one"),
        "function": (
            lambda: storage.save(FOLDER[0] / "x", user_map()),
            "value is function.*LinearReward",
        ),
        "folder": (lambda: storage.save(FOLDER[0] / "no" / "x", MDP), "is not a directory; create it"),
    },
    storage.load: {
        "no file": (lambda: storage.load(FOLDER[0] / "x", Mdp), "x is not a file; check the path"),
        "corrupt": (
            lambda: saved(lambda path: path.write_bytes(path.read_bytes()[:-40]), FOLDER),
            r"mdp\.npz is not a readable .npz file.*restore it",
        ),
        "newer": (lambda: saved(with_version, FOLDER), r"mdp\.npz: .*version 2.*update the program"),
        "another class": (
            lambda: saved(lambda path: storage.save(path, GAME), FOLDER),
            r"mdp\.npz holds ZeroSumGame, not Mdp",
        ),
    },
    # Values.
    evaluation.evaluate: wrong_policies(lambda pi: evaluation.evaluate(MDP, pi), "pi_sa", PI),
    evaluation.evaluate_joint: {
        **wrong_policies(lambda pi: evaluation.evaluate_joint(GAME, pi, PI_B), "pi_sa", PI),
        **wrong_policies(lambda pi: evaluation.evaluate_joint(GAME, PI, pi), "pi_sb", PI_B),
    },
    evaluation.q_gradient_x: {
        "shape": (
            lambda: evaluation.q_gradient_x(LINEAR, X, evaluation.evaluate(LINEAR.at(X), PI), PI.T),
            r"w_sa has shape \(3, 4\); its last axes are \(state, action\)",
        ),
    },
    optimality.policy_iteration: {
        **wrong_tolerances(optimality.policy_iteration),
        **wrong_policies(lambda pi: optimality.policy_iteration(MDP, start_sa=pi), "pi_sa", PI),
    },
    optimality.value_iteration: {
        **wrong_tolerances(optimality.value_iteration),
        "start": (
            lambda: optimality.value_iteration(MDP, start_s=np.zeros(3)),
            r"start_s has shape \(3,\).*check the order",
        ),
        "start NaN": (
            lambda: optimality.value_iteration(MDP, start_s=np.full(S, np.nan)),
            r"start_s\[0\] is nan.*look for",
        ),
        "start complex": (
            lambda: optimality.value_iteration(MDP, start_s=np.zeros(S) + 0j),  # type: ignore[arg-type]  # tested
            "start_s has dtype complex.*real if",
        ),
    },
    optimality.Optimum.unique_policy: {
        "ties at tau = 0": (
            lambda: optimality.policy_iteration(tied()).unique_policy(),
            r"at tau = 0 the actions 0 and 1 of state .* both optimal.*use tau > 0",
        ),
    },
    optimality.mirror_descent: {
        **wrong_tolerances(partial(optimality.mirror_descent, step=1.0)),
        "step": (lambda: optimality.mirror_descent(MDP, step=0.0), r"step is 0\.0; it must be"),
        "boundary": (
            lambda: optimality.mirror_descent(
                MDP, step=1.0, start_sa=np.eye(S)[:, :A] + np.eye(S)[:, [3] * A] / 3
            ),
            r"pi_sa\[0, 1\] is 0, where .*positive entries",
        ),
    },
    value_penalty: {
        **penalties(value_penalty),
        **wrong_policies(lambda pi: with_policy(value_penalty, companion_sa=pi), "pi_sa", PI),
    },
    bellman_penalty: {
        **penalties(bellman_penalty),
        **wrong_policies(lambda pi: with_policy(bellman_penalty, companion_sa=pi), "pi_sa", PI),
    },
    nikaido_isoda: {
        **outside_domain(lambda x: with_policies(x=x)),
        **wrong_policies(lambda pi: with_policies(pi_sa=pi), "pi_sa", PI),
        **wrong_policies(lambda pi: with_policies(pi_sb=pi), "pi_sb", PI_B),
        "rho with a zero": (
            lambda: with_policies(lower=replace(GAMES, rho_s=np.array([1.0, 0.0, 0.0, 0.0]))),
            r"rho_s\[1\] is 0; .*mix rho_s",
        ),
    },
}

ROWS = [
    pytest.param(call, message, id=f"{entry.__qualname__}: {case}")
    for entry, cases in TABLE.items()
    for case, (call, message) in cases.items()
]


@pytest.mark.parametrize(("call", "message"), ROWS)
def test_refused(call: Call, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "FOLDER", [tmp_path])
    with pytest.raises(InputError, match=f"(?s){message}"):
        call()


# Completeness.

EXEMPT: dict[Callable[..., object], str] = {
    domains.some_point: "called with checked domains by constructors",
    domains.project_to_simplex: "numerics on computed arrays, behind checked domains",
    structure.is_record: "answers for any value",
    structure.given: "reads the fields of what is known to be a record",
    structure.same: "answers for any two values",
}


def modules() -> Iterator[Any]:
    yield from (domains, regularizers, policies)
    for found in pkgutil.walk_packages(reference.problems.__path__, "reference.problems."):
        yield importlib.import_module(found.name)


def entries() -> Iterator[Callable[..., object]]:
    """Public classes and functions that take something, contracts and enumerations aside."""
    for module in modules():
        for name, value in vars(module).items():
            own = getattr(value, "__module__", None) == module.__name__
            if name.startswith("_") or not own or not callable(value):
                continue
            if isinstance(value, type) and (
                getattr(value, "_is_protocol", False) or issubclass(value, Enum)
            ):
                continue
            if inspect.signature(value).parameters:
                yield value


def test_every_entry_has_a_row() -> None:
    missing = [entry.__qualname__ for entry in entries() if entry not in {**TABLE, **EXEMPT}]
    assert not missing, f"add rows of bad input for {missing}, or exempt them with a reason"


def test_every_entry_has_a_case() -> None:
    assert all(TABLE.values())


def test_exemptions_are_needed() -> None:
    assert not set(TABLE) & set(EXEMPT)
    stale = [entry.__qualname__ for entry in EXEMPT if entry not in set(entries())]
    assert not stale
