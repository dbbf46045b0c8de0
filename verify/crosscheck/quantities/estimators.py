"""Estimators from trajectories: their expectations against the targets that they declare."""

from collections.abc import Iterator, Sequence
from functools import partial

import torch
from torch import Tensor

from reference.evaluated import Evaluated
from reference.problems.mdp import MdpFamily
from reference.problems.parametrizations import SoftmaxKernel
from reference.truncated import Truncation, truncated_value
from reference.validation import Array
from sampled import estimators
from sampled.conversion import tensors
from sampled.enumeration import Everything
from sampled.estimators.contract import Estimator, EstimatorKind
from sampled.horizons import Geometric
from sampled.processes import lower_process
from verify.crosscheck.estimates import Parameters, endless, estimated, trajectories
from verify.crosscheck.quantity import Case, Quantity
from verify.leaves import leaves
from verify.oracles import definitions as primitive
from verify.oracles import walks
from verify.oracles.arithmetic import Arithmetic, Native

MOST = 20_000
"""Batches, of one trajectory or of two, with all of their lengths, that are followed."""


def _applies(kind: EstimatorKind, setting: str, case: Case[MdpFamily]) -> bool:
    """Transitions that depend on x, few batches, and a truncation that shows if there is one."""
    estimator = _variant(kind, setting, case)
    shows = estimator.target.steps is None or not endless(case)
    return isinstance(case.problem.kernel, SoftmaxKernel) and shows and _terms(estimator, case) <= MOST


def _terms(estimator: Estimator, case: Case[MdpFamily]) -> int:
    lengths = case.steps if isinstance(estimator.horizon, Geometric) else 1
    count: int = (lengths * trajectories(case)) ** estimator.batch
    return count


def _variant(kind: EstimatorKind, setting: str, case: Case[MdpFamily]) -> Estimator:
    """The estimator with the case's number of steps and table of values."""
    return kind.variants(case.steps, torch.tensor(case.measure_s)[None])[setting]


def _target(kind: EstimatorKind, setting: str, case: Case[MdpFamily]) -> Truncation:
    """The declared target; where random lengths are cut off, the target is cut off with them."""
    declared = _variant(kind, setting, case).target
    critic_s = None if declared.critic_ps is None else declared.critic_ps[0].numpy()
    cut = declared.steps is None and not endless(case)
    return Truncation(
        case.steps if cut else declared.steps, declared.discounted, declared.trace, critic_s
    )


def _closed(
    kind: EstimatorKind,
    setting: str,
    case: Case[MdpFamily],
    x: Array,
    policies: tuple[Array, ...],
    first: tuple[Array, ...],
) -> Evaluated:
    return truncated_value(case.problem, x, policies[0], _target(kind, setting, case), first[0])


def _walk(case: Case[MdpFamily], number: Arithmetic, at: Parameters) -> walks.Walk:
    m = primitive.model(number, case.problem, at.x)
    return walks.single(number, m, at.policies[0], at.others[0])


def _define(
    kind: EstimatorKind, setting: str, case: Case[MdpFamily], number: Arithmetic, at: Parameters
) -> Native:
    return walks.value(number, _walk(case, number, at), _target(kind, setting, case))


def _aimed(
    kind: EstimatorKind,
    setting: str,
    case: Case[MdpFamily],
    number: Arithmetic,
    moving: Parameters,
    fixed: Parameters,
) -> Native:
    target = _target(kind, setting, case)
    walk = _walk(case, number, moving)
    if target.discounted and target.trace == 1.0:
        return walks.value(number, walk, target)
    return walks.aimed(number, walk, _walk(case, number, fixed), target)


def _estimate(
    kind: EstimatorKind,
    setting: str,
    case: Case[MdpFamily],
    x: Tensor,
    policies: Sequence[Tensor],
    first: Sequence[Tensor],
) -> tuple[Tensor, int]:
    estimator = _variant(kind, setting, case)
    process = lower_process(tensors(case.problem), x, policies, first)
    return Everything(estimator, case.steps).value(process), _terms(estimator, case)


def _rows() -> Iterator[Quantity[MdpFamily]]:
    for file, kind in leaves(estimators.__name__, "ESTIMATOR", EstimatorKind).items():
        for setting in kind.variants(2, torch.zeros(1, 2)):
            bind = (kind, setting)
            yield estimated(
                f"{file}_{setting.replace(' ', '_')}",
                f"{kind.name}, {setting}",
                kind.source,
                MdpFamily,
                closed=partial(_closed, *bind),
                define=partial(_define, *bind),
                aimed=partial(_aimed, *bind),
                estimate=partial(_estimate, *bind),
                premise=partial(_applies, *bind),
            )


QUANTITIES = tuple(_rows())
