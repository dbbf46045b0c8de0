r"""Actor-critic with generalised advantages (Schulman et al. 2016), regularised.

With a critic v that was made without the batch, and c_h = r_h - tau h_{s_h}(pi(s_h))::

    delta_h = c_h + gamma v(s_{h+1}) - v(s_h)
    A_h     = sum_{k=h}^{H-1} (gamma lambda)^{k-h} delta_k
    scores    w_h A_h grad log pi(a_h|s_h),      w_h = gamma^h, or 1 as is common in practice

The last state's value counts: after H steps a trajectory is cut off, it has not ended.  A terminal state
has a value, too, that of its regularisation.  The critic (:mod:`sampled.critics`) learns from the same
numbers, v_h^lambda = v(s_h) + A_h, for the next batch.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from sampled.critics import Critic, Linear, Tabular
from sampled.estimators.contract import Estimator, EstimatorKind, Target, of_steps, powers
from sampled.horizons import Fixed
from sampled.processes import Process
from sampled.trajectories import Trajectories
from sampled.validation import number, one_dtype, provides


@dataclass(frozen=True, eq=False)
class ActorCritic:
    """H steps, with a critic for what follows them.

    Attributes
    ----------
    steps : int
        H.
    critic : Critic
        v, tabular or linear.
    trace : float in [0, 1]
        lambda: 1 to measure all H steps, 0 to measure one.
    discounted : bool
        Whether the weight of step h is gamma^h.

    Raises
    ------
    InputError
        If H or lambda is outside its range, or the critic is none.
    """

    steps: int
    critic: Critic
    trace: float = 0.95
    discounted: bool = True

    def __post_init__(self) -> None:
        Fixed(self.steps)
        provides("critic", self.critic, Critic)
        number("trace", self.trace, low=0.0, high=1.0)

    @property
    def critic_ps(self) -> Tensor:
        """v, (P, S)."""
        return self.critic.values_ps

    @property
    def target(self) -> Target:
        """H steps and the critic."""
        return Target(self.steps, self.discounted, self.trace, self.critic_ps)

    @property
    def horizon(self) -> Fixed:
        """H steps."""
        return Fixed(self.steps)

    @property
    def batch(self) -> int:
        """One will do."""
        return 1

    def surrogate(self, trajectories: Trajectories, process: Process) -> Tensor:
        """Return the weighted sum, with the critic's value of the last state, and its scores."""
        of_steps(trajectories, self.steps)
        earned_pnh = process.earned(trajectories)
        gain_pnh = self._advantages(trajectories, earned_pnh, process.gamma)
        weight_h = powers(process.gamma if self.discounted else 1.0, earned_pnh)
        tail_pn = trajectories.at_states(self.critic_ps)[..., -1]
        last = process.gamma**self.steps if self.discounted else 1.0
        scored_pnh = earned_pnh + gain_pnh * process.score(trajectories)
        return (weight_h * scored_pnh).sum(-1) + last * tail_pn

    def advantages(self, trajectories: Trajectories, process: Process) -> Tensor:
        """A_h, shape (P, N, H); without derivatives."""
        of_steps(trajectories, self.steps)
        return self._advantages(trajectories, process.earned(trajectories), process.gamma)

    def learned(self, trajectories: Trajectories, process: Process, step: float) -> Self:
        """Return the estimator with the critic after one step on a batch."""
        gain_pnh = self.advantages(trajectories, process)
        return replace(self, critic=self.critic.learned(trajectories, gain_pnh, step))

    def _advantages(self, trajectories: Trajectories, earned_pnh: Tensor, gamma: float) -> Tensor:
        one_dtype(critic_ps=self.critic_ps, earnings=earned_pnh)
        value_pnh = trajectories.at_states(self.critic_ps)
        delta_pnh = earned_pnh.detach() + gamma * value_pnh[..., 1:] - value_pnh[..., :-1]
        decay_kh = _decay(gamma * self.trace, delta_pnh)
        return delta_pnh @ decay_kh


def _decay(rate: float, like_pnh: Tensor) -> Tensor:
    """rate^(k-h) for k >= h, else 0; (H, H)."""
    step_h = torch.arange(like_pnh.shape[-1], device=like_pnh.device)
    later_kh = step_h.unsqueeze(-1) - step_h
    return torch.pow(rate, later_kh.clamp(min=0).to(like_pnh.dtype)).tril()


def _variants(steps: int, values_ps: Tensor) -> Mapping[str, Estimator]:
    table = Tabular(values_ps)
    features_psk = torch.stack((torch.ones_like(values_ps), values_ps), -1)
    linear = Linear(features_psk, torch.full_like(features_psk[:, 0], 0.6))
    return {
        "measured": ActorCritic(steps, table, trace=1.0),
        "generalised": ActorCritic(steps, table, trace=0.6),
        "one step": ActorCritic(steps, table, trace=0.0),
        "undiscounted weights": ActorCritic(steps, table, trace=0.6, discounted=False),
        "zero critic": ActorCritic(steps, Tabular(torch.zeros_like(values_ps)), trace=0.6),
        "linear critic": ActorCritic(steps, linear, trace=0.6),
    }


ESTIMATOR = EstimatorKind("actor-critic", "Schulman et al. 2016", _variants)
