"""Exact expectations by dynamic programmes, beside those of :class:`sampled.enumeration.Everything`.

The programmes are written out here from the arrays of ``reference``'s problems and differentiated by
autograd; they share nothing with ``sampled``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reference.regularizers import KLDivergence, NegativeEntropy, Quadratic, Weighted
from sampled.estimators.contract import Target
from sampled.processes import Decision, Process
from sampled.trajectories import Trajectories

# Every trajectory through the torch code: its probability by another route than the package's.


def joint(decision: Decision) -> Tensor:
    """Joint policy (P, S, J)."""
    pi = decision.policies[0]
    for other in decision.policies[1:]:
        pi = (pi.unsqueeze(-1) * other.unsqueeze(-2)).flatten(2)
    return pi.detach()


def chances(process: Process, trajectories: Trajectories) -> Tensor:
    """Probability of each trajectory, all of its steps, (P, N)."""
    p = torch.arange(process.dynamics.problems)[:, None]
    s, a = trajectories.states_pnh.long(), trajectories.actions_pnh.long()
    chance = process.dynamics.rho_ps[p, s[..., 0]]
    for h in range(trajectories.horizon):
        pi = joint(process.first if h == 0 else process.decision)
        chance = chance * pi[p, s[..., h], a[..., h]]
        chance = chance * process.dynamics.P_psjt[p, s[..., h], a[..., h], s[..., h + 1]]
    return chance


# Dynamic programmes, one problem at a time.


@dataclass(frozen=True, eq=False)
class Chain:
    """Law and earnings of one problem, differentiable; the first step has its own policy and bonus."""

    rho_s: Tensor
    P_sjt: Tensor
    gamma: float
    pi_sj: Tensor
    c_sj: Tensor
    first_sj: Tensor
    first_c_sj: Tensor

    def step(self, h: int) -> tuple[Tensor, Tensor]:
        return (self.first_sj, self.first_c_sj) if h == 0 else (self.pi_sj, self.c_sj)


def value(chain: Chain, steps: int) -> Tensor:
    """E sum_{h < H} gamma^h c_h."""
    mu_s, total = chain.rho_s, torch.zeros((), dtype=torch.float64)
    for h in range(steps):
        pi, c = chain.step(h)
        total = total + chain.gamma**h * torch.einsum("s,sj,sj->", mu_s, pi, c)
        mu_s = torch.einsum("s,sj,sjt->t", mu_s, pi, chain.P_sjt)
    return total


def claimed(chain: Chain, target: Target, steps: int, p: int) -> Tensor:
    """A number whose gradient is the target's expectation, step by step as its definition says."""
    nothing = torch.zeros_like(chain.rho_s)
    v_s = nothing if target.critic_ps is None else target.critic_ps[p]
    ahead, v_next = [], v_s
    for h in reversed(range(steps)):
        pi, c = (table.detach() for table in chain.step(h))
        ahead.append((1.0 - target.trace) * v_s + target.trace * v_next)
        q_sj = c + chain.gamma * chain.P_sjt.detach() @ ahead[-1]
        v_next = (pi * q_sj).sum(-1)
    mu_s, total = chain.rho_s, torch.zeros((), dtype=torch.float64)
    for h, z_t in enumerate(reversed(ahead)):
        pi, c = chain.step(h)
        weight = chain.gamma**h if target.discounted else 1.0
        here_s = (pi * (c + chain.gamma * chain.P_sjt @ z_t)).sum(-1)
        total = total + weight * (mu_s * here_s).sum()
        mu_s = torch.einsum("s,sj,sjt->t", mu_s, pi.detach(), chain.P_sjt.detach())
    return total


def tensor(array: Any) -> Tensor:
    return torch.tensor(np.asarray(array), dtype=torch.float64)


def h_of(rule: Any, pi_sa: Tensor) -> Tensor:
    """Regularisers, written out; (S,)."""
    match rule:
        case NegativeEntropy():
            return (pi_sa * pi_sa.log()).sum(-1)
        case KLDivergence(reference_sa=m):
            return (pi_sa * (pi_sa.log() - tensor(m).log())).sum(-1)
        case Quadratic():
            return 0.5 * (pi_sa * pi_sa).sum(-1)
        case Weighted(base=base, weight_s=w):
            weighted: Tensor = tensor(w) * h_of(base, pi_sa)
            return weighted
    raise AssertionError(rule)


def _reward(reward: Any, x: Tensor) -> Tensor:
    match type(reward).__name__:
        case "LinearReward":
            features: Tensor = torch.tensordot(x, tensor(reward.features_isa), x.ndim)
            return tensor(reward.offset_sa) + features
        case "BoundedIncentive":
            return tensor(reward.r_sa) + float(reward.scale) * x.sigmoid()
    raise AssertionError(reward)


def _kernel(kernel: Any, x: Tensor) -> Tensor:
    match type(kernel).__name__:
        case "FixedKernel":
            return tensor(kernel.P_sat)
        case "SoftmaxKernel":
            tilt = torch.tensordot(x, tensor(kernel.features_isat), x.ndim)
            return torch.softmax(tensor(kernel.logits_sat) + tilt, -1)
    raise AssertionError(kernel)


def mdp_chain(family: Any, x: Tensor, pi: Tensor, first: Tensor | None = None) -> Chain:
    """A parametric MDP."""
    r_sa = _reward(family.reward, x)

    def c(own: Tensor) -> Tensor:
        return r_sa - float(family.tau) * h_of(family.regularizer, own)[:, None]

    start = pi if first is None else first
    P_sat = _kernel(family.kernel, x)
    return Chain(tensor(family.rho_s), P_sat, family.gamma, pi, c(pi), start, c(start))


def fixed_chain(mdp: Any, pi: Tensor) -> Chain:
    """An MDP without parameters."""
    c_sa = tensor(mdp.r_sa) - mdp.tau * h_of(mdp.regularizer, pi)[:, None]
    return Chain(tensor(mdp.rho_s), tensor(mdp.P_sat), mdp.gamma, pi, c_sa, pi, c_sa)


def pairs_of(pi_sa: Tensor, pi_sb: Tensor) -> Tensor:
    return torch.einsum("sa,sb->sab", pi_sa, pi_sb).flatten(1)


def game_chain(family: Any, x: Tensor, pi_1: Tensor, pi_2: Tensor) -> Chain:
    """A parametric zero-sum game, as player 1 sees it."""
    some = family.at(x.detach().numpy())
    bonus = h_of(some.regularizer_2, pi_2) - h_of(some.regularizer_1, pi_1)
    c = _reward(family.reward, x).flatten(1) + some.tau * bonus[:, None]
    kernel = _kernel(family.kernel, x)
    pi = pairs_of(pi_1, pi_2)
    return Chain(tensor(some.rho_s), kernel, some.gamma, pi, c, pi, c)


def follower_chain(game: Any, x: Tensor, pi_b: Tensor, first: Tensor | None = None) -> Chain:
    pi_a = torch.softmax(x, -1)

    def c(own: Tensor) -> Tensor:
        paid_s = float(game.tau) * h_of(game.regularizer, own)
        return tensor(game.r_follower_sab).flatten(1) - paid_s[:, None]

    start = pi_b if first is None else first
    P_sjt = tensor(game.P_sabt).flatten(1, 2)
    pi, begin = pairs_of(pi_a, pi_b), pairs_of(pi_a, start)
    return Chain(tensor(game.rho_s), P_sjt, game.gamma, pi, c(pi_b), begin, c(start))


def leader_chain(game: Any, x: Tensor, pi_b: Tensor) -> Chain:
    pi_a = torch.softmax(x, -1)
    own = game.tau_leader * h_of(game.regularizer_leader, pi_a)
    c = tensor(game.r_leader_sab).flatten(1) - own[:, None]
    pi = pairs_of(pi_a, pi_b)
    return Chain(tensor(game.rho_s), tensor(game.P_sabt).flatten(1, 2), game.gamma, pi, c, pi, c)


def designer_chain(design: Any, pi_1: Tensor, pi_2: Tensor) -> Chain:
    some = design.at(np.zeros(design.domain.shape))
    c = (tensor(design.r_design_sab) - tensor(design.cost_s)[:, None, None]).flatten(1)
    pi = pairs_of(pi_1, pi_2)
    P_sjt = tensor(design.P_design_sabt).flatten(1, 2)
    return Chain(tensor(some.rho_s), P_sjt, some.gamma, pi, c, pi, c)


# Comparison.


def gradients(total: Tensor, parameters: Sequence[Tensor]) -> tuple[Tensor, ...]:
    return torch.autograd.grad(
        total, parameters, retain_graph=True, allow_unused=True, materialize_grads=True
    )


def rounding(
    largest: float, slope: float, count: int, steps: int, dtype: torch.dtype = torch.float64
) -> float:
    """Bound on the rounding of a mean of surrogates' derivatives over ``count`` trajectories.

    The derivative of one is a sum over its steps of a return, at most H times the largest earning,
    times a score, and of the derivatives of earnings: in absolute value at most
    H (H largest) slope if ``slope`` bounds scores and relative derivatives.  The weights sum to one.
    A sum of n terms in any order errs by at most n units of the sum of absolute values, each term by
    a few units per factor: probability, softmax, logarithm, weight.
    """
    size = steps * steps * largest * slope
    return float(torch.finfo(dtype).eps) * (count + 64 * steps) * size
