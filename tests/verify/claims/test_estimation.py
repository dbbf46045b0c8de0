"""Theorem 11 for K iterations: proved bounds, flips that attain them, and performance estimation."""

import json
import math
from pathlib import Path

import pytest
from flint import fmpq
from typer.testing import CliRunner

from reference.errors import InputError
from verify.claims.contract import CertificateError
from verify.claims.exact import horizon
from verify.claims.trials import estimation
from verify.commands import estimate as command
from verify.oracles.rational import nearest

RESULTS = Path(__file__).parents[3] / "docs" / "results" / "estimate" / "estimate.json"


@pytest.mark.parametrize(
    "step", [horizon.one_iteration, horizon.multipliers, horizon.attained, horizon.limit]
)
def test_steps(step: object) -> None:
    assert callable(step)
    step()


def test_weights_need_room() -> None:
    with pytest.raises(CertificateError, match="too small"):
        horizon.weights(fmpq(1, 20), 40)


@pytest.mark.parametrize("m", [fmpq(1, 16), fmpq(1, 5)])
def test_other_shares_do_not_attain_the_bound(m: fmpq) -> None:
    """The shares are the best ones: each that is changed loses."""
    best = horizon.shares(m, 4)
    bound = horizon.weights(m, 4)[0]
    for k in range(4):
        for change in (fmpq(-1, 50), fmpq(1, 50)):
            squares, allowed = horizon.sums([s + change * (i == k) for i, s in enumerate(best)])
            assert squares - m * allowed < bound


@pytest.mark.parametrize("iterations", [2, 3, 5, 8])
@pytest.mark.parametrize("accuracy", [0.0, 0.3, 7.0, 90.0])
def test_the_least_bound_is_attained(iterations: int, accuracy: float) -> None:
    m = estimation.multiplier(iterations, accuracy)
    share, first = estimation.backwards(m, iterations)
    squares, allowed = estimation.flip(share)
    assert allowed == pytest.approx(iterations * accuracy, abs=1e-6)
    assert squares == pytest.approx(2.0 * first + m * iterations * accuracy, rel=1e-9)
    assert estimation.front(iterations, accuracy) >= squares / iterations * (1.0 - 1e-12)
    for other in (0.999 * m, 1.001 * m):
        worse = estimation.backwards(other, iterations)[1]
        assert 2.0 * worse + other * iterations * accuracy >= squares * (1.0 - 1e-12)


def test_floats_agree_with_rationals() -> None:
    m = fmpq(1, 16)
    share, first = estimation.backwards(1.0 / 16.0, 6)
    assert first == pytest.approx(nearest(horizon.weights(m, 6)[0]))
    assert list(share) == pytest.approx([nearest(s) for s in horizon.shares(m, 6)])


@pytest.mark.parametrize(("iterations", "accuracy"), [(0, 1.0), (2, -1.0), (2, math.nan)])
def test_wrong_arguments(iterations: int, accuracy: float) -> None:
    with pytest.raises(InputError, match="must be at least"):
        estimation.estimate(iterations, accuracy)


def test_committed_results() -> None:
    """All estimates are there; a small one is recomputed."""
    document = json.loads(RESULTS.read_text(encoding="utf-8"))
    found = {(one["iterations"], one["accuracy"]): one for one in document["estimates"]}
    assert {*found} == {(k, eps) for k in command.ITERATIONS for eps in command.ACCURACIES}
    for one in document["estimates"]:
        assert one["flip"] == pytest.approx(one["proved"], rel=1e-5)
        assert one["estimated"] == pytest.approx(one["proved"], rel=1e-5)
        assert one["proved"] <= one["asymptotic"] < one["printed"]
        assert one["smallest"] <= one["estimated"] * (1.0 + 1e-5)
    pytest.importorskip("PEPit", reason="the optional extra estimation is not installed")
    again = command.rounded(estimation.estimate(2, 2.0))
    assert again == pytest.approx(found[2, 2.0], rel=1e-5)


def test_the_command_reports_a_disagreement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import typer

    monkeypatch.setattr(estimation, "worst_case", lambda *_, **__: 1.0895)
    app = typer.Typer()
    app.command()(command.COMMAND.run)
    result = CliRunner().invoke(app, ["--iterations", "2", "--accuracy", "0", "--out", str(tmp_path)])
    assert result.exit_code == 1
    assert json.loads((tmp_path / "estimate.json").read_text())["estimates"][0]["estimated"] == 1.0895


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--accuracy", "inf"], "--accuracy must be a finite number"),
        (["--out", "/dev/null/a"], "cannot make the directory /dev/null/a: Not a directory"),
        (["--out", "/dev/null"], "cannot make the directory /dev/null: File exists"),
    ],
)
def test_wrong_usage(options: list[str], sentence: str, tmp_path: Path) -> None:
    import typer

    app = typer.Typer()
    app.command()(command.COMMAND.run)
    result = CliRunner().invoke(app, ["--out", str(tmp_path / "a"), *options])
    assert result.exit_code == 2
    assert sentence in result.output
    assert not (tmp_path / "a").exists()
