"""The defaults are what Appendix E prints; X, Y and the start are those of Section 6."""

import inspect
from typing import Any

import torch

from reference.problems.instances import random_incentive_design, random_stackelberg
from sampled.algorithms import appendix_e
from sampled.algorithms.appendix_e import BELLMAN, NIKAIDO_ISODA, VALUE
from sampled.algorithms.contract import Constant
from sampled.algorithms.independent_gradient import IndependentGradient
from sampled.algorithms.meta_gradient import MetaGradient
from sampled.algorithms.oracles import PolicyGradient
from sampled.algorithms.pbrl import Pbrl
from sampled.algorithms.steps import Descent
from sampled.domains import Euclidean
from sampled.estimators.dice import Dice
from sampled.estimators.gpomdp import Gpomdp
from sampled.expectations import Samples
from sampled.maps import SoftmaxPolicy
from tests.sampled.algorithms.cases import begun, designs, games

# learning rate, lambda, inner steps, length, batch
PRINTED = {
    "value": (0.1, 2.0, 1, 5, 16),
    "bellman": (0.1, 7.0, 10, 5, 16),
    "nikaido-isoda": (0.1, 4.0, 1, 5, 24),
}
RULE = Descent(Constant(0.1))


def test_pbrl_has_the_printed_settings() -> None:
    made: dict[str, Any] = {
        "value": appendix_e.pbrl_value(games()),
        "bellman": appendix_e.pbrl_bellman(games()),
        "nikaido-isoda": appendix_e.pbrl_nikaido_isoda(designs()),
    }
    for name, (rate, strength, inner, length, batch) in PRINTED.items():
        algorithm = made[name]
        assert isinstance(algorithm, Pbrl)
        assert algorithm.penalty.name == name
        assert algorithm.rule == Descent(Constant(rate))
        assert algorithm.strength == Constant(strength)
        assert algorithm.oracle == PolicyGradient(Constant(rate), inner, carried=True)
        assert algorithm.sampling == Samples(Gpomdp(length), batch, shared=True)
    assert {VALUE.steps, BELLMAN.steps, NIKAIDO_ISODA.steps} == {5}


def test_the_baselines_have_the_printed_settings() -> None:
    independent = appendix_e.independent(games())
    assert isinstance(independent, IndependentGradient)
    assert (independent.rule_x, independent.rule_y) == (RULE, RULE)
    assert independent.sampling == Samples(Gpomdp(5), 16)
    meta = appendix_e.meta_gradient(designs())
    assert isinstance(meta, MetaGradient)
    assert (meta.rule_x, meta.size_y) == (RULE, Constant(0.1))
    assert meta.sampling == Samples(Dice(5), 24)
    alone = appendix_e.no_incentive(designs())
    assert (alone.rule_x, alone.rule_y, alone.sampling) == (None, RULE, Samples(Gpomdp(5), 24))


def test_all_start_uniform_and_at_zero() -> None:
    for algorithm in (appendix_e.pbrl_value(games()), appendix_e.pbrl_nikaido_isoda(designs())):
        assert isinstance(algorithm.bilevel.domain, Euclidean)
        assert all(isinstance(m, SoftmaxPolicy) for m in algorithm.bilevel.policy_maps)
        state = begun(algorithm)
        assert not state.x.any()
        for pi in algorithm.bilevel.policies((*state.y, *state.oracle)[: len(state.y)]):
            torch.testing.assert_close(pi, torch.full_like(pi, 1.0 / pi.shape[-1]))
        assert all(map(torch.equal, state.oracle, state.y))


def test_the_problem_has_the_assumed_rest() -> None:
    for make in (random_stackelberg, random_incentive_design):
        parameters = inspect.signature(make).parameters
        assert (parameters["gamma"].default, parameters["tau"].default) == (0.9, 0.1)
