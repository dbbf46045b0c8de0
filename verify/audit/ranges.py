r"""The range of one estimate, computed: a dynamic programme over every trajectory that can occur.

An estimate from one trajectory is, in coordinate i of the parameters (see :mod:`sampled.processes`),

    sum_{h < L} [ w_h d_i c(s_h, j_h) + g_h l_i(s_h, j_h, s_{h+1}) ],
    l_i = d_i log( pi(j|s) P(t|s,j) ),

with gains g_h that are sums of earnings from step h on, less a baseline.  First the gains are bounded,
given (s, j, t) at step h, by the largest and smallest sums that any continuation can earn::

    up_h(s) = max over possible (j, t) of c(s,j) + q up_{h+1}(t),        low_h with min,

where a random length also allows to stop.  Then the estimate itself::

    U_hi(s) = max over possible (j, t) of w_h d_i c(s,j) + max(l_i g_low, l_i g_up) + U_{h+1,i}(t).

Only transitions and actions of positive probability count.  Random lengths have no last step: after K
steps what may follow is bounded by its geometric series.  The bound holds for the mean over a batch,
since it holds for each trajectory; a penalty's is the sum of its walks'.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from reference.errors import InputError
from reference.validation import Array
from sampled.baselines import Baseline, Constant, LeaveOneOut, NoBaseline, StateValues
from sampled.controls import controlled
from sampled.estimators.actor_critic import ActorCritic
from sampled.estimators.contract import Estimator
from sampled.estimators.control_variate import ControlVariate
from sampled.estimators.dice import Dice
from sampled.estimators.gpomdp import Gpomdp
from sampled.estimators.random_horizon import RandomHorizon
from sampled.estimators.reinforce import Reinforce
from sampled.processes import Decision, Process

SLACK = 1e-9
"""Widening relative to the bound: far above rounding, far below anything that matters."""

NEGLIGIBLE = 1e-7
"""Random lengths are followed until their weight falls below this."""


@dataclass(frozen=True, eq=False)
class Tables:
    """What an estimate is made of at one kind of step, of one problem.

    Attributes
    ----------
    c_sj : (S, J)
    possible_sjt : (S, J, S) bool
    slope_isj : (I, S, J)
        d_i c.
    score_isjt : (I, S, J, S)
        l_i.
    """

    c_sj: Array
    possible_sjt: npt.NDArray[np.bool_]
    slope_isj: Array
    score_isjt: Array


@dataclass(frozen=True, eq=False)
class Gains:
    """Bounds of g_h given (s, j, t), each (S, J, S), and the weight w_h of earnings' derivatives."""

    low_sjt: Array
    up_sjt: Array
    weight: float


@dataclass(frozen=True, eq=False)
class Bounds:
    """The gains of every step.

    Attributes
    ----------
    gains : tuple of Gains
        Of steps h = 0, 1, ...
    stops : bool
        Whether a trajectory may end after any of them.
    rest : float
        Bound of all that later steps can add.
    """

    gains: tuple[Gains, ...]
    stops: bool = False
    rest: float = 0.0


Pair = tuple[Array, Array]
Steps = tuple[Tables, Tables]
"""Of the first step and of later ones."""


def jacobian(table: Tensor, parameters: Sequence[Tensor]) -> Array:
    """Derivatives of all entries of a table in all parameters, (I, *table); one problem's.

    Parameters
    ----------
    table : (1, ...)
    parameters : (1, ...) each
        Their entries, in this order, are numbered by I.
    """
    sizes = [p.numel() for p in parameters]
    if not table.requires_grad:
        return np.zeros((sum(sizes), *table.shape[1:]))
    flat = table.reshape(-1)
    grads: tuple[Tensor | None, ...] = torch.autograd.grad(
        flat,
        list(parameters),
        torch.eye(flat.numel(), dtype=flat.dtype),
        retain_graph=True,
        allow_unused=True,
        is_grads_batched=True,
    )
    parts = (
        flat.new_zeros(flat.numel(), size) if grad is None else grad.reshape(flat.numel(), -1)
        for grad, size in zip(grads, sizes, strict=True)
    )
    rows = torch.cat(list(parts), 1)
    return np.ascontiguousarray(rows.T.detach().numpy()).reshape(sum(sizes), *table.shape[1:])


def tables(process: Process, parameters: Sequence[Tensor]) -> Steps:
    """Read the tables of one problem's process."""
    first, later = (_tables(process, d, parameters) for d in (process.first, process.decision))
    return first, later


def _tables(process: Process, decision: Decision, parameters: Sequence[Tensor]) -> Tables:
    some = process.dynamics
    n_states = some.n_states
    joint = some.P_psjt.shape[2]
    c_psj = process.r_psj.reshape(1, n_states, joint) + decision.bonus_ps.unsqueeze(-1)
    chance_psj = _joint(decision)
    score_isjt = jacobian(_log(chance_psj), parameters)[..., None]
    P_sjt = some.P_psjt[0].numpy()
    if process.P_psjt is not None:
        P_psjt = process.P_psjt.reshape(1, n_states, joint, n_states)
        score_isjt = score_isjt + jacobian(_log(P_psjt), parameters)
    chosen_sj = chance_psj[0].detach().numpy() > 0.0
    return Tables(
        c_psj[0].detach().numpy(),
        (P_sjt > 0.0) & chosen_sj[..., None],
        jacobian(c_psj, parameters),
        np.broadcast_to(score_isjt, (score_isjt.shape[0], n_states, joint, n_states)),
    )


def _joint(decision: Decision) -> Tensor:
    """Probability of each joint action, (1, S, J)."""
    pi = decision.policies[0]
    for other in decision.policies[1:]:
        pi = (pi.unsqueeze(-1) * other.unsqueeze(-2)).flatten(2)
    return pi


def _log(p: Tensor) -> Tensor:
    """Logarithm of what is possible, 0 elsewhere."""
    return torch.where(p > 0.0, p, torch.ones_like(p)).log()


def estimate_range(
    estimator: object, process: Process, parameters: Sequence[Tensor]
) -> tuple[Array, Array, Array]:
    """Least and largest estimate from any batch, and the largest sum of its terms' sizes; (I,) each.

    Raises
    ------
    InputError
        If there is none: random lengths at continuation gamma, or an estimator of another kind.
    """
    process = walked(estimator, process)
    steps = tables(process, parameters)
    bounds = bounded_gains(estimator, steps, process)
    low, up = _spread(bounds, steps, process)
    slack = SLACK * np.maximum(np.abs(low), np.abs(up)) + bounds.rest
    size = bounds.rest + np.zeros_like(low)
    for h, gain in enumerate(bounds.gains):
        table = steps[h > 0]
        score_i = np.abs(table.score_isjt).max((1, 2, 3))
        slope_i = np.abs(table.slope_isj).max((1, 2))
        size += gain.weight * slope_i + score_i * max(
            np.abs(gain.low_sjt).max(), np.abs(gain.up_sjt).max()
        )
    return low - slack, up + slack, (1.0 + SLACK) * size


def _spread(bounds: Bounds, steps: Steps, process: Process) -> Pair:
    """Least and largest sum over the steps; with random lengths, over any number of the first ones."""
    gains = bounds.gains
    count = steps[0].slope_isj.shape[0]
    n_states = process.dynamics.n_states
    low_is, up_is = np.zeros((count, n_states)), np.zeros((count, n_states))
    for h in reversed(range(len(gains))):
        table, gain = steps[h > 0], gains[h]
        paid_isjt = gain.weight * table.slope_isj[..., None]
        ends = [table.score_isjt * g for g in (gain.low_sjt, gain.up_sjt)]
        if bounds.stops:
            low_is, up_is = np.minimum(low_is, 0.0), np.maximum(up_is, 0.0)
        low_is = _least(table, paid_isjt + np.minimum(*ends) + low_is[:, None, None, :])
        up_is = _most(table, paid_isjt + np.maximum(*ends) + up_is[:, None, None, :])
    starts = process.dynamics.rho_ps[0].numpy() > 0.0
    return low_is[:, starts].min(-1), up_is[:, starts].max(-1)


def _least(table: Tables, values_sjt: Array) -> Array:
    """Least value over what is possible, (..., S)."""
    return np.asarray(np.where(table.possible_sjt, values_sjt, np.inf).min((-2, -1)))


def _most(table: Tables, values_sjt: Array) -> Array:
    """Largest value over what is possible, (..., S)."""
    return np.asarray(np.where(table.possible_sjt, values_sjt, -np.inf).max((-2, -1)))


@singledispatch
def walked(estimator: object, process: Process) -> Process:  # noqa: ARG001 - the signature of all kinds
    """The process whose earnings an estimator counts: the given one, for most."""
    return process


@walked.register
def _(estimator: ControlVariate, process: Process) -> Process:
    return controlled(process, estimator.q)


@singledispatch
def bounded_gains(estimator: object, steps: Steps, process: Process) -> Bounds:
    """Bounds of an estimator's gains at each step, and of all that follows the last of them.

    Estimators of a fixed number of steps that have a baseline are taken to multiply their scores either
    by rewards to go or by the whole return; other kinds are registered here.

    Raises
    ------
    InputError
        If the kind is unknown: without a computed range there is no certificate.
    """
    if isinstance(estimator, OfSteps) and isinstance(estimator, Estimator):
        one = _to_go(steps, estimator.steps, process.gamma, estimator.baseline)
        other = _whole(steps, estimator.steps, process, estimator.baseline)
        return Bounds(
            tuple(
                Gains(np.minimum(g.low_sjt, k.low_sjt), np.maximum(g.up_sjt, k.up_sjt), g.weight)
                for g, k in zip(one, other, strict=True)
            )
        )
    raise InputError(
        f"no range is known for {type(estimator).__name__}: register its gains with "
        "verify.audit.ranges.bounded_gains, or state the range of its estimates"
    )


@runtime_checkable
class OfSteps(Protocol):
    """So many steps, less a baseline."""

    @property
    def steps(self) -> int:
        """H."""
        ...

    @property
    def baseline(self) -> Baseline:
        """What is subtracted."""
        ...


def _sums(steps: Steps, length: int, rate: float, *, stops: bool) -> list[Pair]:
    """(low_h, up_h), (S,) each, of what is earned from step h on, for h = 0, ..., H."""
    zero = np.zeros(steps[0].c_sj.shape[0])
    found = [(zero, zero)]
    for h in reversed(range(length)):
        table = steps[h > 0]
        low_s, up_s = found[-1]
        if stops:
            low_s, up_s = np.minimum(low_s, 0.0), np.maximum(up_s, 0.0)
        c_sjt = table.c_sj[..., None]
        found.append((_least(table, c_sjt + rate * low_s), _most(table, c_sjt + rate * up_s)))
    return found[::-1]


def _less(baseline: Baseline, low_sjt: Array, up_sjt: Array, whole: tuple[float, float]) -> Pair:
    """Bounds of a gain less its baseline, both undiscounted; ``whole`` bounds the gain anywhere."""
    match baseline:
        case NoBaseline():
            return low_sjt, up_sjt
        case Constant(level):
            return low_sjt - level, up_sjt - level
        case StateValues(values_ps):
            v_s11 = values_ps[0].detach().numpy()[:, None, None]
            return low_sjt - v_s11, up_sjt - v_s11
        case LeaveOneOut():
            return low_sjt - whole[1], up_sjt - whole[0]
    raise InputError(f"no range is known for the baseline {type(baseline).__name__}: state the range")


def _to_go(
    steps: Steps, length: int, rate: float, baseline: Baseline, *, stops: bool = False
) -> tuple[Gains, ...]:
    """Gains q^h ( c_h + q c_{h+1} + ... - b_h )."""
    sums = _sums(steps, length, rate, stops=stops)
    gains = []
    for h in range(length):
        table = steps[h > 0]
        low_t, up_t = sums[h + 1]
        if stops:
            low_t, up_t = np.minimum(low_t, 0.0), np.maximum(up_t, 0.0)
        c_sjt = table.c_sj[..., None]
        whole = (float(sums[h][0].min()), float(sums[h][1].max()))
        if stops:  # the other trajectories may have ended before this step
            whole = (min(whole[0], 0.0), max(whole[1], 0.0))
        low, up = _less(baseline, c_sjt + rate * low_t, c_sjt + rate * up_t, whole)
        gains.append(Gains(rate**h * low, rate**h * up, rate**h))
    return tuple(gains)


def _whole(steps: Steps, length: int, process: Process, baseline: Baseline) -> tuple[Gains, ...]:
    """Gains c_0 + q c_1 + ... - b(s_0), the same at every step."""
    low_s, up_s = _sums(steps, length, process.gamma, stops=False)[0]
    starts = process.dynamics.rho_ps[0].numpy() > 0.0
    whole = (float(low_s[starts].min()), float(up_s[starts].max()))
    match baseline:
        case StateValues(values_ps):  # read where the trajectory starts
            v_s = values_ps[0].detach().numpy()
            low, up = float((low_s - v_s)[starts].min()), float((up_s - v_s)[starts].max())
        case other:
            ends = _less(other, np.asarray(whole[0]), np.asarray(whole[1]), whole)
            low, up = float(ends[0]), float(ends[1])
    one = np.ones_like(steps[0].score_isjt[0])
    return tuple(Gains(low * one, up * one, process.gamma**h) for h in range(length))


@dataclass(frozen=True)
class Stated:
    """Estimates whose scores multiply any returns, less any number within the returns' range.

    Attributes
    ----------
    steps : int
    discounted : bool
        Whether step h counts gamma^h, or else 1.
    spread : float
        What a critic may add.
    """

    steps: int
    discounted: bool
    spread: float


@bounded_gains.register
def _(estimator: Stated, steps: Steps, process: Process) -> Bounds:
    sums = _sums(steps, estimator.steps, process.gamma, stops=False)
    ends = [end for pair in sums for end in pair]
    low, up = min(float(e.min()) for e in ends), max(float(e.max()) for e in ends)
    gain = max(abs(low), abs(up), up - low) + estimator.spread
    one = np.full_like(steps[0].score_isjt[0], gain)
    rate = process.gamma if estimator.discounted else 1.0
    # Rewards to go of any step may be counted from the start: the gain does not shrink with h.
    return Bounds(tuple(Gains(-one, one, rate**h) for h in range(estimator.steps)))


@bounded_gains.register(ControlVariate)
@bounded_gains.register(Dice)
@bounded_gains.register(Gpomdp)
def _(estimator: ControlVariate | Dice | Gpomdp, steps: Steps, process: Process) -> Bounds:
    return Bounds(_to_go(steps, estimator.steps, process.gamma, estimator.baseline))


@bounded_gains.register
def _(estimator: Reinforce, steps: Steps, process: Process) -> Bounds:
    return Bounds(_whole(steps, estimator.steps, process, estimator.baseline))


@bounded_gains.register
def _(estimator: ActorCritic, steps: Steps, process: Process) -> Bounds:
    v_s = estimator.critic_ps[0].detach().numpy()
    decay, zero = process.gamma * estimator.trace, np.zeros_like(v_s)
    low_s, up_s, found = zero, zero, []
    for h in reversed(range(estimator.steps)):
        table = steps[h > 0]
        delta_sjt = table.c_sj[..., None] + process.gamma * v_s - v_s[:, None, None]
        low_sjt, up_sjt = delta_sjt + decay * low_s, delta_sjt + decay * up_s
        low_s, up_s = _least(table, low_sjt), _most(table, up_sjt)
        weight = process.gamma**h if estimator.discounted else 1.0
        found.append(Gains(weight * low_sjt, weight * up_sjt, weight))
    return Bounds(tuple(found[::-1]))


@bounded_gains.register
def _(estimator: RandomHorizon, steps: Steps, process: Process) -> Bounds:
    rate = process.gamma / estimator.continuation if process.gamma else 0.0
    if rate >= 1.0:
        raise InputError(
            f"continuation is gamma = {process.gamma!r}: earnings then add up undiscounted over lengths "
            "without bound, and the estimate has none either; audit it at a larger continuation"
        )
    length = 1 if rate == 0.0 else max(2, math.ceil(math.log(NEGLIGIBLE) / math.log(rate)))
    gains = _to_go(steps, length, rate, estimator.baseline, stops=True)
    # What follows these steps: derivatives of earnings, and gains times scores, of geometric weight.
    slope = max(float(np.abs(table.slope_isj).max(initial=0.0)) for table in steps)
    score = max(float(np.abs(table.score_isjt).max(initial=0.0)) for table in steps)
    earned = max(float(np.abs(table.c_sj).max()) for table in steps) / (1.0 - rate)
    first = max(float(np.abs(end).max()) for end in (gains[0].low_sjt, gains[0].up_sjt))
    later = rate**length * (slope + score * (2.0 * earned + first)) / (1.0 - rate)
    # The sums that gains were bounded by end there, too.
    return Bounds(gains, stops=True, rest=later + rate**length * earned * score * length)
