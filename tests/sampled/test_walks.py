"""Words by number, running sums, walks of several policies at once, and the law of everything."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.problems.general_position import general_mdp, general_stackelberg
from reference.problems.structure import stack
from sampled.baselines import LeaveOneOut
from sampled.conversion import tensors
from sampled.enumeration import Everything, every_trajectory
from sampled.errors import InputError
from sampled.estimators.gpomdp import Gpomdp
from sampled.expectations import MonteCarlo, draw, draws
from sampled.horizons import Fixed, Geometric
from sampled.laws import BITS, Alias, InverseCdf, RunningSums
from sampled.processes import Decision, Process, leader_process, lower_process, task_process
from sampled.sources import Counter
from tests.sampled.exact import chances
from tests.sampled.words import Kept, Replay

MASK = (1 << 64) - 1


def mixed(z: int) -> int:
    """SplitMix64's finaliser on Python's whole numbers."""
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=3), st.integers(0, 2**40))
@settings(max_examples=50, deadline=None, derandomize=True)
def test_words_are_a_function_of_key_stream_and_number(key_p: list[int], k: int) -> None:
    source = Counter(torch.tensor(key_p), k)
    golden = 0x9E3779B97F4A7C15
    words = torch.cat([source.words((2, len(key_p), 3)), source.words((1, len(key_p), 3))])
    for p, key in enumerate(key_p):
        base = mixed((key + k * golden) & MASK)
        wanted = [mixed((base + i * golden) & MASK) >> 2 for i in range(9)]
        assert words[:, p].flatten().tolist() == wanted
    assert 0 <= int(words.min()) <= int(words.max()) < 1 << BITS


def test_words_of_a_counter_are_uniform() -> None:
    """Shares of the top and of the bottom bits, within 5 standard deviations."""
    words = Counter(torch.arange(4), 7).words((50, 4, 1000))
    n = words.numel()
    for bit in (0, 1, 30, 60, 61):
        share = float(((words >> bit) & 1).double().mean())
        assert abs(share - 0.5) < 5 * 0.5 / n**0.5
    assert len(torch.unique(words)) == n


PROBABILITIES = st.lists(st.one_of(st.just(0.0), st.floats(1e-12, 1.0)), min_size=1, max_size=8).filter(
    lambda p: sum(p) > 0.0
)


@given(PROBABILITIES)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_running_sums_have_the_law_and_never_draw_the_impossible(weights: list[float]) -> None:
    p_k = torch.tensor(weights, dtype=torch.float64)
    p_k = p_k / p_k.sum()
    sampler = RunningSums.of(p_k[None])
    c_k = sampler.cumulative_rk[0]
    assert int(c_k[-1]) == 1 << BITS
    law = [int(w) / 2**BITS for w in torch.diff(c_k, prepend=c_k.new_zeros(1))]
    within = (len(weights) + 2) * torch.finfo(torch.float64).eps
    for share, p in zip(law, p_k.tolist(), strict=True):
        assert abs(share - p) <= within
        assert (share == 0.0) or p > 0.0
    ends = torch.tensor([0, (1 << BITS) - 1])
    drawn = sampler.draw(torch.zeros(2, dtype=torch.int64), ends)
    assert (p_k[drawn] > 0.0).all()
    assert torch.equal(RunningSums.of(p_k.float()[None]).draw(ends * 0, ends), drawn)


def processes() -> tuple[Process, Process, Process]:
    """Of two games: leader, follower, and a follower whose first action follows another policy."""
    game = tensors(stack([general_stackelberg(np.random.default_rng(s)) for s in (0, 1)]))
    g = torch.Generator().manual_seed(0)
    x, y, z = (torch.randn(2, 4, n, generator=g, dtype=torch.float64) for n in (3, 2, 2))
    pi, best = (y.softmax(-1),), (z.softmax(-1),)
    return (
        leader_process(game, x, pi),
        lower_process(game, x, best),
        lower_process(game, x, best, first=pi),
    )


@pytest.mark.parametrize("horizon", [Fixed(4), Geometric(0.6)])
def test_walks_drawn_together_are_those_drawn_one_by_one(horizon: Fixed | Geometric) -> None:
    """With each walk's own words; the lengths come first."""
    three = processes()
    kept = Kept(2)
    together = draws(three, horizon, 6, kept, sampler=Alias)
    random_lengths = isinstance(horizon, Geometric)
    lengths = kept.given[:3] if random_lengths else []
    words = torch.cat(kept.given[len(lengths) :])  # (count, W, P, N)
    for w, process in enumerate(three):
        own = [*lengths[w : w + 1], words[:, w]]
        alone = draw(process, horizon, 6, Replay(own), sampler=Alias)
        h = alone.horizon
        assert torch.equal(alone.states_pnh, together[w].states_pnh[..., : h + 1])
        assert torch.equal(alone.actions_pnh, together[w].actions_pnh[..., :h])
        assert torch.equal(alone.lengths_pn, together[w].lengths_pn)
        assert together[w].cut == random_lengths


def test_the_same_law_is_drawn_once_and_another_is_not() -> None:
    leader, best, deviating = processes()
    own = replace(leader, r_psj=best.r_psj)
    for shared, batches in ((True, 3), (False, 4)):
        mean = MonteCarlo(Gpomdp(4), 6, Kept(3), InverseCdf, shared)
        values = mean.values((leader, best, deviating, own))
        assert mean.steps_p == batches * 6 * 4
        assert len(values) == 4
        alone = MonteCarlo(Gpomdp(4), 6, Kept(3), InverseCdf).value(leader)
        assert alone.shape == values[0].shape
    mean = MonteCarlo(Gpomdp(4), 6, Kept(3), InverseCdf)
    first, second = mean.values((leader, own))
    doubled = replace(leader, r_psj=leader.r_psj + own.r_psj)
    bonus = doubled.decision.bonus_ps + own.decision.bonus_ps
    decision = Decision(doubled.decision.policies, bonus)
    both = replace(doubled, decision=decision, first=decision)
    (total,) = MonteCarlo(Gpomdp(4), 6, Kept(3), InverseCdf).values((both,))
    torch.testing.assert_close(total, first + second + own.decision.bonus_ps.new_zeros(2))


def test_everything_has_the_probabilities_of_the_definition() -> None:
    """Against a product written out step by step."""
    for process in processes()[1:]:
        every = every_trajectory(process.dynamics, 2)
        weight_pn = chances(process, every)
        weight_pn = weight_pn * Gpomdp(2).surrogate(every, process)
        value_p = Everything(Gpomdp(2), 2).value(process)
        torch.testing.assert_close(value_p, weight_pn.sum(-1), rtol=0.0, atol=1e-12)


def test_coupled_trajectories_of_several_problems_are_refused() -> None:
    with pytest.raises(InputError, match="enumerate the batches of one problem at a time"):
        Everything(Gpomdp(1, LeaveOneOut()), 1).value(processes()[0])


def test_a_walk_without_states_that_absorb_is_counted_without_a_look() -> None:
    task = tensors(general_mdp(np.random.default_rng(0)))
    assert not task.dynamics.absorbs
    pi = torch.full((1, 4, 3), 1.0 / 3.0, dtype=torch.float64)
    mean = MonteCarlo(Gpomdp(3), 5, Kept(0))
    mean.value(task_process(task, (pi,)))
    assert mean.steps_p == 15
