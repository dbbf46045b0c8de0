"""Every public entry point refuses bad input with a message that names it and a remedy.

The table has rows ``entry: case -> (call, message)``.  A completeness test holds it to the public names
of the package, RLHF with networks aside: whoever adds one adds a row, or says here why none is needed.
"""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import sampled
from reference.problems.general_position import (
    general_game,
    general_game_family,
    general_incentive_design,
    general_mdp,
    general_rlhf,
    general_shaping,
    general_stackelberg,
    linear_family,
)
from sampled import (
    baselines,
    common,
    controls,
    conversion,
    critics,
    domains,
    enumeration,
    environments,
    expectations,
    horizons,
    labels,
    laws,
    maps,
    problems,
    processes,
    regularizers,
    simulator,
    sources,
    trajectories,
    validation,
)
from sampled.algorithms import (
    appendix_e,
    bilevel,
    checkpoint,
    contract,
    independent_gradient,
    meta_gradient,
    oracles,
    pbrl,
    progress,
    steps,
)
from sampled.errors import InputError
from sampled.estimators import (
    actor_critic,
    control_variate,
    dice,
    gpomdp,
    random_horizon,
    reinforce,
)
from sampled.estimators import contract as estimating
from sampled.objectives import contract as aiming
from sampled.objectives import incentive_design, reward_shaping, rlhf, stackelberg
from sampled.penalties import bellman, nikaido_isoda, value
from sampled.penalties import contract as penalising
from tests.sampled.algorithms.cases import DESCENT, begun, designs, games
from verify.crosscheck import layered

Call = Callable[[], object]
Cases = dict[str, tuple[Call, str]]


def full(*shape: int, fill: float = 0.5) -> Tensor:
    return torch.full(shape, fill, dtype=torch.float64)


def spoiled(table: Tensor, entry: float = float("nan")) -> Tensor:
    """The table with another last entry."""
    table = table.clone()
    table.view(-1)[-1] = entry
    return table


G = np.random.default_rng(0)
S, A, B = 2, 3, 2
MDP = general_mdp(G, n_states=S, n_actions=A, gamma=0.6)
GAME: Any = general_game(G, n_states=S, n_first=A, n_second=B)
TASK = conversion.tensors(MDP)
FAMILY = conversion.tensors(linear_family(G, MDP))
GAMES = conversion.tensors(general_stackelberg(G, n_states=S, n_leader=A, n_follower=B))
PAIR = conversion.tensors(general_game_family(G, GAME))
DESIGN = conversion.tensors(general_incentive_design(G, GAME))
RLHF = conversion.tensors(general_rlhf(G, MDP, segment_length=1, delay=0))
SHAPING = conversion.tensors(general_shaping(G, MDP))
D = TASK.dynamics
X = full(1, *FAMILY.shape, fill=0.1)
PI, PI_B = full(1, S, A, fill=1 / A), full(1, S, B)
V = full(1, S)
RULE = regularizers.Quadratic()


def seeded() -> sources.Independent:
    return sources.Independent(torch.Generator().manual_seed(0))


PROCESS = processes.task_process(TASK, (PI,))
WALKS = expectations.draw(PROCESS, horizons.Fixed(2), 2, seeded())
RAGGED = expectations.draw(PROCESS, horizons.Geometric(0.6), 4, seeded())
MEAN = expectations.MonteCarlo(gpomdp.Gpomdp(2), 2, seeded())
SAMPLES = expectations.Samples(gpomdp.Gpomdp(2), 2)
VALUE: Any = appendix_e.pbrl_value(games())
DESIGNS: Any = designs()
RATE = contract.Constant(0.1)
START = begun(VALUE)
DIRECT: Any = appendix_e.pbrl_value(
    bilevel.bilevel(layered.stackelberg(1, direct=True), policy=maps.DirectPolicy())
)
D_START = begun(DIRECT)
FOLDER: list[Path] = []


def meta(t: Tensor) -> Tensor:
    return t.to("meta")


def of(entry: Any, *args: object, **kwargs: object) -> Call:
    """The call, whatever the types of its arguments say."""
    return lambda: entry(*args, **kwargs)


def surrogate(estimator: Any, batch: trajectories.Trajectories = WALKS) -> Call:
    return lambda: estimator.surrogate(batch, PROCESS)


def estimator_rows(make: Callable[..., Any]) -> Cases:
    """What estimators of a fixed number of steps have in common."""
    return {
        "no step": (of(make, 0), "steps is 0; it must be a whole number >= 1"),
        "half a step": (of(make, 2.0), r"steps is 2\.0"),
        "baseline": (of(make, 2, 0.5), "baseline is float; it must be a Baseline"),
        "other steps": (surrogate(make(3)), "have 2 steps; the estimator's target has 3"),
        "random lengths": (surrogate(make(RAGGED.horizon), RAGGED), "may end before"),
        "batch of one": (
            of(expectations.MonteCarlo, make(2, baselines.LeaveOneOut()), 1, seeded()),
            "n is 1; the estimator needs 2",
        ),
        "baseline in float32": (
            surrogate(make(2, baselines.StateValues(V.float()))),
            "values_ps in torch.float32, earnings in torch.float64",
        ),
        "baseline elsewhere": (
            surrogate(make(2, baselines.StateValues(meta(V)))),
            "table_ps on meta, trajectories on cpu",
        ),
    }


def algorithm_rows(make: Callable[..., Any], own: Any) -> Cases:
    """What algorithms with settings have in common."""
    good = appendix_e.NIKAIDO_ISODA
    return {
        "batch": (of(make, own, replace(good, batch=0)), "n is 0"),
        "no step": (of(make, own, replace(good, steps=0)), "steps is 0"),
        "bilevel": (of(make, own.problem, good), "bilevel is"),
        "dtype": (
            lambda: make(own, good).start(START.key_p, begun(make(own, good)).x.float()),
            "x is torch.float32",
        ),
        "float32 state": (
            lambda: make(own, good).step(single(begun(make(own, good)))),
            "x is torch.float32 on cpu and the problem torch.float64",
        ),
    }


def single(state: contract.State) -> contract.State:
    """A state in float32."""
    return replace(
        state,
        x=state.x.float(),
        y=tuple(part.float() for part in state.y),
        oracle=tuple(part.float() for part in state.oracle),
    )


def penalty_rows(penalty: Callable[..., Any], lower: Any, players: int) -> Cases:
    policies = (PI, PI_B)[:players] if lower is not GAMES else (PI_B,)
    x = X if lower is FAMILY else full(1, S, A) if lower is GAMES else full(1, *lower.shape)
    worse = tuple(spoiled(pi) for pi in policies)
    return {
        "players": (of(penalty, lower, x, policies * 2, policies, MEAN), "policies has"),
        "companions": (of(penalty, lower, x, policies, (), MEAN), "companions has 0 entries"),
        "x": (of(penalty, lower, x[..., :1], policies, policies, MEAN), "x has shape"),
        "x in float32": (of(penalty, lower, x.float(), policies, policies, MEAN), "float32"),
        "policy is nan": (of(penalty, lower, x, worse, policies, MEAN), r"policies.*is nan"),
        "companion is nan": (of(penalty, lower, x, policies, worse, MEAN), r"policies.*is nan"),
        "policy elsewhere": (
            of(penalty, lower, x, tuple(map(meta, policies)), policies, MEAN),
            "several devices",
        ),
    }


def loss_rows(loss: Callable[..., Any], problem: Any, policies: tuple[Tensor, ...]) -> Cases:
    x = full(1, S, A)
    return {
        "players": (of(loss, problem, x, policies * 2, MEAN), "polic"),
        "policy is nan": (of(loss, problem, x, tuple(map(spoiled, policies)), MEAN), "is nan"),
        "float32": (of(loss, problem, x, tuple(p.float() for p in policies), MEAN), "several dtypes"),
        "elsewhere": (of(loss, problem, x, tuple(map(meta, policies)), MEAN), "several devices"),
    }


def law_rows(build: Callable[[Tensor], object]) -> Cases:
    """What is no distribution, whatever is built from it."""
    return {
        "nan": (of(build, spoiled(full(2, 2))), r"p\[1, 1\] is nan"),
        "infinite": (of(build, spoiled(full(2, 2), float("inf"))), r"p\[1, 1\] is inf"),
        "negative": (of(build, torch.tensor([[1.5, -0.5]]).double()), r"p\[0, 1\] is -0\.5.*never neg"),
        "sum": (of(build, spoiled(full(2, 2), 0.47)), r"p\[1\] sums to 0\.97"),
        "whole numbers": (of(build, torch.eye(2, dtype=torch.int64)), "p has dtype torch.int64"),
        "half": (of(build, full(1, 2).half()), "p has dtype torch.float16"),
        "list": (of(build, [[0.5, 0.5]]), "p is list"),
        "no outcomes": (of(build, full(2, 0)), "its last axis must hold outcomes"),
    }


RAGGED_KERNEL = full(1, S, A, S)
TABLE: dict[Callable[..., object], Cases] = {
    # Laws, sources, lengths.
    laws.weights: {
        **law_rows(laws.weights),
        "bits": (of(laws.weights, full(1, 2), bits=63), "bits is 63; a word has at most 62"),
    },
    laws.InverseCdf: law_rows(laws.InverseCdf.of),
    laws.RunningSums: law_rows(laws.RunningSums.of),
    laws.Alias: law_rows(laws.Alias.of),
    laws.sampler_kind: {
        "instance": (of(simulator.Dynamics.of, full(1, 2, 3, 2), V, sampler=3), "sampler is 3"),
        "mean": (of(expectations.MonteCarlo, gpomdp.Gpomdp(2), 2, seeded(), "alias"), "sampler is 'al"),
        "samples": (of(expectations.Samples, gpomdp.Gpomdp(2), 2, sampler=0), "sampler is 0"),
        "family": (of(replace, FAMILY, sampler=None), "sampler is None"),
    },
    sources.Independent: {"seed": (of(sources.Independent, 0), "generator is 0; pass a generator")},
    sources.Antithetic: {
        "seed": (of(sources.Antithetic, 0), "generator is 0"),
        "odd": (lambda: sources.Antithetic(torch.Generator()).words((3,)), "3 is odd: ask for 4"),
    },
    sources.Counter: {
        "keys": (of(sources.Counter, V, 0), "must be a tensor .* of int64"),
        "stream": (of(sources.Counter, START.key_p, -1), "stream is -1"),
    },
    horizons.Fixed: {
        str(bad): (of(horizons.Fixed, bad), f"steps is {bad}.*whole number >= 1")
        for bad in (0, -1, 2.5, True, None)
    },
    horizons.Geometric: {
        str(bad): (of(horizons.Geometric, bad), f"continuation is {bad}")
        for bad in (1.0, -0.1, float("nan"), True)
    },
    # Simulator.
    simulator.Dynamics: {
        "P is nan": (of(simulator.Dynamics.of, spoiled(full(1, 2, 3, 2)), V), r"P_psjt\[0, 1, 2, 1\]"),
        "axes": (of(simulator.Dynamics.of, full(2, 3, 2), V), "add the first to one problem's"),
        "rho": (of(simulator.Dynamics.of, full(1, 2, 3, 2), full(1, 3)), "rho_ps has shape"),
        "dtypes": (of(simulator.Dynamics.of, full(1, 2, 3, 2), V.float()), "several dtypes"),
        "devices": (of(simulator.Dynamics.of, full(1, 2, 3, 2), meta(V)), "several devices"),
        "rewards": (of(D.ending, spoiled(TASK.r_psa)), r"rewards_psj\[0\]\[0, 1, 2\] is nan"),
        "rewards' axes": (of(D.ending, V), r"rewards_psj\[0\] has shape"),
    },
    simulator.joint_policy: {
        "dtypes": (of(simulator.joint_policy, PI, PI_B.float()), "several dtypes"),
        "devices": (of(simulator.joint_policy, PI, meta(PI_B)), "several devices"),
        "states": (of(simulator.joint_policy, PI, full(1, 3, 2)), "pi_psb has shape"),
    },
    **{
        entry: {
            "tensor": (of(entry, D, PI, horizons.Fixed(1), 1, seeded()), r"\[Alias\.of\(policy\)\]"),
            "number": (of(entry, D, [laws.Alias.of(PI)], 5, 1, seeded()), r"such as Fixed\(5\)"),
            "generator": (
                of(entry, D, [laws.Alias.of(PI)], horizons.Fixed(1), 1, torch.Generator()),
                r"such as Independent\(generator\)",
            ),
            "n": (of(entry, D, [laws.Alias.of(PI)], horizons.Fixed(1), 0, seeded()), "n is 0"),
            "outcomes": (
                of(entry, D, [laws.Alias.of(PI_B)], horizons.Fixed(1), 1, seeded()),
                r"have \(2,\) outcomes; they must have \(3,\)",
            ),
            "rows": (
                of(entry, D, [laws.Alias.of(PI[0, 0])], horizons.Fixed(1), 1, seeded()),
                r"policy\[0\] has 1 rows",
            ),
            "devices": (
                of(
                    *(entry, D, [laws.Alias(meta(laws.Alias.of(PI).bucket_i), A, 2)]),
                    *(horizons.Fixed(1), 1, seeded()),
                ),
                r"policy\[0\] on meta",
            ),
        }
        for entry in (simulator.rollout, simulator.rollouts)
    },
    trajectories.Trajectories: {
        "shapes": (of(replace, WALKS, lengths_pn=WALKS.lengths_pn[0]), "do not fit"),
        "dtypes": (of(replace, WALKS, actions_pnh=WALKS.actions_pnh.long()), "both must be torch.int32"),
        "devices": (of(replace, WALKS, lengths_pn=meta(WALKS.lengths_pn)), "lengths_pn on meta"),
        "table": (of(WALKS.at_states, PI), r"table_ps has shape \(1, 2, 3\)"),
        "table elsewhere": (of(WALKS.at_states, meta(V)), "table_ps on meta"),
        "player": (of(WALKS.at_own_actions, 1, PI), "player is 1; there are 1"),
    },
    enumeration.every_trajectory: {
        "steps": (of(enumeration.every_trajectory, D, 0), "steps is 0"),
        "many": (of(enumeration.every_trajectory, D, 20), "at most .* use fewer"),
    },
    enumeration.probability: {
        "shape": (of(enumeration.probability, WALKS, D, PI_B), r"must be \(1, 2, 3\)"),
    },
    enumeration.Everything: {
        "estimator": (of(enumeration.Everything, 3, 3), "estimator is int; it must be a Estimator"),
        "steps": (of(enumeration.Everything, gpomdp.Gpomdp(2), 0), "steps is 0"),
        "other steps": (
            lambda: enumeration.Everything(gpomdp.Gpomdp(2), 3).value(PROCESS),
            "have 3 steps; the estimator's target has 2",
        ),
    },
    # Estimators.
    reinforce.Reinforce: estimator_rows(reinforce.Reinforce),
    gpomdp.Gpomdp: estimator_rows(gpomdp.Gpomdp),
    dice.Dice: estimator_rows(dice.Dice),
    control_variate.ControlVariate: {
        **estimator_rows(lambda n, *b: control_variate.ControlVariate(n, controls.Lookahead(V), *b)),
        "q": (of(control_variate.ControlVariate, 2, PI), "q is Tensor; it must be a ActionValues"),
    },
    actor_critic.ActorCritic: {
        "no step": (of(actor_critic.ActorCritic, 0, critics.Tabular(V)), "steps is 0"),
        "critic": (of(actor_critic.ActorCritic, 2, V), "critic is Tensor; it must be a Critic"),
        **{
            f"trace {bad}": (of(actor_critic.ActorCritic, 2, critics.Tabular(V), bad), f"trace is {bad}")
            for bad in (-0.1, 1.1, float("nan"), True)
        },
        "critic in float32": (
            surrogate(actor_critic.ActorCritic(2, critics.Tabular(V.float()))),
            "critic_ps in torch.float32, earnings in torch.float64",
        ),
        "critic elsewhere": (
            surrogate(actor_critic.ActorCritic(2, critics.Tabular(meta(V)))),
            "on meta",
        ),
        "critic's states": (
            surrogate(actor_critic.ActorCritic(2, critics.Tabular(full(1, 3)))),
            r"table_ps has shape \(1, 3\)",
        ),
        "random lengths": (
            surrogate(actor_critic.ActorCritic(RAGGED.horizon, critics.Tabular(V)), RAGGED),
            "may end before",
        ),
    },
    random_horizon.RandomHorizon: {
        "kappa": (of(random_horizon.RandomHorizon, 1.0), r"continuation is 1\.0"),
        "kappa below gamma": (surrogate(random_horizon.RandomHorizon(0.5)), "with probability gamma or"),
        "fixed lengths": (surrogate(random_horizon.RandomHorizon(0.7)), "target is the infinite sum"),
        "baseline": (of(random_horizon.RandomHorizon, 0.9, 0), "baseline is int"),
    },
    estimating.of_steps: {
        "steps": (of(estimating.of_steps, WALKS, 3), "draw them with the estimator's")
    },
    baselines.Constant: {
        "nan": (of(baselines.Constant, float("nan")), "level is nan; it must be one finite number"),
        "text": (of(baselines.Constant, "1"), "level is '1'"),
    },
    baselines.StateValues: {
        "nan": (of(baselines.StateValues, spoiled(V)), r"values_ps\[0, 1\] is nan"),
        "axes": (of(baselines.StateValues, V[0]), "values_ps has shape"),
        "list": (of(baselines.StateValues, [0.0]), "values_ps is list"),
    },
    critics.Tabular: {"axes": (of(critics.Tabular, V[0]), "table_ps has shape")},
    critics.Linear: {
        "shapes": (of(critics.Linear, PI, V), "check their order"),
        "dtypes": (of(critics.Linear, PI, full(1, A).float()), "several dtypes"),
        "devices": (of(critics.Linear, PI, meta(full(1, A))), "several devices"),
    },
    controls.Table: {"dtype": (of(controls.Table, PI.long()), "q_psj has dtype torch.int64")},
    controls.Lookahead: {
        "axes": (of(controls.Lookahead, V[0]), "values_ps has shape"),
        "states": (of(controls.Lookahead(full(1, 3)), PROCESS), "values_ps has shape"),
        "dtype": (of(controls.Lookahead(V.float()), PROCESS), "several dtypes"),
        "device": (of(controls.Lookahead(meta(V)), PROCESS), "several devices"),
    },
    controls.controlled: {
        "shape": (of(controls.controlled, PROCESS, controls.Table(PI_B)), "q_psj has shape"),
        "dtype": (of(controls.controlled, PROCESS, controls.Table(PI.float())), "several dtypes"),
        "device": (of(controls.controlled, PROCESS, controls.Table(meta(PI))), "several devices"),
    },
    # Means.
    expectations.combined: {"none": (of(expectations.combined, (), MEAN), "there are no terms")},
    expectations.enough: {
        "estimator": (of(expectations.enough, 3, 3), "estimator is int"),
        "n": (of(expectations.enough, gpomdp.Gpomdp(2), 0), "n is 0"),
    },
    expectations.MonteCarlo: {
        "estimator": (of(expectations.MonteCarlo, gpomdp.Gpomdp, 2, seeded()), "is the class Gpomdp"),
        "n": (of(expectations.MonteCarlo, gpomdp.Gpomdp(2), 2.0, seeded()), r"n is 2\.0"),
        "antithetic": (
            of(
                *(expectations.MonteCarlo, gpomdp.Gpomdp(2, baselines.LeaveOneOut()), 4),
                sources.Antithetic(torch.Generator()),
            ),
            "dependent pairs",
        ),
        "pairs": (of(MEAN.pairs, PROCESS, 0), "steps is 0"),
    },
    expectations.Samples: {
        "estimator": (of(expectations.Samples, 5, 16), "estimator is int"),
        "n": (of(expectations.Samples, gpomdp.Gpomdp(2), 0), "n is 0"),
    },
    expectations.draw: {
        "policy": (
            lambda: expectations.draw(
                processes.task_process(TASK, (spoiled(PI),)), horizons.Fixed(1), 1, seeded()
            ),
            r"policies\[0\]\[0, 1, 2\] is nan",
        ),
    },
    expectations.draws: {
        "none": (of(expectations.draws, (), horizons.Fixed(1), 1, seeded()), "there are no processes"),
        "dynamics": (
            lambda: expectations.draws(
                (PROCESS, processes.task_process(conversion.tensors(MDP), (PI,))),
                horizons.Fixed(1),
                1,
                seeded(),
            ),
            "follow 2 different dynamics",
        ),
        "running sums": (
            lambda: expectations.draws(
                (processes.task_process(TASK, (spoiled(PI),)),),
                horizons.Fixed(1),
                1,
                seeded(),
                sampler=laws.RunningSums,
            ),
            r"policies\[0\]\[0, 1, 2\] is nan",
        ),
    },
    common.Recorded: {
        "shape": (
            lambda: rewound((2,)).words((3,)),
            r"\(3,\) words are asked for where \(2,\) were kept",
        ),
    },
    common.CommonNumbers: {
        "n": (of(common.CommonNumbers, gpomdp.Gpomdp(2), 0, seeded()), "n is 0"),
        "estimator": (of(common.CommonNumbers, None, 2, seeded()), "estimator is NoneType"),
        "sampler": (of(common.CommonNumbers, gpomdp.Gpomdp(2), 2, seeded(), 1), "sampler is 1"),
    },
    common.CommonSamples: {
        "n": (of(common.CommonSamples, gpomdp.Gpomdp(2), 0), "n is 0"),
        "sampler": (of(common.CommonSamples, gpomdp.Gpomdp(2), 2, 1), "sampler is 1"),
    },
    # Problems.
    conversion.usable_device: {
        "none of this name": (of(conversion.usable_device, "abacus"), "device is 'abacus'"),
        "no name": (of(conversion.usable_device, 1.5), "device is 1.5"),
    },
    conversion.tensors: {
        "kind": (of(conversion.tensors, 3), "the problem is int"),
        "half": (of(conversion.tensors, MDP, dtype=torch.float16), "dtype is torch.float16"),
        "device": (of(conversion.tensors, MDP, device="abacus"), "device is 'abacus'"),
        "sampler": (of(conversion.tensors, MDP, sampler="alias"), "sampler is 'alias'"),
    },
    conversion.domain: {
        "no x": (of(conversion.domain, MDP), "the domain is NoneType"),
        "dtype": (of(conversion.domain, linear_family(G, MDP), dtype=torch.int64), "dtype is torch.int"),
        "device": (of(conversion.domain, linear_family(G, MDP), device=1.5), r"device is 1\.5"),
    },
    problems.Task: {
        "reward": (of(replace, TASK, r_psa=spoiled(TASK.r_psa)), r"r_psa\[0, 1, 2\] is nan"),
        "shape": (of(replace, TASK, r_psa=V), "r_psa has shape"),
        "dtype": (of(replace, TASK, r_psa=TASK.r_psa.float()), "several dtypes"),
        "device": (of(replace, TASK, r_psa=meta(TASK.r_psa)), "several devices"),
        "gamma": (of(replace, TASK, gamma=1.0), r"gamma is 1\.0"),
        "tau": (of(replace, TASK, tau=-1.0), r"tau is -1\.0"),
        "rules": (of(replace, TASK, regularizers=()), "regularizers has 0 entries"),
        "rule": (of(replace, TASK, regularizers=(3,)), r"regularizers\[0\] is int"),
        "dynamics": (of(replace, TASK, dynamics=None), "dynamics is NoneType"),
    },
    problems.Family: {
        "x": (of(FAMILY.at, X[..., :1]), "x has shape"),
        "x is nan": (of(FAMILY.at, spoiled(X)), r"x\[0, .*\] is nan"),
        "x in float32": (of(FAMILY.at, X.float()), "x is torch.float32"),
        "x elsewhere": (of(FAMILY.at, meta(X)), "on meta and the problem"),
        "x of numpy": (of(FAMILY.at, X.numpy()), "x is ndarray"),
        "settled elsewhere": (lambda: FAMILY.settled(X).at(X.clone()), "settled at another x"),
        "reward overflows": (
            lambda: replace(FAMILY, reward=lambda _x: torch.full_like(PI, float("inf"))).at(X),
            r"rewards_psj\[0\]\[0, 0, 0\] is inf",
        ),
        "kernel": (
            lambda: replace(FAMILY, fixed=None, kernel=lambda _x: full(1, S, A, S, fill=0.4)).at(X),
            r"P_psjt\[0, 0, 0\] sums to 0\.8",
        ),
        "reward is none": (of(replace, FAMILY, reward=PI), "reward is Tensor"),
        "rho": (of(replace, FAMILY, rho_ps=full(1, S, fill=0.4)), r"rho_ps\[0\] sums to 0\.8"),
        "gamma": (of(replace, FAMILY, gamma=float("nan")), "gamma is nan"),
        "rules": (of(replace, FAMILY, regularizers=(RULE, RULE)), "regularizers has 2 entries"),
        "actions": (of(replace, FAMILY, n_actions=(0,)), r"n_actions\[0\] is 0"),
    },
    problems.StackelbergGame: {
        "reward": (
            of(replace, GAMES, r_leader_psab=spoiled(GAMES.r_leader_psab)),
            r"r_leader_psab\[0, 1, 2, 1\] is nan",
        ),
        "dtype": (of(replace, GAMES, r_follower_psab=GAMES.r_follower_psab.float()), "several dtypes"),
        "device": (of(replace, GAMES, r_follower_psab=meta(GAMES.r_follower_psab)), "several devices"),
        "one player": (of(replace, GAMES, dynamics=D), "n_actions has 1 entries; there must be 2"),
        "leader": (of(replace, GAMES, leader=PI), "leader is Tensor"),
        "tau": (of(replace, GAMES, tau_leader=float("inf")), "tau_leader is inf"),
    },
    problems.IncentiveDesign: {
        "cost": (of(replace, DESIGN, cost_ps=spoiled(DESIGN.cost_ps)), r"cost_ps\[0, 1\] is nan"),
        "reward": (of(replace, DESIGN, r_design_psab=PI), "r_design_psab has shape"),
        "dtype": (of(replace, DESIGN, cost_ps=DESIGN.cost_ps.float()), "several dtypes"),
        "designer": (of(replace, DESIGN, designer=D), "the designer's dynamics are of"),
        "game": (of(replace, DESIGN, game=TASK), "game is Task"),
    },
    problems.Rlhf: {
        "reward": (of(replace, RLHF, r_true_psa=spoiled(RLHF.r_true_psa)), r"r_true_psa\[0, 1, 2\] is"),
        "length": (of(replace, RLHF, segment_length=0), "segment_length is 0"),
        "delay": (of(replace, RLHF, delay=-1), "delay is -1"),
        "labels": (of(replace, RLHF, labels="by return"), "labels is str"),
    },
    problems.RewardShaping: {
        "original": (of(replace, SHAPING, original=MDP), "original is Mdp"),
        "dtypes": (
            of(replace, SHAPING, original=conversion.tensors(MDP, dtype=torch.float32)),
            "dtypes",
        ),
        "states": (of(replace, SHAPING, shaped=PAIR), r"original\.r_psa has shape"),
    },
    regularizers.KLDivergence: {
        "zero": (of(regularizers.KLDivergence, spoiled(PI, -float("inf"))), r"\[0, 1, 2\] is -inf"),
        "axes": (of(regularizers.KLDivergence, V), "log_reference_psa has shape"),
    },
    regularizers.Weighted: {
        "base": (of(regularizers.Weighted, 1.0, V), "base is float; it must be a Regularizer"),
        "weight": (of(regularizers.Weighted, RULE, spoiled(V)), r"weight_ps\[0, 1\] is nan"),
    },
    labels.LabelByReturn: {"tolerance": (of(labels.LabelByReturn, -1.0), r"tolerance is -1\.0")},
    labels.BradleyTerryLabels: {"zero": (of(labels.BradleyTerryLabels, 0.0), r"temperature is 0\.0")},
    domains.Box: {
        "crossed": (of(domains.Box, full(2), spoiled(full(2), 0.1)), r"low\[1\] is 0\.5 and high\[1\]"),
        "nan": (of(domains.Box, spoiled(full(2)), full(2)), r"low\[1\] is nan"),
        "shapes": (of(domains.Box, full(2), full(3)), "high has shape"),
        "dtypes": (of(domains.Box, full(2), full(2).float()), "several dtypes"),
        "devices": (of(domains.Box, full(2), meta(full(2))), "several devices"),
    },
    domains.Ball: {
        "radius": (of(domains.Ball, full(2), 0.0), r"radius is 0\.0"),
        "centre": (of(domains.Ball, spoiled(full(2)), 1.0), r"centre\[1\] is nan"),
    },
    maps.SoftmaxPolicy: {
        "zero": (lambda: maps.SoftmaxPolicy().inverse(spoiled(PI, 0.0)), r"pi_psa\[0, 1, 2\] is 0\.0"),
    },
    maps.FixedReward: {"nan": (of(maps.FixedReward, spoiled(PI)), r"r_psa\[0, 1, 2\] is nan")},
    maps.LinearReward: {
        "nan": (of(maps.LinearReward, spoiled(full(1, 4, S, A)), PI), r"features_pisa\[0, 3, 1, 2\]"),
        "shapes": (of(maps.LinearReward, full(1, 4, A, S), PI), "put those of x between"),
        "dtypes": (of(maps.LinearReward, full(1, 4, S, A), PI.float()), "several dtypes"),
    },
    maps.BoundedIncentive: {
        "scale": (of(maps.BoundedIncentive, PI, float("inf")), "scale is inf"),
        "nan": (of(maps.BoundedIncentive, spoiled(PI), 1.0), r"r_psa\[0, 1, 2\] is nan"),
    },
    maps.PotentialShaping: {
        "shape": (of(maps.PotentialShaping, PI, PI, 0.5), "P_psat has shape"),
        "gamma": (of(maps.PotentialShaping, PI, full(1, S, A, S), 1.0), r"gamma is 1\.0"),
    },
    maps.FixedKernel: {"nan": (of(maps.FixedKernel, spoiled(full(1, S, A, S))), "P_psjt.* is nan")},
    maps.SoftmaxKernel: {
        "impossible": (
            of(maps.SoftmaxKernel, full(1, S, A, S, fill=-float("inf")), full(1, 4, S, A, S)),
            r"the largest logits of logits_psjt\[0, 0, 0\] is -inf",
        ),
        "nan": (
            of(maps.SoftmaxKernel, spoiled(full(1, S, A, S)), full(1, 4, S, A, S)),
            r"logits_psjt\[0, 1, 2\] is nan",
        ),
        "shapes": (of(maps.SoftmaxKernel, full(1, S, A, S), full(1, 4, S, S, A)), "between"),
    },
    maps.UserMap: {
        "value": (of(maps.UserMap, PI, len), "value is .* it must be a function of arrays"),
        "nan": (
            lambda: maps.UserMap(lambda x: x * np.nan, lambda _x, g: g)(X),
            "the user's map at x",
        ),
    },
    # Processes.
    processes.Process: {
        "reward": (of(replace, PROCESS, r_psj=V), "r_psj has shape"),
        "dtype": (of(replace, PROCESS, r_psj=PI.float()), "several dtypes"),
        "device": (of(replace, PROCESS, r_psj=meta(PI)), "several devices"),
    },
    processes.fitting: {
        "players": (of(processes.fitting, D, (PI, PI), "policies"), "policies has 2 policies"),
        "shape": (of(processes.fitting, D, (PI_B,), "policies"), r"policies\[0\] has shape"),
    },
    processes.lower_process: {
        "x": (of(processes.lower_process, FAMILY, spoiled(X), (PI,)), "is nan"),
        "policy": (of(processes.lower_process, FAMILY, X, (PI.float(),)), "several dtypes"),
        "leader": (of(processes.lower_process, GAMES, PI[:, :1], (PI_B,)), "x has shape"),
    },
    processes.task_process: {
        "players": (of(processes.task_process, TASK, ()), "policies has 0 policies"),
    },
    processes.leader_process: {
        "x": (of(processes.leader_process, GAMES, V, (PI_B,)), "x has shape"),
        "follower": (of(processes.leader_process, GAMES, PI, (PI,)), "has shape"),
    },
    processes.designer_process: {
        "players": (of(processes.designer_process, DESIGN, (PI,)), "policies has 1 policies"),
    },
    processes.leader_policy: {
        "list": (of(processes.leader_policy, GAMES, [0.0]), "x is list"),
    },
    # Penalties and objectives.
    **{
        entry: penalty_rows(entry, lower, players)
        for entry, lower, players in (
            (value.value_penalty, FAMILY, 1),
            (bellman.bellman_penalty, GAMES, 1),
            (nikaido_isoda.nikaido_isoda, PAIR, 2),
        )
    },
    **{
        module.terms: {"companions": (of(module.terms, FAMILY, X, (PI,) * n, ()), "companions has 0")}
        for module, n in ((value, 1), (bellman, 1), (nikaido_isoda, 2))
    },
    penalising.each: {"one": (of(penalising.each, (PI,), (PI,), 2), "policies has 1 entries")},
    stackelberg.leader_loss: loss_rows(stackelberg.leader_loss, GAMES, (PI_B,)),
    incentive_design.designer_loss: loss_rows(incentive_design.designer_loss, DESIGN, (PI, PI_B)),
    reward_shaping.original_loss: loss_rows(reward_shaping.original_loss, SHAPING, (PI,)),
    rlhf.PreferenceLoss: {
        "baseline": (of(rlhf.PreferenceLoss, 0.5), "baseline is float"),
        "policy": (
            of(rlhf.PreferenceLoss(), RLHF, full(1, *RLHF.lower.shape), (spoiled(PI),), MEAN),
            "is nan",
        ),
    },
    stackelberg.terms: {"players": (of(stackelberg.terms, GAMES, PI, ()), "has 1 policies")},
    incentive_design.terms: {"players": (of(incentive_design.terms, DESIGN, X, ()), "has 0 policies")},
    reward_shaping.terms: {"players": (of(reward_shaping.terms, SHAPING, X, ()), "has 0 policies")},
    # Environments.
    **{
        entry: {
            "reward": (of(entry, D, spoiled(TASK.r_psa), *more), r"reward_psa\[0, 1, 2\] is nan"),
            "shape": (of(entry, D, V, *more), "reward_psa has shape"),
        }
        for entry, more in ((environments.TabularEnv, ()), (environments.TabularVectorEnv, (2,)))
    },
    # Algorithms.
    bilevel.Bilevel: {
        "maps": (of(replace, VALUE.bilevel, policy_maps=()), "policy_maps has 0 entries"),
        "no distribution": (
            lambda: replace(VALUE, bilevel=replace(VALUE.bilevel, policy_maps=(Unnormalised(),))).start(
                START.key_p
            ),
            r"policies\[0\]\[0, 0\] sums to 2\.",
        ),
        "leader": (
            lambda: replace(
                VALUE,
                bilevel=replace(
                    VALUE.bilevel, problem=replace(VALUE.bilevel.problem, leader=Unnormalised())
                ),
            ).start(START.key_p),
            r"pi_x\[0, 0\] sums to 2\.",
        ),
        "problem": (of(replace, VALUE.bilevel, problem=MDP), "the problem is Mdp"),
    },
    bilevel.bilevel: {
        "problem": (of(bilevel.bilevel, MDP), "is Mdp, which has no upper objective"),
        "policy": (of(bilevel.bilevel, general_shaping(G), policy=3), r"policy_maps\[0\] is int"),
        "dtype": (of(bilevel.bilevel, general_shaping(G), dtype=torch.int32), "dtype is torch.int32"),
    },
    contract.Constant: {"zero": (of(contract.Constant, 0.0), "it must be > 0")},
    contract.Power: {"first": (of(contract.Power, float("nan"), 1.0), "first is nan")},
    contract.Ramp: {"iterations": (of(contract.Ramp, 1.0, 2.0, 0), "iterations is 0")},
    contract.scheduled: {"text": (of(contract.scheduled, "a", lambda _k: "1", 0), r"a\(0\) is '1'")},
    contract.State: {
        "nan": (of(replace, START, x=spoiled(START.x)), "is nan"),
        "devices": (of(replace, START, x=meta(START.x)), "several devices"),
    },
    contract.keys: {"generator": (of(contract.keys, 0, 3), "generator is int")},
    contract.run: {
        "iterations": (of(contract.run, VALUE, START, -1), "iterations is -1"),
        "dtype": (of(contract.run, VALUE, single(START), 1), "x is torch.float32"),
        "off the simplex": (
            lambda: contract.run(DIRECT, replace(D_START, y=(2.0 * D_START.y[0],)), 1),
            r"y\[0\] lies outside its domain Simplices",
        ),
        "x off the simplex": (
            lambda: contract.run(DIRECT, replace(D_START, x=2.0 * D_START.x), 1),
            "x lies outside its domain Simplices",
        ),
    },
    steps.Descent: {"size": (of(steps.Descent, 0.1), "size is float")},
    steps.Normalised: {"floor": (of(steps.Normalised, RATE, -1.0), r"floor is -1\.0")},
    steps.Adam: {"decay": (of(steps.Adam, RATE, 1.0), r"decay_mean is 1\.0")},
    oracles.PolicyGradient: {"steps": (of(oracles.PolicyGradient, RATE, 0), "steps is 0")},
    pbrl.Pbrl: {"oracle": (of(replace, VALUE, oracle=RATE), "oracle is Constant")},
    independent_gradient.IndependentGradient: {
        "rule": (
            of(independent_gradient.IndependentGradient, VALUE.bilevel, 0.1, DESCENT, SAMPLES),
            "rule_x is float",
        ),
    },
    meta_gradient.MetaGradient: {
        "target": (
            of(meta_gradient.MetaGradient, DESIGNS, DESCENT, RATE, SAMPLES),
            "its target is a gradient.*Dice",
        ),
    },
    appendix_e.Settings: {"steps": (lambda: replace(appendix_e.VALUE, steps=0).samples, "steps is 0")},
    **{
        entry: algorithm_rows(entry, own)
        for entry, own in (
            (appendix_e.pbrl_value, VALUE.bilevel),
            (appendix_e.pbrl_bellman, VALUE.bilevel),
            (appendix_e.independent, VALUE.bilevel),
            (appendix_e.pbrl_nikaido_isoda, DESIGNS),
            (appendix_e.meta_gradient, DESIGNS),
            (appendix_e.no_incentive, DESIGNS),
        )
    },
    progress.Bar: {"iterations": (of(progress.Bar, "run", -1), "iterations is -1")},
    checkpoint.Checkpoint: {"digests": (of(checkpoint.Checkpoint, 1, 0, {}, ()), "digests is int")},
    checkpoint.fingerprint: {
        "lambda": (of(checkpoint.fingerprint, lambda: 0), "cannot be recognised in a later run"),
    },
    checkpoint.save: {
        "state": (lambda: checkpoint.save(FOLDER[0] / "a.npz", VALUE, START.x), "state is Tensor"),  # type: ignore[arg-type]  # on purpose
        "folder": (lambda: checkpoint.save(FOLDER[0] / "b" / "a.npz", VALUE, START), "not a directory"),
    },
    checkpoint.load: {
        "none": (lambda: checkpoint.load(FOLDER[0] / "a.npz", VALUE), "not a file"),
        "another problem": (lambda: reloaded(replace(VALUE, bilevel=games(seed=1))), "with another alg"),
        "another setting": (
            lambda: reloaded(replace(VALUE, strength=contract.Constant(3.0))),
            r"with another algorithm\.strength\.value",
        ),
        "another start": (lambda: reloaded(VALUE, start=begun(VALUE, seed=1)), "with another start"),
    },
    checkpoint.resume: {
        "save_every": (
            lambda: checkpoint.resume(
                FOLDER[0] / "a.npz", VALUE, START, 1, save_every=0, record=contract.itself
            ),
            "save_every is 0",
        ),
        "start": (
            lambda: checkpoint.resume(
                *(FOLDER[0] / "a.npz", DIRECT, replace(D_START, x=2.0 * D_START.x), 1),
                save_every=1,
                record=contract.itself,
            ),
            "x lies outside its domain Simplices",
        ),
    },
}


class Unnormalised:
    """Twice a policy: what no policy map may return."""

    domain = domains.Euclidean()

    def __call__(self, x: Tensor) -> Tensor:
        return 2.0 * x.softmax(-1)

    def inverse(self, pi_psa: Tensor) -> Tensor:
        return pi_psa.log()


def rewound(shape: tuple[int, ...]) -> common.Recorded:
    """A record of some words, about to give them again."""
    recorded = common.Recorded(seeded())
    recorded.words(shape)
    recorded.rewind()
    return recorded


def reloaded(algorithm: Any, start: contract.State | None = None) -> object:
    """Save a run and load it as another's; the file is refused and stays as it is."""
    path = FOLDER[0] / "run.npz"
    checkpoint.save(path, VALUE, START)
    written = path.read_bytes()
    try:
        return checkpoint.load(path, algorithm, start=start)
    finally:
        assert path.read_bytes() == written


ROWS = [
    pytest.param(call, message, id=f"{entry.__module__}.{entry.__qualname__}: {case}")
    for entry, cases in TABLE.items()
    for case, (call, message) in cases.items()
]


@pytest.mark.parametrize(("call", "message"), ROWS)
def test_refused(call: Call, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "FOLDER", [tmp_path])
    with pytest.raises(InputError, match=f"(?s){message}") as caught:
        call()
    assert re.search(r"[:;,] ", str(caught.value)), "no remedy"


# Completeness.

EXEMPT: dict[Callable[..., object], str] = {
    **dict.fromkeys(
        (
            *(bilevel.leaves, bilevel.total, bilevel.gradients),
            *(contract.iterated, contract.itself, contract.unwatched),
        ),
        "what algorithms are written in: takes what they made",
    ),
    **dict.fromkeys((contract.Run, expectations.Pairs, expectations.Tally), "what is returned"),
    **dict.fromkeys(
        (estimating.Target, estimating.EstimatorKind, aiming.Objective, penalising.Penalty),
        "declarations of this package's own parts",
    ),
    **dict.fromkeys(
        (
            estimating.powers,
            estimating.to_go,
            estimating.reward_to_go,
            estimating.discounted_earnings,
            penalising.constants,
            oracles.responses,
        ),
        "what estimators and penalties are written in, behind their checks",
    ),
    processes.Decision: "a part of a process, which checks it",
    **{
        getattr(validation, name): "a check"
        for name in vars(validation)
        if inspect.isfunction(getattr(validation, name))
    },
}


def entries() -> Iterator[Callable[..., object]]:
    """Public classes and functions that take something, contracts aside."""
    for found in pkgutil.walk_packages(sampled.__path__, "sampled."):
        if found.name.startswith("sampled.rlhf"):
            continue
        module = importlib.import_module(found.name)
        for name, entry in vars(module).items():
            own = getattr(entry, "__module__", None) == module.__name__
            if name.startswith("_") or not own or not callable(entry):
                continue
            if getattr(entry, "_is_protocol", False) or not hasattr(entry, "__qualname__"):
                continue
            if inspect.signature(entry).parameters:
                yield entry


def test_every_entry_has_a_row() -> None:
    missing = [f"{e.__module__}.{e.__qualname__}" for e in entries() if e not in {**TABLE, **EXEMPT}]
    assert not missing, f"add rows of bad input for {missing}, or exempt them with a reason"


def test_exemptions_are_needed() -> None:
    assert all(TABLE.values())
    assert not set(TABLE) & set(EXEMPT)
    known = set(entries())
    assert not [e.__qualname__ for e in EXEMPT if e not in known and e.__module__ != validation.__name__]
