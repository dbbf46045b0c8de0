"""Runs: resumption, seeds, problems side by side, counted steps, what happens on the host."""

from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.problems.general_position import (
    general_game,
    general_game_family,
    general_incentive_design,
)
from reference.problems.instances import random_incentive_design, random_stackelberg
from reference.problems.structure import stack
from sampled.algorithms import appendix_e
from sampled.algorithms.bilevel import bilevel
from sampled.algorithms.contract import Constant, Power, Ramp, Run, State, keys, run
from sampled.algorithms.oracles import PolicyGradient
from sampled.algorithms.pbrl import Pbrl
from sampled.baselines import LeaveOneOut
from sampled.errors import InputError
from sampled.estimators.gpomdp import Gpomdp
from sampled.estimators.random_horizon import RandomHorizon
from sampled.expectations import MonteCarlo, Samples
from sampled.laws import Alias
from sampled.maps import DirectPolicy
from sampled.penalties import bellman, value
from tests.sampled.algorithms.cases import ALGORITHMS, DESCENT, PROBLEMS, begun, designs, games, same
from tests.sampled.test_simulator import Transfers
from verify.crosscheck import layered

LENGTH = 5


@cache
def uninterrupted(name: str) -> tuple[Any, tuple[State, ...]]:
    algorithm = ALGORITHMS[name]()
    done: Run[State] = run(algorithm, begun(algorithm), LENGTH, record_every=1)
    return algorithm, (*done.records, done.state)


@given(st.sampled_from(sorted(ALGORITHMS)), st.integers(0, LENGTH), st.integers(0, LENGTH))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_an_interrupted_run_ends_in_the_same_state(name: str, first: int, second: int) -> None:
    """Stopped twice, anywhere; a state copied number by number is as good as the state."""
    algorithm, states = uninterrupted(name)
    k = min(first, second)
    state = run(algorithm, begun(algorithm), k).state
    assert same(state, states[k])
    copied: dict[str, Any] = {
        n: tuple(part.clone() for part in getattr(state, n)) for n in ("y", "oracle", "memory")
    }
    state = replace(state, x=state.x.clone(), **copied)
    state = run(algorithm, state, max(first, second) - k).state
    assert same(run(algorithm, state, LENGTH - state.k).state, states[-1])
    assert states[-1].k == LENGTH


@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_seed_decides(name: str) -> None:
    algorithm, states = uninterrupted(name)
    assert same(run(ALGORITHMS[name](), begun(algorithm), LENGTH).state, states[-1])
    other = run(algorithm, begun(algorithm, seed=1), LENGTH).state
    assert not torch.equal(other.y[0], states[-1].y[0])
    moved = [not torch.equal(a, b) for a, b in zip(states[0].y, states[-1].y, strict=True)]
    assert all(moved)
    assert torch.equal(states[0].x, states[-1].x) == (name == "no incentive")


def test_words_of_iterations_differ() -> None:
    """With rates near zero nothing moves, but the estimates of two iterations differ."""
    rule = replace(DESCENT, size=Constant(1e-12))
    algorithm = appendix_e.independent(games(), replace(appendix_e.VALUE, rule=rule))
    first = run(algorithm, begun(algorithm), 1).state
    second = run(algorithm, first, 1).state
    at_zero = begun(algorithm)
    assert not torch.allclose(first.x - at_zero.x, second.x - first.x, rtol=0.1, atol=0.0)


@pytest.mark.parametrize("penalty", ["value", "bellman", "independent"])
def test_problems_run_as_they_would_alone(penalty: str) -> None:
    """In the words, exactly; in the numbers, to the rounding of other orders of summation."""
    make: Any = {
        "value": appendix_e.pbrl_value,
        "bellman": appendix_e.pbrl_bellman,
        "independent": appendix_e.independent,
    }[penalty]
    problems = [random_stackelberg(np.random.default_rng(s), n_states=4) for s in range(3)]
    both = make(bilevel(stack(problems)))
    key_p = keys(torch.Generator().manual_seed(3), 3)
    together = run(both, both.start(key_p), 4).state
    for p, problem in enumerate(problems):
        one = make(bilevel(problem))
        alone = run(one, one.start(key_p[p : p + 1]), 4).state
        # Four steps of at most 0.1 (1 + lambda) times a gradient below 32 each.
        for a, b in zip((alone.x, *alone.y), (together.x, *together.y), strict=True):
            torch.testing.assert_close(a[0], b[p], rtol=0.0, atol=1e-12)
        assert alone.steps_p[0] == together.steps_p[p]


EACH_ITERATION = {
    # Batch 16 of 5 steps: inner steps; leader and follower together; the companion's walk, or in the
    # Bellman penalty its own walk and the deviating one.
    "value": 16 * 5 * (1 + 1 + 1),
    "bellman": 16 * 5 * (10 + 1 + 2),
    "independent": 16 * 5,
    # Batch 24: an inner step of each player, the designer's walk, two of the function.
    "nikaido-isoda": 24 * 5 * (2 + 1 + 2),
    "meta-gradient": 24 * 5 * (1 + 1),
    "no incentive": 24 * 5,
}


@pytest.mark.parametrize("name", EACH_ITERATION)
def test_environment_steps_are_counted(name: str) -> None:
    _, states = uninterrupted(name)
    for state in states:
        assert state.steps_p.tolist() == [state.k * EACH_ITERATION[name]] * PROBLEMS


def test_walks_that_are_not_shared_are_counted_apart() -> None:
    unshared = replace(appendix_e.VALUE, shared=False)
    algorithm: Any = appendix_e.pbrl_value(games(), unshared)
    assert run(algorithm, begun(algorithm), 1).state.steps_p.tolist() == [16 * 5 * 4] * PROBLEMS
    algorithm = appendix_e.independent(games(), unshared)
    assert run(algorithm, begun(algorithm), 1).state.steps_p.tolist() == [16 * 5 * 2] * PROBLEMS


@pytest.mark.parametrize("sampling", [Samples(Gpomdp(6), 10), Samples(RandomHorizon(0.8), 10)])
def test_steps_end_where_an_episode_ends(sampling: Samples, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every batch is caught and its steps counted one by one, until the terminal state."""
    own = bilevel(stack([layered.stackelberg(s) for s in (1, 2)]))
    algorithm = Pbrl(
        own, value.PENALTY, PolicyGradient(Constant(0.1), 2), DESCENT, Constant(1.0), sampling
    )
    batches: list[Any] = []
    original = MonteCarlo._drawn

    def caught(self: MonteCarlo, distinct: Any) -> Any:
        found = original(self, distinct)
        batches.extend(found.values())
        return found

    monkeypatch.setattr(MonteCarlo, "_drawn", caught)
    state = run(algorithm, begun(algorithm), 2).state
    counted = torch.zeros(2, dtype=torch.int64)
    for batch in batches:
        for p in range(2):
            for n in range(batch.n):
                h = 0
                while h < batch.lengths_pn[p, n] and batch.states_pnh[p, n, h] != layered.S - 1:
                    h, counted[p] = h + 1, counted[p] + 1
    assert len(batches) == 2 * (2 + 2)
    assert torch.equal(state.steps_p, counted)
    assert int(counted[0]) < 2 * 4 * 10 * 6


@pytest.mark.parametrize("name", ["value", "bellman", "independent", "nikaido-isoda"])
def test_what_an_iteration_reads_on_the_host(name: str) -> None:
    """Its state is checked to be finite; nothing else is read, whatever T."""
    make, problem = {
        "value": (appendix_e.pbrl_value, games),
        "bellman": (appendix_e.pbrl_bellman, games),
        "independent": (appendix_e.independent, games),
        "nikaido-isoda": (appendix_e.pbrl_nikaido_isoda, designs),
    }[name]
    default = {"bellman": appendix_e.BELLMAN, "nikaido-isoda": appendix_e.NIKAIDO_ISODA}
    counts = []
    for inner in (1, 4):
        settings_ = replace(default.get(name, appendix_e.VALUE), inner_steps=inner)
        algorithm: Any = make(problem(), settings_)  # type: ignore[operator]  # of two kinds of problem
        state = run(algorithm, begun(algorithm), 1).state
        with Transfers() as counter:
            algorithm.step(state)
        counts.append(counter.count)
    # One read of each of x, y and the companions; where a family is entered, of x, and of the reward as
    # a part of the dynamics and of the task.
    assert counts == [{"independent": 2, "nikaido-isoda": 5 + 3}.get(name, 3)] * 2


@dataclass
class Noted:
    """Alias tables; notes of what they are built."""

    names: list[str] = field(default_factory=list)

    def of(self, p_rk: torch.Tensor, name: str = "p") -> Alias:
        self.names.append(name)
        return Alias.of(p_rk, name)


@pytest.mark.parametrize(
    "make", [appendix_e.pbrl_nikaido_isoda, appendix_e.meta_gradient, appendix_e.no_incentive]
)
def test_transitions_that_depend_on_x_are_tabulated_once_an_iteration(make: Any) -> None:
    """Oracle, objective and penalty walk on the same tables."""
    generator = np.random.default_rng(0)
    moving = replace(
        general_incentive_design(generator, game := general_game(generator)),
        game=general_game_family(generator, game),
    )
    noted = Noted()
    algorithm = make(bilevel(moving, sampler=noted))
    noted.names.clear()
    state = run(algorithm, begun(algorithm), 3).state
    assert noted.names == ["rho_ps", "P_psjt", "P_psjt", "P_psjt"]
    assert make is appendix_e.no_incentive or bool((state.x != 0.0).any())


def test_schedules_and_carried_companions_count() -> None:
    """Options that are given change the run."""
    base = appendix_e.pbrl_value(games())
    plain = run(base, begun(base), 4).state
    changed = (
        replace(appendix_e.VALUE, carried=False),
        replace(appendix_e.VALUE, strength=Power(2.0, 0.2)),
        replace(appendix_e.VALUE, strength=Ramp(2.0, 4.0, 2)),
        replace(appendix_e.VALUE, baseline=LeaveOneOut()),
        replace(appendix_e.VALUE, inner_rate=Constant(0.2)),
        replace(appendix_e.VALUE, inner_steps=2),
        replace(appendix_e.VALUE, steps=4),
    )
    for settings_ in changed:
        algorithm = appendix_e.pbrl_value(games(), settings_)
        assert not torch.equal(run(algorithm, begun(algorithm), 4).state.x, plain.x)
    sampler = replace(base, sampling=Samples(Gpomdp(5), 16, sampler=Alias))
    assert not torch.equal(run(sampler, begun(sampler), 4).state.x, plain.x)


def test_companions_that_are_not_carried_begin_at_the_policy() -> None:
    """One inner step with the rate beta, from y: within beta times the longest possible gradient."""
    algorithm = appendix_e.pbrl_value(games(), replace(appendix_e.VALUE, carried=False))
    state = run(algorithm, begun(algorithm), 30).state
    following = algorithm.step(state)
    carried = appendix_e.pbrl_value(games())
    other = carried.step(run(carried, begun(carried), 30).state)
    near = (following.oracle[0] - state.y[0]).abs().max()
    far = (other.oracle[0] - other.y[0]).abs().max()
    assert near < 0.1 < far


def test_records_and_watchers() -> None:
    algorithm = ALGORITHMS["independent"]()
    seen: list[int] = []
    done = run(
        algorithm,
        begun(algorithm),
        7,
        record_every=3,
        record=lambda state: state.k,
        watch=lambda state: seen.append(state.k),
    )
    assert done.records == (0, 3, 6)
    assert seen == list(range(1, 8))
    assert run(algorithm, done.state, 0).state is done.state


SINGLE: dict[str, Any] = {
    "value": appendix_e.pbrl_value,
    "bellman": appendix_e.pbrl_bellman,
    "independent": appendix_e.independent,
    "nikaido-isoda": appendix_e.pbrl_nikaido_isoda,
    "meta-gradient": appendix_e.meta_gradient,
    "no incentive": appendix_e.no_incentive,
}


@pytest.mark.parametrize("name", SINGLE)
def test_float32(name: str) -> None:
    """The same words decide the same way but once in 2^24 times: the runs differ by rounding."""
    g = np.random.default_rng(0)
    two_players = name in {"nikaido-isoda", "meta-gradient", "no incentive"}
    problem: Any = (
        random_incentive_design(g, n_states=3) if two_players else random_stackelberg(g, n_states=4)
    )
    found = {}
    for dtype in (torch.float32, torch.float64):
        algorithm = SINGLE[name](bilevel(stack([problem]), dtype=dtype))
        state = found[dtype] = run(algorithm, begun(algorithm), 3).state
        assert {part.dtype for part in (state.x, *state.y, *state.oracle)} == {dtype}
    # Three steps of 0.1 (1 + lambda), and ten of 0.1, along gradients of some 10 and 100 operations.
    within = 3 * 0.1 * 8 * 10 * 100 * torch.finfo(torch.float32).eps
    pairs = zip(found[torch.float32].parts().items(), found[torch.float64].parts().values(), strict=True)
    for (part, single), double in pairs:
        if part not in {"key_p", "steps_p"}:
            torch.testing.assert_close(single.double(), double, rtol=0.0, atol=within, msg=part)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_no_derivative_is_lost_on_the_way(name: str) -> None:
    """PyTorch looks at every node of the graph: a state is finite even if a nan was masked before it."""
    algorithm = ALGORITHMS[name]()
    with pytest.warns(UserWarning, match="Anomaly Detection"), torch.autograd.detect_anomaly():
        run(algorithm, begun(algorithm), 2)


@pytest.mark.parametrize("penalty", [value.PENALTY, bellman.PENALTY])
def test_no_derivative_is_lost_at_a_vertex(penalty: Any) -> None:
    """Policies with zeros, where an entropy has no slope but the quadratic regulariser has."""
    own = bilevel(layered.stackelberg(1, direct=True), policy=DirectPolicy())
    sampling = Samples(Gpomdp(3), 8)
    algorithm: Any = Pbrl(
        own, penalty, PolicyGradient(Constant(0.1), 2), DESCENT, Constant(1.0), sampling
    )
    vertex = torch.zeros(1, layered.S, layered.B, dtype=torch.float64)
    vertex[..., 0] = 1.0
    key_p = keys(torch.Generator().manual_seed(0), 1)
    with pytest.warns(UserWarning, match="Anomaly Detection"), torch.autograd.detect_anomaly():
        run(algorithm, algorithm.start(key_p, None, (vertex,)), 3)


@pytest.mark.parametrize(
    "changed",
    [
        replace(appendix_e.VALUE, rule=replace(DESCENT, size=Power(1e300, 10.0))),
        replace(appendix_e.VALUE, strength=Power(1e300, 10.0)),
    ],
)
def test_an_iterate_that_is_not_finite_is_an_error(changed: appendix_e.Settings) -> None:
    algorithm = appendix_e.pbrl_value(games(), changed)
    with pytest.raises(InputError, match=r"size\(6\) is inf|steps that are too long"):
        run(algorithm, begun(algorithm), 200)
