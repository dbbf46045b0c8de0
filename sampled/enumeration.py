r"""Every trajectory of a small problem with its probability, for exact expectations.

    Pr(s_0, a_0, ..., s_H) = rho(s_0) prod_{h < H} pi(a_h | s_h) P(s_{h+1} | s_h, a_h)

Whatever is computed from a batch of trajectories, weighted by these and summed over n, is an exact
expectation: no randomness is left.  :class:`Everything` is the mean that does so, in the place of
:class:`sampled.expectations.MonteCarlo`.

A batch of two that is coupled, as by a baseline of the other's return, has the product of both
probabilities.  Lengths l of a random horizon that reach the last enumerated step K are cut there, with
P(L >= K): exact if nothing is earned from step K on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Self

import torch
from torch import Tensor

from sampled.errors import InputError
from sampled.estimators.contract import Estimator
from sampled.expectations import Pairs
from sampled.horizons import Geometric
from sampled.processes import Decision, Process
from sampled.simulator import Dynamics
from sampled.trajectories import INDEX, Trajectories
from sampled.validation import provides, whole

MOST = 1 << 24
"""More trajectories than this are not enumerated."""


def every_trajectory(dynamics: Dynamics, steps: int) -> Trajectories:
    """Return all S (J S)^H trajectories of H steps, the same ones for each problem.

    Impossible ones are among them; their probability is zero.

    Parameters
    ----------
    dynamics : Dynamics
    steps : int >= 1
        H.

    Raises
    ------
    InputError
        If there are more than ``MOST``.
    """
    steps = whole("steps", steps, low=1)
    n_states, joint = dynamics.n_states, prod(dynamics.n_actions)
    count = n_states * (joint * n_states) ** steps
    if count > MOST:
        raise InputError(
            f"there are {count} trajectories of {steps} steps; at most {MOST} are enumerated: use fewer "
            "steps, states or actions"
        )
    number = torch.arange(count, device=dynamics.device)
    digits = torch.stack(torch.unravel_index(number, (n_states, *(joint, n_states) * steps)), -1)
    states_nh, actions_nh = digits[:, 0::2].to(INDEX), digits[:, 1::2].to(INDEX)
    return Trajectories(
        states_nh.expand(dynamics.problems, -1, -1),
        actions_nh.expand(dynamics.problems, -1, -1),
        torch.full((dynamics.problems, count), steps, device=dynamics.device),
        dynamics.terminal_ps,
        dynamics.n_actions,
        cut=False,
    )


def probability(trajectories: Trajectories, dynamics: Dynamics, policy_psa: Tensor) -> Tensor:
    """Probability of each trajectory's L steps, given L; differentiable in the policy.

    Parameters
    ----------
    trajectories : Trajectories
    dynamics : Dynamics
        Of the same problems.
    policy_psa : (P, S, A) or (P, S, A, B)
        Joint policy; see :func:`sampled.simulator.joint_policy`.

    Returns
    -------
    (P, N)

    Raises
    ------
    InputError
        If the shapes differ.
    """
    shape = (dynamics.problems, dynamics.n_states, *dynamics.n_actions, dynamics.n_states)
    moves_pnh = trajectories.at_transitions(dynamics.P_psjt.reshape(shape))
    steps_pnh = trajectories.at_actions(policy_psa) * moves_pnh
    taken_pnh = torch.where(trajectories.mask_pnh, steps_pnh, torch.ones_like(steps_pnh))
    return trajectories.at_states(dynamics.rho_ps)[..., 0] * taken_pnh.prod(-1)


@dataclass(frozen=True, eq=False)
class Everything:
    """Means over all trajectories of so many steps: exact expectations.

    Attributes
    ----------
    estimator : Estimator
        If it couples trajectories, there must be one problem only.
    steps : int >= 1
        Those of the estimator; of a random horizon, the longest.

    Raises
    ------
    InputError
        If the estimator is none, or the steps no whole number.
    """

    estimator: Estimator
    steps: int

    def __post_init__(self) -> None:
        provides("estimator", self.estimator, Estimator)
        whole("steps", self.steps, low=1)

    def at(self, k: int, key_p: Tensor) -> Self:  # noqa: ARG002 - the contract's signature
        """Itself, in every iteration."""
        return self

    @property
    def steps_p(self) -> int:
        """Nothing was drawn."""
        return 0

    def value(self, process: Process) -> Tensor:
        """Expectation of the surrogate.

        Raises
        ------
        InputError
            If there are too many trajectories, or several problems and coupled trajectories.
        """
        estimator = self.estimator
        trajectories, weight_pn = self._weighted(process)
        if estimator.batch == 1:
            return (weight_pn * estimator.surrogate(trajectories, process)).sum(-1)
        if process.dynamics.problems != 1:
            raise InputError(
                "the estimator couples trajectories: enumerate the batches of one problem at a time"
            )
        n = trajectories.n
        every = torch.arange(n, device=trajectories.device)
        twos = _batches(trajectories, torch.cartesian_prod(every, every))
        many = _repeated(process, n * n)
        weight_b = (weight_pn[0, :, None] * weight_pn[0]).flatten()
        return (weight_b * estimator.surrogate(twos, many).mean(-1)).sum(-1, keepdim=True)

    def values(self, processes: Sequence[Process]) -> list[Tensor]:
        """Each one's."""
        return [self.value(process) for process in processes]

    def pairs(self, process: Process, steps: int) -> Pairs:
        """Return all pairs, with the product of their probabilities."""
        trajectories = every_trajectory(process.dynamics, steps)
        weight_pn = _chances(process, trajectories)
        every = torch.arange(trajectories.n, device=trajectories.device)
        i, j = torch.cartesian_prod(every, every).unbind(-1)
        return Pairs(_some(trajectories, i), _some(trajectories, j), weight_pn[:, i] * weight_pn[:, j])

    def _weighted(self, process: Process) -> tuple[Trajectories, Tensor]:
        trajectories = every_trajectory(process.dynamics, self.steps)
        weight_pn = _chances(process, trajectories)
        horizon = self.estimator.horizon
        if not isinstance(horizon, Geometric):
            return trajectories, weight_pn
        c, last = horizon.continuation, self.steps
        of_length = [(1.0 - c) * c ** (length - 1) for length in range(1, last)] + [c ** (last - 1)]
        cut = [
            replace(trajectories, lengths_pn=torch.full_like(trajectories.lengths_pn, length))
            for length in range(1, last + 1)
        ]
        return (
            replace(
                trajectories,
                states_pnh=torch.cat([t.states_pnh for t in cut], 1),
                actions_pnh=torch.cat([t.actions_pnh for t in cut], 1),
                lengths_pn=torch.cat([t.lengths_pn for t in cut], 1),
                cut=True,
            ),
            torch.cat([chance * weight_pn for chance in of_length], 1),
        )


def _chances(process: Process, trajectories: Trajectories) -> Tensor:
    """Probability of each trajectory, all of its steps, (P, N)."""
    dynamics = process.dynamics
    joint = [_joint(decision) for decision in (process.first, process.decision)]
    head, tail = (trajectories.at_actions(pi_psj) for pi_psj in joint)
    taken_pnh = torch.cat((head[..., :1], tail[..., 1:]), -1)
    shape = (dynamics.problems, dynamics.n_states, *dynamics.n_actions, dynamics.n_states)
    moves_pnh = trajectories.at_transitions(dynamics.P_psjt.reshape(shape))
    return trajectories.at_states(dynamics.rho_ps)[..., 0] * (taken_pnh * moves_pnh).prod(-1)


def _joint(decision: Decision) -> Tensor:
    """Joint policy (P, S, A) or (P, S, A, B)."""
    pi, *others = (pi.detach() for pi in decision.policies)
    for other in others:
        pi = pi.unsqueeze(-1) * other[:, :, *(None,) * (pi.ndim - 2)]
    return pi


def _repeated(process: Process, times: int) -> Process:
    """So many copies of one problem's process."""

    def copies(decision: Decision) -> Decision:
        policies = tuple(pi.expand(times, -1, -1) for pi in decision.policies)
        return Decision(policies, decision.bonus_ps.expand(times, -1))

    some = process.dynamics
    dynamics = replace(
        some,
        P_psjt=some.P_psjt.expand(times, -1, -1, -1),
        rho_ps=some.rho_ps.expand(times, -1),
        terminal_ps=some.terminal_ps.expand(times, -1),
    )
    decision = copies(process.decision)
    return Process(
        dynamics,
        process.r_psj.expand(times, *process.r_psj.shape[1:]),
        process.gamma,
        decision,
        decision if process.first is process.decision else copies(process.first),
        None if process.P_psjt is None else process.P_psjt.expand(times, *process.P_psjt.shape[1:]),
    )


def _some(trajectories: Trajectories, n: Tensor) -> Trajectories:
    return replace(
        trajectories,
        states_pnh=trajectories.states_pnh[:, n],
        actions_pnh=trajectories.actions_pnh[:, n],
        lengths_pn=trajectories.lengths_pn[:, n],
    )


def _batches(trajectories: Trajectories, index_bk: Tensor) -> Trajectories:
    """Batches (B, K) of one problem's trajectories, each batch as a problem."""
    return replace(
        trajectories,
        states_pnh=trajectories.states_pnh[0][index_bk],
        actions_pnh=trajectories.actions_pnh[0][index_bk],
        lengths_pn=trajectories.lengths_pn[0][index_bk],
        terminal_ps=trajectories.terminal_ps.expand(index_bk.shape[0], -1),
    )
