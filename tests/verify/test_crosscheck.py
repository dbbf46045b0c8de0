"""The matrix: complete, sensitive, and honest about what float64 does not resolve."""

import importlib
import inspect
import io
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from reference.objectives.contract import Objective
from reference.penalties.contract import Penalty
from verify.contract import Context, Level, Status
from verify.crosscheck.cases import cases
from verify.crosscheck.group import GROUP
from verify.crosscheck.matrix import RESOLVED, compare, request, resolved, row
from verify.crosscheck.quantities import policy as policy_row
from verify.crosscheck.quantity import Case, Measured, Quantity
from verify.crosscheck.run import routes, run
from verify.leaves import leaves, names
from verify.oracles.route import Answer

QUICK = cases(Level.QUICK, 0)
QUANTITIES: list[tuple[str, Quantity[Any]]] = [
    (file, quantity)
    for file in names("verify.crosscheck.quantities")
    for quantity in importlib.import_module(f"verify.crosscheck.quantities.{file}").QUANTITIES
]


def quantity(name: str) -> Quantity[Any]:
    return next(q for q in policy_row.QUANTITIES if q.name == name)


@pytest.mark.parametrize(
    "file", ["policy", "joint_policy", "leader_loss", "shaping_loss", "design_loss"]
)
def test_rows_agree_at_another_seed(file: str) -> None:
    outcomes = run(file, Context(Level.QUICK, 3))
    assert {o.status for o in outcomes} == {Status.AS_EXPECTED}, [o for o in outcomes if o.margin > 1]


@pytest.mark.parametrize(("file", "row_"), QUANTITIES, ids=lambda v: v if isinstance(v, str) else v.name)
def test_every_quantity_has_a_resolved_instance_and_is_sensitive(file: str, row_: Quantity[Any]) -> None:
    """A relative error of four in a thousand is seen in every row, on some instance."""
    small = [c for c in QUICK if c.problem.at(c.point.x).n_states <= 8 and row_.applies(c)]
    generator = np.random.default_rng(0)
    seen = 0
    for case in small:
        measured = row_.measured(case)
        if not resolved(measured):
            continue
        asked = request(row_, case, generator)
        route = next(r for r in routes() if r.applies(asked))
        wrong = Measured(measured.values * (1.0 + 4.0 * RESOLVED), measured.tolerance)
        seen += compare(case, wrong, asked, route.answer(asked)).margin > 1.0
    assert seen >= 1, f"{file}.{row_.name} would not see an error of {4 * RESOLVED:.1%}"


def case_of(name: str) -> Case[Any]:
    return next(c for c in QUICK if c.name == name)


def test_a_shape_or_a_nan_is_a_deviation() -> None:
    case, row_ = case_of("shaping"), quantity("v")
    measured = row_.measured(case)
    asked = request(row_, case, np.random.default_rng(0))
    values = measured.values
    assert compare(case, measured, asked, Answer(values[:-1], 0.0)).margin == np.inf
    assert compare(case, measured, asked, Answer(values * np.nan, 0.0)).margin == np.inf
    assert compare(case, measured, asked, Answer(values, 0.0)).margin == 0.0


def test_a_quantity_that_is_not_finite_is_not_let_off() -> None:
    row_ = quantity("v")
    broken = replace(row_, measured=lambda case: Measured.of(row_.measured(case).values * np.nan, 1.0))
    outcomes = row("crosscheck.policy", broken, QUICK, routes(), 0)
    assert {outcome.status for outcome in outcomes} == {Status.DEVIATION}


def test_unresolved_instances_are_not_counted() -> None:
    row_ = quantity("v")
    blurred = replace(row_, measured=lambda case: Measured.of(row_.measured(case).values, 1e9))
    assert row("crosscheck.policy", blurred, QUICK, routes(), 0) == ()


def test_a_row_without_instances_is_a_deviation(monkeypatch: pytest.MonkeyPatch) -> None:
    never = replace(quantity("v"), premise=lambda case: False)  # noqa: ARG005 - the contract's signature
    monkeypatch.setattr(policy_row, "QUANTITIES", (never,))
    (outcome,) = run("policy", Context(Level.QUICK, 0))
    assert outcome.status is Status.DEVIATION
    assert "no route" in outcome.detail


def test_all_six_routes_are_used() -> None:
    used = {
        outcome.name.rpartition(".")[2]
        for file in ("policy", "optimum")
        for outcome in run(file, Context(Level.QUICK, 0))
    }
    assert used == {route.name.replace(" ", "_") for route in routes()}
    assert len(used) >= 6


def test_every_penalty_and_objective_has_a_row() -> None:
    """A new leaf in `reference` without its definition here would go unchecked."""
    used = {
        line.split()[1]
        for file in names("verify.crosscheck.quantities")
        for line in _source(file).splitlines()
        if line.startswith("from reference.")
    }
    for package, constant, kind in (
        ("reference.penalties", "PENALTY", Penalty),
        ("reference.objectives", "OBJECTIVE", Objective),
    ):
        for name in leaves(package, constant, kind):
            assert f"{package}.{name}" in used, f"{package}.{name} has no row"


def _source(file: str) -> str:
    return inspect.getsource(importlib.import_module(f"verify.crosscheck.quantities.{file}"))


def test_the_matrix_is_drawn() -> None:
    console = Console(width=160, record=True, file=io.StringIO())
    assert GROUP.render is not None
    outcomes = run("shaping_loss", Context(Level.QUICK, 0))
    console.print(GROUP.render(outcomes))
    text = console.export_text()
    assert "shaping_loss.grad_pi" in text
    assert "autodiff" in text
    for outcome in outcomes:
        marks = dict(line.split(" ", 1)[::-1] for line in re.findall(r"#\d+ \w.*?(?=  |$)", text, re.M))
        cell = f"{outcome.margin:.0e} ({outcome.instances}) {marks[outcome.instance]}"
        assert cell in text
