"""The matrix: complete, sensitive, and honest about what float64 does not resolve."""

import importlib
import inspect
import io
import re
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

from reference.objectives.contract import Objective
from reference.penalties.contract import Penalty
from sampled.estimators.contract import EstimatorKind
from verify.contract import Context, Level, Status
from verify.crosscheck.cases import cases, dyadic_cases, small_cases
from verify.crosscheck.estimates import endless, sizes
from verify.crosscheck.group import GROUP
from verify.crosscheck.matrix import RESOLVED, compare, request, resolved, row
from verify.crosscheck.quantities import policy as policy_row
from verify.crosscheck.quantities import simulation as simulation_rows
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
    "file",
    [
        *("policy", "joint_policy", "leader_loss", "shaping_loss", "design_loss"),
        *("estimators", "twins", "simulation", "algorithms", "networks"),
    ],
)
def test_rows_agree_at_another_seed(file: str) -> None:
    outcomes = run(file, Context(Level.QUICK, 3))
    assert {o.status for o in outcomes} == {Status.AS_EXPECTED}, [o for o in outcomes if o.margin > 1]


@pytest.mark.parametrize(("file", "row_"), QUANTITIES, ids=lambda v: v if isinstance(v, str) else v.name)
def test_every_quantity_has_a_resolved_instance_and_is_sensitive(file: str, row_: Quantity[Any]) -> None:
    """A relative error of four in a thousand is seen in every row, on some instance."""
    drawn = QUICK if row_.instances is None else row_.instances(Level.QUICK, 0)
    small = [c for c in drawn if n_states(c) <= 8 and row_.applies(c)]
    generator = np.random.default_rng(0)
    seen = 0
    for case in small:
        measured = row_.measured(case)
        if not resolved(measured):
            continue
        asked = request(row_, case, generator)
        applying = [r for r in routes() if r.applies(asked)]
        chosen = {applying[0], *(r for r in applying if r.name == "every trajectory")}
        wrong = Measured(measured.values * (1.0 + 4.0 * RESOLVED), measured.tolerance)
        margins = [compare(case, wrong, asked, route.answer(asked)).margin for route in chosen]
        seen += min(margins) > 1.0
    assert seen >= 1, f"{file}.{row_.name} would not see an error of {4 * RESOLVED:.1%}"


def n_states(case: Case[Any]) -> int:
    return int(case.point.policies[0].shape[0])


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


def test_unresolved_instances_must_not_contradict() -> None:
    """A tolerance of a tenth of the quantity: too little to count, enough to see a wrong sign."""
    row_ = quantity("v")

    def blurred(case: Case[Any], sign: float) -> Measured:
        values = row_.measured(case).values
        return Measured.of(sign * values, 0.1 * np.abs(values).max())

    cases = (case_of("far_sighted"),)
    right, wrong = (replace(row_, measured=partial(blurred, sign=sign)) for sign in (1.0, -1.0))
    assert row("crosscheck.policy", right, cases, routes(), 0) == ()
    outcomes = row("crosscheck.policy", wrong, cases, routes(), 0)
    assert {(outcome.status, outcome.instances) for outcome in outcomes} == {(Status.DEVIATION, 0)}


def test_a_row_without_instances_is_a_deviation(monkeypatch: pytest.MonkeyPatch) -> None:
    never = replace(quantity("v"), premise=lambda case: False)  # noqa: ARG005 - the contract's signature
    monkeypatch.setattr(policy_row, "QUANTITIES", (never,))
    (outcome,) = run("policy", Context(Level.QUICK, 0))
    assert outcome.status is Status.DEVIATION
    assert "no route" in outcome.detail


def test_all_seven_routes_are_used() -> None:
    used = {
        outcome.name.rpartition(".")[2]
        for file in ("policy", "optimum", "estimators")
        for outcome in run(file, Context(Level.QUICK, 0))
    }
    assert used == {route.name.replace(" ", "_") for route in routes()}
    assert len(used) >= 7


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


@pytest.mark.parametrize("package", ["penalties", "objectives"])
def test_every_twin_has_a_row(package: str) -> None:
    lines = _source("twins").splitlines()
    for name in names(f"sampled.{package}"):
        if name != "contract":
            assert any(line.startswith(f"from sampled.{package}.{name} import") for line in lines), name


def test_every_estimator_and_setting_has_a_row_with_every_trajectory() -> None:
    rows = {outcome.name for outcome in run("estimators", Context(Level.QUICK, 0))}
    kinds = leaves("sampled.estimators", "ESTIMATOR", EstimatorKind)
    wanted = {
        f"crosscheck.estimators.{file}_{setting.replace(' ', '_')}.every_trajectory"
        for file, kind in kinds.items()
        for setting in kind.variants(2, torch.zeros(1, 2))
    }
    assert {row for row in rows if row.endswith("every_trajectory")} == wanted
    assert len(wanted) >= 17


def test_an_infinite_horizon_is_held_to_the_infinite_sum() -> None:
    """What lies beyond the steps that are followed is below what float64 resolves, and above zero."""
    (case,) = [c for c in small_cases(Level.QUICK, 0) if endless(c)]
    bound = sizes(case)
    assert 0.0 < replace(bound, gamma=0.5).sampled(1) <= bound.sampled(1) < 1e-11 * bound.size


def test_simulated_laws_are_exact() -> None:
    """No tolerance at all: every word is counted."""
    for outcome in run("simulation", Context(Level.QUICK, 0)):
        is_law = ".mean." not in outcome.name and ".common_numbers." not in outcome.name
        assert outcome.margin == 0.0 or not is_law


def test_a_law_that_is_slightly_off_is_seen() -> None:
    laws = [q for q in simulation_rows.QUANTITIES if q.name in {"alias", "pairs"}]
    for row_ in laws:
        case = next(c for c in dyadic_cases(Level.QUICK, 0) if row_.applies(c))
        measured, asked = row_.measured(case), request(row_, case, np.random.default_rng(0))
        route = next(r for r in routes() if r.name == "every trajectory")
        answer = route.answer(asked)
        off = Answer(answer.values + 1e-9, answer.error)
        assert compare(case, measured, asked, answer).margin <= 1.0
        assert compare(case, measured, asked, off).margin > 1.0


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
