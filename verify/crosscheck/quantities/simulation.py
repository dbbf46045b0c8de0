"""Simulated steps: their law over every word of the samplers, against the problem's probabilities."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reference.problems.mdp import MdpFamily
from reference.truncated import Truncation, truncated_value_penalty
from reference.validation import Array
from sampled.common import CommonNumbers
from sampled.conversion import tensors
from sampled.estimators.contract import Estimator
from sampled.estimators.gpomdp import Gpomdp
from sampled.expectations import Expectation, MonteCarlo, Pairs, draw
from sampled.horizons import Fixed
from sampled.laws import BITS, Alias, InverseCdf, RunningSums, SamplerKind
from sampled.penalties.value import value_penalty
from sampled.processes import Process, lower_process
from sampled.simulator import Dynamics, rollout
from sampled.sources import Source
from sampled.trajectories import Trajectories
from verify.crosscheck.cases import dyadic_cases, grain
from verify.crosscheck.quantity import Case, Measured, Pair, Quantity, Single
from verify.crosscheck.tolerances import UNIT
from verify.oracles import definitions as primitive
from verify.oracles import walks
from verify.oracles.arithmetic import Arithmetic, Native
from verify.oracles.route import Point

# The law, step by step: Pr(s_h = s, a_h = j, s_{h+1} = t), from the arrays of the problem.


def _laws(einsum: Callable[..., Any], rho_s: Any, P_sjt: Any, joints: Sequence[Any]) -> list[Any]:
    laws, mu_s = [], rho_s
    for joint_sj in joints:
        laws.append(einsum("s,sj,sjt->sjt", mu_s, joint_sj, P_sjt))
        mu_s = laws[-1].sum(0).sum(0)
    return laws


def _joints(case: Case[Any], point: Point, einsum: Callable[..., Any], *, pieces: bool) -> list[Any]:
    """The joint policy of each step; the first step's is another one if a walk has two pieces."""

    def joint(policies: Sequence[Any]) -> Any:
        if len(policies) == 1:
            return policies[0]
        return einsum("sa,sb->sab", *policies).reshape(policies[0].shape[0], -1)

    later = joint(point.policies)
    return [joint(point.companions) if pieces else later, *[later] * (case.steps - 1)]


def _measured(pieces: bool, case: Case[Any]) -> Measured:
    here = case.problem.at(case.point.x)
    P = here.P_sat if hasattr(here, "P_sat") else here.P_sabt
    P_sjt = P.reshape(here.n_states, -1, here.n_states)
    joints = _joints(case, case.point, np.einsum, pieces=pieces)
    laws: list[Array] = _laws(np.einsum, here.rho_s, P_sjt, joints)
    # Products of so few eighths are exact.
    return Measured.of(np.stack(laws), 0.0)


def _define(pieces: bool, case: Case[Any], number: Arithmetic, point: Point) -> Native:
    if len(case.point.policies) == 1:
        m = primitive.model(number, case.problem, point.x)
        rho_s, P = m.rho_s, m.P_sat
    else:
        g = primitive.game_model(number, case.problem, point.x)
        rho_s, P = g.rho_s, g.P_sabt
    P_sjt = P.reshape(len(rho_s), -1, len(rho_s))
    joints = _joints(case, point, number.einsum, pieces=pieces)
    return number.stack(_laws(number.einsum, rho_s, P_sjt, joints))


# The simulator, fed with every word.


@dataclass(eq=False)
class _Words:
    """All combinations of representative words, one combination per trajectory.

    The words of one draw are ``word_i``; those of draw number d are the d-th digit of the trajectory's
    number, and after ``period`` draws the first digit's turn comes again.
    """

    word_i: Tensor
    period: int
    draws: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def words(self, shape: tuple[int, ...]) -> Tensor:
        """The next words, (draws, problems, n), or (draws, walks, problems, n) with the same in each."""
        *lead, _problems, n = shape
        radix, number = len(self.word_i), torch.arange(n)
        wanted = []
        for _ in range(lead[0] if lead else 1):
            digit_n = (number // radix ** (self.draws % self.period)) % radix
            wanted.append(self.word_i[digit_n].expand(shape[1:] if lead else shape))
            self.draws += 1
        return torch.stack(wanted).reshape(shape)


def _representatives(kind: SamplerKind, outcomes: int) -> Tensor:
    """The first and the last word of each stretch between whole grains, in the order of the sampler.

    Cumulative weights are whole grains; so are the buckets' thresholds of an alias table, whose words
    are r K' + bucket.
    """
    grains = grain(outcomes)
    size = 1 << (outcomes - 1).bit_length() if kind is Alias else 1
    stretch = (1 << BITS) // grains
    ends = [c * stretch + e for c in range(grains // size) for e in (0, stretch - 1)]
    return torch.tensor([r * size + bucket for r in ends for bucket in range(size)])


Simulate = Callable[[Source, int], Any]
"""From a source of words and a number of trajectories."""


def _over_every_word(
    simulate: Simulate, case: Case[Any], kind: SamplerKind, once: Simulate | None = None
) -> tuple[Any, int]:
    """What the simulation makes of every combination of words, and how many of these there are.

    The draws are those of ``once``, if the simulation repeats that with the same words.
    """
    count = _Words(torch.zeros(1, dtype=torch.int64), 1)
    (once or simulate)(count, 1)
    word_i = _representatives(kind, case.point.policies[0].shape[0])
    n = len(word_i) ** count.draws
    return simulate(_Words(word_i, count.draws), n), n


def _cells(batch: Trajectories, h: int) -> tuple[Tensor, int]:
    """The number of (s_h, a_h, s_{h+1}) of each trajectory of the last problem; how many there are."""
    S, J = batch.n_states, math.prod(batch.n_actions)
    s, j = batch.states_pnh[-1].long(), batch.actions_pnh[-1].long()
    return (s[:, h] * J + j[:, h]) * S + s[:, h + 1], S * J * S


def _frequencies(batch: Trajectories) -> Tensor:
    """Frequencies of (s, j, t) in each step, (H, S, J, S)."""
    S, J = batch.n_states, math.prod(batch.n_actions)
    counts = []
    for h in range(batch.horizon):
        cell_n, cells = _cells(batch, h)
        # What is drawn from outside of the states is missing from the law, and seen.
        counts.append(torch.bincount(cell_n, minlength=cells)[:cells].reshape(S, J, S))
    return torch.stack(counts).double() / batch.n


def _rolled(kind: SamplerKind, case: Case[Any], _x: Tensor) -> tuple[Tensor, float]:
    """A rollout of two problems, of which the second is the case's."""
    here = case.problem.at(case.point.x)
    P = torch.tensor(here.P_sat if hasattr(here, "P_sat") else here.P_sabt)
    rho_s = torch.tensor(here.rho_s)
    both = Dynamics.of(torch.stack([P.flip(0), P]), torch.stack([rho_s.flip(0), rho_s]), sampler=kind)
    policies = [torch.tensor(pi) for pi in case.point.policies]
    samplers = [kind.of(torch.stack([pi.flip(0), pi])) for pi in policies]

    def simulate(source: Source, n: int) -> Trajectories:
        return rollout(both, samplers, Fixed(case.steps), n, source)

    batch, _ = _over_every_word(simulate, case, kind)
    return _frequencies(batch), 0.0


def _process(case: Case[Any], x: Tensor, *, pieces: bool) -> Process:
    policies, first = (
        [torch.tensor(pi)[None] for pi in some] for some in (case.point.policies, case.point.companions)
    )
    return lower_process(tensors(case.problem), x[None], policies, first if pieces else None)


def _drawn(pieces: bool, case: Case[Any], x: Tensor) -> tuple[Tensor, float]:
    """Trajectories of a process; with two pieces, one whose first step follows another policy."""
    process = _process(case, x, pieces=pieces)

    def simulate(source: Source, n: int) -> Trajectories:
        return draw(process, Fixed(case.steps), n, source)

    batch, _ = _over_every_word(simulate, case, Alias)
    return _frequencies(batch), 0.0


# Pairs of trajectories of one step, and means over trajectories.


def _small(case: Case[Any]) -> bool:
    return len(case.point.policies) == 1 and case.point.policies[0].shape[0] == 2


def _measured_pairs(case: Case[Any]) -> Measured:
    law_m = _measured(False, case).values[0].ravel()
    return Measured.of(np.outer(law_m, law_m), 0.0)


def _define_pairs(case: Case[Any], number: Arithmetic, point: Point) -> Native:
    law_m = _define(False, case, number, point)[0].reshape(-1)
    return number.einsum("m,n->mn", law_m, law_m)


def _paired(case: Case[Any], x: Tensor) -> tuple[Tensor, float]:
    process = _process(case, x, pieces=False)

    def simulate(source: Source, n: int) -> Pairs:
        return MonteCarlo(Gpomdp(1), n, source).pairs(process, 1)

    pairs, n = _over_every_word(simulate, case, Alias)
    (one_n, cells), (other_n, _) = _cells(pairs.first, 0), _cells(pairs.second, 0)
    chances = torch.zeros(cells * cells, dtype=torch.float64)
    chances.index_add_(0, one_n * cells + other_n, pairs.weight_pn[-1])
    return chances.reshape(cells, cells), UNIT * n


def _measured_mean(case: Case[MdpFamily]) -> Measured:
    (pi,), (best,) = case.point.policies, case.point.companions
    found = truncated_value_penalty(case.problem, case.point.x, pi, best, Truncation(case.steps))
    size = case.steps * case.problem.at(case.point.x).reward_bound
    return Measured.of(np.asarray(found.value), 64 * UNIT * case.steps * size)


def _define_mean(case: Case[MdpFamily], number: Arithmetic, point: Point) -> Native:
    m = primitive.model(number, case.problem, point.x)
    values = [
        walks.value(number, walks.single(number, m, pi, pi), Truncation(case.steps))
        for (pi,) in (point.companions, point.policies)
    ]
    return values[0] - values[1]


def _averaged(
    make: Callable[[Estimator, int, Source], Expectation], case: Case[MdpFamily], x: Tensor
) -> tuple[Tensor, float]:
    """The value penalty as an algorithm computes it: two means over drawn trajectories."""
    problem, process = tensors(case.problem), _process(case, x, pieces=False)
    own, best = (
        [torch.tensor(pi)[None] for pi in some] for some in (case.point.policies, case.point.companions)
    )

    def mean(source: Source, n: int) -> Expectation:
        return make(Gpomdp(case.steps), n, source)

    def simulate(source: Source, n: int) -> Tensor:
        return value_penalty(problem, x[None], own, best, mean(source, n))

    def once(source: Source, n: int) -> Tensor:
        return mean(source, n).value(process)

    found, n = _over_every_word(simulate, case, Alias, once)
    earned = case.steps * case.problem.at(case.point.x).reward_bound
    return found.squeeze(0), 2.0 * UNIT * (n + 64) * earned


def _law(name: str, title: str, source: str, pieces: bool, estimate: Any) -> Quantity[Any]:
    return Quantity(
        name,
        title,
        source,
        Single | Pair,
        partial(_measured, pieces),
        partial(_define, pieces),
        estimate=estimate,
        instances=dyadic_cases,
    )


QUANTITIES: tuple[Quantity[Any], ...] = (
    _law("alias", "law of steps, alias tables", "Walker 1977", False, partial(_rolled, Alias)),
    _law("inverse_cdf", "law of steps, inverse CDF", "§6", False, partial(_rolled, InverseCdf)),
    _law("running_sums", "law of steps, running sums", "§6", False, partial(_rolled, RunningSums)),
    _law("one_policy", "law of a process", "§2.1", False, partial(_drawn, False)),
    _law("first_policy", "law with another first policy", "(3.5)", True, partial(_drawn, True)),
    Quantity(
        "pairs",
        "law of two segments",
        "(2.5)",
        MdpFamily,
        _measured_pairs,
        _define_pairs,
        premise=_small,
        estimate=_paired,
        instances=dyadic_cases,
    ),
    Quantity(
        "mean",
        "value penalty from drawn trajectories",
        "Lemma 7",
        MdpFamily,
        _measured_mean,
        _define_mean,
        premise=_small,
        estimate=partial(_averaged, partial(MonteCarlo, sampler=Alias)),
        instances=dyadic_cases,
    ),
    Quantity(
        "common_numbers",
        "value penalty from common random numbers",
        "Lemma 7",
        MdpFamily,
        _measured_mean,
        _define_mean,
        premise=_small,
        estimate=partial(_averaged, partial(CommonNumbers, sampler=Alias)),
        instances=dyadic_cases,
    ),
)
