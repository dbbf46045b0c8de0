"""Evaluation, solvers, penalties, objectives and algorithms refuse bad input by name, with a remedy.

The table and its completeness test are those of :mod:`tests.reference.test_bad_input`, for the modules
that compute; public methods that take something have rows of their own.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np
import pytest

import reference.algorithms
import reference.objectives
import reference.penalties
from reference import contractions, equilibrium, evaluated, evaluation, optimality, resolvents
from reference.algorithms import (
    checkpoint,
    contract,
    meta_gradient,
    pbrl,
    players,
)
from reference.algorithms.bilevel import Bilevel
from reference.algorithms.checkpoint import Checkpoint
from reference.algorithms.contract import Constant, Power, Run, State
from reference.algorithms.hypergradient import Hypergradient, hypergradient, solved, through_solution
from reference.algorithms.independent_gradient import IndependentGradient
from reference.algorithms.meta_gradient import MetaGradient
from reference.algorithms.oracles import Exact, MirrorDescent, PolicyGradient
from reference.algorithms.pbrl import Pbrl, PbrlRecord
from reference.domains import Box, Euclidean, Simplices
from reference.equilibrium import Equilibrium
from reference.errors import ConvergenceError, InputError, NotDifferentiableError
from reference.evaluated import Evaluated
from reference.evaluation import JointEvaluation, PolicyEvaluation, evaluate, evaluate_joint
from reference.objectives import incentive_design, reward_shaping, rlhf, stackelberg
from reference.objectives.contract import Objective
from reference.objectives.rlhf import PreferenceLoss, SegmentClasses
from reference.optimality import MirrorState, Optimum
from reference.penalties import bellman, nikaido_isoda, value
from reference.penalties import contract as penalty_contract
from reference.penalties.contract import Penalty
from reference.policies import DirectPolicy, SoftmaxPolicy
from reference.problems import storage
from reference.problems.general_position import general_mdp, general_point, linear_family
from reference.regularizers import NegativeEntropy
from reference.validation import Array
from tests.reference.test_bad_input import (
    DESIGN,
    GAME,
    GAMES,
    LINEAR,
    MDP,
    PI,
    PI_B,
    RLHF,
    SHAPING,
    STACKELBERG,
    A,
    B,
    Call,
    Cases,
    S,
    X,
    edited,
    outside_domain,
    rng,
    tied,
    wrong_policies,
    wrong_tolerances,
)

# Bad values.


def no(name: str, kind: str, call: Callable[[Any], object], *others: object) -> Cases:
    """What no object of a kind may be."""
    values = (None, PI, 3, "text", *others)
    message = f"{name} is .*must be (a|of the class|an) ?{kind}"
    return {f"{name} = {type(v).__name__}": (partial(call, v), message) for v in values}


def no_array(name: str, call: Callable[[Any], object], good: Array) -> Cases:
    """What no array of finite real numbers with the trailing axes of a valid one may be."""
    first = "".join(rf"\[{', '.join('0' * good.ndim)}\]")
    kinds: dict[str, tuple[Any, str]] = {
        "None": (None, "give an array"),
        "complex": (good + 0j, f"take {name}.real"),
        "bool": (good > 0.0, "astype"),
        "object": (good.astype(object), "give an array"),
        "<U": (good.astype(str), "astype"),
    }
    return {
        **{
            f"{name} {kind}": (partial(call, bad), f"{name} has dtype .*{remedy}")
            for kind, (bad, remedy) in kinds.items()
        },
        f"{name} ragged": (partial(call, [[1.0], [1.0, 2.0]]), f"{name} is ragged.*one length"),
        f"{name} NaN": (
            partial(call, edited(good, (0,) * good.ndim, np.nan)),
            rf"{name}{first} is nan.*look for",
        ),
        f"{name} infinite": (
            partial(call, edited(good, (0,) * good.ndim, np.inf)),
            rf"{name}{first} is inf.*look for",
        ),
        f"{name} short": (partial(call, good[..., :-1]), f"{name} has shape.*must be"),
        f"{name} number": (partial(call, 1.0), rf"{name} has shape \(\).*must be"),
    }


def no_policy(name: str, call: Callable[[Any], object], good: Array) -> Cases:
    names = r"\w*(\[\d\])*" if name == "" else name
    return {
        **no_array(names, call, good),
        **wrong_policies(call, names, good),
        f"{name} None": (partial(call, None), f"{names} has dtype object"),
    }


def no_number(name: str, call: Callable[[Any], object], *values: object) -> Cases:
    """Not a positive number."""
    bad = (0.0, -1.0, np.nan, np.inf, None, "1", True, 1j, np.array([1.0]), *values)
    return {f"{name} = {v!r}": (partial(call, v), rf"{name} is .*must be") for v in bad}


def no_count(name: str, call: Callable[[Any], object], low: int = 1) -> Cases:
    bad = (low - 1, -5, 1.0, "2", None, True, np.nan)
    return {f"{name} = {v!r}": (partial(call, v), rf"{name} is .*whole number >= {low}") for v in bad}


def no_tuple(name: str, call: Callable[[Any], object], good: tuple[Any, ...]) -> Cases:
    """Not one entry per player."""
    return {
        f"{name} None": (partial(call, None), rf"{name} is NoneType; it must be a tuple: give"),
        f"{name} array": (partial(call, PI), rf"{name} is ndarray; it must be a tuple: give"),
        f"{name} empty": (partial(call, ()), rf"{name} has (the length )?0.*give"),
        f"{name} long": (
            partial(call, (*good, *good)),
            rf"{name} has (the length )?{2 * len(good)}.*give",
        ),
    }


def batches(call: Callable[[Any, Any], object], first: Array, second: Array) -> Cases:
    """Leading axes that do not agree."""
    return {
        "batches": (
            partial(call, np.stack([first] * 2), np.stack([second] * 3)),
            r"batch.*do not agree.*give every",
        )
    }


TOLERANCES: tuple[Any, ...] = (-1.0, np.nan, "small", 1j)
FACTORS: tuple[Any, ...] = (None, "2", np.nan, np.inf, 1j, True)
EXPONENTS: tuple[Any, ...] = (np.nan, np.inf, None, "1", 1j)
LEVELS: tuple[Any, ...] = (None, PI, LINEAR)
NO_PART: tuple[Any, ...] = (PI,)
CLASS: tuple[Any, ...] = (SoftmaxPolicy,)

# Good values.

MDP_2 = replace(MDP, r_sa=np.stack([MDP.r_sa] * 2))
GAME_2 = replace(GAME, r_sab=np.stack([GAME.r_sab] * 2))
OTHER = linear_family(rng(), general_mdp(rng(), n_states=5))
OWN = evaluate(LINEAR.at(X), PI)
PAIR = evaluate_joint(GAME, PI, PI_B)
Q = OWN.q_sa
V = OWN.v_s
MU = MDP.rho_s
CHAIN = np.full((S, S), 1.0 / S)
MIRROR = optimality.mirror_start(MDP, PI)
CLASSES = rlhf.segment_classes(RLHF)
XG, XS, XD, XR, XL = (
    general_point(rng(), p.domain) for p in (GAMES, SHAPING, DESIGN, RLHF, STACKELBERG)
)
H = NegativeEntropy()

EVALUATED = Evaluated(np.asarray(1.0), np.zeros(2), (PI,))


def zero_objective(problem: Any, x: Array, policies: tuple[Array, ...]) -> Evaluated:
    """0."""
    del problem
    return Evaluated(np.zeros(()), np.zeros_like(x), tuple(np.zeros_like(pi) for pi in policies))


def no_evaluation(problem: Any, x: Array, policies: tuple[Array, ...]) -> Any:
    del problem, x, policies
    return 0.0


ZERO = Objective[Any]("zero", "", zero_objective)
ONE: Bilevel[Any] = Bilevel(LINEAR, ZERO, (SoftmaxPolicy((S, A)),))
TWO: Bilevel[Any] = Bilevel(GAMES, ZERO, (SoftmaxPolicy((S, A)), SoftmaxPolicy((S, B))))
Y, YG = (np.log(PI),), (np.log(PI), np.log(PI_B))
PBRL = Pbrl(ONE, value.PENALTY, (Exact(),), Constant(0.1), Constant(2.0))
GAMBLE = Pbrl(TWO, nikaido_isoda.PENALTY, (Exact(), Exact()), Constant(0.1), Constant(2.0))
INDEPENDENT = IndependentGradient(ONE, value.PENALTY, Constant(0.1), Constant(0.1))
HYPER = Hypergradient(ONE, value.PENALTY, Constant(0.1))
SOLUTION = HYPER.start(X)
SOLVED, _ = solved(LINEAR.at(X))
META = MetaGradient(ONE, value.PENALTY, Constant(0.1), Constant(0.1))
STATE = PBRL.start(X)
NEXT = PBRL.step(STATE)
RECORD = PBRL.record(STATE, NEXT)
ORACLES: tuple[Any, ...] = (
    Exact(),
    MirrorDescent(0.5, 2),
    PolicyGradient(SoftmaxPolicy((S, A)), 0.1, 1),
)
FOLDER: list[Path] = []
"""Set by the test to a fresh directory; rows are made before there is one."""


def chains(call: Callable[..., object]) -> Cases:
    return {
        "chain None": (lambda: call(None, 0.9), r"P_st is NoneType.*use np\.asarray"),
        "chain complex": (lambda: call(CHAIN + 0j, 0.9), r"P_st is complex128.*use np\.asarray"),
        "chain integer": (lambda: call(np.eye(S, dtype=int), 0.9), r"P_st is int64.*use np\.asarray"),
        "chain not square": (
            lambda: call(CHAIN[:-1], 0.9),
            r"P_st has shape \(3, 4\).*check their order",
        ),
        "chain flat": (lambda: call(CHAIN[0], 0.9), r"P_st has shape \(4,\).*check their order"),
        "chain empty": (lambda: call(np.ones((0, 0)), 0.9), r"P_st has shape \(0, 0\).*positive"),
        "chain NaN": (lambda: call(CHAIN * np.nan, 0.9), "P_st has rows with the sums nan.*give rows"),
        "chain infinite": (
            lambda: call(CHAIN - np.inf, 0.9),
            "P_st has rows with the sums -inf.*give rows",
        ),
        "chain too large": (lambda: call(2.0 * CHAIN, 0.9), "P_st has rows with the sums 2.*give rows"),
        **{
            f"gamma {g!r}": (partial(call, CHAIN, g), "gamma is .*must be")
            for g in (1.0, -0.1, np.nan, None, "0.9", 0.5j)
        },
    }


def solver(solve: Callable[..., object]) -> Cases:
    return {
        **no("mdp", "Mdp", solve, GAME, LINEAR),
        **wrong_tolerances(solve),
        **no_count("max_iterations", lambda n: solve(MDP, max_iterations=n)),
        "no convergence": (
            lambda: solve(MDP, tolerance=1e-300, max_iterations=9),
            r"stopped after .* error bound of .* tolerance of 1e-300.*raise",
        ),
    }


def action_values(call: Callable[..., object]) -> Cases:
    return {
        **no("mdp", "Mdp", lambda m: call(m, Q), GAME, LINEAR),
        **no_array("q_sa", lambda q: call(MDP, q), Q),
        "batches": (lambda: call(MDP_2, np.stack([Q] * 3)), "batch.*do not agree.*give every"),
    }


def mdp_penalty(call: Callable[..., object]) -> Cases:
    return {
        **no("lower", "ParametricMdp", lambda p: call(p, X, PI, PI), MDP, GAME),
        "a game": (
            lambda: call(GAMES, XG, PI, PI),
            r"lower\.at\(x\) is ZeroSumGame; it must be of the class Mdp: see",
        ),
        "rho with a zero": (
            lambda: call(replace(LINEAR, rho_s=np.array([0.5, 0.5, 0.0, 0.0])), X, PI, PI),
            r"rho_s\[2\] is 0; .*mix rho_s with the uniform",
        ),
        **outside_domain(lambda x: call(LINEAR, x, PI, PI)),
        **no_policy("pi_sa", lambda pi: call(LINEAR, X, pi, PI), PI),
        **{
            f"companion: {k}": v
            for k, v in no_policy("pi_sa", lambda pi: call(LINEAR, X, PI, pi), PI).items()
        },
        **batches(lambda p, c: call(LINEAR, X, p, c), PI, PI),
    }


def ni(**parts: Any) -> object:
    given: dict[str, Any] = {"lower": GAMES, "x": XG, "pi_sa": PI, "pi_sb": PI_B}
    return nikaido_isoda.nikaido_isoda(**given | {"companion_sa": PI, "companion_sb": PI_B} | parts)


def a_penalty(penalty: Penalty[Any], lower: Any, x: Array, pis: tuple[Array, ...]) -> Cases:
    name = f"{penalty.name}: "
    cases = {
        **no_tuple("policies", lambda p: penalty.exact(lower, x, p), pis),
        **no_tuple("policies", lambda p: penalty.evaluate(lower, x, p, pis), pis),
        **no_tuple("companions", lambda c: penalty.evaluate(lower, x, pis, c), pis),
        "lower": (lambda: penalty.companions(MDP, x, pis), "lower is Mdp.*must be a Parametric"),
        "x": (lambda: penalty.companions(lower, x * np.nan, pis), r"x\[.*\] is nan"),
        "ties": (
            lambda: penalty.companions(flat(lower), x, pis),
            "at tau = 0 the actions 0 and 1 .*use tau > 0",
        ),
    }
    return {name + k: v for k, v in cases.items()}


def flat(lower: Any) -> Any:
    """Without reward or regularisation: every action is optimal."""
    reward = lower.reward
    zero = replace(reward, features_isa=0.0 * reward.features_isa, offset_sa=0.0 * reward.offset_sa)
    return replace(lower, reward=zero, tau=0.0)


def estimator(call: Callable[..., object]) -> Cases:
    return {
        **no("penalty", "Penalty", lambda p: call(p, LINEAR, X, (PI,), (PI,)), Penalty),
        **no_tuple("policies", lambda p: call(value.PENALTY, LINEAR, X, p, (PI,)), (PI,)),
        **no_tuple("companions", lambda c: call(value.PENALTY, LINEAR, X, (PI,), c), (PI,)),
        **outside_domain(lambda x: call(bellman.PENALTY, LINEAR, x, (PI,), (PI,))),
    }


def an_objective(
    call: Callable[..., object], of: str, kind: str, problem: Any, x: Array, *pis: Array
) -> Cases:
    bad = no_array("x", lambda x: call(problem, x, *pis), x)
    cases = {**no(of, kind, lambda p: call(p, x, *pis), MDP, LINEAR), **bad}
    for i, pi in enumerate(pis):

        def with_policy(p: Any, i: int = i) -> object:
            return call(problem, x, *pis[:i], p, *pis[i + 1 :])

        cases |= {f"{i}: {k}": v for k, v in no_policy("pi_s[ab]", with_policy, pi).items()}
    return cases


def parameters(call: Callable[[Any], object]) -> Cases:
    """Parameters of one policy that are none."""
    return {
        **no_tuple("y", call, Y),
        **no_array(r"y\[0\]", lambda y: call((y,)), Y[0]),
    }


def states(call: Callable[[Any], object], name: str = "state", *, oracle: bool = False) -> Cases:
    """States of other problems."""
    cases = {
        **no(name, "State", call, State),
        "x of another problem": (lambda: call(replace(NEXT, x=np.zeros(3))), r"x has shape \(3,\)"),
        "y of another problem": (
            lambda: call(replace(NEXT, y=(np.zeros((S, A + 1)),))),
            r"y\[0\] has shape \(4, 4\).*must be \(4, 3\)",
        ),
        "y of two players": (lambda: call(replace(NEXT, y=YG)), r"y has the length 2.*give one"),
        "x outside": (lambda: call(replace(NEXT, x=np.full(2, 1e9))), r"x\[0\] is 1e\+09, outside"),
    }
    if oracle:
        cases["no oracle"] = (
            lambda: call(replace(NEXT, oracle=())),
            rf"{name}\.oracle has the length 0.*start",
        )
    return cases


def starts(algorithm: Any) -> Cases:
    return {
        **outside_domain(algorithm.start),
        **parameters(lambda y: algorithm.start(X, y) if y is not None else algorithm.start(X, 3)),
        "y None": (lambda: algorithm.start(None), "x has dtype object.*give an array"),
        "batches": (lambda: algorithm.start(np.stack([X] * 2), Y), "same batch axes"),
    }


def schedule(name: str, algorithm: Any) -> Cases:
    """Not a schedule, or one of bad values."""
    return {
        **no(name, "Schedule", lambda s: replace(algorithm, **{name: s}), 0.1),
        f"{name} class": (
            lambda: replace(algorithm, **{name: Constant}),
            f"{name} is the class Constant",
        ),
        **no_number(
            rf"{name}\(0\)",
            lambda v: replace(algorithm, **{name: lambda _: v}).step(STATE),
        ),
    }


def parts(algorithm: Any) -> Cases:
    return {
        **no("bilevel", "Bilevel", lambda b: replace(algorithm, bilevel=b), Bilevel, LINEAR),
        **no("penalty", "Penalty", lambda p: replace(algorithm, penalty=p), value.value_penalty),
        "another penalty": (
            lambda: replace(algorithm, penalty=nikaido_isoda.PENALTY).record(STATE, NEXT),
            r"(policies has the length 1.*give one per player|must be of the class ZeroSumGame)",
        ),
    }


def oracle_cases(i: int, method: str) -> Cases:
    oracle = ORACLES[i]
    good = oracle.start(MDP, PI)
    call = getattr(oracle, method)
    cases = no("mdp", "Mdp", lambda m: call(m, PI if method == "start" else good), GAME, LINEAR)
    if method == "start" or i == 0:
        return cases | no_policy(r"(pi_sa|state)", lambda p: call(MDP, p), PI)
    return cases | no_array("state", lambda s: call(MDP, s), good)


def saved(change: Callable[[Path], object]) -> State:
    path = FOLDER[0] / "state.npz"
    checkpoint.save(path, PBRL, NEXT)
    change(path)
    return checkpoint.load(path, PBRL)


def newer(path: Path) -> None:
    with np.load(path) as archive:
        arrays = dict(archive)
    header = str(arrays.pop("header")).replace('"version": 1', '"version": 2')
    np.savez(path, header=np.array(header), **arrays)


def diverging() -> object:
    with np.errstate(over="ignore", invalid="ignore"):
        return contract.run(replace(PBRL, step_size=Constant(1e308), strength=Constant(1e9)), STATE, 5)


def looking(**parts: Any) -> object:
    given: dict[str, Any] = {"bilevel": ONE, "x": X, "y": Y, "beta": 0.1}
    return meta_gradient.look_ahead(**given | parts)


W, V_K = np.ones((1, S, A)), np.ones((1, S))

TABLE: dict[Callable[..., object], Cases] = {
    # Values.
    evaluation.evaluate: {
        **no("mdp", "Mdp", lambda m: evaluate(m, PI), GAME, LINEAR),
        **no_policy("pi_sa", lambda pi: evaluate(MDP, pi), PI),
        "batches": (lambda: evaluate(MDP_2, np.stack([PI] * 3)), "batch.*do not agree.*give every"),
        "gamma near 1": (
            lambda: evaluate(replace(MDP, gamma=np.nextafter(1.0, 0.0)), PI),
            "not below 1 in float64.*lower gamma",
        ),
    },
    evaluation.evaluate_all: {
        **no("mdp", "Mdp", lambda m: evaluation.evaluate_all(m, [PI]), GAME, LINEAR),
        **no_policy("pi_sa", lambda pi: evaluation.evaluate_all(MDP, [PI, pi]), PI),
        "none": (lambda: evaluation.evaluate_all(MDP, []), "policies is empty: give at least one"),
        "None": (lambda: evaluation.evaluate_all(MDP, None), "policies is NoneType.*give a list"),  # type: ignore[arg-type]  # tested
        **batches(lambda p, q: evaluation.evaluate_all(MDP, [p, q]), PI, PI),
    },
    evaluation.evaluate_joint: {
        **no("game", "ZeroSumGame", lambda g: evaluate_joint(g, PI, PI_B), MDP, GAMES),
        **no_policy("pi_sa", lambda pi: evaluate_joint(GAME, pi, PI_B), PI),
        **no_policy("pi_sb", lambda pi: evaluate_joint(GAME, PI, pi), PI_B),
        **batches(lambda p, q: evaluate_joint(GAME, p, q), PI, PI_B),
    },
    evaluation.evaluate_pairs: {
        **no("game", "ZeroSumGame", lambda g: evaluation.evaluate_pairs(g, [(PI, PI_B)]), MDP, GAMES),
        "none": (lambda: evaluation.evaluate_pairs(GAME, []), "pairs is empty: give at least one"),
        "None": (lambda: evaluation.evaluate_pairs(GAME, None), "pairs is NoneType.*give a list"),  # type: ignore[arg-type]  # tested
        **no_tuple(r"pairs\[0\]", lambda p: evaluation.evaluate_pairs(GAME, [p]), (PI, PI_B)),
        "exchanged": (
            lambda: evaluation.evaluate_pairs(GAME, [(PI_B, PI)]),
            "pi_sa has shape.*check the order",
        ),
        "batches": (
            lambda: evaluation.evaluate_pairs(GAME_2, [(np.stack([PI] * 3), PI_B)]),
            "batch.*do not agree.*give every",
        ),
    },
    evaluation.backup: {
        **no("mdp", "Mdp", lambda m: evaluation.backup(m, V), GAME, LINEAR),
        **no_array("v_s", lambda v: evaluation.backup(MDP, v), V),
        "batches": (lambda: evaluation.backup(MDP_2, np.stack([V] * 3)), "batch.*do not agree"),
    },
    evaluation.joint_backup: {
        **no("game", "ZeroSumGame", lambda g: evaluation.joint_backup(g, V_K), MDP, GAMES),
        **no_array("v_kt", lambda v: evaluation.joint_backup(GAME, v), V_K),
        "one": (lambda: evaluation.joint_backup(GAME, V), r"v_kt has shape \(4,\).*give v_kt\[None\]"),
    },
    evaluation.policy_gradient: no(
        "evaluation", "PolicyEvaluation", evaluation.policy_gradient, MDP, PAIR
    ),
    evaluation.joint_policy_gradients: {
        **no(
            "evaluation",
            "JointEvaluation",
            lambda e: evaluation.joint_policy_gradients(e, PAIR.q_sab),
            OWN,
        ),
        **no_array("q_sab", lambda q: evaluation.joint_policy_gradients(PAIR, q), PAIR.q_sab),
    },
    evaluation.parameter_policy_gradient: {
        **no(
            "policy_map",
            "SmoothMap",
            lambda m: evaluation.parameter_policy_gradient(OWN, m, Y[0]),
            H,
        ),
        **no(
            "evaluation",
            "PolicyEvaluation",
            lambda e: evaluation.parameter_policy_gradient(e, SoftmaxPolicy((S, A)), Y[0]),
        ),
        **no_array(
            "y",
            lambda y: evaluation.parameter_policy_gradient(OWN, SoftmaxPolicy((S, A)), y),
            Y[0],
        ),
        "another map": (
            lambda: evaluation.parameter_policy_gradient(OWN, SoftmaxPolicy((S, B)), YG[1]),
            r"policy of shape \(4, 2\) .*give the map",
        ),
    },
    evaluation.value_gradient_x: {
        **no("family", "ParametricMdp", lambda p: evaluation.value_gradient_x(p, X, OWN), MDP),
        **no(
            "evaluation",
            "PolicyEvaluation",
            lambda e: evaluation.value_gradient_x(LINEAR, X, e),
            PAIR,
        ),
        **outside_domain(lambda x: evaluation.value_gradient_x(LINEAR, x, OWN)),
        "another family": (
            lambda: evaluation.value_gradient_x(OTHER, X, OWN),
            r"does not fit an evaluation.*evaluate a policy in family\.at",
        ),
    },
    evaluation.q_gradient_x: {
        **no("family", "ParametricMdp", lambda p: evaluation.q_gradient_x(p, X, OWN, PI), MDP),
        **no(
            "evaluation",
            "PolicyEvaluation",
            lambda e: evaluation.q_gradient_x(LINEAR, X, e, PI),
            PAIR,
        ),
        **outside_domain(lambda x: evaluation.q_gradient_x(LINEAR, x, OWN, PI)),
        **no_array("w_sa", lambda w: evaluation.q_gradient_x(LINEAR, X, OWN, w), PI),
        "another family": (
            lambda: evaluation.q_gradient_x(OTHER, X, OWN, PI),
            r"does not fit an evaluation.*evaluate a policy in family\.at",
        ),
    },
    PolicyEvaluation.visits: no_array("mu_s", OWN.visits, MU),
    PolicyEvaluation.occupancy: no_array("mu_s", OWN.occupancy, MU),
    JointEvaluation.visits: no_array("mu_s", PAIR.visits, MU),
    JointEvaluation.occupancy: no_array("mu_s", PAIR.occupancy, MU),
    evaluation.agree: {
        "batches": (
            lambda: evaluation.agree(MDP_2, v_s=(3,)),
            r"r_sa \(2,\), rho_s \(\), v_s \(3,\); give every",
        ),
    },
    # Resolvents.
    resolvents.factorized: {
        **chains(resolvents.factorized),
        "batch": (
            lambda: resolvents.factorized(np.stack([CHAIN] * 2), 0.9),
            r"P_st has shape \(2, 4, 4\); .*use `resolvent`",
        ),
    },
    resolvents.resolvent: {
        **chains(resolvents.resolvent),
        **no_array("c_s", resolvents.resolvent(CHAIN, 0.9).solve, MU),
        **no_array("mu_s", resolvents.resolvent(CHAIN, 0.9).solve_adjoint, MU),
        "batches": (
            lambda: resolvents.resolvent(np.stack([CHAIN] * 2), 0.9).solve(np.ones((3, S))),
            "batch.*do not agree",
        ),
    },
    resolvents.discounted_sum: {
        **chains(lambda P, gamma: resolvents.discounted_sum(P, gamma, MU)),
        **no_array("c_s", lambda c: resolvents.discounted_sum(CHAIN, 0.9, c), MU),
    },
    # Optima.
    optimality.optimal_backup: action_values(optimality.optimal_backup),
    optimality.greedy: action_values(optimality.greedy),
    optimality.greedy_chain: action_values(optimality.greedy_chain),
    optimality.certified: {
        **action_values(lambda m, q: optimality.certified(m, V, q, 0)),
        **no_array("v_s", lambda v: optimality.certified(MDP, v, Q, 0), V),
        **no_count("iterations", lambda n: optimality.certified(MDP, V, Q, n), low=0),
    },
    optimality.policy_iteration: {
        **solver(optimality.policy_iteration),
        **no_policy(
            "pi_sa",
            lambda pi: optimality.policy_iteration(
                MDP, start_sa=pi if pi is not None else np.array(None)
            ),
            PI,
        ),
        "both": (
            lambda: optimality.policy_iteration(MDP, start_sa=PI, start_s=V),
            "both given: start from one",
        ),
        "batches": (
            lambda: optimality.policy_iteration(MDP_2, start_s=np.stack([V] * 3)),
            "batch.*do not agree",
        ),
    },
    optimality.value_iteration: {
        **solver(optimality.value_iteration),
        "batches": (
            lambda: optimality.value_iteration(MDP_2, start_s=np.stack([V] * 3)),
            "batch.*do not agree",
        ),
    },
    optimality.mirror_descent: {
        **solver(partial(optimality.mirror_descent, step=1.0)),
        **no_number("step", lambda s: optimality.mirror_descent(MDP, step=s)),
        "batches": (
            lambda: optimality.mirror_descent(MDP_2, step=1.0, start_sa=np.stack([PI] * 3)),
            "batch.*do not agree",
        ),
    },
    optimality.mirror_start: {
        **no("mdp", "Mdp", optimality.mirror_start, GAME, LINEAR),
        **wrong_policies(lambda pi: optimality.mirror_start(MDP, pi), "pi_sa", PI),
        "boundary": (
            lambda: optimality.mirror_start(replace(MDP, regularizer=H), np.eye(A)[[0, 1, 2, 0]]),
            r"pi_sa\[0, 1\] is 0, where.*positive entries",
        ),
    },
    optimality.mirror_step: {
        **no("mdp", "Mdp", lambda m: optimality.mirror_step(m, MIRROR, 1.0), GAME, LINEAR),
        **no("state", "MirrorState", lambda s: optimality.mirror_step(MDP, s, 1.0), STATE),
        **no_number("step", lambda s: optimality.mirror_step(MDP, MIRROR, s)),
        **no_array("xi_sa", lambda xi: optimality.mirror_step(MDP, MirrorState(xi, PI), 1.0), PI),
        **no_policy("pi_sa", lambda p: optimality.mirror_step(MDP, MirrorState(PI, p), 1.0), PI),
    },
    optimality.mirror_iterates: {
        **no("mdp", "Mdp", lambda m: optimality.mirror_iterates(m, MIRROR, 1.0), GAME, LINEAR),
        **no("state", "MirrorState", lambda s: optimality.mirror_iterates(MDP, s, 1.0), STATE),
        **no_number("step", lambda s: optimality.mirror_iterates(MDP, MIRROR, s)),
        **no_policy("pi_sa", lambda p: optimality.mirror_iterates(MDP, MirrorState(PI, p), 1.0), PI),
    },
    # Equilibria.
    equilibrium.best_response_1: {
        **no("game", "ZeroSumGame", lambda g: equilibrium.best_response_1(g, PI_B), MDP, GAMES),
        **no_policy("pi_sb", lambda pi: equilibrium.best_response_1(GAME, pi), PI_B),
        "start": (
            lambda: equilibrium.best_response_1(GAME, PI_B, start_s=V[:-1]),
            r"start_s has shape \(3,\).*check the order",
        ),
    },
    equilibrium.best_response_2: {
        **no("game", "ZeroSumGame", lambda g: equilibrium.best_response_2(g, PI), MDP, GAMES),
        **no_policy("pi_sa", lambda pi: equilibrium.best_response_2(GAME, pi), PI),
        "batches": (
            lambda: equilibrium.best_response_2(GAME_2, np.stack([PI] * 3)),
            "batch.*do not agree",
        ),
    },
    equilibrium.certified: {
        **no("game", "ZeroSumGame", lambda g: equilibrium.certified(g, PI, PI_B), MDP, GAMES),
        **no_policy("pi_sa", lambda pi: equilibrium.certified(GAME, pi, PI_B), PI),
        **no_policy("pi_sb", lambda pi: equilibrium.certified(GAME, PI, pi), PI_B),
        "start": (
            lambda: equilibrium.certified(GAME, PI, PI_B, start_s=V[:-1]),
            r"start_s has shape \(3,\).*check the order",
        ),
        "start text": (
            lambda: equilibrium.certified(GAME, PI, PI_B, start_s="text"),  # type: ignore[arg-type]  # tested
            "start_s has dtype <U4.*astype",
        ),
        **no_count("iterations", lambda n: equilibrium.certified(GAME, PI, PI_B, iterations=n), low=0),
        **batches(lambda p, q: equilibrium.certified(GAME, p, q), PI, PI_B),
    },
    equilibrium.nash_equilibrium: {
        **no("game", "ZeroSumGame", equilibrium.nash_equilibrium, MDP, GAMES),
        "tau = 0": (
            lambda: equilibrium.nash_equilibrium(replace(GAME, tau=0.0)),
            "tau is 0, where .*use tau > 0",
        ),
        **no_count("max_iterations", lambda n: equilibrium.nash_equilibrium(GAME, max_iterations=n)),
        **{
            f"tolerance {t!r}": (
                partial(equilibrium.nash_equilibrium, GAME, tolerance=t),
                "tolerance is .*must be",
            )
            for t in TOLERANCES
        },
        "start": (
            lambda: equilibrium.nash_equilibrium(GAME, start_s=V[:-1]),
            r"start_s has shape \(3,\).*check the order",
        ),
        "start batch": (
            lambda: equilibrium.nash_equilibrium(GAME_2, start_s=np.zeros((3, S))),
            "batch.*do not agree",
        ),
        "no convergence": (
            lambda: equilibrium.nash_equilibrium(GAME, tolerance=1e-300, max_iterations=9),
            "stopped after .*raise max_iterations",
        ),
    },
    # Functions of (x, policies).
    Evaluated.__add__: {
        **no("other", "Evaluated", EVALUATED.__add__, Evaluated),
        "policies": (
            lambda: EVALUATED + replace(EVALUATED, grad_policies=(PI, PI_B)),
            r"grad_policies have the shapes.*add functions of the same",
        ),
    },
    Evaluated.__rmul__: {
        f"{v!r}": (partial(EVALUATED.__rmul__, v), "factor is .*must be") for v in FACTORS
    },
    # Penalties.
    Penalty: {
        **no("name", "str", lambda v: replace(value.PENALTY, name=v)) | {},
        **no("source", "str", lambda v: replace(value.PENALTY, source=v)),
        **no("evaluate", "callable", lambda v: replace(value.PENALTY, evaluate=v)),
        **no("companions", "callable", lambda v: replace(value.PENALTY, companions=v)),
    },
    Penalty.exact: {
        **a_penalty(value.PENALTY, LINEAR, X, (PI,)),
        **a_penalty(bellman.PENALTY, LINEAR, X, (PI,)),
        **a_penalty(nikaido_isoda.PENALTY, GAMES, XG, (PI, PI_B)),
    },
    penalty_contract.start_everywhere: {
        **{
            k: v
            for k, v in no_array("rho_s", penalty_contract.start_everywhere, MU).items()
            if "shape" not in v[1]
        },
        "zero": (
            lambda: penalty_contract.start_everywhere(np.eye(2)[0]),
            r"rho_s\[1\] is 0; .*mix rho_s",
        ),
    },
    penalty_contract.lower_mdp: {
        **no("lower", "ParametricMdp", lambda p: penalty_contract.lower_mdp(p, X), MDP),
        "a game": (
            lambda: penalty_contract.lower_mdp(GAMES, XG),  # type: ignore[arg-type]  # tested
            r"lower\.at\(x\) is ZeroSumGame; it must be of the class Mdp",
        ),
    },
    value.value_penalty: mdp_penalty(value.value_penalty),
    bellman.bellman_penalty: mdp_penalty(bellman.bellman_penalty),
    nikaido_isoda.nikaido_isoda: {
        **no("lower", "ParametricGame", lambda p: ni(lower=p), MDP, GAME),
        "an MDP": (
            lambda: ni(lower=LINEAR, x=X),
            r"lower\.at\(x\) is Mdp; it must be of the class ZeroSumGame",
        ),
        "rho with a zero": (
            lambda: ni(lower=replace(GAMES, rho_s=np.eye(S)[0])),
            r"rho_s\[1\] is 0; .*mix rho_s",
        ),
        **no_array("x", lambda x: ni(x=x), XG),
        **no_policy("pi_sa", lambda p: ni(pi_sa=p), PI),
        **no_policy("pi_sb", lambda p: ni(pi_sb=p), PI_B),
        **{f"companion {k}": v for k, v in no_policy("pi_sa", lambda p: ni(companion_sa=p), PI).items()},
        **{
            f"companion {k}": v
            for k, v in no_policy("pi_sb", lambda p: ni(companion_sb=p), PI_B).items()
        },
        **batches(lambda p, c: ni(pi_sa=p, companion_sb=c), PI, PI_B),
    },
    # Objectives.
    Objective: {
        **no("name", "str", lambda v: replace(ZERO, name=v)),
        **no("source", "str", lambda v: replace(ZERO, source=v)),
        **no("evaluate", "callable", lambda v: replace(ZERO, evaluate=v)),
    },
    reward_shaping.original_loss: {
        **an_objective(reward_shaping.original_loss, "problem", "RewardShaping", SHAPING, XS, PI),
        **no_tuple("policies", lambda p: reward_shaping.OBJECTIVE.evaluate(SHAPING, XS, p), (PI,)),
    },
    incentive_design.designer_loss: {
        **an_objective(
            incentive_design.designer_loss, "problem", "IncentiveDesign", DESIGN, XD, PI, PI_B
        ),
        **no_tuple("policies", lambda p: incentive_design.OBJECTIVE.evaluate(DESIGN, XD, p), (PI, PI_B)),
    },
    stackelberg.leader_loss: {
        **an_objective(stackelberg.leader_loss, "game", "StackelbergGame", STACKELBERG, XL, PI_B),
        **no_tuple("policies", lambda p: stackelberg.OBJECTIVE.evaluate(STACKELBERG, XL, p), (PI_B,)),
    },
    rlhf.preference_loss: {
        **an_objective(
            rlhf.preference_loss,
            "problem",
            "Rlhf",
            RLHF,
            XR,
            PI_R := np.full(RLHF.r_true_sa.shape, 1.0 / RLHF.r_true_sa.shape[-1]),
        ),
        "batch": (
            lambda: rlhf.preference_loss(RLHF, XR, np.stack([PI_R] * 2)),
            "pi_sa has shape.*call it for each",
        ),
        **{
            f"classes {v!r}": (
                partial(rlhf.preference_loss, RLHF, XR, PI_R, v),  # type: ignore[arg-type]  # tested
                "classes is .*must be of the class SegmentClasses",
            )
            for v in (3, "text", RLHF)
        },
        "classes of other lengths": (
            lambda: rlhf.preference_loss(replace(RLHF, segment_length=1), XR, PI_R, CLASSES),
            "the classes hold segments.*compute them from this",
        ),
    },
    rlhf.segment_classes: {
        **no("problem", "Rlhf", rlhf.segment_classes, LINEAR),
        **no_count("max_classes", lambda n: rlhf.segment_classes(RLHF, max_classes=n)),
        **no_count("max_rows", lambda n: rlhf.segment_classes(RLHF, max_rows=n)),
        "limit": (lambda: rlhf.segment_classes(RLHF, max_classes=1), "over the limit of 1: shorten"),
    },
    SegmentClasses.from_first: no_array("mu_s", CLASSES.from_first, MU),
    SegmentClasses.to_first: no_array("g_c", CLASSES.to_first, np.ones(CLASSES.count)),
    rlhf.objective: {
        **no("problem", "Rlhf", rlhf.objective, LINEAR),
        "classes": (lambda: rlhf.objective(RLHF, 3), "classes is int; it must be of the class Seg"),  # type: ignore[arg-type]  # tested
    },
    PreferenceLoss: {
        "classes": (lambda: PreferenceLoss(3), "classes is int; it must be of the class SegmentClasses"),  # type: ignore[arg-type]  # tested
    },
    PreferenceLoss.__call__: {
        **no("problem", "Rlhf", lambda p: PreferenceLoss()(p, XR, (PI_R,)), LINEAR),
        **no_tuple("policies", lambda p: PreferenceLoss()(RLHF, XR, p), (PI_R,)),
    },
    # Algorithms: states and schedules.
    Constant: no_number("value", Constant),
    Constant.__call__: no_count("k", Constant(1.0), low=0),
    Power: {
        **no_number("first", lambda v: Power(v, 1.0)),
        **{f"exponent {v!r}": (partial(Power, 1.0, v), "exponent is .*must be") for v in EXPONENTS},
    },
    Power.__call__: {
        **no_count("k", Power(1.0, -1.0), low=0),
        "overflow": (lambda: Power(1.0, 400.0)(10), "beyond float64: lower the exponent"),
    },
    contract.scheduled: {
        **no("alpha", "Schedule", lambda s: contract.scheduled("alpha", s, 0), 0.5),
        **no_number(r"alpha\(0\)", lambda v: contract.scheduled("alpha", lambda k: v, 0)),  # noqa: ARG005 - a schedule
    },
    State: {
        **no_count("k", lambda k: replace(STATE, k=k), low=0),
        **{
            k: v
            for k, v in no_array("x", lambda x: replace(STATE, x=x), X).items()
            if "shape" not in v[1]
        },
        **{
            f"{name} {type(v).__name__}": (
                partial(lambda n, bad: replace(STATE, **{n: bad}), name, v),
                rf"{name} is .*must be a tuple: give one",
            )
            for name in ("y", "oracle")
            for v in (None, PI, 3, "text")
        },
        "y NaN": (lambda: replace(STATE, y=(PI * np.nan,)), r"y\[0\]\[0, 0\] is nan"),
    },
    contract.run: {
        **no("algorithm", "Algorithm", lambda a: contract.run(a, STATE, 1), LINEAR),
        **no("state", "State", lambda s: contract.run(PBRL, s, 1), RECORD),
        **no_count("iterations", lambda n: contract.run(PBRL, STATE, n), low=0),
        **no_count("record_every", lambda n: contract.run(PBRL, STATE, 1, record_every=n), low=0),
        "diverging": (
            diverging,
            "(is -?inf|is nan|outside).*(look for|project it)",
        ),
    },
    # Algorithms: the bilevel problem.
    Bilevel: {
        **no("problem", "Problem", lambda p: Bilevel(p, ZERO, ONE.policy_maps), MDP, GAME),
        **no("objective", "Objective", lambda o: replace(ONE, objective=o), zero_objective),
        **no_tuple("policy_maps", lambda m: replace(ONE, policy_maps=m), ONE.policy_maps),
        "no map": (lambda: replace(ONE, policy_maps=NO_PART), r"policy_maps\[0\] is ndarray.*PolicyMap"),
        "a class": (lambda: replace(ONE, policy_maps=CLASS), "is the class SoftmaxPolicy"),
    },
    Bilevel.policies: parameters(ONE.policies),
    Bilevel.pulled_to_y: {
        **parameters(lambda y: ONE.pulled_to_y(y, (PI,))),
        **no_tuple("gradients", lambda g: ONE.pulled_to_y(Y, g), (PI,)),
        "shape": (
            lambda: ONE.pulled_to_y(Y, (PI_B,)),
            r"gradients\[0\] has shape \(4, 2\) and the policy \(4, 3\): give one",
        ),
        "boundary": (
            lambda: replace(ONE, policy_maps=(DirectPolicy((S, A)),)).pulled_to_y((PI,), (PI - np.inf,)),
            "the gradient is -inf.*use the softmax",
        ),
    },
    Bilevel.projected_y: parameters(ONE.projected_y),
    Bilevel.projected: {
        **parameters(lambda y: ONE.projected(X, y)),
        **no_array("x", lambda x: ONE.projected(x, Y), X),
    },
    Bilevel.norm: {
        **parameters(lambda y: ONE.norm(X, y)),
        **no_array("x", lambda x: ONE.norm(x, Y), X),
    },
    Bilevel.evaluate: {
        **parameters(lambda y: ONE.evaluate(X, y)),
        "objective": (
            lambda: replace(ONE, objective=Objective("none", "", no_evaluation)).evaluate(X, Y),
            "the value of the objective is float; it must be of the class Evaluated",
        ),
        "x": (
            lambda: Bilevel(SHAPING, reward_shaping.OBJECTIVE, ONE.policy_maps).evaluate(XS * np.nan, Y),
            r"x\[.*\] is nan",
        ),
    },
    Bilevel.start: {
        **outside_domain(lambda x: ONE.start(x, Y)),
        **{k: v for k, v in parameters(lambda y: ONE.start(X, y)).items() if k != "y None"},
    },
    Bilevel.record: {
        **no("penalty", "Penalty", lambda p: ONE.record(p, STATE, NEXT, 0.1, None)),
        **states(lambda s: ONE.record(value.PENALTY, s, NEXT, 0.1, None)),
        **no("following", "State", lambda s: ONE.record(value.PENALTY, STATE, s, 0.1, None)),
        **{
            f"{name} = {step!r}": (
                lambda name=name, step=step: ONE.record(  # type: ignore[misc]  # bound at once
                    value.PENALTY, STATE, NEXT, **{"step_x": 0.1, "step_y": 0.1, name: step}
                ),
                f"{name} is .*must be",
            )
            for name in ("step_x", "step_y")
            for step in (0.0, -1.0, np.nan, "1")
        },
    },
    # Algorithms: players and oracles.
    players.sizes: {
        f"{v!r:.9}": (
            partial(players.sizes, v),
            "the lower level is .*must be an Mdp or a ZeroSumGame: pass",
        )
        for v in LEVELS
    },
    players.views: {
        "lower": (lambda: players.views(LINEAR, (PI,)), "the lower level is .*pass problem"),  # type: ignore[arg-type]  # tested
        **no_tuple("policies", lambda p: players.views(GAME, p), (PI, PI_B)),
        **no_policy("", lambda p: players.views(GAME, (p, PI_B)), PI),
        **batches(lambda p, q: players.views(GAME, (p, q)), PI, PI_B),
    },
    players.own_evaluations: {
        "lower": (lambda: players.own_evaluations(GAMES, (PI,)), "the lower level is .*pass problem"),  # type: ignore[arg-type]  # tested
        **no_tuple("policies", lambda p: players.own_evaluations(MDP, p), (PI,)),
        **no_policy("", lambda p: players.own_evaluations(MDP, (p,)), PI),
    },
    players.pulled: {
        **no("problem", "Problem", lambda p: players.pulled(p, X, (PI,), ((W, V_K),)), MDP),
        **outside_domain(lambda x: players.pulled(LINEAR, x, (PI,), ((W, V_K),))),
        "policies": (lambda: players.pulled(LINEAR, X, (), ()), "policies has the length 0; give one"),
        **no_tuple("terms", lambda t: players.pulled(LINEAR, X, (PI,), t), ((W, V_K),)),
        **no_array(r"terms\[0\]\[0\]", lambda w: players.pulled(LINEAR, X, (PI,), ((w, V_K),)), W),
        **no_array(r"terms\[0\]\[1\]", lambda v: players.pulled(LINEAR, X, (PI,), ((W, v),)), V_K),
    },
    Exact.start: oracle_cases(0, "start"),
    Exact.improve: {
        **oracle_cases(0, "improve"),
        "ties": (lambda: Exact().improve(tied(), PI), "at tau = 0 the actions 0 and 1 .*use tau > 0"),
    },
    Exact.policy: oracle_cases(0, "policy"),
    MirrorDescent: {
        **no_number("step", lambda s: MirrorDescent(s, 1)),
        **no_count("steps", lambda n: MirrorDescent(1.0, n)),
    },
    MirrorDescent.start: oracle_cases(1, "start"),
    MirrorDescent.improve: oracle_cases(1, "improve"),
    MirrorDescent.policy: {
        **oracle_cases(1, "policy"),
        "batches": (
            lambda: MirrorDescent(1.0, 1).policy(MDP_2, np.zeros((3, S, A))),
            "batch.*do not agree.*give every",
        ),
    },
    PolicyGradient: {
        **no("policy_map", "PolicyMap", lambda m: PolicyGradient(m, 1.0, 1)),
        **no_number("step", lambda s: PolicyGradient(SoftmaxPolicy((S, A)), s, 1)),
        **no_count("steps", lambda n: PolicyGradient(SoftmaxPolicy((S, A)), 1.0, n)),
    },
    PolicyGradient.start: oracle_cases(2, "start"),
    PolicyGradient.improve: oracle_cases(2, "improve"),
    PolicyGradient.policy: {
        **oracle_cases(2, "policy"),
        "another map": (
            lambda: PolicyGradient(SoftmaxPolicy((S, B)), 1.0, 1).policy(MDP, PI_B),
            r"the policy has shape \(4, 2\).*check the order",
        ),
    },
    # Algorithms.
    Pbrl: {
        **parts(PBRL),
        **schedule("step_size", PBRL),
        **schedule("strength", PBRL),
        **no("estimator", "callable", lambda e: replace(PBRL, estimator=e)),
        **no_tuple("oracles", lambda o: replace(PBRL, oracles=o), (Exact(),)),
        "no oracle": (
            lambda: replace(PBRL, oracles=NO_PART),
            r"oracles\[0\] is ndarray.*must be a Oracle",
        ),
        "two players": (lambda: replace(GAMBLE, oracles=(Exact(),)), "oracles has 1.*give one"),
    },
    Pbrl.start: starts(PBRL),
    Pbrl.step: states(PBRL.step, oracle=True),
    Pbrl.record: {
        **states(lambda s: PBRL.record(s, NEXT), oracle=True),
        **{
            f"following: {k}": v
            for k, v in no("following", "State", lambda s: PBRL.record(STATE, s)).items()
        },
        "following without oracle": (
            lambda: PBRL.record(STATE, replace(NEXT, oracle=())),
            r"following\.oracle has the length 0",
        ),
    },
    pbrl.plug_in: estimator(pbrl.plug_in),
    pbrl.exact_in_policies: estimator(pbrl.exact_in_policies),
    pbrl.oracle_accuracy: {
        "None": (lambda: pbrl.oracle_accuracy(None), "records is NoneType.*give the records"),  # type: ignore[arg-type]  # tested
        "empty": (lambda: pbrl.oracle_accuracy([]), "run with record_every=1"),
        "gaps": (lambda: pbrl.oracle_accuracy([RECORD, RECORD]), "run with record_every=1"),
        **no(r"records\[0\]", "PbrlRecord", lambda r: pbrl.oracle_accuracy([r]), STATE),
    },
    IndependentGradient: {
        **parts(INDEPENDENT),
        **{k: v for k, v in schedule("step_x", INDEPENDENT).items() if k != "step_x = NoneType"},
        **schedule("step_y", INDEPENDENT),
    },
    IndependentGradient.start: starts(INDEPENDENT),
    IndependentGradient.step: states(INDEPENDENT.step),
    IndependentGradient.record: states(lambda s: INDEPENDENT.record(s, NEXT)),
    solved: {
        "no lower level": (lambda: solved(LINEAR), "is MdpFamily; it must be an Mdp or a ZeroSumGame"),  # type: ignore[arg-type]  # tested
        "tau = 0": (lambda: solved(replace(MDP, tau=0.0)), "tau is 0.*use tau > 0"),
        "start": (lambda: solved(MDP, np.zeros(S + 1)), "start_s has shape"),
    },
    through_solution: {
        **no("problem", "Problem", lambda b: through_solution(b, X, SOLVED, SOLVED), 3),
        **outside_domain(lambda x: through_solution(LINEAR, x, SOLVED, SOLVED)),
        "two policies": (
            lambda: through_solution(LINEAR, X, SOLVED * 2, SOLVED * 2),
            r"policies has the length 2.*give one",
        ),
        "gradient's shape": (
            lambda: through_solution(LINEAR, X, SOLVED, (np.zeros((S, A + 1)),)),
            r"gradients\[0\] has shape",
        ),
        "gradient missing": (
            lambda: through_solution(LINEAR, X, SOLVED, ()),
            "gradients has the length 0.*give one",
        ),
    },
    hypergradient: {
        **no("bilevel", "Bilevel", lambda b: hypergradient(b, X, SOLVED), LINEAR),
        **outside_domain(lambda x: hypergradient(ONE, x, SOLVED)),
        "two policies": (lambda: hypergradient(ONE, X, SOLVED * 2), "has the length 2|has 2 policies"),
    },
    Hypergradient: {**parts(HYPER), **schedule("step_x", HYPER)},
    Hypergradient.start: {
        **outside_domain(HYPER.start),
        "tau = 0": (
            lambda: replace(HYPER, bilevel=replace(ONE, problem=replace(LINEAR, tau=0.0))).start(X),
            "tau is 0.*use tau > 0",
        ),
    },
    Hypergradient.step: {
        **no("state", "State", HYPER.step, SOLVED),
        "no values": (
            lambda: HYPER.step(replace(SOLUTION, oracle=())),
            r"state\.oracle has the length 0.*start",
        ),
        "x outside": (
            lambda: HYPER.step(replace(SOLUTION, x=np.full(2, 1e9))),
            r"x\[0\] is 1e\+09, outside",
        ),
    },
    Hypergradient.record: states(lambda s: HYPER.record(s, NEXT)),
    MetaGradient: {**parts(META), **schedule("step_x", META), **schedule("step_y", META)},
    MetaGradient.start: starts(META),
    MetaGradient.step: states(META.step),
    MetaGradient.record: states(lambda s: META.record(s, NEXT)),
    meta_gradient.look_ahead: {
        **no("bilevel", "Bilevel", lambda b: looking(bilevel=b), LINEAR),
        **outside_domain(lambda x: looking(x=x)),
        **parameters(lambda y: looking(y=y)),
        **no_number("beta", lambda b: looking(beta=b)),
    },
    meta_gradient.pushforward: {
        "map": (
            lambda: meta_gradient.pushforward(H, PI, PI),  # type: ignore[arg-type]  # tested
            "differentiates DirectPolicy and SoftmaxPolicy, not NegativeEntropy",
        ),
        **no_array("y", lambda y: meta_gradient.pushforward(SoftmaxPolicy((S, A)), y, PI), PI),
        **no_array("u", lambda u: meta_gradient.pushforward(SoftmaxPolicy((S, A)), PI, u), PI),
    },
    meta_gradient.through_projection: {
        **no("domain", "Domain", lambda d: meta_gradient.through_projection(d, PI, PI)),
        "box": (
            lambda: meta_gradient.through_projection(Box(np.zeros(2), np.ones(2)), X, X),
            "Box is not differentiated.*simplices",
        ),
        **no_array("u", lambda u: meta_gradient.through_projection(Euclidean((S, A)), PI, u), PI),
        **no_array(
            "projected", lambda p: meta_gradient.through_projection(Simplices((S, A)), p, PI), PI
        ),
        "outside": (
            lambda: meta_gradient.through_projection(Simplices((S, A)), 2.0 * PI, PI),
            r"projected\[0, 0\] is .*outside.*project it",
        ),
    },
    meta_gradient.derivative_terms: {
        **no("own", "PolicyEvaluation", lambda e: meta_gradient.derivative_terms(e, PI), PAIR),
        **no_array("eta_sa", lambda eta: meta_gradient.derivative_terms(OWN, eta), PI),
    },
    # Checkpoints.
    Checkpoint: {
        **no("digests", "dict", lambda d: Checkpoint(d, STATE)),
        **no("state", "State", lambda s: Checkpoint({}, s)),
    },
    checkpoint.fingerprint: {
        "lambda": (
            lambda: checkpoint.fingerprint(lambda: 0),
            "cannot be recognised.*use a function of a",
        ),
        "object array": (lambda: checkpoint.fingerprint(np.array([None])), "cannot be recognised"),
        **no("name", "str", lambda n: checkpoint.fingerprint(PBRL, n)),
    },
    checkpoint.save: {
        **no("algorithm", "Algorithm", lambda a: checkpoint.save(FOLDER[0] / "x", a, STATE), LINEAR),
        **no("state", "State", lambda s: checkpoint.save(FOLDER[0] / "x", PBRL, s), RECORD),
        "path": (lambda: checkpoint.save(None, PBRL, STATE), "path is NoneType; give the name"),  # type: ignore[arg-type]  # tested
        "folder": (
            lambda: checkpoint.save(FOLDER[0] / "a" / "b", PBRL, STATE),
            "not a directory; create",
        ),
    },
    checkpoint.load: {
        **no("algorithm", "Algorithm", lambda a: checkpoint.load(FOLDER[0] / "x", a), LINEAR),
        "path": (lambda: checkpoint.load(3, PBRL), "path is int; give the name"),  # type: ignore[arg-type]  # tested
        "no file": (lambda: checkpoint.load(FOLDER[0] / "x", PBRL), "is not a file; check the path"),
        "corrupt": (
            lambda: saved(lambda path: path.write_bytes(path.read_bytes()[:-40])),
            r"state\.npz is not a readable .npz file.*restore it",
        ),
        "newer": (lambda: saved(newer), r"state\.npz: .*version 2.*update the program"),
        "another class": (
            lambda: saved(lambda path: storage.save(path, GAME)),
            r"state\.npz holds ZeroSumGame, not Checkpoint",
        ),
        "another algorithm": (
            lambda: saved(lambda path: checkpoint.save(path, META, STATE)),
            "was written with another algorithm.*resume with",
        ),
        "another setting": (
            lambda: saved(
                lambda path: checkpoint.save(path, replace(PBRL, strength=Constant(3.0)), STATE)
            ),
            r"was written with another algorithm\.strength\.value: resume with",
        ),
        "another problem": (
            lambda: saved(
                lambda path: checkpoint.save(
                    path, replace(PBRL, bilevel=replace(ONE, problem=replace(LINEAR, gamma=0.1))), STATE
                )
            ),
            r"another algorithm\.bilevel\.problem\.gamma: resume with",
        ),
    },
}

# A text is no bad name.
for _entry, _name in (
    (Penalty, "name"),
    (Penalty, "source"),
    (Objective, "name"),
    (Objective, "source"),
):
    del TABLE[_entry][f"{_name} = str"]
del TABLE[checkpoint.fingerprint]["name = str"]

ROWS = [
    pytest.param(call, message, id=f"{entry.__qualname__}: {case}")
    for entry, cases in TABLE.items()
    for case, (call, message) in cases.items()
]


@pytest.mark.parametrize(("call", "message"), ROWS)
def test_refused(
    call: Call,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    monkeypatch.setitem(globals(), "FOLDER", [tmp_path])
    case = request.node.callspec.id
    meant: type[Exception] = InputError
    if case.endswith("no convergence"):
        meant = ConvergenceError
    elif case.endswith(": ties") or case == "Bilevel.pulled_to_y: boundary":
        meant = NotDifferentiableError
    with pytest.raises(meant, match=f"(?s){message}"):
        call()


# Completeness.

_NUMERICS = (
    "numerics on what the entries above have checked: each is a product or a bound on the arrays of it"
)
_RESULT = "a result, made by the functions of its module from what they have checked"
EXEMPT: dict[Callable[..., object], str] = {
    **{
        getattr(contractions, name): _NUMERICS
        for name in vars(contractions)
        if getattr(getattr(contractions, name), "__module__", "") == "reference.contractions"
        and name not in ("_products", "processors")  # private, and one that takes nothing
    },
    evaluation.contraction: _NUMERICS,
    evaluation.rounding: _NUMERICS,
    evaluation.residual_rounding: _NUMERICS,
    **dict.fromkeys(
        (
            PolicyEvaluation,
            JointEvaluation,
            Optimum,
            Equilibrium,
            SegmentClasses,
            contract.Record,
            PbrlRecord,
            Run,
        ),
        _RESULT,
    ),
    equilibrium.argmax_derivative: "`nash_equilibrium` and `through_solution` check what they give it",
    MirrorState: "an iterate: `mirror_step` and `mirror_iterates` check it against the MDP",
    Evaluated: "what objectives and penalties give: `Bilevel.evaluate` checks it where users' own enter",
}


def modules() -> Iterator[Any]:
    yield from (contractions, equilibrium, evaluated, evaluation, optimality, resolvents)
    for package in (reference.algorithms, reference.objectives, reference.penalties):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            yield importlib.import_module(found.name)


OPERATORS = ("__call__", "__add__", "__rmul__", "__radd__", "__mul__", "__sub__", "__matmul__")


def entries() -> Iterator[Callable[..., object]]:
    """Public functions, classes and methods that take something, contracts aside."""
    for module in modules():
        for name, thing in vars(module).items():
            own = getattr(thing, "__module__", None) == module.__name__
            if name.startswith("_") or not own or not callable(thing):
                continue
            if not isinstance(thing, type):
                if inspect.signature(thing).parameters:
                    yield thing
                continue
            if getattr(thing, "_is_protocol", False):
                continue
            if inspect.signature(thing).parameters:
                yield thing
            for label, method in vars(thing).items():
                public = not label.startswith("_") or label in OPERATORS
                if (
                    public
                    and isinstance(method, FunctionType)
                    and len(inspect.signature(method).parameters) > 1
                ):
                    yield method


def test_every_entry_has_a_row() -> None:
    missing = [entry.__qualname__ for entry in entries() if entry not in {**TABLE, **EXEMPT}]
    assert not missing, f"add rows of bad input for {missing}, or exempt them with a reason"


def test_every_entry_has_a_case() -> None:
    assert all(TABLE.values())


def test_exemptions_are_needed() -> None:
    assert not set(TABLE) & set(EXEMPT)
    stale = [entry.__qualname__ for entry in {**TABLE, **EXEMPT} if entry not in set(entries())]
    assert not stale
