"""Outcomes do not hang on the seed: here are seeds that once made a difference."""

import importlib

import pytest

from verify.claims import judge
from verify.contract import Context, Level, Status
from verify.crosscheck.run import run
from verify.mutants.hunt import hunt


@pytest.mark.parametrize(
    ("file", "fault", "seed"),
    [
        ("assumption_07", "one_update_less", 14),
        ("eq_c32", "without_gamma", 52),
        ("lemma_15", "without_states", 11),
        ("lemma_17", "weighted", 15),
    ],
)
def test_faults_of_statements(file: str, fault: str, seed: int) -> None:
    claim = importlib.import_module(f"verify.claims.{file}").CLAIM
    (trials,) = (known.trials for known in claim.faults if known.name == fault)
    seen, _, _ = judge.noticed(trials, Context(Level.QUICK, seed))
    assert seen


@pytest.mark.parametrize(
    ("file", "seed"),
    [
        ("kernel_part_dropped", 9),
        ("mirror_step_without_tau", 3),
        ("softmax_kernel_not_centred", 1),
        ("temperature_ignored", 7),
        ("values_swapped", 7),
    ],
)
def test_mutants(file: str, seed: int) -> None:
    (outcome,) = hunt(file, Context(Level.QUICK, seed))
    assert outcome.status is Status.AS_EXPECTED, outcome.detail


def test_direct_leaders_are_inside() -> None:
    """A step from samples is not that from closed forms where a leader never takes an action."""
    assert {outcome.status for outcome in run("algorithms", Context(Level.QUICK, 6))} == {
        Status.AS_EXPECTED
    }
