r"""What PBRL adds to learning from preferences: two gradients that tie the levels together.

The penalised problem (3.3) divided by lambda is c f(x, y) + p(x, y), with c = 1 / lambda the coefficient
of the upper level's loss, f the expected preference loss (2.5) and p the value penalty (3.2).

In the policy's parameters, -grad_y V is the actor-critic's own step, and

    grad_y f = E[ (l - b) grad_y sum_h log pi_y(a_h|s_h) ]

where the sum runs over all actions that decided the two segments: from the start of their trajectories
to their ends.  Scoring the segments' own actions alone leaves out how the policy decides where segments
begin.  A baseline b that is independent of the pair changes no mean.

In the reward's parameters (Lemma 7 (a)), with an approximate optimum pi^ in place of pi*(x),

    grad_x p = - E[ sum_h gamma^h grad r_x(s_h, a_h) | pi_y ]
               + E[ sum_h gamma^h grad r_x(s_h, a_h) | pi^ ]

over trajectories from the start of an episode.  If pi^ is pi_y itself, both are the same number: the
penalty does not move the reward.
"""

from math import log

import torch
from torch import Tensor

from sampled.rlhf.a2c import Actor, log_policy
from sampled.rlhf.preferences import Histories, Pairs
from sampled.rlhf.rewards import Chosen, segment_sums
from sampled.rlhf.settings import Baseline, Span
from sampled.rlhf.tracks import Track


def centred(loss_m: Tensor, rule: Baseline) -> Tensor:
    """Losses minus a baseline that is independent of the pair, (M,).

    One pair alone has no others: its loss is then left as it is.
    """
    count = loss_m.shape[0]
    if rule is Baseline.CHANCE:
        return loss_m - log(2.0)
    if rule is Baseline.LEAVE_ONE_OUT and count > 1:
        return loss_m - (loss_m.sum() - loss_m) / (count - 1)
    return loss_m


def history_scores(network: Actor, histories: Histories, span: Span) -> Tensor:
    """Log-probability of the actions that are scored of each pair, (M,); differentiable.

    Parameters
    ----------
    network : Actor
        The policy that generated them.
    histories : Histories
    span : Span
        All from the start of the track, or those in the segments alone.
    """
    scored_nh = histories.scored_nh if span is Span.HISTORY else histories.within_nh
    lane_i, step_i = scored_nh.nonzero().unbind(1)
    track = histories.track
    logits, _ = network(track.stacks(lane_i, step_i))
    log_pi_i = log_policy(logits, track.action_nh[lane_i, step_i])
    total_n = torch.zeros(track.lanes, dtype=log_pi_i.dtype, device=log_pi_i.device)
    total_n = total_n.index_add(0, lane_i, log_pi_i)
    half = track.lanes // 2
    return total_n[:half] + total_n[half:]


def segment_scores(network: Actor, pairs: Pairs) -> Tensor:
    """Log-probability of the actions in the segments of each pair, (M,); differentiable."""
    scores = []
    for segments in (pairs.first, pairs.second):
        logits, _ = network(segments.states())
        scores.append(segment_sums(log_policy(logits, segments.actions()), segments))
    return scores[0] + scores[1]


def upper_surrogate(
    loss_m: Tensor, score_m: Tensor, rule: Baseline, weight_m: Tensor | None = None
) -> Tensor:
    """Return a number whose derivative estimates grad_y f.

    Parameters
    ----------
    loss_m : (M,)
        Preference losses; constants.
    score_m : (M,)
        Log-probabilities of the actions that are scored.
    rule : Baseline
    weight_m : (M,), optional
        Weights of the pairs that sum to one, in place of a mean.
    """
    gain_m = centred(loss_m.detach(), rule).to(score_m.dtype)
    return (gain_m * score_m).mean() if weight_m is None else (weight_m * gain_m * score_m).sum()


def discounted_rewards(
    chosen: Chosen,
    track: Track,
    gamma: float,
    u_i: Tensor | None = None,
    weight_n: Tensor | None = None,
) -> Tensor:
    """Mean over lanes of sum_h gamma^h r_x(s_h, a_h) in the episodes in which the lanes began.

    Parameters
    ----------
    chosen : callable
        r_x(s, a), (I,).
    track : Track
        Its lanes begin with an episode.
    gamma : float
    u_i : (I,) in [0, 1), optional
        Each chooses a step; in place of all steps, with the same mean over uniform numbers.
    weight_n : (N,), optional
        Weights of the lanes that sum to one, in place of a mean.
    """
    lane_i, step_i = track.first_nh.nonzero().unbind(1)
    share = 1.0
    if u_i is not None:
        share = lane_i.numel() / u_i.numel()
        some = (u_i * lane_i.numel()).to(torch.int64)
        lane_i, step_i = lane_i[some], step_i[some]
    reward_i = chosen(track.stacks(lane_i, step_i), track.action_nh[lane_i, step_i])
    weight_i = share * gamma ** track.age_nh[lane_i, step_i].to(reward_i.dtype)
    if weight_n is None:
        return (weight_i * reward_i).sum() / track.lanes
    return (weight_n[lane_i] * weight_i * reward_i).sum()


def penalty_surrogate(
    chosen: Chosen,
    own: Track,
    companion: Track,
    gamma: float,
    *,
    u_i: Tensor | None = None,
    weights: tuple[Tensor | None, Tensor | None] = (None, None),
) -> Tensor:
    """Return a number whose derivative in the reward's parameters estimates grad_x p.

    Parameters
    ----------
    chosen : callable
        r_x(s, a), (I,).
    own, companion : Track
        Of the policy and of what stands for the optimal one; from the starts of episodes.
    gamma : float
    u_i : (I,) in [0, 1), optional
        As in :func:`discounted_rewards`, the same for both: equal tracks give exactly zero.
    weights : pair of (N,), optional
        Weights of the lanes of both.
    """
    best = discounted_rewards(chosen, companion, gamma, u_i, weights[1])
    return best - discounted_rewards(chosen, own, gamma, u_i, weights[0])
