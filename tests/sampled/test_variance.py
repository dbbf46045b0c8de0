"""Control variates, common and antithetic numbers: the same mean, and exactly how much less variance."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import Tensor

from reference.evaluation import evaluate
from reference.problems.general_position import (
    general_game,
    general_game_family,
    general_mdp,
    general_stackelberg,
    linear_family,
)
from reference.regularizers import Quadratic
from sampled.baselines import LeaveOneOut, StateValues
from sampled.common import CommonNumbers, CommonSamples, Recorded
from sampled.controls import Lookahead, Table, controlled
from sampled.conversion import tensors
from sampled.critics import Tabular
from sampled.enumeration import Everything, every_trajectory, probability
from sampled.errors import InputError
from sampled.estimators.actor_critic import ActorCritic
from sampled.estimators.contract import Estimator
from sampled.estimators.control_variate import ControlVariate
from sampled.estimators.gpomdp import Gpomdp
from sampled.expectations import Counted, MonteCarlo, Sampling, draw
from sampled.horizons import Fixed
from sampled.laws import BITS, InverseCdf
from sampled.penalties.value import value_penalty
from sampled.processes import Process, leader_process, lower_process, task_process
from sampled.sources import Antithetic, Independent, Source
from tests.sampled.exact import gradients
from tests.sampled.words import Kept

ROUNDING = 1e-12
"""Far above the rounding of a thousand terms of order one, far below all that is compared."""


def logits(shape: tuple[int, ...], seed: int) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=g, dtype=torch.float64).requires_grad_()


MDP = general_mdp(np.random.default_rng(1), n_states=3, n_actions=2, gamma=0.9)
FAMILY = linear_family(np.random.default_rng(2), MDP)
X = torch.tensor([[0.3, -0.4]], dtype=torch.float64).requires_grad_()
Y, FIRST = logits((1, 3, 2), 3), logits((1, 3, 2), 4)
STEPS = 3


def process(first: Tensor | None = None) -> Process:
    start = None if first is None else (first.softmax(-1),)
    return lower_process(tensors(FAMILY), X, (Y.softmax(-1),), start)


# Control variates.


@pytest.mark.parametrize("first", [None, FIRST], ids=["one policy", "another first policy"])
@pytest.mark.parametrize("inner", ["to go", "advantages"])
def test_any_table_leaves_the_expectation(first: Tensor | None, inner: str) -> None:
    """As a function of x and of the policies, the one of the first step included."""
    v_ps = torch.tensor([[0.8, -1.1, 0.4]], dtype=torch.float64)
    estimators: dict[str, Estimator] = {
        "to go": Gpomdp(STEPS, StateValues(v_ps)),
        "advantages": ActorCritic(STEPS, Tabular(v_ps), trace=0.5),
    }
    own = process(first)
    everything = Everything(estimators[inner], STEPS)
    plain = everything.value(own)
    other = everything.value(controlled(own, Table(logits((1, 3, 2), 5))))
    for have, want in zip(
        gradients(other.sum(), (X, Y, FIRST)), gradients(plain.sum(), (X, Y, FIRST)), strict=True
    ):
        torch.testing.assert_close(have, want, rtol=0.0, atol=ROUNDING)
    torch.testing.assert_close(other, plain, rtol=0.0, atol=ROUNDING)


def test_two_players() -> None:
    """The leader's action and the follower's are both averaged over."""
    game = general_stackelberg(np.random.default_rng(3), n_states=2, n_leader=3, n_follower=2, gamma=0.7)
    x, y = logits((1, 2, 3), 6), logits((1, 2, 2), 7)
    own = leader_process(tensors(game), x, (y.softmax(-1),))
    everything, q = Everything(Gpomdp(2), 2), Table(logits((1, 2, 3, 2), 8))
    for have, want in zip(
        gradients(everything.value(controlled(own, q)).sum(), (x, y)),
        gradients(everything.value(own).sum(), (x, y)),
        strict=True,
    ):
        torch.testing.assert_close(have, want, rtol=0.0, atol=ROUNDING)


def variance(estimator: Estimator, own: Process) -> float:
    """Exact variance of one trajectory's gradient in logits, summed over its entries."""
    batch = every_trajectory(own.dynamics, STEPS)
    weight_n = probability(batch, own.dynamics, own.decision.policies[0].detach())[0]
    surrogate_n = estimator.surrogate(batch, own)[0]
    every = torch.eye(len(weight_n), dtype=torch.float64)
    (grad_n,) = torch.autograd.grad(surrogate_n, Y, every, is_grads_batched=True, retain_graph=True)
    flat = grad_n.flatten(1)
    mean = weight_n @ flat
    return float(weight_n @ (flat - mean).square().sum(-1))


def test_good_action_values_lower_the_variance() -> None:
    """With the policy's values one step ahead, beside the same baseline: 0.56 of it is left."""
    own = process()
    exact = evaluate(FAMILY.at(X.detach()[0].numpy()), Y.detach()[0].softmax(-1).numpy())
    v_ps = torch.tensor(exact.v_s)[None]
    plain = variance(Gpomdp(STEPS, StateValues(v_ps)), own)
    better = variance(ControlVariate(STEPS, Lookahead(v_ps), StateValues(v_ps)), own)
    assert better < 0.6 * plain


def test_known_rewards_leave_nothing_to_chance_in_one_step() -> None:
    """H = 1: what a state earns is known, and with it as baseline only the start is left to chance."""
    own = process()
    rewards = Lookahead(torch.zeros(1, 3, dtype=torch.float64))
    changed = controlled(own, rewards)
    assert not changed.r_psj.detach().any()
    expected_ps = changed.decision.bonus_ps
    estimator = ControlVariate(1, rewards, StateValues(expected_ps))
    batch = every_trajectory(own.dynamics, 1)
    surrogate_n = estimator.surrogate(batch, own)[0]
    torch.testing.assert_close(surrogate_n, batch.at_states(expected_ps)[0, :, 0], rtol=0.0, atol=0.0)
    every = torch.eye(batch.n, dtype=torch.float64)
    (grad_n,) = torch.autograd.grad(surrogate_n, Y, every, is_grads_batched=True)
    for s in range(3):
        same = grad_n[batch.states_pnh[0, :, 0] == s]
        torch.testing.assert_close(same, same[:1].expand_as(same), rtol=0.0, atol=ROUNDING)


def test_lookahead_serves_many_problems() -> None:
    games = general_game_family(np.random.default_rng(4), general_game(np.random.default_rng(5)))
    S, A, B = games.at(np.zeros(games.domain.shape)).r_sab.shape
    x = torch.zeros(1, *games.domain.shape, dtype=torch.float64)
    pi = [logits((1, S, n), 9).softmax(-1) for n in (A, B)]
    own, v_s = lower_process(tensors(games), x, pi), torch.arange(S, dtype=torch.float64)
    q = Lookahead(v_s[None])(own)[0]
    here = games.at(np.zeros(games.domain.shape))
    torch.testing.assert_close(
        q, torch.tensor(here.r_sab + here.gamma * here.P_sabt @ v_s.numpy()), rtol=0.0, atol=ROUNDING
    )


# Common and antithetic numbers.  A chain of two states in quarters: outcomes by whole words.


@dataclass
class Every:
    """All combinations of words in the middles of the quarters; ``mirrored`` ones on demand."""

    draws: int
    mirrored: bool = False
    taken: int = 0
    device = torch.device("cpu")

    def words(self, shape: tuple[int, ...]) -> Tensor:
        *lead, _problems, n = shape
        quarters = torch.tensor([(2 * k + 1) << (BITS - 3) for k in range(4)])
        wanted = []
        for _ in range(lead[0] if lead else 1):
            word = quarters[(torch.arange(n) // 4**self.taken) % 4]
            wanted.append((1 << BITS) - 1 - word if self.mirrored else word)
            self.taken += 1
        return torch.stack(wanted).reshape(shape)


def quarters(a: int) -> Tensor:
    """A policy that takes action 0 in so many of four cases in both states."""
    pi = torch.tensor([a / 4, 1 - a / 4], dtype=torch.float64)
    return pi.expand(1, 2, 2).clone()


def chain() -> Process:
    """Action 0 and state 0 earn less than action 1 and state 1, and lead to each other."""
    mdp = replace(
        MDP,
        P_sat=np.array([[[0.75, 0.25], [0.25, 0.75]], [[0.5, 0.5], [0.25, 0.75]]]),
        r_sa=np.array([[0.0, 1.0], [1.0, 3.0]]),
        rho_s=np.array([0.5, 0.5]),
        tau=0.0,
        regularizer=Quadratic(),
    )
    return task_process(tensors(mdp, sampler=InverseCdf), (quarters(1),))


def returns(pi: Tensor, source: Source) -> Tensor:
    own = chain()
    own = replace(own, decision=(d := replace(own.decision, policies=(pi,))), first=d)
    batch = draw(own, Fixed(2), 4**5, source, sampler=InverseCdf)
    return Gpomdp(2).surrogate(batch, own)[0]


def test_common_numbers_lower_the_variance_of_a_difference() -> None:
    """Policies one quarter apart; over every word, so that variances are exact."""
    own, best = (returns(quarters(a), Every(5)) for a in (2, 1))
    apart = own.var(correction=0) + best.var(correction=0)
    common = (best - own).var(correction=0)
    assert float(common) < 0.4 * float(apart)


def test_antithetic_numbers_lower_the_variance_of_a_mean() -> None:
    one, other = (returns(quarters(1), Every(5, mirrored)) for mirrored in (False, True))
    torch.testing.assert_close(one.mean(), other.mean(), rtol=0.0, atol=ROUNDING)
    pair = (0.5 * (one + other)).var(correction=0)
    assert float(pair) < 0.5 * float(one.var(correction=0)) * 0.5


def test_equal_policies_have_no_difference() -> None:
    pi = Y.detach().softmax(-1)
    mean = CommonNumbers(Gpomdp(STEPS, LeaveOneOut()), 5, Kept(1))
    assert not value_penalty(tensors(FAMILY), X, (pi,), (pi,), mean).any()
    apart = MonteCarlo(Gpomdp(STEPS, LeaveOneOut()), 5, Kept(1), shared=False)
    assert value_penalty(tensors(FAMILY), X, (pi,), (pi,), apart).all()


def test_each_mean_is_the_one_it_would_be_alone() -> None:
    common = CommonNumbers(Gpomdp(STEPS), 4, Kept(2))
    own, other = process(), process(FIRST)
    values = common.values([own, other])
    for have, some in zip(values, (own, other), strict=True):
        alone = MonteCarlo(Gpomdp(STEPS), 4, Kept(2), InverseCdf).value(some)
        assert torch.equal(have, alone)
    assert int(torch.as_tensor(common.steps_p).sum()) == 2 * 4 * STEPS


def test_pairs_are_independent() -> None:
    pairs = CommonNumbers(Gpomdp(1), 200, Kept(3)).pairs(process(), 1)
    assert not torch.equal(pairs.first.actions_pnh, pairs.second.actions_pnh)


def test_an_algorithm_can_sample_with_common_numbers() -> None:
    samples = CommonSamples(Gpomdp(STEPS), 4)
    assert isinstance(samples, Sampling)
    key_p = torch.tensor([7])
    mean = samples.at(3, key_p)
    assert isinstance(mean, Counted)
    assert torch.equal(mean.value(process()), samples.at(3, key_p).value(process()))
    assert not torch.equal(mean.value(process()), samples.at(4, key_p).value(process()))


def given(source: Source, shapes: Sequence[tuple[int, ...]]) -> list[Tensor]:
    return [source.words(shape) for shape in shapes]


def test_recorded_words_come_again() -> None:
    shapes = [(2, 3), (4, 2, 3)]
    recorded = Recorded(Kept(4))
    once = given(recorded, shapes)
    once[0].zero_()  # whoever takes words may write into them
    recorded.rewind()
    again = given(recorded, [*shapes, (1, 3)])
    for have, want in zip(again, given(Kept(4), [*shapes, (1, 3)]), strict=True):
        assert torch.equal(have, want)


# Bad input.


def test_bad_input() -> None:
    own, source = process(), Independent(torch.Generator().manual_seed(0))
    with pytest.raises(InputError, match=r"q_psj has shape \(1, 2, 2\)"):
        controlled(own, Table(torch.zeros(1, 2, 2, dtype=torch.float64)))
    with pytest.raises(InputError, match=r"q_psj has dtype torch\.int64"):
        Table(torch.zeros(1, 3, 2, dtype=torch.int64))
    with pytest.raises(InputError, match=r"values_ps has shape \(2, 3\); it must be \(1, 3\)"):
        Lookahead(torch.zeros(2, 3, dtype=torch.float64))(own)
    with pytest.raises(InputError, match=r"values_ps has shape \(3,\); it must have 2 axes"):
        Lookahead(torch.zeros(3))
    with pytest.raises(InputError, match="steps is 0"):
        ControlVariate(0, Lookahead(torch.zeros(1, 3)))
    with pytest.raises(InputError, match="q is Tensor; it must be a ActionValues"):
        ControlVariate(1, torch.zeros(1, 3, 2))  # type: ignore[arg-type] # what is checked
    for make in (MonteCarlo, CommonNumbers):
        with pytest.raises(InputError, match="n is 1; the estimator needs 2"):
            make(Gpomdp(2, LeaveOneOut()), 1, source)
        with pytest.raises(InputError, match="n is 0; it must be a whole number >= 1"):
            make(Gpomdp(2), 0, source)
    with pytest.raises(InputError, match="antithetic words make dependent pairs"):
        MonteCarlo(Gpomdp(2, LeaveOneOut()), 4, Antithetic(torch.Generator()))
    with pytest.raises(InputError, match="n is 1; the estimator needs 2"):
        CommonSamples(Gpomdp(2, LeaveOneOut()), 1)
    mean = CommonNumbers(Gpomdp(STEPS), 4, source)
    mean.value(own)
    recorded = Recorded(source)
    recorded.words((2, 3))
    recorded.rewind()
    with pytest.raises(InputError, match=r"\(2, 4\) words are asked for where \(2, 3\) were kept"):
        recorded.words((2, 4))
