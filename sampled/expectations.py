r"""Means over trajectories: what penalties and objectives are written in.

A penalty is a difference of values, whoever computes these.  Here they are means of N surrogates, so
that ``penalty.sum()`` differentiates to the estimated gradients of all problems::

    mean = MonteCarlo(Gpomdp(5, LeaveOneOut()), 16, source)
    loss_p = leader_loss(game, x, [pi], mean) + lam * value_penalty(game, x, [pi], [best], mean)
    grad_x, grad_y = torch.autograd.grad(loss_p.sum(), [x, y])

Trajectories of a process whose first step follows another decision are drawn in two pieces.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from sampled.errors import InputError
from sampled.estimators.contract import Estimator
from sampled.horizons import Fixed, Horizon
from sampled.laws import Alias, Sampler, SamplerKind
from sampled.processes import Decision, Process
from sampled.simulator import rollout
from sampled.sources import Source
from sampled.trajectories import Trajectories
from sampled.validation import whole


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of independent trajectories, with weights that average them.

    Attributes
    ----------
    first, second : Trajectories
        Number n of one and of the other are a pair.
    weight_pn : (P, N)
        They sum to one.
    """

    first: Trajectories
    second: Trajectories
    weight_pn: Tensor


class Expectation(Protocol):
    """Values of processes, and pairs of their trajectories."""

    def value(self, process: Process) -> Tensor:
        """J of each problem with its derivatives, estimated or exact; (P,)."""
        ...

    def pairs(self, process: Process, steps: int) -> Pairs:
        """Pairs of trajectories of so many steps."""
        ...


@dataclass(frozen=True, eq=False)
class MonteCarlo:
    """Means over N new trajectories each time.

    Attributes
    ----------
    estimator : Estimator
    n : int
        N; of pairs as well.
    source : Source
        Of the words; two means with the same words have common random numbers.
    sampler : SamplerKind
        Of the policies.

    Raises
    ------
    InputError
        If N is less than the estimator needs.
    """

    estimator: Estimator
    n: int
    source: Source
    sampler: SamplerKind = Alias

    def __post_init__(self) -> None:
        if whole("n", self.n, low=1) < self.estimator.batch:
            raise InputError(f"n is {self.n}; the estimator needs {self.estimator.batch} trajectories")

    def value(self, process: Process) -> Tensor:
        """Mean of the surrogates of N trajectories."""
        batch = draw(process, self.estimator.horizon, self.n, self.source, sampler=self.sampler)
        return self.estimator.surrogate(batch, process).mean(-1)

    def pairs(self, process: Process, steps: int) -> Pairs:
        """N pairs of equal weights."""
        first, second = (
            draw(process, Fixed(steps), self.n, self.source, sampler=self.sampler) for _ in range(2)
        )
        weight_pn = torch.full_like(process.r_psj, 1.0 / self.n, requires_grad=False)
        weight_pn = weight_pn.reshape(weight_pn.shape[0], -1)[:, :1].expand(-1, self.n)
        return Pairs(first, second, weight_pn)


def draw(
    process: Process, horizon: Horizon, n: int, source: Source, *, sampler: SamplerKind = Alias
) -> Trajectories:
    """Draw N trajectories of each problem from a process.

    Parameters
    ----------
    process : Process
    horizon : Horizon
    n : int >= 1
    source : Source
    sampler : SamplerKind
        Of the policies.

    Raises
    ------
    InputError
        If a policy has a row that is not a distribution, or devices are mixed.
    """
    later = _samplers(process.decision, sampler)
    if process.first is process.decision:
        return rollout(process.dynamics, later, horizon, n, source)
    lengths_pn, steps = horizon.lengths(source, (process.dynamics.problems, whole("n", n, low=1)))
    head = rollout(process.dynamics, _samplers(process.first, sampler), Fixed(1), n, source)
    if steps == 1:
        return head
    onward = replace(process.dynamics, start=_Given(head.states_pnh[..., 1], process.dynamics.n_states))
    tail = rollout(onward, later, Fixed(steps - 1), n, source)
    return Trajectories(
        torch.cat((head.states_pnh[..., :1], tail.states_pnh), -1),
        torch.cat((head.actions_pnh, tail.actions_pnh), -1),
        lengths_pn,
        process.dynamics.terminal_ps,
        process.dynamics.n_actions,
    )


def _samplers(decision: Decision, sampler: SamplerKind) -> Sequence[Sampler]:
    return [sampler.of(pi, f"policies[{i}]") for i, pi in enumerate(decision.policies)]


@dataclass(frozen=True, eq=False)
class _Given:
    """States to start from, one of each trajectory, in place of a distribution of them."""

    states_pn: Tensor
    outcomes: int

    @property
    def rows(self) -> int:
        """One of each problem."""
        return self.states_pn.shape[0]

    @property
    def device(self) -> torch.device:
        """Where the states are."""
        return self.states_pn.device

    def draw(self, row_m: Tensor, word_m: Tensor) -> Tensor:  # noqa: ARG002 - the contract's signature
        """Return them all, whatever the words."""
        return self.states_pn.reshape(-1).to(torch.int64, copy=True)
