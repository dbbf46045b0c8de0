r"""Means over trajectories: what penalties and objectives are written in.

A penalty is a difference of values, whoever computes these.  Here they are means of N surrogates, so
that ``penalty.sum()`` differentiates to the estimated gradients of all problems::

    mean = MonteCarlo(Gpomdp(5, LeaveOneOut()), 16, source)
    loss_p = leader_loss(game, x, [pi], mean) + lam * value_penalty(game, x, [pi], [best], mean)
    grad_x, grad_y = torch.autograd.grad(loss_p.sum(), [x, y])

Trajectories of processes with the same dynamics are drawn together; those with the same policies, too,
are drawn once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from sampled.errors import InputError
from sampled.estimators.contract import Estimator
from sampled.horizons import Fixed, Horizon
from sampled.laws import Alias, KnownSums, RunningSums, Sampler, SamplerKind, sampler_kind
from sampled.processes import Decision, Process
from sampled.simulator import Dynamics, rollouts
from sampled.sources import Antithetic, Counter, Source
from sampled.trajectories import Trajectories
from sampled.validation import provides, whole


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


@runtime_checkable
class Expectation(Protocol):
    """Values of processes, and pairs of their trajectories."""

    def value(self, process: Process) -> Tensor:
        """J of each problem with its derivatives, estimated or exact; (P,)."""
        ...

    def values(self, processes: Sequence[Process]) -> list[Tensor]:
        """J of each process; they may have trajectories in common."""
        ...

    def pairs(self, process: Process, steps: int) -> Pairs:
        """Pairs of trajectories of so many steps."""
        ...


Term = tuple[float, Process]
"""A coefficient and a process."""


def combined(terms: Sequence[Term], mean: Expectation) -> Tensor:
    """Sum of the values of processes, each times its coefficient; (P,).

    Raises
    ------
    InputError
        If there are none.
    """
    if not terms:
        raise InputError("there are no terms to add up: give one pair (coefficient, process) at least")
    values = mean.values([process for _, process in terms])
    parts = [coefficient * value for (coefficient, _), value in zip(terms, values, strict=True)]
    return torch.stack(parts).sum(0)


def enough(estimator: Estimator, n: int) -> None:
    """Check that N trajectories are enough for an estimator.

    Raises
    ------
    InputError
        If it is none, or N is less than it needs.
    """
    provides("estimator", estimator, Estimator)
    if whole("n", n, low=1) < estimator.batch:
        raise InputError(f"n is {n}; the estimator needs {estimator.batch} trajectories")


@dataclass(eq=False)
class Tally:
    """Counts environment steps.

    Attributes
    ----------
    steps_p : (P,) int64, or int
        Steps of each problem so far.
    """

    steps_p: Tensor | int = 0

    def add(self, trajectories: Trajectories, dynamics: Dynamics) -> None:
        """Count the steps of a batch that followed the dynamics."""
        counted = trajectories.cut or dynamics.absorbs
        more = trajectories.steps_p if counted else trajectories.n * trajectories.horizon
        self.steps_p = self.steps_p + more


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
    shared : bool
        Whether processes with the same dynamics and policies are estimated from the same trajectories
        in :meth:`values`: what a step earns is known for all of them.
    tally : Tally
        Of the steps drawn.

    Raises
    ------
    InputError
        If N is less than the estimator needs, or it couples trajectories and the words are antithetic.
    """

    estimator: Estimator
    n: int
    source: Source
    sampler: SamplerKind = Alias
    shared: bool = True
    tally: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        enough(self.estimator, self.n)
        sampler_kind("sampler", self.sampler)
        if self.estimator.batch > 1 and isinstance(self.source, Antithetic):
            raise InputError(
                "the estimator couples trajectories, of which antithetic words make dependent pairs, so "
                "that its expectation would be another: use independent words, or another baseline"
            )

    def value(self, process: Process) -> Tensor:
        """Mean of the surrogates of N trajectories."""
        return self.values((process,))[0]

    def values(self, processes: Sequence[Process]) -> list[Tensor]:
        """Means of the surrogates of N trajectories of each distinct law, or of each process."""
        laws = [_law(process) if self.shared else (object(),) for process in processes]
        drawn = self._drawn(dict(zip(laws, processes, strict=True)))
        surrogate = self.estimator.surrogate
        return [
            surrogate(drawn[law], process).mean(-1) for law, process in zip(laws, processes, strict=True)
        ]

    def _drawn(
        self, distinct: Mapping[tuple[object, ...], Process]
    ) -> dict[tuple[object, ...], Trajectories]:
        """Trajectories of each law; those with the same dynamics at once."""
        moving: dict[tuple[int, int], list[tuple[object, ...]]] = {}
        for law, process in distinct.items():
            moving.setdefault(_motion(process), []).append(law)
        found: dict[tuple[object, ...], Trajectories] = {}
        for laws in moving.values():
            together = [distinct[law] for law in laws]
            batches = draws(together, self.estimator.horizon, self.n, self.source, sampler=self.sampler)
            for batch, law in zip(batches, laws, strict=True):
                self.tally.add(batch, together[0].dynamics)
                found[law] = batch
        return found

    @property
    def steps_p(self) -> Tensor | int:
        """Environment steps of each problem drawn so far."""
        return self.tally.steps_p

    def _draw(self, process: Process, horizon: Horizon) -> Trajectories:
        batch = draw(process, horizon, self.n, self.source, sampler=self.sampler)
        self.tally.add(batch, process.dynamics)
        return batch

    def pairs(self, process: Process, steps: int) -> Pairs:
        """N pairs of equal weights."""
        first, second = (self._draw(process, Fixed(steps)) for _ in range(2))
        weight_pn = torch.full_like(process.r_psj, 1.0 / self.n, requires_grad=False)
        weight_pn = weight_pn.reshape(weight_pn.shape[0], -1)[:, :1].expand(-1, self.n)
        return Pairs(first, second, weight_pn)


def _motion(process: Process) -> tuple[int, int]:
    """The dynamics of a process, by identity."""
    return id(process.dynamics.start), id(process.dynamics.kernel)


def _law(process: Process) -> tuple[object, ...]:
    """What the trajectories of a process depend on, by identity."""
    policies = (*process.first.policies, *process.decision.policies)
    return *_motion(process), *(pi.data_ptr() for pi in policies)


@runtime_checkable
class Counted(Expectation, Protocol):
    """An expectation that counts environment steps."""

    @property
    def steps_p(self) -> Tensor | int:
        """Environment steps drawn so far, (P,) or the same for all."""
        ...


@runtime_checkable
class Sampling(Protocol):
    """How an algorithm estimates."""

    @property
    def estimator(self) -> Estimator:
        """What is made of trajectories."""
        ...

    def at(self, k: int, key_p: Tensor) -> Counted:
        """Return the expectation that iteration k uses; a function of k and the keys."""
        ...


@dataclass(frozen=True)
class Samples:
    """How an algorithm estimates: N trajectories of each law, new ones in each iteration.

    Attributes
    ----------
    estimator : Estimator
    n : int
    shared : bool
        See :class:`MonteCarlo`.
    sampler : SamplerKind
        Of the policies.

    Raises
    ------
    InputError
        If N is less than the estimator needs.
    """

    estimator: Estimator
    n: int
    shared: bool = True
    sampler: SamplerKind = RunningSums

    def __post_init__(self) -> None:
        enough(self.estimator, self.n)
        sampler_kind("sampler", self.sampler)

    def at(self, k: int, key_p: Tensor) -> MonteCarlo:
        """Return the mean of iteration k, whose words are those of the keys and k."""
        # Algorithms check their policies when they start.
        sampler = KnownSums if self.sampler is RunningSums else self.sampler
        return MonteCarlo(self.estimator, self.n, Counter(key_p, k), sampler, self.shared)


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
    return draws((process,), horizon, n, source, sampler=sampler)[0]


def draws(
    processes: Sequence[Process],
    horizon: Horizon,
    n: int,
    source: Source,
    *,
    sampler: SamplerKind = Alias,
) -> list[Trajectories]:
    """Draw N trajectories of each problem from each process; all have the dynamics of the first.

    Parameters
    ----------
    processes : sequence of Process
    horizon, n, source, sampler
        As in :func:`draw`.

    Raises
    ------
    InputError
        As :func:`draw`; also if there are none, or their dynamics differ.
    """
    if not processes:
        raise InputError("there are no processes to draw from: give one at least")
    motions = {_motion(process) for process in processes}
    if len(motions) > 1:
        raise InputError(
            f"the processes follow {len(motions)} different dynamics; only those with the same are "
            "drawn together: draw the others by themselves"
        )
    later = _samplers([process.decision for process in processes], sampler)
    first = None
    if any(process.first is not process.decision for process in processes):
        first = _samplers([process.first for process in processes], sampler)
    dynamics = processes[0].dynamics
    return rollouts(dynamics, later, horizon, n, source, first=first, walks=len(processes))


def _samplers(decisions: Sequence[Decision], sampler: SamplerKind) -> Sequence[Sampler]:
    """One sampler per player, with the rows of all decisions one after the other."""
    players = zip(*(decision.policies for decision in decisions), strict=True)
    return [
        sampler.of(own[0] if len(own) == 1 else torch.cat(own), f"policies[{i}]")
        for i, own in enumerate(players)
    ]
