r"""Section 6.1 and Figure 1: a leader and its follower in random Stackelberg games.

Methods: PBRL with the value and with the Bellman penalty, and independent policy gradient, at the
settings of Appendix E; each with exact gradients and from samples.  Measured exactly at (x, y)::

    leader_value                V_l^{x, y}(rho), as the paper shows
    follower_gap                V_f^{x, y*(x)}(rho) - V_f^{x, y}(rho), as the paper shows
    leader_at_best_response     V_l^{x, y*(x)}(rho): what x is worth once the follower has answered it
    own_gap                     the gap to the algorithm's own companion, where it has one: its estimate

Beside them: the exact hypergradient, which ascends the third of these; PBRL with companions solved
exactly; independent gradient with its two step sizes tuned on games of their own; and each of gamma, tau
and lambda varied around the defaults.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from reference.algorithms.bilevel import Bilevel
from reference.algorithms.contract import Constant
from reference.algorithms.hypergradient import Hypergradient
from reference.algorithms.independent_gradient import IndependentGradient
from reference.algorithms.oracles import Exact, PolicyGradient
from reference.algorithms.pbrl import Pbrl
from reference.evaluation import evaluate_all
from reference.objectives.stackelberg import OBJECTIVE, leader_loss
from reference.optimality import policy_iteration
from reference.penalties import bellman, value
from reference.policies import SoftmaxPolicy
from reference.problems.instances import random_stackelberg
from reference.problems.stackelberg import StackelbergGame
from reference.problems.structure import stack
from reference.validation import Array
from verify.experiments.contract import Experiment, Measure, Parameter, Plan
from verify.experiments.lineup import CENTRE, DEFAULT, LONG, Budget, Lineup, Setting
from verify.experiments.presentation import (
    Finding,
    Look,
    claims,
    over_environments,
    over_steps,
    over_strength,
)
from verify.experiments.recording import Measured

STEP = 0.1
"""The learning rate of Appendix E, of everyone."""
LAMBDA = {"value": 2.0, "bellman": 7.0}
INNER = {"value": 1, "bellman": 10}
BATCH, HORIZON = 16, 5

MEASURES = (
    Measure("leader_value", "leader's value V_l(x, y)"),
    Measure("follower_gap", "follower's gap V_f(x, y*(x)) - V_f(x, y)"),
    Measure("leader_at_best_response", "leader's value at the best response V_l(x, y*(x))"),
    Measure("own_gap", "follower's gap to the algorithm's own companion"),
)

ALL = ("value", "bellman", "independent", "value-solved", "bellman-solved", "hypergradient")
SMOKE = Budget(
    problems=3,
    tuning_problems=2,
    n_states=6,
    exact=dict.fromkeys(ALL, 400),
    exact_stride=20,
    sampled=dict.fromkeys(ALL, 20),
    sampled_stride=1,
    points=6,
    sweep_exact=dict.fromkeys(ALL, 200),
    sweep_exact_stride=20,
    sweep_sampled_stride=4,
    sweep_points=6,
    gammas=(0.5,),
    taus=(1.0,),
    strengths=(0.5, 4.0),
    steps=((1.0, 4.0), (1.0,)),
)
PAPER = Budget(
    problems=10,
    tuning_problems=5,
    n_states=100,
    exact=dict.fromkeys(ALL, 40_000),
    exact_stride=50,
    sampled={"value": 20_000, "bellman": 12_000, "independent": 40_000},
    sampled_stride=1,
    points=31,
    sweep_exact=dict.fromkeys(ALL, 20_000),
    sweep_exact_stride=100,
    sweep_sampled_stride=20,
    sweep_points=11,
    gammas=(0.5, 0.99),
    taus=(0.01, 1.0),
    strengths=(0.25, 4.0, 16.0),
    steps=((0.25, 1.0, 4.0), (0.25, 1.0, 4.0)),
)
FULL = replace(
    PAPER,
    problems=20,
    tuning_problems=10,
    exact=dict.fromkeys(ALL, 100_000),
    exact_stride=1,
    sampled={"value": 100_000, "bellman": 60_000, "independent": 200_000},
    points=41,
    sweep_exact=dict.fromkeys(ALL, 100_000),
    sweep_exact_stride=20,
    sweep_sampled_stride=10,
    gammas=(0.5, 0.7, 0.8, 0.95, 0.99),
    taus=(0.01, 0.03, 0.3, 1.0),
    strengths=(0.25, 0.5, 2.0, 4.0, 8.0, 16.0),
    steps=((0.25, 1.0, 4.0, 16.0), (0.25, 1.0, 4.0, 16.0)),
)
BUDGETS = {"smoke": SMOKE, "paper": PAPER, "full": FULL}


def games(setting: Setting, n_states: int, seed: int, stream: int, number: int) -> StackelbergGame:
    """The games of a setting, stacked; settings differ in gamma and tau alone."""
    return stack(
        [
            random_stackelberg(
                np.random.default_rng([seed, stream, i]),
                n_states=n_states,
                gamma=setting.gamma,
                tau=setting.tau,
            )
            for i in range(number)
        ]
    )


def measuring(
    game: StackelbergGame, x: Array, policies: tuple[Array, ...], companions: tuple[Array, ...] | None
) -> Measured:
    """The measures of an iterate of each game."""
    mdp = game.at(x)
    best = policy_iteration(mdp, start_sa=policies[0])
    own, *others = evaluate_all(mdp, [*policies, *(companions or ())])
    measured = {
        "leader_value": -leader_loss(game, x, policies[0]).value,
        "follower_gap": best.value - own.value,
        "leader_at_best_response": -leader_loss(game, x, best.pi_sa).value,
    }
    for other in others:
        measured["own_gap"] = other.value - own.value
    return measured


def exact_algorithm(method: str, setting: Setting, game: StackelbergGame, stride: int) -> Any:
    """The exact algorithm, with steps that are longer by the stride."""
    follower = SoftmaxPolicy((game.P_sabt.shape[-1], game.n_actions[1]))
    bilevel = Bilevel(game, OBJECTIVE, (follower,))
    step = stride * STEP
    if method == "hypergradient":
        return Hypergradient(bilevel, value.PENALTY, Constant(step))
    if method == "independent":
        leader, own = Constant(step * setting.upper_step), Constant(step * setting.lower_step)
        return IndependentGradient(bilevel, value.PENALTY, leader, own)
    kind = method.removesuffix("-solved")
    penalty = {"value": value.PENALTY, "bellman": bellman.PENALTY}[kind]
    oracle = Exact() if method != kind else PolicyGradient(follower, step, INNER[kind])
    return Pbrl(bilevel, penalty, (oracle,), Constant(step), Constant(setting.strength * LAMBDA[kind]))


def sampled_algorithm(method: str, setting: Setting, game: StackelbergGame, stride: int) -> Any:
    """The sampled algorithm, with steps and batches that are larger by the stride."""
    from sampled.algorithms import appendix_e
    from sampled.algorithms.bilevel import bilevel
    from sampled.algorithms.contract import Constant as Size
    from sampled.algorithms.independent_gradient import IndependentGradient as Independent
    from sampled.algorithms.steps import Descent

    problem, step = bilevel(game), stride * STEP
    if method == "independent":
        leader, own = (Descent(Size(step * f)) for f in (setting.upper_step, setting.lower_step))
        samples = replace(appendix_e.VALUE, batch=stride * BATCH).samples
        return Independent(problem, leader, own, samples)
    make, printed = {
        "value": (appendix_e.pbrl_value, appendix_e.VALUE),
        "bellman": (appendix_e.pbrl_bellman, appendix_e.BELLMAN),
    }[method]
    settings = replace(
        printed,
        batch=stride * BATCH,
        rule=Descent(Size(step)),
        inner_rate=Size(step),
        strength=Size(setting.strength * LAMBDA[method]),
    )
    return make(problem, settings)


def parameters(method: str, setting: Setting) -> dict[str, Parameter]:
    """All that a method is run with, beside the instances."""
    common: dict[str, Parameter] = {"gamma": setting.gamma, "tau": setting.tau, "rho": "uniform"}
    if method == "hypergradient":
        return common | {"step": STEP}
    if method == "independent":
        own = {"leader_step": STEP * setting.upper_step, "follower_step": STEP * setting.lower_step}
        return common | own
    kind = method.removesuffix("-solved")
    inner: Parameter = INNER[kind] if method == kind else "exact"
    return common | {"step": STEP, "lambda": setting.strength * LAMBDA[kind], "inner_steps": inner}


def stiffness(setting: Setting) -> float:
    """Curvature relative to the default: long steps of the baseline, and lambda from twice on."""
    return max(setting.upper_step, setting.lower_step, setting.strength / 2.0)


LINEUP = Lineup(
    printed=("value", "bellman", "independent"),
    strengthened=("value", "bellman"),
    solved=("value-solved", "bellman-solved"),
    reference="hypergradient",
    tuned="independent",
    tuned_by="leader_value",
    stiffness=stiffness,
    instances=games,
    exact_algorithm=exact_algorithm,
    sampled_algorithm=sampled_algorithm,
    measuring=measuring,
    parameters=parameters,
    samples={"horizon": HORIZON, "batch": BATCH},
    coarser={},
    milliseconds={
        "exact/value": 1.5,
        "exact/bellman": 3.6,
        "exact/independent": 0.8,
        "exact/hypergradient": 2.0,
        "exact/value-solved": 2.5,
        "exact/bellman-solved": 2.5,
        "sampled/value": 0.65,
        "sampled/bellman": 2.6,
        "sampled/independent": 0.3,
    },
)

LOOK = Look(
    labels={
        "value": "PBRL value",
        "bellman": "PBRL Bellman",
        "independent": "independent",
        "tuned": "independent, tuned",
        "hypergradient": "hypergradient",
        "value-solved": "value, solved companion",
        "bellman-solved": "Bellman, solved companion",
    },
    colours={
        "value": 0,
        "bellman": 1,
        "independent": 2,
        "tuned": 3,
        "hypergradient": 6,
        "value-solved": 5,
        "bellman-solved": 4,
    },
    shown="leader_value",
    gap="follower_gap",
    decisive="leader_at_best_response",
    titles={
        "leader_value": "Shown in the paper: leader's value",
        "follower_gap": "Shown in the paper: follower's gap",
        "leader_at_best_response": "What decides: leader's value at the best response",
    },
    axes={
        "leader_value": "V_l(x, y)",
        "follower_gap": "V_f(x, y*) − V_f(x, y)",
        "leader_at_best_response": "V_l(x, y*(x))",
    },
)

FINDINGS = (
    Finding("value > independent", "value", "independent"),
    Finding("Bellman > independent", "bellman", "independent"),
    Finding("value > Bellman", "value", "bellman"),
)
TUNED = (
    Finding("value > tuned independent", "value", "tuned"),
    Finding("Bellman > tuned independent", "bellman", "tuned"),
)

ASSUMPTIONS = {
    "gamma": "0.9, swept",
    "tau": "0.1, negative entropy, follower only; swept",
    "rho": "uniform",
    "companions": "the inner steps go on from where those of the last iteration ended",
    "estimator": "discounted rewards to go of 5 steps without a baseline",
    "exact runs": "the gradient flow: steps are longer by the stride",
    "final value": "mean over the last fifth of the run",
}


def plan(budget: str, seed: int) -> Plan:
    """The plan of a budget."""
    chosen = BUDGETS[budget]
    return Plan(
        MEASURES,
        LINEUP.stages(chosen, seed),
        tuple(claims(LINEUP, LOOK, FINDINGS, TUNED, chosen)),
        (
            *over_steps(LINEUP, LOOK, "figure_1", "Figure 1: random Stackelberg games"),
            over_environments(LINEUP, LOOK, "gamma", "γ", chosen, "independent", log=False),
            over_environments(LINEUP, LOOK, "tau", "τ", chosen, "independent", log=True),
            over_strength(LINEUP, LOOK, chosen),
        ),
        (DEFAULT.name, LONG.name, CENTRE.name),
        ASSUMPTIONS,
    )


EXPERIMENT = Experiment(
    "Stackelberg games",
    "Section 6.1, Figure 1",
    {
        "smoke": "three games with six states, to see that all works",
        "paper": "ten games with 100 states, as in the paper",
        "full": "twenty games, literal exact steps, longer runs",
    },
    plan,
)
