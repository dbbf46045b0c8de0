"""Anyone's estimator: certified, found biased, or named for what it breaks."""

import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from junitparser import JUnitXml
from torch import Tensor
from typer.testing import CliRunner

from reference.errors import InputError
from reference.problems.hard_cases import hard_games, unreachable_state
from reference.problems.storage import save
from sampled.estimators.gpomdp import Gpomdp
from verify.audit import audit
from verify.audit.contract import Verdict
from verify.audit.foreign import find
from verify.audit.given import Given
from verify.audit.testing import assert_unbiased
from verify.cli import application
from verify.collect import groups
from verify.report.run import PACKAGES, Origin

ROOT = Path(__file__).parents[3]
STEPS = 3
Estimate = Callable[[Given, Any, int, torch.Generator], Any]


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> None:
    torch.set_num_threads(1)


def walk(problem: Given, logits: Tensor, batch: int, generator: torch.Generator) -> Tensor:
    """Reward to go, written by hand from the problem's arrays; one estimate from a batch."""
    mdp, pi = problem.mdp, logits.softmax(-1)
    P, rho = torch.tensor(mdp.P_sat), torch.tensor(mdp.rho_s)
    bonus = -mdp.tau * torch.tensor(mdp.regularizer.value(pi.numpy()))
    slope = -mdp.tau * torch.tensor(mdp.regularizer.gradient(pi.numpy()))
    slope = pi * (slope - (pi * slope).sum(-1, keepdim=True))  # of the bonus, in the logits
    s = torch.multinomial(rho.expand(batch, -1), 1, generator=generator)[:, 0]
    score, paid, total = [], [], torch.zeros(batch, *pi.shape, dtype=pi.dtype)
    for h in range(STEPS):
        a = torch.multinomial(pi[s], 1, generator=generator)[:, 0]
        of_action = torch.zeros(batch, *pi.shape, dtype=pi.dtype)
        n = torch.arange(batch)
        of_action[n, s] -= pi[s]
        of_action[n, s, a] += 1.0
        score.append(of_action)
        weight = mdp.gamma**h
        paid.append(weight * (torch.tensor(mdp.r_sa)[s, a] + bonus[s]))
        total[n, s] += weight * slope[s]
        s = torch.multinomial(P[s, a], 1, generator=generator)[:, 0]
    for h in range(STEPS):
        to_go = torch.stack(paid[h:]).sum(0)
        total += to_go[:, None, None] * score[h]
    return total


def right(problem: Given, logits: Tensor, batch: int, generator: torch.Generator) -> Tensor:
    """One mean over the batch, many times."""
    return walk(problem, logits, 64 * batch, generator).reshape(64, batch, *logits.shape).mean(1)


def doubled_rewards(problem: Given, logits: Tensor, batch: int, generator: torch.Generator) -> Tensor:
    return 1.5 * right(problem, logits, batch, generator)


ASKED: dict[str, Any] = {
    "problem": "tiny",
    "target": "value.y",
    "steps": STEPS,
    "batch": 2,
    "epsilon": 0.2,
}


def test_a_right_one_is_certified() -> None:
    found = assert_unbiased(right, **ASKED)
    assert found.verdict is Verdict.CERTIFIED
    assert "bias at least" in str(found)
    assert found.svg().startswith("<?xml")
    block = found.entry["blocks"][0]
    assert block["bias_bound_relative"]["euclidean"] <= 0.2
    assert [term["name"] for term in block["terms"]] == ["unseen steps", "lost tail"]


def test_a_wrong_one_fails_a_test_with_the_evidence() -> None:
    with pytest.raises(AssertionError, match=r"BIASED: the capital of a bet[\s\S]*deviation"):
        assert_unbiased(doubled_rewards, **ASKED)


def test_the_wrong_target_is_found() -> None:
    """The same estimator, said to estimate the gradient without truncation."""
    found = audit(right, "tiny", "value.y", batch=2, epsilon=0.1, reach=60.0)
    assert found.verdict is Verdict.BIASED
    found = audit(right, "tiny", "value.y", steps=STEPS, discounted=False, batch=2, epsilon=0.05)
    assert found.verdict is Verdict.BIASED


def test_estimators_of_sampled_pass_the_gate() -> None:
    found = audit(Gpomdp(STEPS), "tiny", "value", epsilon=0.3, batch=1)
    assert found.verdict is Verdict.CERTIFIED
    assert found.entry["exact"]["error"] <= found.entry["exact"]["rounding"]
    assert [block["name"] for block in found.entry["blocks"]] == ["x", "y"]


def test_problems_may_be_given() -> None:
    found = audit(Gpomdp(2), unreachable_state(), "value.y", epsilon=0.3, batch=1)
    assert found.verdict is Verdict.CERTIFIED


# What is broken is named.


def _shape(*_: Any) -> Any:
    return torch.zeros(3, 3)


def _nan(problem: Given, logits: Tensor, batch: int, generator: torch.Generator) -> Any:
    estimate = right(problem, logits, batch, generator)
    estimate[0, 1, 0] = torch.nan
    return estimate


def _zeros(_: Given, logits: Tensor, *__: Any) -> Any:
    return torch.zeros_like(logits)


def _global_torch(problem: Given, logits: Tensor, batch: int, _: torch.Generator) -> Any:
    return walk(problem, logits, batch, torch.default_generator).mean(0)


def _global_numpy(problem: Given, logits: Tensor, batch: int, generator: torch.Generator) -> Any:
    return right(problem, logits, batch, generator) + float(np.random.rand())  # noqa: NPY002 - the fault


def _global_python(problem: Given, logits: Tensor, batch: int, generator: torch.Generator) -> Any:
    return right(problem, logits, batch, generator) + random.random()


class _Counting:
    calls = 0

    def __call__(self, problem: Given, logits: Tensor, batch: int, generator: torch.Generator) -> Any:
        self.calls += 1
        return right(problem, logits, batch, generator) / self.calls


def _sum(problem: Given, logits: Tensor, batch: int, generator: torch.Generator) -> Any:
    return 0.25 * batch * right(problem, logits, batch, generator)


def _copies(problem: Given, logits: Tensor, batch: int, generator: torch.Generator) -> Any:
    return walk(problem, logits, batch, generator).mean(0).expand(4, *logits.shape)


def _correlated(problem: Given, logits: Tensor, batch: int, generator: torch.Generator) -> Any:
    one = walk(problem, logits, batch, generator).mean(0)
    return one + 1e-3 * torch.randn(8, *logits.shape, generator=generator, dtype=one.dtype)


def _hungry(*_: Any) -> Any:
    return torch.zeros(1 << 55)


def _raises(*_: Any) -> Any:
    raise KeyError("no such thing")


def _text(*_: Any) -> Any:
    return {"y": ["a"]}


def _complex(problem: Given, logits: Tensor, batch: int, generator: torch.Generator) -> Any:
    return right(problem, logits, batch, generator) * 1j


def _none_at_all(_: Given, logits: Tensor, *__: Any) -> Any:
    return logits.new_zeros(0, *logits.shape)


def _exits(*_: Any) -> Any:
    raise SystemExit(0)


def _other_block(_: Given, logits: Tensor, *__: Any) -> Any:
    return {"z": logits}


BROKEN = [
    (_shape, r"has shape \(3, 3\); it must be \(2, 2\)"),
    (_nan, r"the estimate of y is nan at \(0, 1, 0\)"),
    (_zeros, "returns zeros"),
    (_global_torch, "keeps a state|other global random states|another result"),
    (_global_numpy, "other global random states"),
    (_global_python, "other global random states"),
    (_Counting(), "the order of calls"),
    (_sum, r"the expectation depends on the batch: the mean has norm .* at 2 trajectories and .* at 4"),
    (_copies, "copies of each other"),
    (_correlated, "correlated"),
    (_hungry, "more memory than there is for a batch of 2"),
    (_raises, r"fails with KeyError at .*test_own\.py:\d+: 'no such thing'"),
    (_text, "no array of real numbers"),
    (_complex, "its entries are complex"),
    (_none_at_all, r"has shape \(0, 2, 2\); it must be .* with at least one batch"),
    (_exits, r"fails with SystemExit at .*test_own\.py:\d+: 0"),
    (_other_block, r"returns \['z'\]; it must return a mapping with the blocks y"),
]


@pytest.mark.parametrize(("estimator", "message"), BROKEN)
def test_what_is_broken_is_named(estimator: Estimate, message: str) -> None:
    with pytest.raises(InputError, match=message):
        audit(estimator, **ASKED)


def test_global_states_are_left_alone() -> None:
    torch.manual_seed(3)
    random.seed(3)
    before = torch.get_rng_state(), random.getstate()
    audit(right, **ASKED)
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == random.getstate()


def test_targets_that_a_problem_lacks_are_named() -> None:
    for target, message in (
        ("nikaido_isoda", "problem tiny has no nikaido_isoda"),
        ("value.z", "has no block 'z': its blocks are x, y"),
        ("profit", "there is no target 'profit': name one of value"),
    ):
        with pytest.raises(InputError, match=message):
            audit(right, "tiny", target, steps=STEPS)
    with pytest.raises(InputError, match="no range that could be computed"):
        audit(right, "tiny")
    with pytest.raises(InputError, match="range is"):
        audit(right, "tiny", reach=-1.0)
    with pytest.raises(InputError, match="batch is 0"):
        audit(right, "tiny", steps=STEPS, batch=0)


@pytest.mark.parametrize(
    ("spelled", "message"),
    [
        ("nowhere", "must be spelled package.module:name"),
        ("no_such_module:f", r"cannot be imported: ModuleNotFoundError"),
        ("math:nothing", "has no nothing"),
        ("math:pi", "it must be a function"),
    ],
)
def test_modules_that_cannot_be_imported_are_named(spelled: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        find(spelled)


# The command.

MODULE = """
import torch
from sampled.estimators.gpomdp import Gpomdp

right = Gpomdp(3)

def constant(problem, logits, batch, generator):
    return torch.zeros_like(logits)

def noisy(problem, logits, batch, generator):
    return 0.1 * torch.randn(32, *logits.shape, generator=generator, dtype=logits.dtype).clamp(-3, 3)

def huge(problem, logits, batch, generator):
    return 1e300 * noisy(problem, logits, batch, generator)

calls = 0

def late(problem, logits, batch, generator):
    global calls
    calls += 1
    found = noisy(problem, logits, batch, generator)
    return found * torch.nan if calls > 300 else found
"""


def command(*words: str) -> Any:
    return CliRunner().invoke(application(groups, PACKAGES), ["audit", *words])


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "given_here.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("verify.commands.audit._bounded_memory", lambda: None)  # of this process
    sys.modules.pop("given_here", None)
    return "given_here"


def test_a_session_writes_its_files_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    origin = Origin.here()  # the code may be edited meanwhile
    monkeypatch.setattr("verify.audit.session.Origin.here", lambda: origin)
    words = ("gpomdp.no_baseline.tiny", "--level", "quick", "--jobs", "1", "--out", str(tmp_path))
    first = command(*words)
    assert first.exit_code == 0, first.output
    assert "2 of 2 audits as expected" in first.output
    document = json.loads((tmp_path / "audit.json").read_text())
    assert document["schema"] == "pbrl-audit"
    assert document["complete"] is True
    assert [a["verdict"] for a in document["audits"]] == ["BIASED", "CERTIFIED"]
    assert {"audit.xml", "control.svg", "gpomdp.no_baseline.tiny.svg"} <= {
        path.name for path in tmp_path.iterdir()
    }
    assert not list(tmp_path.glob("*.state.json"))
    again = command(*words)
    assert again.exit_code == 0
    second = json.loads((tmp_path / "audit.json").read_text())
    assert second["audits"] == document["audits"]  # seconds, too: nothing was run again


def test_wrong_usage_exits_with_2(module: str, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    for words, message in (
        ((), "name built-in audits"),
        (("nothing",), "there is no audit 'nothing'"),
        (("all", "--estimator", "a:b"), "not both"),
        (("faults", "all"), "faults stands alone: leave the other names out"),
        (("--estimator", f"{module}.py:noisy"), "leave out .py"),
        (("--estimator", "missing_module:f"), "cannot be imported"),
        (("--estimator", f"{module}:constant", "--steps", "3"), "returns zeros"),
        (("--estimator", f"{module}:noisy", "--steps", "3", "--epsilon", "0"), "epsilon is 0.0"),
        (("--estimator", f"{module}:noisy", "--problem", "nowhere.npz"), "nowhere.npz"),
        (("--estimator", f"{module}:noisy", "--target", "nikaido_isoda"), "has no nikaido_isoda"),
    ):
        found = command(*words, "--out", out)
        assert found.exit_code == 2, (words, found.output)
        assert message in found.output


def test_biased_exits_with_1(module: str, tmp_path: Path) -> None:
    words = (
        "--estimator",
        f"{module}:noisy",
        "--problem",
        "tiny",
        "--steps",
        "3",
        "--out",
        str(tmp_path),
    )
    found = command(*words)
    assert found.exit_code == 1, found.output
    assert "BIASED" in found.output
    assert (tmp_path / "given_here.noisy.svg").exists()
    control = json.loads((tmp_path / "control.json").read_text())["entry"]
    assert control["verdict"] == control["expected"] == "BIASED"
    assert "1 of 2 audits as expected" in found.output
    assert "now it is tested whether its expectation depends on the batch" in found.output
    document = json.loads((tmp_path / "audit.json").read_text())
    assert document["complete"] is True
    assert [one["name"] for one in document["audits"]] == ["control", "given_here.noisy"]
    command_of = "--estimator given_here:noisy --problem tiny --target value.y --batch 16 --steps 3"
    assert f"{command_of} --epsilon 0.01 --norm euclidean" in document["command"]
    cases = [case for suite in JUnitXml.fromfile(str(tmp_path / "audit.xml")) for case in suite]
    assert [bool(case.result) for case in cases] == [False, True]


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((3,), {}, "estimator is int; it must be a function"),
        ((print, "plain", None), {}, "target is None; name one of"),
        ((print,), {"epsilon": "a"}, "epsilon is 'a'; it must be one real number"),
        ((print,), {"norm": "both"}, "norm is 'both'; it must be one of euclidean, maximum"),
        ((print,), {"alpha": 1.0}, r"alpha is 1.0; it must be a number in \(0, 1\)"),
    ],
)
def test_arguments_are_checked(arguments: Any, options: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        audit(*arguments, steps=4, **options)


def test_a_first_estimate_outside_its_range_is_biased_and_drawn(module: str, tmp_path: Path) -> None:
    words = ("--estimator", f"{module}:huge", "--problem", "tiny", "--steps", "3")
    found = command(*words, "--out", str(tmp_path))
    assert found.exit_code == 1, found.output
    assert "outside its computed range" in found.output
    assert (tmp_path / "given_here.huge.svg").exists()


def test_a_control_that_is_not_found_fails_the_session(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("verify.audit.session.PLANTED", 1.0)
    words = ("--estimator", f"{module}:right", "--problem", "tiny", "--steps", "3", "--epsilon", "0.3")
    found = command(*words, "--batch", "1", "--out", str(tmp_path))
    assert found.exit_code == 1, found.output
    assert "control: CERTIFIED, expected BIASED" in " ".join(found.output.split())


def test_what_was_sampled_is_kept_if_an_estimator_breaks(module: str, tmp_path: Path) -> None:
    words = ("--estimator", f"{module}:late", "--problem", "tiny", "--steps", "3", "--range", "1e3",
             "--epsilon", "1e-6", "--out", str(tmp_path))  # fmt: skip
    found = command(*words)
    assert found.exit_code == 2, found.output
    assert "is nan" in found.output
    kept = json.loads((tmp_path / "given_here.late.state.json").read_text())
    assert json.loads(kept["progress"])["interval"]["count"] > 0


def test_problems_come_from_files(module: str, tmp_path: Path) -> None:
    path = tmp_path / "game.npz"
    save(path, hard_games()["matching_pennies"])
    words = (
        "--estimator",
        f"{module}:noisy",
        "--problem",
        str(path),
        "--steps",
        "2",
        "--out",
        str(tmp_path),
    )
    found = command(*words, "--target", "value_penalty")
    assert found.exit_code == 2
    assert "problem game has no value_penalty" in found.output


@pytest.mark.parametrize(
    "option",
    [
        ("--problem", "tiny"),
        ("--target", "value.y"),
        ("--steps", "7"),
        ("--undiscounted",),
        ("--range", "1.0"),
        ("--batch", "3"),
    ],
)
def test_options_of_estimators_are_none_of_built_in_audits(option: tuple[str, ...]) -> None:
    found = command("gpomdp.no_baseline.general", *option)
    assert found.exit_code == 2
    assert f"{option[0]} is of --estimator" in found.output


def test_the_names_are_listed() -> None:
    found = command("list")
    assert found.exit_code == 0
    assert "gpomdp.no_baseline.slow" in found.output.splitlines()


def test_the_command_imports_nothing_heavy() -> None:
    code = "import sys, verify.commands.audit; print({'torch', 'numpy'} & set(sys.modules))"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert found.stdout.strip() == "set()"
