r"""Many estimates at once, by the code that is audited: one row per batch of trajectories.

A quantity of :mod:`sampled` is a combination sum_k m_k J_k of values of processes, whatever computes
these; its processes and multiples are recorded by an expectation that only takes notes.  One estimate
is then the gradient of sum_k m_k mean_n surrogate_k(trajectory n).  To have it for each of many
batches, the trajectories of one rollout of a process are regrouped, one batch per row, and the
estimator is given as many copies of the process, whose tables (policies, bonuses, rewards,
transitions) are leaves.  The chain rule from these tables to the parameters is linear, and the same
for all rows: one product with a matrix that autograd computes once.

That these rows are what :class:`sampled.expectations.MonteCarlo` returns is held to it, on the same
trajectories, by :meth:`Walks.anchored`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from reference.validation import Array
from sampled.estimators.contract import Estimator, Target
from sampled.expectations import Expectation, MonteCarlo, Pairs, draw
from sampled.horizons import Horizon
from sampled.laws import InverseCdf
from sampled.processes import Decision, Process
from sampled.sources import Independent
from sampled.trajectories import Trajectories
from verify.audit.quantities import Quantity
from verify.audit.ranges import estimate_range, jacobian

Make = Callable[[int], Estimator]
"""An estimator for so many copies of a problem: its critic has one row for each."""


@dataclass(frozen=True, eq=False)
class Notes:
    """An expectation that records processes; each value is zero."""

    processes: list[Process] = field(default_factory=list)
    zeros: list[Tensor] = field(default_factory=list)

    def value(self, process: Process) -> Tensor:
        """Note a process."""
        zero_p = torch.zeros(process.dynamics.problems, dtype=process.r_psj.dtype, requires_grad=True)
        self.processes.append(process)
        self.zeros.append(zero_p)
        return zero_p

    def values(self, processes: Sequence[Process]) -> list[Tensor]:
        """Note several."""
        return [self.value(process) for process in processes]

    def pairs(self, process: Process, steps: int) -> Pairs:
        """Refuse: pairs are no values."""
        raise NotImplementedError("a quantity of pairs is no combination of values")


@dataclass(frozen=True, eq=False)
class Noted:
    """An estimator that notes the trajectories that it is given."""

    estimator: Estimator
    seen: list[Trajectories] = field(default_factory=list)

    @property
    def target(self) -> Target:
        """That of the estimator."""
        return self.estimator.target

    @property
    def horizon(self) -> Horizon:
        """That of the estimator."""
        return self.estimator.horizon

    @property
    def batch(self) -> int:
        """That of the estimator."""
        return self.estimator.batch

    def surrogate(self, trajectories: Trajectories, process: Process) -> Tensor:
        """Note the trajectories and pass them on."""
        self.seen.append(trajectories)
        return self.estimator.surrogate(trajectories, process)


@dataclass(frozen=True, eq=False)
class Walk:
    """One of a quantity's processes.

    Attributes
    ----------
    multiple : float
    process : Process
        Of one problem, without derivatives.
    tables : tuple of Tensor
        Those of its tables that depend on a parameter, (1, ...) each.
    chain_ki : (K, I)
        Their derivatives in the parameters, entry by entry.
    rebuild : callable
        From such tables, (R, ...) each, and R to the process of R copies.
    """

    multiple: float
    process: Process
    tables: tuple[Tensor, ...]
    chain_ki: Tensor
    rebuild: Callable[[Sequence[Tensor], int], Process]

    def gradients(self, make: Make, batch: int, rows: int, generator: torch.Generator) -> Tensor:
        """One estimate per row, (R, I)."""
        horizon, source = make(1).horizon, Independent(generator)
        together = draw(self.process, horizon, rows * batch, source, sampler=InverseCdf)
        return self.of(together, make(rows), rows, batch)

    def of(self, together: Trajectories, estimator: Estimator, rows: int, batch: int) -> Tensor:
        """The estimates of trajectories of one problem, so many per row; (R, I)."""
        leaves = [t.expand(rows, *t.shape[1:]).clone().requires_grad_() for t in self.tables]
        process = self.rebuild(leaves, rows)
        total = estimator.surrogate(_regrouped(together, rows, batch), process).mean(-1).sum()
        if not total.requires_grad:
            return torch.zeros(rows, self.chain_ki.shape[1], dtype=self.chain_ki.dtype)
        parts = torch.autograd.grad(total, leaves, allow_unused=True, materialize_grads=True)
        flat_rk = torch.cat([part.reshape(rows, -1) for part in parts], 1)
        return self.multiple * (flat_rk @ self.chain_ki)


def _regrouped(together: Trajectories, rows: int, batch: int) -> Trajectories:
    """R N trajectories of one problem as N of each of R copies."""
    steps = together.horizon
    return replace(
        together,
        states_pnh=together.states_pnh.reshape(rows, batch, steps + 1),
        actions_pnh=together.actions_pnh.reshape(rows, batch, steps),
        lengths_pn=together.lengths_pn.reshape(rows, batch),
        terminal_ps=together.terminal_ps.expand(rows, -1),
    )


def _walk(process: Process, multiple: float, parameters: Sequence[Tensor]) -> Walk:
    """Split a process into its tables, and remember how to put it together."""
    some, own, start = process.dynamics, process.decision, process.first
    decisions = [own] if start is own else [own, start]
    named: dict[str, Tensor] = {"r": process.r_psj}
    for i, decision in enumerate(decisions):
        named |= {f"pi{i}{k}": pi for k, pi in enumerate(decision.policies)}
        named[f"bonus{i}"] = decision.bonus_ps
    if process.P_psjt is not None:
        named["P"] = process.P_psjt
    moving = {name: table for name, table in named.items() if table.requires_grad}
    fixed = {name: table.detach() for name, table in named.items()}
    chain = [torch.from_numpy(jacobian(t, parameters)) for t in moving.values()]
    count = sum(p.numel() for p in parameters)
    none = torch.zeros(0, count, dtype=process.r_psj.dtype)
    chain_ki = torch.cat([none, *(jac.reshape(count, -1).T for jac in chain)])

    def rebuild(leaves: Sequence[Tensor], rows: int) -> Process:
        given = {n: t.expand(rows, *t.shape[1:]) for n, t in fixed.items()}
        given |= dict(zip(moving, leaves, strict=True))
        made = []
        for i, decision in enumerate(decisions):
            policies = tuple(given[f"pi{i}{k}"] for k in range(len(decision.policies)))
            made.append(Decision(policies, given[f"bonus{i}"]))
        dynamics = replace(
            some,
            P_psjt=some.P_psjt.expand(rows, -1, -1, -1),
            rho_ps=some.rho_ps.expand(rows, -1),
            absorbing_ps=some.absorbing_ps.expand(rows, -1),
            terminal_ps=some.terminal_ps.expand(rows, -1),
        )
        return Process(dynamics, given["r"], process.gamma, made[0], made[-1], given.get("P"))

    tables = tuple(table.detach() for table in moving.values())
    return Walk(multiple, rebuild(tables, 1), tables, chain_ki, rebuild)


@dataclass(frozen=True, eq=False)
class Walks:
    """A quantity at a point, estimated by an estimator; build it with :meth:`of`.

    Attributes
    ----------
    quantity : Quantity
    problem : problem of ``sampled``
        One.
    x : (1, *shape)
    logits : tuple of (1, S, A)
    companions : tuple of (1, S, A)
    make : callable
    batch : int
        Trajectories of a row, of each process.
    walks : tuple of Walk
    low, high : (I,)
        Computed range of an estimate.
    size : (I,)
        Largest sum of the sizes of an estimate's terms.
    """

    quantity: Quantity
    problem: object
    x: Tensor
    logits: tuple[Tensor, ...]
    companions: tuple[Tensor, ...]
    make: Make
    batch: int
    walks: tuple[Walk, ...]
    low: Array
    high: Array
    size: Array

    @classmethod
    def of(
        cls,
        quantity: Quantity,
        problem: object,
        point: tuple[Array, tuple[Array, ...], tuple[Array, ...]],
        make: Make,
        batch: int,
    ) -> "Walks":
        """Record the processes at a point (x, logits, companions), and compute the range."""
        x, logits, companions = (
            leaf(point[0]),
            tuple(map(leaf, point[1])),
            tuple(torch.from_numpy(np.array(pi)).unsqueeze(0) for pi in point[2]),
        )
        notes = Notes()
        policies = tuple(y.softmax(-1) for y in logits)
        total = quantity.estimate(problem, x, policies, companions, notes)
        multiples = torch.autograd.grad(total.sum(), notes.zeros)
        parameters = ((x,) if quantity.moves_x else ()) + logits
        zero = np.zeros(sum(p.numel() for p in parameters))
        low, high, size, walks = zero, zero, zero, []
        for process, multiple in zip(notes.processes, multiples, strict=True):
            m = float(multiple)
            ends = [m * end for end in estimate_range(make(1), process, parameters)]
            low, high = low + np.minimum(*ends[:2]), high + np.maximum(*ends[:2])
            size = size + np.abs(ends[2])
            walks.append(_walk(process, m, parameters))
        return cls(quantity, problem, x, logits, companions, make, batch, tuple(walks), low, high, size)

    def draw(self, rows: int, generator: torch.Generator) -> Array:
        """Independent estimates, (R, I): x first, then each player's logits.

        All processes of a row see the same words: common random numbers.  Each still has its own law,
        so that expectations are the same; walks that hardly differ nearly cancel.
        """
        start, total = generator.get_state(), np.zeros((rows, self.low.size))
        for walk in self.walks:
            generator.set_state(start)
            total += walk.gradients(self.make, self.batch, rows, generator).numpy()
        return total

    def draw_as_called(self, rows: int, generator: torch.Generator) -> Array:
        """The same from trajectories that ``MonteCarlo`` draws, of all processes at once."""
        noted = Noted(self.make(1))
        with torch.no_grad():
            self._estimate(
                MonteCarlo(noted, rows * self.batch, Independent(generator), InverseCdf),
                self.x,
                self.logits,
            )
        return np.asarray(self._of(noted.seen, rows).numpy())

    def _of(self, seen: Sequence[Trajectories], rows: int) -> Tensor:
        """Estimates of the trajectories of each process, (R, I)."""
        total = torch.zeros(rows, self.low.size, dtype=torch.float64)
        for walk, together in zip(self.walks, seen, strict=True):
            total += walk.of(together, self.make(rows), rows, self.batch)
        return total

    def _estimate(self, mean: Expectation, x: Tensor, logits: Sequence[Tensor]) -> Tensor:
        policies = tuple(y.softmax(-1) for y in logits)
        return self.quantity.estimate(self.problem, x, policies, self.companions, mean)

    def anchored(self, rows: int, seed: int) -> tuple[Array, Array]:
        """The mean over rows, and what ``MonteCarlo`` made of the same trajectories; (I,) each.

        They agree up to rounding.  A batch that is coupled within is compared one at a time.
        """
        rows = rows if self.batch == 1 else 1
        noted = Noted(self.make(1))
        source = Independent(torch.Generator().manual_seed(seed))
        called = self.gradient(MonteCarlo(noted, rows * self.batch, source, InverseCdf))
        return np.asarray(self._of(noted.seen, rows).mean(0).numpy()), called

    def gradient(self, mean: Expectation) -> Array:
        """Gradient of the estimate, as everyone calls it; (I,)."""
        x = self.x.detach().requires_grad_()
        logits = [y.detach().requires_grad_() for y in self.logits]
        total = self._estimate(mean, x, logits)
        parameters = [*([x] if self.quantity.moves_x else []), *logits]
        grads = torch.autograd.grad(total.sum(), parameters, allow_unused=True, materialize_grads=True)
        return torch.cat([g.reshape(-1) for g in grads]).numpy()


def leaf(array: Array) -> Tensor:
    """One problem's parameters, (1, ...)."""
    return torch.from_numpy(np.array(array, dtype=np.float64)).unsqueeze(0).requires_grad_()
