r"""Tier 1: the simulator's law, by exact tests of counts.

Trajectories of :func:`sampled.expectations.draw` are counted against the exact law in three ways, each
an e-value under the null (:mod:`.statistics.multinomial`):

    whole          all trajectories of a tiny problem: that steps depend on nothing else, too
    step by step   starts, actions in each state and next states of each pair of a larger problem, in
                   the first step, where another policy may act, and in later ones
    lengths        of a random horizon: P(L = l) = (1 - c) c^(l-1), the last cell P(L > K)

The laws are computed from the arrays of ``reference``'s problem.
"""

import numpy as np
import torch

from reference.policies import SoftmaxPolicy
from reference.problems.zero_sum_game import ZeroSumGame
from reference.validation import Array
from sampled.conversion import tensors
from sampled.expectations import draw
from sampled.horizons import Fixed, Geometric
from sampled.laws import Alias, InverseCdf, RunningSums, SamplerKind
from sampled.processes import lower_process
from sampled.sources import Independent
from sampled.trajectories import Trajectories
from verify.audit.problems import Setting, default_problems
from verify.audit.statistics.multinomial import log_e_value

SAMPLERS: tuple[SamplerKind, ...] = (Alias, InverseCdf, RunningSums)


def _laws(setting: Setting) -> tuple[Array, Array, Array, Array]:
    """rho (S,), transitions (S, J, S), and joint policies (S, J) of the first step and of later ones."""
    here = setting.problem.at(setting.x)
    policies = [SoftmaxPolicy((y.shape[0], y.shape[1]))(y) for y in setting.logits]
    joint = []
    for own in ([pi[:, ::-1] for pi in policies], policies):
        pi_sj = own[0]
        for other in own[1:]:
            pi_sj = (pi_sj[:, :, None] * other[:, None, :]).reshape(len(pi_sj), -1)
        joint.append(pi_sj)
    P = here.P_sabt if isinstance(here, ZeroSumGame) else here.P_sat
    return here.rho_s, P.reshape(len(P), -1, P.shape[-1]), joint[0], joint[1]


def _drawn(setting: Setting, steps: int, n: int, seed: int, sampler: SamplerKind) -> Trajectories:
    """Trajectories whose first action follows the policy with its columns reversed."""
    x = torch.from_numpy(np.array(setting.x)).unsqueeze(0)
    policies = [torch.from_numpy(np.array(y)).softmax(-1).unsqueeze(0) for y in setting.logits]
    first = [pi.flip(-1) for pi in policies]
    process = lower_process(tensors(setting.problem), x, policies, first)
    source = Independent(torch.Generator().manual_seed(seed))
    return draw(process, Fixed(steps), n, source, sampler=sampler)


def whole(n: int, seed: int, sampler: SamplerKind) -> float:
    """Log e-value of all trajectories of two steps of the tiny problem."""
    setting = default_problems()["tiny"]
    rho_s, P_sjt, first_sj, later_sj = _laws(setting)
    drawn = _drawn(setting, 2, n, seed, sampler)
    s_nh, j_nh = drawn.states_pnh[0].numpy(), drawn.actions_pnh[0].numpy()
    law = np.einsum("s,sj,sjt,tk,tku->sjtku", rho_s, first_sj, P_sjt, later_sj, P_sjt)
    counts = np.zeros_like(law)
    np.add.at(counts, (s_nh[:, 0], j_nh[:, 0], s_nh[:, 1], j_nh[:, 1], s_nh[:, 2]), 1)
    return log_e_value(counts.reshape(1, -1), law.reshape(1, -1))


def step_by_step(name: str, n: int, seed: int, sampler: SamplerKind) -> float:
    """Log e-value of starts, actions and moves of a default problem."""
    setting = default_problems()[name]
    rho_s, P_sjt, first_sj, later_sj = _laws(setting)
    drawn = _drawn(setting, 6, n, seed, sampler)
    s_nh, j_nh = drawn.states_pnh[0].numpy(), drawn.actions_pnh[0].numpy()
    starts = np.bincount(s_nh[:, 0], minlength=len(rho_s)).astype(np.float64)
    acted = [np.zeros_like(first_sj), np.zeros_like(later_sj)]
    moved = np.zeros_like(P_sjt)
    np.add.at(acted[0], (s_nh[:, 0], j_nh[:, 0]), 1)
    np.add.at(acted[1], (s_nh[:, 1:-1], j_nh[:, 1:]), 1)
    np.add.at(moved, (s_nh[:, :-1], j_nh, s_nh[:, 1:]), 1)
    n_states = len(rho_s)
    return (
        log_e_value(starts, rho_s)
        + log_e_value(acted[0], first_sj)
        + log_e_value(acted[1], later_sj)
        + log_e_value(moved.reshape(-1, n_states), P_sjt.reshape(-1, n_states))
    )


def lengths(n: int, seed: int, continuation: float = 0.85, last: int = 40) -> float:
    """Log e-value of the lengths of a random horizon."""
    source = Independent(torch.Generator().manual_seed(seed))
    drawn, _ = Geometric(continuation).lengths(source, (1, n))
    counts: Array = np.bincount(np.minimum(drawn[0].numpy(), last + 1), minlength=last + 2)[1:].astype(
        np.float64
    )
    law = (1.0 - continuation) * continuation ** np.arange(last)
    if (drawn < 1).any():
        return float("inf")
    return log_e_value(counts, np.append(law, continuation**last))
