r"""The blocks of RLHF with networks, on all trajectories: tables in place of networks.

The tracks that the losses are given hold more than an episode of K steps: a ghost before it, and a step
of another episode behind it, both with rewards that nobody may count.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from reference.evaluated import Evaluated
from reference.objectives.rlhf import preference_loss
from reference.problems.mdp import MdpFamily
from reference.problems.rlhf import BradleyTerryLabels, Rlhf
from reference.regularizers import NegativeEntropy
from reference.truncated import Truncation, truncated_value_penalty
from reference.validation import Array
from sampled.conversion import tensors
from sampled.enumeration import every_trajectory, probability
from sampled.rlhf import bilevel
from sampled.rlhf.a2c import actor_critic_loss, step_weights
from sampled.rlhf.networks import RewardNetwork
from sampled.rlhf.preferences import Histories, pair_up
from sampled.rlhf.rewards import RewardModel, preference_losses
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
from sampled.rlhf.tracks import Track
from verify.contract import Level
from verify.crosscheck.cases import small_cases
from verify.crosscheck.estimates import Parameters, Sizes, estimated, sizes, trajectories
from verify.crosscheck.quantity import Case, Quantity
from verify.oracles import definitions as primitive
from verify.oracles import walks
from verify.oracles.arithmetic import Arithmetic, Native

Tables = Sequence[Tensor]

NEVER_COUNTED = 7.0
"""The true reward of ghosts and of other episodes."""
GHOST_AGE = 9
OFFSET, SCALE = 0.3, 1.7
"""Of the standardisation."""
DROPPED = 0.5


@dataclass(frozen=True, eq=False)
class _Actor:
    """An actor and its critic, as their network would answer."""

    pi_sa: Tensor
    v_s: Tensor

    def __call__(self, stack: Tensor) -> tuple[Tensor, Tensor]:
        return self.pi_sa.log()[stack[:, 0]], self.v_s[stack[:, 0]]


class _Rows(nn.Module):
    """The features of a state: its row of a table."""

    def __init__(self, table_sa: Tensor) -> None:
        super().__init__()
        self._table_sa = table_sa

    def forward(self, stack: Tensor) -> Tensor:
        return self._table_sa[stack[:, 0]]


def _model(r_sa: Tensor) -> RewardModel:
    """A reward model whose network is a table with dropout: its raw and its standardised reward."""
    actions = r_sa.shape[1]
    head = nn.Linear(actions, actions, bias=False, dtype=r_sa.dtype)
    with torch.no_grad():
        head.weight.copy_(torch.eye(actions))
    network = RewardNetwork(_Rows(r_sa), head, DROPPED)
    generator = torch.Generator()
    return RewardModel([network], Reward(dropout=DROPPED), generator, generator)


def _learned(case: Case[Rlhf], x: Tensor) -> Tensor:
    return tensors(case.problem).lower.reward(x)[0]


def _everything(case: Case[Rlhf], pi_sa: Tensor, steps: int) -> tuple[Track, Tensor]:
    """Every trajectory between a ghost and a step of another episode, with its probability."""
    dynamics = tensors(case.problem).lower.fixed
    assert dynamics is not None  # only rewards depend on x
    found = every_trajectory(dynamics, steps)
    # Where the last step leads is not told: the last state is the digit that changes fastest.
    S = dynamics.n_states
    weight_n = probability(found, dynamics, pi_sa.detach()[None])[0].view(-1, S).sum(1)
    states_nh = found.states_pnh[0, ::S, :-1].long()
    actions_nh = found.actions_pnh[0, ::S].long()
    true_nh = tensors(case.problem).r_true_psa[0][states_nh, actions_nh]
    # The other episode is told by the last action: whatever flows back from it is no mere constant.
    before, after = torch.zeros_like(states_nh[:, :1]), actions_nh[:, -1:] % S
    age = torch.tensor([GHOST_AGE, *range(steps), 0, 1])
    ghost_nh = torch.zeros((len(weight_n), steps + 2), dtype=torch.bool)
    terminated_nh = ghost_nh.clone()
    ghost_nh[:, 0], terminated_nh[:, steps] = True, True
    unpaid = torch.full_like(true_nh[:, :1], NEVER_COUNTED)
    track = Track(
        torch.cat((before, states_nh, after, before), 1),
        age.expand(len(weight_n), -1),
        torch.cat((before, actions_nh, before), 1),
        terminated_nh,
        torch.zeros_like(ghost_nh),
        ghost_nh,
        torch.cat((unpaid, true_nh, unpaid), 1),
        1,
    )
    return track, weight_n


# The upper level.


def _closed_preferences(
    case: Case[Rlhf], x: Array, policies: tuple[Array, ...], _others: tuple[Array, ...]
) -> Evaluated:
    return preference_loss(case.problem, x, policies[0])


def _define_preferences(case: Case[Rlhf], number: Arithmetic, at: Parameters) -> Native:
    return primitive.preference_loss(number, case.problem, at.x, at.policies[0])


def _frozen(case: Case[Rlhf]) -> Rlhf:
    """The problem whose trajectories begin where the policy's segments do."""
    problem, lower = case.problem, case.problem.lower
    assert isinstance(lower, MdpFamily)
    pi_sa = case.point.x[1 + np.prod(problem.domain.shape) :][: problem.r_true_sa.size]
    pi_sa = np.exp(pi_sa.reshape(problem.r_true_sa.shape))
    pi_sa = pi_sa / pi_sa.sum(axis=1, keepdims=True)
    # Transitions are the same at every x.
    P_st = np.einsum("sa,sat->st", pi_sa, problem.at(np.zeros(problem.domain.shape)).P_sat)
    rho_s = lower.rho_s @ np.linalg.matrix_power(P_st, problem.delay)
    return replace(problem, lower=replace(lower, rho_s=rho_s), delay=0)


def _every_pair(case: Case[Rlhf], pi_sa: Tensor) -> tuple[Histories, Tensor]:
    """Each trajectory with each, labelled, and the probability of both."""
    problem, rule = case.problem, case.problem.labels
    assert isinstance(rule, BradleyTerryLabels)
    track, weight_n = _everything(case, pi_sa, problem.delay + problem.segment_length)
    n = torch.arange(track.lanes)
    first, second = torch.cartesian_prod(n, n).unbind(-1)
    both = torch.cat((first, second))
    parts = (
        track.frame_nf, track.age_nh, track.action_nh, track.terminated_nh,
        track.truncated_nh, track.ghost_nh, track.true_nh,
    )  # fmt: skip
    twice = Track(*(part[both] for part in parts), 1)  # type: ignore[call-arg, arg-type] # seven tensors
    settings = Preferences(
        segment_length=problem.segment_length,
        window=track.steps,
        boundary=Boundary.PADDED,
        labels=Labels.BRADLEY_TERRY,
        temperature=rule.temperature,
    )
    start_n = torch.full_like(both, 1 + problem.delay)
    return pair_up(twice, start_n, settings, 0), weight_n[first] * weight_n[second]


def _upper(
    case: Case[Rlhf], x: Tensor, policies: Tables, spans: Sequence[Span | None]
) -> tuple[Tensor, int]:
    """Mean loss, differentiated in x and by the mean of several scores; None is the stored one."""
    pi_sa = policies[0][0]
    histories, weight_m = _every_pair(case, pi_sa)
    pairs = histories.pairs
    loss_m = preference_losses(_model(_learned(case, x)).differences(pairs), pairs.label_m)
    actor = _Actor(pi_sa, torch.zeros_like(pi_sa[:, 0]))
    scores = [
        bilevel.segment_scores(actor, pairs)
        if span is None
        else bilevel.history_scores(actor, histories, span)
        for span in spans
    ]
    score_m = torch.stack(scores).mean(0)
    known = bilevel.upper_surrogate(loss_m, score_m, Baseline.NONE, weight_m)
    return ((weight_m * loss_m).sum() + known - known.detach())[None], trajectories(case) ** 2


def _estimate_preferences(
    case: Case[Rlhf], x: Tensor, policies: Tables, _others: Tables
) -> tuple[Tensor, int]:
    return _upper(case, x, policies, (Span.HISTORY,))


def _closed_segments(
    case: Case[Rlhf], x: Array, policies: tuple[Array, ...], _others: tuple[Array, ...]
) -> Evaluated:
    return preference_loss(_frozen(case), x, policies[0])


def _aimed_segments(
    case: Case[Rlhf], number: Arithmetic, moving: Parameters, _fixed: Parameters
) -> Native:
    return primitive.preference_loss(number, _frozen(case), moving.x, moving.policies[0])


def _estimate_segments(
    case: Case[Rlhf], x: Tensor, policies: Tables, _others: Tables
) -> tuple[Tensor, int]:
    return _upper(case, x, policies, (Span.SEGMENT, None))


def _preference_sizes(case: Case[Rlhf]) -> Sizes:
    """A loss is at most 1 + 2 L C, its derivative by rewards at most 1, and two segments are scored."""
    own = sizes(case)
    return replace(own, earned=1.0 + 2.0 * own.steps * own.earned, score=2.0)


# The lower level.


def _closed_penalty(
    case: Case[Rlhf], x: Array, policies: tuple[Array, ...], others: tuple[Array, ...]
) -> Evaluated:
    found: Evaluated = truncated_value_penalty(
        case.problem, x, policies[0], others[0], Truncation(case.steps)
    )
    return found


def _define_penalty(case: Case[Rlhf], number: Arithmetic, at: Parameters) -> Native:
    m, cut = primitive.model(number, case.problem, at.x), Truncation(case.steps)
    best, own = (
        walks.value(number, walks.single(number, m, pi, pi), cut)
        for pi in (at.others[0], at.policies[0])
    )
    return best - own


def _estimate_penalty(
    case: Case[Rlhf], x: Tensor, policies: Tables, others: Tables
) -> tuple[Tensor, int]:
    mdp = case.problem.at(case.problem.domain.project(x[0].detach().numpy()))
    gamma, tau = mdp.gamma, mdp.tau
    r_sa = _learned(case, x)
    model = _model(r_sa / SCALE + OFFSET)
    model.offset_b[0], model.scale_b[0] = OFFSET, SCALE
    (own, own_n), (best, best_n) = (_everything(case, pi[0][0], case.steps) for pi in (policies, others))
    # Of all steps each is chosen twice.
    count = 2 * int(own.first_nh.sum())
    u_i = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    p = bilevel.penalty_surrogate(model.reward, own, best, gamma, u_i=u_i, weights=(own_n, best_n))
    weights = [
        n[:, None]
        * t.first_nh
        * t.alive_nh.sum()
        * step_weights(t, StepWeights.DISCOUNTED, gamma, n.dtype)
        for t, n in ((own, own_n), (best, best_n))
    ]
    # What entropy earns does not depend on x: it is no part of the reward's surrogate.
    earned = [
        tau * (w_nh * torch.special.entr(pi[0][0]).sum(-1)[t.frame_nf[:, :-1]]).sum().detach()
        for w_nh, t, pi in ((weights[0], own, policies), (weights[1], best, others))
    ]
    settings = A2c(gamma=gamma, entropy=tau, value_weight=0.0, entropy_place=EntropyPlace.RETURNS)
    actor = _Actor(policies[0][0], torch.tensor(case.measure_s))
    loss = actor_critic_loss(actor, own, model.of_track(own), settings, weights[0]).total
    return (p + earned[1] - earned[0] + loss - loss.detach())[None], trajectories(case)


def _plain_entropy(level: Level, seed: int) -> tuple[Case[Any], ...]:
    """The preference problems among the small cases, with A2C's own entropy."""
    found = []
    for case in small_cases(level, seed):
        if isinstance(case.problem, Rlhf) and isinstance(case.problem.lower, MdpFamily):
            plain = replace(case.problem.lower, regularizer=NegativeEntropy())
            found.append(replace(case, problem=replace(case.problem, lower=plain)))
    return tuple(found)


QUANTITIES: tuple[Quantity[Any], ...] = (
    estimated(
        "upper_level",
        "preference loss, whole history scored",
        "(2.5)",
        Rlhf,
        closed=_closed_preferences,
        define=_define_preferences,
        estimate=_estimate_preferences,
        bound=_preference_sizes,
    ),
    estimated(
        "segments",
        "preference loss at a frozen start of segments",
        "Appendix E.2",
        Rlhf,
        closed=_closed_segments,
        define=_define_preferences,
        aimed=_aimed_segments,
        estimate=_estimate_segments,
        bound=_preference_sizes,
    ),
    replace(
        estimated(
            "lower_level",
            "value penalty, by A2C and Lemma 7 (a)",
            "Lemma 7",
            Rlhf,
            closed=_closed_penalty,
            define=_define_penalty,
            estimate=_estimate_penalty,
            companions=True,
        ),
        instances=_plain_entropy,
    ),
)
