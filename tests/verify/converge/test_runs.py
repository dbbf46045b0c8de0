"""Runs that are interrupted, counts, fits and how they can fail."""

import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from reference.algorithms import checkpoint
from reference.algorithms.contract import State
from reference.algorithms.oracles import MirrorDescent
from reference.algorithms.pbrl import Pbrl
from reference.errors import InputError
from reference.validation import Array
from tests.verify.converge.few import few
from verify.contract import Context, Level
from verify.converge import document, units
from verify.converge.bounds import PROVED
from verify.converge.carry_out import Folder, carry_out
from verify.converge.fits import least_squares, mean, spaced, tail_exponent
from verify.converge.kinds import BELLMAN, KINDS, NIKAIDO_ISODA, VALUE, Kind
from verify.converge.problems import Recipe, flips
from verify.converge.runs import moved, observed, recorded
from verify.converge.units import rate


def small(kind: Kind = VALUE) -> Any:
    return Recipe(kind, "small", 0, 2, n_states=2).setup(MirrorDescent(0.5, 1))


# Interruptions.


class Stopped(Exception):  # noqa: N818 - it stands for a signal, not for an error
    """In place of the end of the process."""


@settings(max_examples=4, deadline=None, derandomize=True)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=3), st.sampled_from(KINDS))
def test_interrupted_runs_end_with_the_same_numbers(stops: list[int], kind: Kind) -> None:
    import tempfile

    setup = small(kind)
    whole, last = observed(setup.algorithm, setup.state, 16, recorded)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "run"
        for stop in stops:
            left = stop

            def until_stopped(algorithm: Pbrl[Any], state: State, following: State) -> Array:
                nonlocal left
                left -= 1
                if left < 0:
                    raise Stopped
                return recorded(algorithm, state, following)

            try:
                observed(setup.algorithm, setup.state, 16, until_stopped, folder, period=0.0)
            except Stopped:
                continue
        rows, end = observed(setup.algorithm, setup.state, 16, recorded, folder)
    assert np.array_equal(rows, whole)
    assert np.array_equal(end.x, last.x)
    assert all(np.array_equal(a, b) for a, b in zip(end.y, last.y, strict=True))


def test_a_kill_between_the_two_files_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = small()
    whole, _ = observed(setup.algorithm, setup.state, 9, recorded)
    observed(setup.algorithm, setup.state, 4, recorded, tmp_path)

    def killed(*_: object) -> None:
        raise Stopped

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, "save", killed)
        with pytest.raises(Stopped):
            observed(setup.algorithm, setup.state, 7, recorded, tmp_path)
    rows, _ = observed(setup.algorithm, setup.state, 9, recorded, tmp_path)
    assert np.array_equal(rows, whole)


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    setup = small()
    observed(setup.algorithm, setup.state, 3, recorded, tmp_path)
    other = Recipe(VALUE, "small", 1, 2, n_states=2).setup(MirrorDescent(0.5, 1))
    with pytest.raises(InputError, match=r"written with another .*features"):
        observed(other.algorithm, other.state, 3, recorded, tmp_path)


def test_a_run_that_stays_is_not_made_to_its_end(tmp_path: Path) -> None:
    setup = flips(VALUE, (0.0,))
    steps = 0

    def counted(algorithm: Pbrl[Any], state: State, following: State) -> Array:
        nonlocal steps
        steps += 1
        return moved(algorithm, state, following)

    rows, state = observed(setup.algorithm, setup.state, 5000, counted, tmp_path)
    assert steps < 200
    assert len(rows) == 5000
    for _ in range(3):
        state = setup.algorithm.step(state)
    assert np.array_equal(rows[-1], moved(setup.algorithm, state, setup.algorithm.step(state)))
    again, _ = observed(setup.algorithm, setup.state, 5000, counted, tmp_path)
    assert np.array_equal(again, rows)


KILLED = """
import sys
from pathlib import Path
from tests.verify.converge.few import few
from verify.contract import Context, Level
from verify.converge.carry_out import Folder, carry_out
from verify.converge import runs
folder = Folder.opened(Path(sys.argv[1]), Context(Level.QUICK, 3))
for _ in carry_out(folder, 1, few):
    print("one more", flush=True)
"""


def start(folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", KILLED, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )


def test_killed_and_started_again(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    folder = Folder.opened(whole, Context(Level.QUICK, 3))
    assert len(list(carry_out(folder, 1, few))) == len(few(Level.QUICK, 3))
    with start(killed) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.05)  # into the second experiment
        os.kill(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not document.load(killed / "converge.json")["complete"]
    with start(killed) as process:
        process.communicate()
    assert process.returncode == 0
    names = sorted(path.name for path in whole.iterdir())
    assert names == sorted(path.name for path in killed.iterdir())
    assert "converge.json" in names
    for name in names:
        assert (whole / name).read_bytes() == (killed / name).read_bytes()


# Counts.


def counted(kind: Kind, *, warm: bool, strength: float = 6.0) -> tuple[units.Iterations, Any]:
    recipe = Recipe(kind, "counts", 0, 3, strength=strength, n_states=1, gamma=0.0)
    unit = units.Iterations(recipe, warm, (3.0, 1.0), 400)
    return unit, unit.run()


def test_counts_by_their_definition() -> None:
    unit, found = counted(VALUE, warm=False)
    setup = unit.recipe.setup()
    rows, _ = observed(setup.algorithm, setup.state, found["made"], recorded)
    squares = rows[:, 1] ** 2
    for entry in found["counts"]:
        for i in range(3):
            K = entry["iterations"][i]
            assert squares[:K, i].mean() <= entry["eps"]
            assert all(squares[:k, i].mean() > entry["eps"] for k in range(1, K))
            best = entry["best"][i]
            assert squares[best - 1, i] <= entry["eps"]
            assert (squares[: best - 1, i] > entry["eps"]).all()
            assert entry["needed"][i] <= K <= entry["proved"][i]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.key)
def test_from_a_fixed_start_the_square_of_lambda_is_needed(kind: Kind) -> None:
    needed = []
    for strength in (20.0, 40.0):
        recipe = Recipe(kind, "square", 0, 3, strength=strength, n_states=1, gamma=0.0)
        found = units.Iterations(recipe, False, (20.0,), 64).run()
        assert all(entry["holds"] for entry in found["findings"])
        needed.append(np.array(found["counts"][0]["needed"]))
    assert (needed[1] >= 3.4 * needed[0] - 4).all()


def test_too_few_iterations_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice too small a bound on the count is violated by the parabola from far away."""
    monkeypatch.setattr(units, "PROVED", replace(PROVED, c1=0.4))
    _, found = counted(VALUE, warm=False, strength=40.0)
    assert not all(entry["holds"] for entry in found["findings"])


# Steps of mirror descent.


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.key)
def test_errors_stay_below_what_is_proved(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = Recipe(kind, "inner", 5, 4, gamma=0.2, n_states=2)
    unit = units.Inner(recipe, 5.0, 60, (1e2, 1e4, 1e6, 1e8))
    found = unit.run()
    assert all(entry["holds"] for entry in found["findings"])
    for measured, proved in zip(found["steps"], found["proved"], strict=True):
        for T, most in zip(measured, proved, strict=True):
            assert T is not None
            assert most is None or most >= T
    careless = replace(kind, companion_error=lambda given: 1e-3 * kind.companion_error(given))
    planted = replace(unit, recipe=replace(recipe, kind=careless))
    assert not all(entry["holds"] for entry in planted.run()["findings"])
    # The rate of steps that are longer than those made.
    monkeypatch.setattr(units, "rate", lambda step, tau, gamma: 0.25 * rate(step, tau, gamma))
    assert not all(entry["holds"] for entry in unit.run()["findings"])


def test_steps_by_their_definition() -> None:
    unit = units.Inner(Recipe(VALUE, "x", 0, 1), 1.0, 3, (1.0,))
    errors = np.array([[1.0, 0.2], [0.1, 0.9], [0.3, 0.1], [0.2, 0.1]])
    # 20 error^2 <= 1 means an error of at most 0.2236, from then on.
    assert unit._steps(errors, 1.0) == [3, 2]
    assert unit._steps(errors, 1e-6) == [0, 0]
    assert unit._steps(errors, 1e6) == [None, None]


# Fits.


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.integers(0, 2**31), st.integers(3, 30))
def test_a_line_as_scipy_fits_it(seed: int, n: int) -> None:
    draws = np.random.default_rng(seed)
    x, y = draws.normal(size=n), draws.normal(size=n)
    slope, constant = least_squares(x[:, None], y)
    theirs = stats.linregress(x, y)
    half = stats.t.ppf(0.975, n - 2)
    assert slope.value == pytest.approx(theirs.slope)
    assert slope.high - slope.value == pytest.approx(half * theirs.stderr)
    assert constant.value == pytest.approx(theirs.intercept)
    assert constant.value - constant.low == pytest.approx(half * theirs.intercept_stderr)
    interval = stats.ttest_1samp(y, 0.0).confidence_interval(0.95)
    assert mean(y).low == pytest.approx(interval.low)
    assert mean(y).high == pytest.approx(interval.high)


def test_two_exponents_are_found() -> None:
    strength, eps = (part.ravel() for part in np.meshgrid([1.0, 4.0, 32.0], [1.0, 0.1]))
    first, second, constant = least_squares(
        np.log(np.column_stack([strength, 1.0 / eps])), np.log(7.0 * strength**2 / eps**1.5)
    )
    assert first.value == pytest.approx(2.0)
    assert second.value == pytest.approx(1.5)
    assert constant.value == pytest.approx(math.log(7.0))


def test_fits_that_are_not_determined_are_refused() -> None:
    with pytest.raises(InputError, match="do not determine"):
        least_squares(np.ones((2, 1)), np.ones(2))
    with pytest.raises(InputError, match="not independent"):
        least_squares(np.ones((5, 1)), np.arange(5.0))
    with pytest.raises(InputError, match="not independent"):
        least_squares(np.arange(10.0).reshape(5, 2), np.arange(5.0))
    with pytest.raises(InputError, match="no spread"):
        mean(np.ones(1))


def test_tail_exponents() -> None:
    K = np.arange(1.0, 5001.0)
    slope, where = tail_exponent(3.0 / K)
    assert slope.value == pytest.approx(-1.0)
    assert where == (500, 5000)
    assert tail_exponent(K**-0.5 + 1e-9)[0].value == pytest.approx(-0.5, abs=1e-4)
    assert list(spaced(5, 40)) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("kind", [BELLMAN, NIKAIDO_ISODA], ids=lambda kind: kind.key)
def test_the_exponent_of_an_average_is_at_least_minus_one(kind: Kind) -> None:
    recipe = Recipe(kind, "exponents", 0, 3, n_states=1, gamma=0.0, strength=1.0, scale=0.1)
    course = units.Bound("x", "x", recipe.setup, "exact", 60).course()
    sums = course.G
    assert (np.diff(sums, axis=0) >= 0.0).all()
    found = units._exponents(course)
    assert all(slope["value"] >= -1.0 - 1e-9 for slope in found["average"])


def test_last_doublings_and_fits_of_a_document() -> None:
    def run(strength: float) -> dict[str, Any]:
        counts = [
            {"eps": eps, "iterations": [round(100 * strength**2 / eps), None], "best": [12, 3]}
            for eps in (1.0, 0.1)
        ]
        return {"lambda": strength, "members": 2, "counts": counts}

    runs = [run(strength) for strength in (4.0, 8.0, 16.0)]
    ((in_lambda, in_eps),) = document._fitted(runs, "iterations")
    assert in_lambda == pytest.approx(2.0)
    assert in_eps == pytest.approx(1.0)
    assert list(document._last(runs, "iterations")) == [pytest.approx(2.0)]
