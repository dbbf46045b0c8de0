"""Faulty estimators are flagged, right ones are not, and a fault leaves no trace behind."""

import importlib
import sys

import pytest
import torch

from verify.audit import faults
from verify.leaves import leaves
from verify.mutants.mutant import Mutant


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.parametrize(
    ("name", "instrument"),
    [
        ("no_discount_in_gpomdp", "alarm"),
        ("own_sample_in_baseline", "alarm"),
        ("truncation_as_termination", "alarm"),
        ("alias_never_taken", "alarm"),
        ("sampled_value_penalty_ascends", "alarm"),
    ],
)
def test_faults_are_flagged_over_seeds(name: str, instrument: str) -> None:
    row = faults.pursue(faults.mutants()[name], name, range(5))
    assert row.flagged == row.seeds == 5
    assert row.instrument == instrument
    assert row.as_expected


@pytest.mark.parametrize(
    "name", ["gpomdp.leave_one_out.tiny", "value_penalty.slow", "law.general.alias"]
)
def test_right_ones_are_not(name: str) -> None:
    row = faults.right(name, range(10))
    assert row.flagged == 0
    assert row.as_expected


def test_a_fault_leaves_no_trace() -> None:
    before = {name: module for name, module in sys.modules.items() if name.startswith("verify.audit")}
    with faults.over(faults.mutants()["score_negated"]):
        inside = importlib.import_module("verify.audit.builtin")
        assert inside is not before.get("verify.audit.builtin")
    for name, module in before.items():
        assert sys.modules[name] is module
    from verify.audit import builtin

    assert builtin is not inside
    made = {a.name: a for a in builtin.listed()}["gpomdp.no_baseline.tiny"].build()
    assert made.exact is not None
    error, rounding = made.exact()
    assert (abs(error) <= rounding).all()


def test_every_fault_of_samples_is_pursued_or_explained() -> None:
    found = leaves(faults.FAULTS, "MUTANT", Mutant)
    of_samples = {name for name, mutant in found.items() if faults.of_estimators(mutant)}
    assert of_samples == {*faults.mutants(), *faults.ELSEWHERE}
