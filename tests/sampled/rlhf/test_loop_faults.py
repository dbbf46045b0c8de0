"""Deliberate faults in the loop of the methods: each is seen by the test that is named beside it.

The matrix holds the losses that the loop calls; what it cannot see is which pairs, which companion and
which reward the loop hands to them.
"""

import importlib
import sys
from dataclasses import dataclass
from types import ModuleType

import pytest

from verify.mutants.mutant import Mutant, in_force

TESTS = ("tests.sampled.rlhf.games", "tests.sampled.rlhf.test_experiment")


@dataclass(frozen=True)
class LoopFault:
    """A replacement in the loop, the test that must fail, and what that test is given."""

    fault: str
    old: str
    new: str
    seen_by: str
    given: tuple[str, ...] = ()

    @property
    def mutant(self) -> Mutant:
        return Mutant(self.fault, "sampled.rlhf.experiment", self.old, self.new)


COLLECTED = "fresh = self._collect(settings.preferences.pairs_per_epoch) if due else None"
FAULTS = (
    LoopFault(
        "pairs of an older policy pass for fresh ones",
        "if fresh.version != self.agent.updates:",
        "if fresh.version > self.agent.updates:",
        "test_fresh_pairs_take_part_once",
    ),
    LoopFault(
        "fresh pairs take part in each update until there are others",
        COLLECTED,
        f"self.last = {COLLECTED.removesuffix('None')}getattr(self, 'last', None)\n"
        "        fresh = self.last",
        "test_a_companion_that_begins_at_the_policy_is_ahead_of_it_where_the_penalty_is_due",
    ),
    LoopFault(
        "pairs of the buffer take part where fresh ones are due",
        "if pbrl.upper_pairs is UpperPairs.BUFFER:",
        "if fresh is not None:",
        "test_the_score_term_as_derived",
    ),
    LoopFault(
        "the newest pairs take part where the buffer's are due",
        'pairs = self.buffer.draw(pbrl.upper_batch, self.streams["upper"]).to(self.device)',
        "pairs = self.buffer.pairs(torch.arange(len(self.buffer) - pbrl.upper_batch, len(self.buffer)))",
        "test_the_score_term_as_printed",
        ("none",),
    ),
    LoopFault(
        "the policy's own trajectories stand for the companion's",
        'self._from_start(self.hat_starts, self.companion.sampler(self.streams["hat"]))',
        'self._from_start(self.hat_starts, self.agent.sampler(self.streams["hat"]))',
        "test_the_predictors_gradient_as_derived",
        ("twin",),
    ),
    LoopFault(
        "trajectories for the penalty begin where the last ones stopped",
        "lanes.reset()\n        return _window",
        "return _window",
        "test_the_predictors_gradient_as_derived",
        ("ahead",),
    ),
    LoopFault(
        "the penalty has no weight",
        "return pbrl.penalty_weight * p",
        "return p",
        "test_the_predictors_gradient_as_derived",
        ("ahead",),
    ),
    LoopFault(
        "the companion goes on from where it was, behind the policy",
        "self.companion.restore(self.agent.snapshot())",
        "pass",
        "test_a_companion_that_begins_at_the_policy_is_ahead_of_it_where_the_penalty_is_due",
    ),
    LoopFault(
        "the upper level's coefficient does not decay",
        "c = pbrl.upper_coefficient(self.agent.updates)",
        "c = pbrl.upper_coefficient(0)",
        "test_the_score_term_as_printed",
        ("none",),
    ),
    LoopFault(
        "methods that learn a reward are trained on the true one",
        "reward_nh = self.model.of_track(track) if self.learned else self._paid(track)",
        "reward_nh = track.true_nh",
        "test_between_labels_the_true_reward_may_be_anything",
        ("drlhf", "monkeypatch"),
    ),
    LoopFault(
        "the oracle is trained on a reward of zeros",
        "reward_nh = self.model.of_track(track) if self.learned else self._paid(track)",
        "reward_nh = self.model.of_track(track) if self.learned else 0.0 * self._paid(track)",
        "test_the_oracle_is_trained_on_the_true_reward",
        ("monkeypatch",),
    ),
)


def _values(module: ModuleType, given: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Arguments by their names: baselines as the fresh house has them, and the fixture."""
    named = {"monkeypatch": monkeypatch, "none": module.Baseline.NONE}
    return [named.get(name, name) for name in given]


def _run(fault: LoopFault, monkeypatch: pytest.MonkeyPatch) -> None:
    """The named test, imported anew from the house as it now stands."""
    for name in TESTS:
        monkeypatch.delitem(sys.modules, name, raising=False)
    module = importlib.import_module(TESTS[-1])
    getattr(module, fault.seen_by)(*_values(module, fault.given, monkeypatch))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.fault)
def test_a_fault_in_the_loop_is_seen(fault: LoopFault, monkeypatch: pytest.MonkeyPatch) -> None:
    _run(fault, monkeypatch)  # passes while nothing is wrong
    with (
        in_force(fault.mutant),
        pytest.raises((AssertionError, RuntimeError, pytest.fail.Exception)),
        monkeypatch.context() as inner,
    ):
        _run(fault, inner)
