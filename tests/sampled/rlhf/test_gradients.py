"""Every gradient block of DRLHF and PBRL, with tables as networks, against closed forms.

All trajectories are enumerated, so the package's own losses give exact expectations: what is left is
rounding.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from reference.evaluation import evaluate, parameter_policy_gradient
from reference.objectives.rlhf import preference_loss
from reference.penalties.value import value_penalty
from reference.policies import SoftmaxPolicy
from reference.problems.general_position import general_mdp
from reference.problems.mdp import Mdp
from reference.problems.rlhf import BradleyTerryLabels, LabelByReturn, LabelRule
from sampled.rlhf import bilevel
from sampled.rlhf.a2c import actor_critic_loss
from sampled.rlhf.preferences import Histories, pair_up
from sampled.rlhf.rewards import Chosen, RewardModel, preference_losses
from sampled.rlhf.settings import (
    A2c,
    Baseline,
    Boundary,
    EntropyPlace,
    Labels,
    Preferences,
    Reward,
    Span,
    StepWeights,
)
from tests.sampled.rlhf.exact import (
    Everything,
    episodic,
    everything,
    gradient,
    normal,
    preference_problem,
    table_actor,
    table_reward,
)

EPS = float(torch.finfo(torch.float64).eps)
S, A = 4, 2
END = 3


def within(count: int, size: float) -> float:
    """Rounding of a sum of ``count`` terms whose absolute values sum to ``size``, a few units each."""
    return EPS * (count + 64) * size


def model(x_sa: Tensor, **changed: object) -> RewardModel:
    settings = replace(Reward(dropout=0.0, standardize=False), **changed)  # type: ignore[arg-type] # by name
    g = torch.Generator()
    return RewardModel([table_reward(x_sa)], settings, g, g)


def episodic_x(seed: int) -> Tensor:
    x = normal(seed, S, A)
    x[END] = 0.0
    return x


def all_pairs(found: Everything, start: int, settings: Preferences) -> tuple[Histories, Tensor]:
    """Each trajectory with each, and the probability of both."""
    n = torch.arange(found.count)
    i, j = torch.cartesian_prod(n, n).unbind(-1)
    track = found.lanes(torch.cat((i, j)))
    # Behind the end there is padding, no ghosts that were taken out.
    track = replace(track, ghost_nh=torch.zeros_like(track.ghost_nh))
    start_n = torch.full((track.lanes,), start)
    return pair_up(track, start_n, settings, 0), found.weight_n[i] * found.weight_n[j]


def preferences(length: int, window: int, labels: LabelRule, boundary: Boundary) -> Preferences:
    rule, value = (
        (Labels.BRADLEY_TERRY, labels.temperature)
        if isinstance(labels, BradleyTerryLabels)
        else (Labels.RETURN, 1.0)
    )
    return Preferences(
        segment_length=length,
        window=window,
        labels=rule,
        temperature=value,
        boundary=boundary,
        tie_tolerance=getattr(labels, "tolerance", 1e-9),
    )


def problems() -> list[tuple[str, Mdp, Boundary]]:
    endless = general_mdp(np.random.default_rng(3), n_states=2, n_actions=2, gamma=0.7)
    return [("episodic", episodic(), Boundary.PADDED), ("endless", endless, Boundary.ACROSS)]


@pytest.mark.parametrize(
    ("name", "mdp", "boundary"), problems(), ids=lambda v: v if isinstance(v, str) else ""
)
@pytest.mark.parametrize(("length", "delay"), [(1, 0), (2, 0), (1, 1), (2, 1)])
@pytest.mark.parametrize(
    "rule", [BradleyTerryLabels(0.7), LabelByReturn(0.3)], ids=["logistic", "return"]
)
def test_the_upper_level_in_both_blocks(
    name: str, mdp: Mdp, boundary: Boundary, length: int, delay: int, rule: LabelRule
) -> None:
    """(2.5): value, gradient in the reward, and gradient in the policy with the whole history scored."""
    states = mdp.r_sa.shape[0]
    y = normal(1, states, A)
    x = episodic_x(2) if name == "episodic" else normal(2, states, A)
    found = everything(mdp, y.softmax(-1), delay + length)
    histories, weight_m = all_pairs(found, delay, preferences(length, delay + length, rule, boundary))
    reward, actor = model(x), table_actor(y)
    loss_m = preference_losses(reward.differences(histories.pairs), histories.pairs.label_m)
    score_m = bilevel.history_scores(actor, histories, Span.HISTORY)
    value = (weight_m * loss_m).sum()
    by_x = gradient(value, reward.networks[0].head.weight)
    by_y = gradient(
        bilevel.upper_surrogate(loss_m, score_m, Baseline.NONE, weight_m), actor.policy.weight
    )
    problem = preference_problem(mdp, length, delay, rule)
    exact = preference_loss(problem, x.numpy(), y.softmax(-1).numpy())
    wanted_y = SoftmaxPolicy((states, A)).pullback(y.numpy(), exact.grad_policies[0])
    if name == "episodic":  # in the end nothing is chosen and nothing is learned
        exact.grad_x[END] = 0.0
        wanted_y[END] = 0.0
    tolerance = within(len(weight_m), float(loss_m.detach().max()) * 4 * (delay + length))
    np.testing.assert_allclose(float(value.detach()), exact.value, rtol=0, atol=tolerance)
    np.testing.assert_allclose(by_x, exact.grad_x, rtol=0, atol=tolerance)
    np.testing.assert_allclose(by_y, wanted_y, rtol=0, atol=tolerance)
    assert np.abs(exact.grad_x).max() > 1e-3
    assert np.abs(wanted_y).max() > 1e-3


def test_starts_drawn_apart_give_the_mean_over_both() -> None:
    """Windows longer than a segment: by autograd through the probabilities themselves."""
    mdp, steps, length = episodic(), 3, 2
    y = normal(1, S, A).requires_grad_()
    x = episodic_x(2)
    settings = preferences(length, steps, BradleyTerryLabels(0.7), Boundary.PADDED)
    found = everything(mdp, y.detach().softmax(-1), steps)
    t = found.track
    n = torch.arange(found.count)
    i, j = torch.cartesian_prod(n, n).unbind(-1)
    pi = y.softmax(-1)
    played = pi[t.frame_nf[:, :-1], t.action_nh].where(t.alive_nh, torch.ones(()).double()).prod(1)
    chance = found.weight_n / played.detach() * played
    reward, actor = model(x), table_actor(y.detach())
    got, wanted = torch.zeros(S, A).double(), torch.zeros((), dtype=torch.float64)
    both = found.lanes(torch.cat((i, j)))
    both = replace(both, ghost_nh=torch.zeros_like(both.ghost_nh))
    for first in range(steps - length + 1):
        for second in range(steps - length + 1):
            start_n = torch.cat((torch.full_like(i, first), torch.full_like(j, second)))
            histories = pair_up(both, start_n, settings, 0)
            loss_m = preference_losses(
                reward.differences(histories.pairs), histories.pairs.label_m
            ).detach()
            score_m = bilevel.history_scores(actor, histories, Span.HISTORY)
            weight_m = (chance[i] * chance[j]) / 4.0
            surrogate = bilevel.upper_surrogate(loss_m, score_m, Baseline.NONE, weight_m.detach())
            got += gradient(surrogate, actor.policy.weight)
            wanted = wanted + (weight_m * loss_m).sum()
    (by_y,) = torch.autograd.grad(wanted, y)
    torch.testing.assert_close(got, by_y, rtol=0, atol=within(4 * len(i), 20.0))


def test_the_segments_own_score_leaves_out_where_they_begin() -> None:
    """It is the gradient at a frozen law of first states, which differs from the whole one."""
    mdp, delay = problems()[1][1], 1
    y, x = normal(1, 2, A), normal(2, 2, A)
    pi = y.softmax(-1)
    found = everything(mdp, pi, delay + 1)
    rule = BradleyTerryLabels(0.7)
    histories, weight_m = all_pairs(found, delay, preferences(1, delay + 1, rule, Boundary.ACROSS))
    reward, actor = model(x), table_actor(y)
    loss_m = reward.losses(histories.pairs)
    by_span = {
        span: gradient(
            bilevel.upper_surrogate(
                loss_m, bilevel.history_scores(actor, histories, span), Baseline.NONE, weight_m
            ),
            actor.policy.weight,
        )
        for span in Span
    }
    stored = bilevel.upper_surrogate(
        loss_m, bilevel.segment_scores(actor, histories.pairs), Baseline.NONE, weight_m
    )
    tolerance = within(len(weight_m), 20.0)
    from_stored = gradient(stored, actor.policy.weight)
    torch.testing.assert_close(from_stored, by_span[Span.SEGMENT], rtol=0, atol=tolerance)
    P_st = np.einsum("sa,sat->st", pi.numpy(), mdp.P_sat)
    moved = replace(mdp, rho_s=mdp.rho_s @ P_st)
    exact = preference_loss(preference_problem(moved, 1, 0, rule), x.numpy(), pi.numpy())
    frozen = SoftmaxPolicy((2, A)).pullback(y.numpy(), exact.grad_policies[0])
    np.testing.assert_allclose(by_span[Span.SEGMENT], frozen, rtol=0, atol=tolerance)
    assert (by_span[Span.SEGMENT] - by_span[Span.HISTORY]).abs().max() > 1e-3


@pytest.mark.parametrize("rule", Baseline)
def test_baselines_change_no_mean(rule: Baseline) -> None:
    """Over all batches of two independent pairs."""
    mdp = problems()[1][1]
    y, x = normal(1, 2, A), normal(2, 2, A)
    settings = preferences(1, 1, BradleyTerryLabels(0.7), Boundary.ACROSS)
    histories, weight_m = all_pairs(everything(mdp, y.softmax(-1), 1), 0, settings)
    actor = table_actor(y)
    loss_m = model(x).losses(histories.pairs)
    score_m = bilevel.history_scores(actor, histories, Span.HISTORY)
    wanted = gradient(
        bilevel.upper_surrogate(loss_m, score_m, Baseline.NONE, weight_m), actor.policy.weight
    )
    # Pairs that differ only in the states behind them are alike.
    table = torch.stack(
        (loss_m, *histories.pairs.first.frame_nf.T, *histories.pairs.second.frame_nf.T), 1
    )
    table = torch.cat((table, histories.pairs.first.action_nl, histories.pairs.second.action_nl), 1)
    _, kind_m = torch.unique(table, dim=0, return_inverse=True)
    count = int(kind_m.max()) + 1
    first = torch.stack([(kind_m == k).nonzero()[0, 0] for k in range(count)])
    chance = torch.zeros(count).double().index_add(0, kind_m, weight_m)
    total = torch.zeros((), dtype=torch.float64)
    for k in range(count):
        for m in range(count):
            both = first[[k, m]]
            batch = bilevel.upper_surrogate(loss_m[both], score_m[both], rule)
            total = total + chance[k] * chance[m] * batch
    got = gradient(total, actor.policy.weight)
    torch.testing.assert_close(got, wanted, rtol=0, atol=within(count**2, 20.0))


# The lower level.

EXACT = A2c(
    gamma=0.8,
    entropy=0.0,
    step_weights=StepWeights.DISCOUNTED,
    entropy_place=EntropyPlace.RETURNS,
    value_weight=1.0,
)


def discounted(found: Everything, gamma: float) -> Tensor:
    """Weights of the steps that make sums over lanes expectations of discounted sums."""
    age = found.track.age_nh[:, :-1].double()
    return found.weight_n[:, None] * gamma**age * found.track.alive_nh


@pytest.mark.parametrize("trace", [1.0, 0.6, 0.0])
def test_the_policys_gradient_is_that_of_the_value(trace: float) -> None:
    """With whole episodes and lambda = 1, whatever the critic; else with the exact one."""
    mdp = episodic()
    y, x = normal(1, S, A), episodic_x(2)
    pi = y.softmax(-1).numpy()
    exact = evaluate(replace(mdp, r_sa=x.numpy()), pi)
    v_s = normal(5, S) if trace == 1.0 else torch.tensor(exact.v_s)
    found = everything(mdp, y.softmax(-1), 3)
    actor = table_actor(y, v_s)
    reward_nh = model(x).of_track(found.track)
    settings = replace(EXACT, trace=trace)
    weight_nh = discounted(found, mdp.gamma)
    loss = actor_critic_loss(actor, found.track, reward_nh, settings, weight_nh)
    wanted = -parameter_policy_gradient(exact, SoftmaxPolicy((S, A)), y.numpy())
    tolerance = within(found.count, 50.0)
    np.testing.assert_allclose(gradient(loss.total, actor.policy.weight), wanted, atol=tolerance, rtol=0)
    visits_s = exact.visits(mdp.rho_s)
    visits_s[END] = 0.0
    towards = torch.tensor(visits_s) * (v_s - torch.tensor(exact.v_s))
    by_v = gradient(loss.critic, actor.value.weight)[:, 0]
    torch.testing.assert_close(by_v, towards, rtol=0, atol=tolerance)


def test_entropy_in_the_returns_makes_it_the_regularised_value() -> None:
    """By a linear system through autograd; entropy in each state alone gives something else."""
    mdp, tau = episodic(), 0.3
    y, x = normal(1, S, A).requires_grad_(), episodic_x(2)
    pi = y.softmax(-1)
    alive_s = torch.tensor([1.0, 1.0, 1.0, 0.0]).double()
    c_s = ((pi * x).sum(-1) + tau * torch.special.entr(pi).sum(-1)) * alive_s
    P_st = torch.einsum("sa,sat->st", pi, torch.tensor(mdp.P_sat)) * alive_s[:, None]
    value = torch.tensor(mdp.rho_s) @ torch.linalg.solve(torch.eye(S).double() - mdp.gamma * P_st, c_s)
    (wanted,) = torch.autograd.grad(-value, y)
    found = everything(mdp, pi.detach(), 3)
    by_place = {}
    for place in EntropyPlace:
        actor = table_actor(y.detach(), normal(5, S))
        settings = replace(EXACT, entropy=tau, entropy_place=place)
        loss = actor_critic_loss(
            actor, found.track, model(x).of_track(found.track), settings, discounted(found, mdp.gamma)
        )
        by_place[place] = gradient(loss.total, actor.policy.weight)
    tolerance = within(found.count, 50.0)
    torch.testing.assert_close(by_place[EntropyPlace.RETURNS], wanted, rtol=0, atol=tolerance)
    assert (by_place[EntropyPlace.BONUS] - wanted).abs().max() > 1e-3


# The penalty.


def chosen_of(reward: RewardModel) -> Chosen:
    return reward.reward


@pytest.mark.parametrize(("offset", "scale"), [(0.0, 1.0), (0.4, 2.5)])
def test_the_penaltys_gradient_in_the_reward(offset: float, scale: float) -> None:
    """Lemma 7 (a), with an approximate optimum; a standardised reward only scales it."""
    mdp = episodic(everywhere=True)
    y, hat, x = normal(1, S, A), normal(7, S, A), episodic_x(2)
    reward = model(x)
    reward.offset_b[0], reward.scale_b[0] = offset, scale
    own, best = (everything(mdp, z.softmax(-1), 3) for z in (y, hat))
    p = bilevel.penalty_surrogate(
        chosen_of(reward), own.track, best.track, mdp.gamma, weights=(own.weight_n, best.weight_n)
    )
    standardised = (x - offset) * scale
    standardised[END] = 0.0
    exact = value_penalty(
        preference_problem(mdp, 1, 0, LabelByReturn(0.0)),
        standardised.numpy(),
        y.softmax(-1).numpy(),
        hat.softmax(-1).numpy(),
    )
    tolerance = within(own.count + best.count, 50.0)
    by_x = gradient(p, reward.networks[0].head.weight)
    wanted = scale * exact.grad_x
    wanted[END] = 0.0
    np.testing.assert_allclose(float(p.detach()), exact.value, rtol=0, atol=tolerance)
    np.testing.assert_allclose(by_x, wanted, rtol=0, atol=tolerance)
    assert np.abs(wanted).max() > 1e-3


def test_the_penalty_does_not_move_the_reward_if_the_companion_is_the_policy() -> None:
    mdp = episodic(everywhere=True)
    reward = model(episodic_x(2))
    own = everything(mdp, normal(1, S, A).softmax(-1), 3)
    weight = reward.networks[0].head.weight
    exact = bilevel.penalty_surrogate(
        chosen_of(reward), own.track, own.track, mdp.gamma, weights=(own.weight_n, own.weight_n)
    )
    assert torch.equal(gradient(exact, weight), torch.zeros(S, A).double())
    u_i = torch.rand(7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    some = bilevel.penalty_surrogate(chosen_of(reward), own.track, own.track, mdp.gamma, u_i=u_i)
    assert torch.equal(gradient(some, weight), torch.zeros(S, A).double())
    assert (
        gradient(bilevel.discounted_rewards(chosen_of(reward), own.track, mdp.gamma), weight).abs().max()
        > 0.1
    )


def test_steps_drawn_uniformly_have_the_same_mean() -> None:
    """Over a grid of uniform numbers that chooses each step equally often."""
    mdp = episodic()
    reward = model(episodic_x(2))
    own = everything(mdp, normal(1, S, A).softmax(-1), 3)
    steps = int(own.track.first_nh.sum())
    grid = (torch.arange(4 * steps, dtype=torch.float64) + 0.5) / (4 * steps)
    some = bilevel.discounted_rewards(chosen_of(reward), own.track, mdp.gamma, grid, own.weight_n)
    whole = bilevel.discounted_rewards(chosen_of(reward), own.track, mdp.gamma, None, own.weight_n)
    torch.testing.assert_close(some, whole, rtol=0, atol=within(4 * steps, 50.0))


def test_both_blocks_of_the_penalised_problem() -> None:
    """c grad_y f + grad_y p for the policy, grad_x f + lambda grad_x p for the reward: (3.3)."""
    mdp, c = episodic(everywhere=True), 0.37
    rule = BradleyTerryLabels(0.7)
    y, hat, x = normal(1, S, A), normal(7, S, A), episodic_x(2)
    found, best = (everything(mdp, z.softmax(-1), 3) for z in (y, hat))
    actor, reward = table_actor(y, normal(5, S)), model(x)
    # The share of the starts that is in the end yields empty segments, which are all alike.
    starts = replace(mdp, rho_s=np.append(mdp.rho_s[:END], 0.0) / mdp.rho_s[:END].sum())
    alive = everything(starts, y.softmax(-1), 2)
    histories, weight_m = all_pairs(alive, 0, preferences(2, 2, rule, Boundary.PADDED))
    loss_m = reward.losses(histories.pairs)
    score_m = bilevel.history_scores(actor, histories, Span.HISTORY)
    upper = bilevel.upper_surrogate(loss_m, score_m, Baseline.NONE, weight_m)
    settings = replace(EXACT, gamma=mdp.gamma)
    lower = actor_critic_loss(
        actor, found.track, reward.of_track(found.track), settings, discounted(found, mdp.gamma)
    )
    by_y = gradient(lower.total + c * upper, actor.policy.weight)
    pi = y.softmax(-1).numpy()
    p = value_penalty(preference_problem(mdp, 2, 0, rule), x.numpy(), pi, hat.softmax(-1).numpy())
    f = preference_loss(preference_problem(starts, 2, 0, rule), x.numpy(), pi)
    entries = c * f.grad_policies[0] + p.grad_policies[0]
    wanted = SoftmaxPolicy((S, A)).pullback(y.numpy(), entries)
    wanted[END] = 0.0
    np.testing.assert_allclose(by_y, wanted, rtol=0, atol=within(len(weight_m), 50.0))
    penalty = bilevel.penalty_surrogate(
        chosen_of(reward), found.track, best.track, mdp.gamma, weights=(found.weight_n, best.weight_n)
    )
    fit = (
        weight_m * preference_losses(reward.differences(histories.pairs), histories.pairs.label_m)
    ).sum()
    by_x = gradient(fit + penalty / c, reward.networks[0].head.weight)
    wanted_x = f.grad_x + p.grad_x / c
    wanted_x[END] = 0.0
    np.testing.assert_allclose(by_x, wanted_x, rtol=0, atol=within(len(weight_m), 200.0))
