r"""Section 6.3 and Figure 3: a designer who pays the two players of a random zero-sum game.

Methods: PBRL with the Nikaido-Isoda function, the meta-gradient with one inner step, and independent
policy gradient without incentives, at the settings of Appendix E; each with exact gradients and from
samples.  Measured exactly at x and the players' policies pi::

    designer_value             V_id(pi), as the paper shows
    ni_gap                     psi(x, pi), of which the paper shows an estimate
    designer_at_equilibrium    V_id at the regularised equilibrium of x: what the incentives are worth
    own_gap                    psi with the algorithm's own companions, where it has them: its estimate

Beside them: the exact hypergradient, which ascends the third of these; PBRL with companions solved
exactly; the meta-gradient with its two step sizes tuned on problems of their own; and each of gamma, tau
and lambda varied around the defaults.  The hypergradient runs ten times as long as the other methods, to
show what can be reached: with incentives behind a sigmoid all of them are slow.  The paper has five
environments, with which the exact rank test cannot reject at 5 % however they come out; here there are
ten.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from reference.algorithms.bilevel import Bilevel
from reference.algorithms.contract import Constant
from reference.algorithms.hypergradient import Hypergradient
from reference.algorithms.independent_gradient import IndependentGradient
from reference.algorithms.meta_gradient import MetaGradient
from reference.algorithms.oracles import Exact, PolicyGradient
from reference.algorithms.pbrl import Pbrl
from reference.equilibrium import best_response_1, best_response_2, nash_equilibrium
from reference.evaluation import evaluate_pairs
from reference.objectives.incentive_design import OBJECTIVE, designer_loss
from reference.penalties import nikaido_isoda
from reference.policies import SoftmaxPolicy
from reference.problems.incentive_design import IncentiveDesign
from reference.problems.instances import random_incentive_design
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
LAMBDA = 4.0
BATCH, HORIZON = 24, 5

MEASURES = (
    Measure("designer_value", "designer's value V_id(pi)"),
    Measure("ni_gap", "Nikaido-Isoda function psi(x, pi)"),
    Measure("designer_at_equilibrium", "designer's value at the equilibrium V_id(pi*(x))"),
    Measure("own_gap", "Nikaido-Isoda function with the algorithm's own companions"),
)

ALL = ("pbrl", "meta", "none", "pbrl-solved", "hypergradient")
SMOKE = Budget(
    problems=3,
    tuning_problems=2,
    n_states=4,
    exact=dict.fromkeys(ALL, 200) | {"hypergradient": 2_000},
    exact_stride=5,
    sampled=dict.fromkeys(ALL, 20),
    sampled_stride=1,
    points=6,
    sweep_exact=dict.fromkeys(ALL, 300) | {"hypergradient": 2_000},
    sweep_exact_stride=10,
    sweep_sampled_stride=4,
    sweep_points=6,
    gammas=(0.5,),
    taus=(),
    strengths=(8.0,),
    steps=((1.0, 16.0), (1.0,)),
)
PAPER = Budget(
    problems=10,
    tuning_problems=5,
    n_states=10,
    exact=dict.fromkeys(ALL, 10_000) | {"hypergradient": 100_000},
    exact_stride=10,
    sampled=dict.fromkeys(ALL, 10_000),
    sampled_stride=1,
    points=31,
    sweep_exact=dict.fromkeys(ALL, 10_000) | {"hypergradient": 100_000},
    sweep_exact_stride=10,
    sweep_sampled_stride=10,
    sweep_points=11,
    gammas=(0.5, 0.99),
    taus=(0.01, 1.0),
    strengths=(0.25, 4.0, 16.0),
    steps=((1.0, 10.0, 100.0, 1000.0, 10_000.0), (1.0,)),
)
FULL = replace(
    PAPER,
    problems=20,
    tuning_problems=10,
    exact=dict.fromkeys(ALL, 50_000) | {"hypergradient": 200_000},
    exact_stride=1,
    sampled=dict.fromkeys(ALL, 50_000),
    points=41,
    sweep_exact=dict.fromkeys(ALL, 50_000) | {"hypergradient": 200_000},
    sweep_exact_stride=5,
    sweep_sampled_stride=5,
    gammas=(0.5, 0.8, 0.95, 0.99),
    taus=(0.01, 0.03, 0.3, 1.0),
    strengths=(0.25, 0.5, 2.0, 4.0, 8.0, 16.0),
    steps=((1.0, 10.0, 100.0, 1000.0), (1.0, 4.0, 16.0)),
)
BUDGETS = {"smoke": SMOKE, "paper": PAPER, "full": FULL}


def problems(setting: Setting, n_states: int, seed: int, stream: int, number: int) -> IncentiveDesign:
    """The problems of a setting, stacked; settings differ in gamma and tau alone."""
    return stack(
        [
            random_incentive_design(
                np.random.default_rng([seed, stream, i]),
                n_states=n_states,
                gamma=setting.gamma,
                tau=setting.tau,
            )
            for i in range(number)
        ]
    )


def measuring(
    problem: IncentiveDesign, x: Array, policies: tuple[Array, ...], companions: tuple[Array, ...] | None
) -> Measured:
    """The measures of an iterate of each problem."""
    game = problem.at(x)
    pi_sa, pi_sb = policies
    first, second = best_response_1(game, pi_sb), best_response_2(game, pi_sa)
    equilibrium = nash_equilibrium(game)
    measured = {
        "designer_value": -designer_loss(problem, x, pi_sa, pi_sb).value,
        "ni_gap": first.value + second.value,
        "designer_at_equilibrium": -designer_loss(
            problem, x, equilibrium.pi_sa, equilibrium.pi_sb
        ).value,
    }
    if companions is not None:
        high, low = evaluate_pairs(game, [(companions[0], pi_sb), (pi_sa, companions[1])])
        measured["own_gap"] = high.value - low.value
    return measured


def exact_algorithm(method: str, setting: Setting, problem: IncentiveDesign, stride: int) -> Any:
    """The exact algorithm, with steps that are longer by the stride.

    A step of the meta-gradient in x is as long as the product of its two step sizes: one of them counts
    the stride.
    """
    n_states, n_first, n_second = problem.domain.shape
    maps = SoftmaxPolicy((n_states, n_first)), SoftmaxPolicy((n_states, n_second))
    bilevel = Bilevel(problem, OBJECTIVE, maps)
    penalty, step = nikaido_isoda.PENALTY, stride * STEP
    if method == "hypergradient":
        return Hypergradient(bilevel, penalty, Constant(step))
    if method == "none":
        return IndependentGradient(bilevel, penalty, None, Constant(step))
    if method == "meta":
        upper, lower = Constant(STEP * setting.upper_step), Constant(step * setting.lower_step)
        return MetaGradient(bilevel, penalty, upper, lower)
    oracles: tuple[Any, ...] = (Exact(), Exact())
    if method == "pbrl":
        oracles = tuple(PolicyGradient(m, step, 1) for m in maps)
    return Pbrl(bilevel, penalty, oracles, Constant(step), Constant(setting.strength * LAMBDA))


def sampled_algorithm(method: str, setting: Setting, problem: IncentiveDesign, stride: int) -> Any:
    """The sampled algorithm, with steps and batches that are larger by the stride."""
    from sampled.algorithms import appendix_e
    from sampled.algorithms.bilevel import bilevel
    from sampled.algorithms.contract import Constant as Size
    from sampled.algorithms.steps import Descent

    own, step = bilevel(problem), stride * STEP
    printed = replace(appendix_e.NIKAIDO_ISODA, batch=stride * BATCH)
    if method == "meta":
        rule, inner = Descent(Size(STEP * setting.upper_step)), Size(step * setting.lower_step)
        return appendix_e.meta_gradient(own, replace(printed, rule=rule, inner_rate=inner))
    settings = replace(printed, rule=Descent(Size(step)), inner_rate=Size(step))
    if method == "none":
        return appendix_e.no_incentive(own, settings)
    strength = Size(setting.strength * LAMBDA)
    return appendix_e.pbrl_nikaido_isoda(own, replace(settings, strength=strength))


def parameters(method: str, setting: Setting) -> dict[str, Parameter]:
    """All that a method is run with, beside the instances."""
    common: dict[str, Parameter] = {"gamma": setting.gamma, "tau": setting.tau, "rho": "uniform"}
    match method:
        case "hypergradient" | "none":
            return common | {"step": STEP}
        case "meta":
            own = {"designer_step": STEP * setting.upper_step, "inner_step": STEP * setting.lower_step}
            return common | own
    inner: Parameter = 1 if method == "pbrl" else "exact"
    return common | {"step": STEP, "lambda": setting.strength * LAMBDA, "inner_steps": inner}


def stiffness(setting: Setting) -> float:
    """Curvature relative to the default: long inner steps, and lambda."""
    return max(setting.lower_step, setting.strength)


LINEUP = Lineup(
    printed=("pbrl", "meta", "none"),
    strengthened=("pbrl",),
    solved=("pbrl-solved",),
    reference="hypergradient",
    tuned="meta",
    tuned_by="designer_value",
    stiffness=stiffness,
    instances=problems,
    exact_algorithm=exact_algorithm,
    sampled_algorithm=sampled_algorithm,
    measuring=measuring,
    parameters=parameters,
    samples={"horizon": HORIZON, "batch": BATCH},
    coarser={"hypergradient": 20.0},  # an equilibrium per step, of an F that allows longer ones
    milliseconds={
        "exact/pbrl": 0.15,
        "exact/meta": 0.12,
        "exact/none": 0.05,
        "exact/hypergradient": 2.0,
        "exact/pbrl-solved": 0.3,
        "sampled/pbrl": 0.4,
        "sampled/meta": 0.4,
        "sampled/none": 0.1,
    },
)

LOOK = Look(
    labels={
        "pbrl": "PBRL",
        "meta": "meta-gradient",
        "none": "no incentive",
        "tuned": "meta-gradient, tuned",
        "hypergradient": "hypergradient",
        "pbrl-solved": "PBRL, solved companions",
    },
    colours={"pbrl": 0, "meta": 1, "none": 2, "tuned": 3, "hypergradient": 6, "pbrl-solved": 5},
    shown="designer_value",
    gap="ni_gap",
    decisive="designer_at_equilibrium",
    titles={
        "designer_value": "Shown in the paper: designer's value",
        "ni_gap": "Exact Nikaido-Isoda gap",
        "designer_at_equilibrium": "What decides: designer's value at the equilibrium",
    },
    axes={"designer_value": "V_id(π)", "ni_gap": "ψ(x, π)", "designer_at_equilibrium": "V_id(π*(x))"},
)

FINDINGS = (
    Finding("PBRL > meta-gradient", "pbrl", "meta"),
    Finding("meta-gradient > no incentive", "meta", "none"),
    Finding("PBRL > no incentive", "pbrl", "none"),
)
TUNED = (Finding("PBRL > tuned meta-gradient", "pbrl", "tuned"),)

ASSUMPTIONS = {
    "gamma": "0.9, swept",
    "tau": "0.1, negative entropy of both players; swept",
    "rho": "uniform",
    "environments": "ten in place of the paper's five",
    "companions": "the inner step goes on from where that of the last iteration ended",
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
            *over_steps(LINEUP, LOOK, "figure_3", "Figure 3: random incentive design"),
            over_environments(LINEUP, LOOK, "gamma", "γ", chosen, "none", log=False),
            over_environments(LINEUP, LOOK, "tau", "τ", chosen, "none", log=True),
            over_strength(LINEUP, LOOK, chosen),
        ),
        (DEFAULT.name, LONG.name, CENTRE.name),
        ASSUMPTIONS,
    )


EXPERIMENT = Experiment(
    "Incentive design",
    "Section 6.3, Figure 3",
    {
        "smoke": "three problems with four states, to see that all works",
        "paper": "ten problems of the paper's size",
        "full": "twenty problems, literal exact steps, longer runs",
    },
    plan,
)
