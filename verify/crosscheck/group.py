"""The cross-check matrix as a group of checks: one check per file of quantities."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from verify.contract import Check, Group, Outcome, Status
from verify.leaves import deferred, names, title

if TYPE_CHECKING:
    from rich.console import RenderableType

QUANTITIES = "verify.crosscheck.quantities"
ROUTES = ("autodiff", "complex_step", "80_digits", "rationals", "series", "linear_program")
"""Columns of the matrix, in the order shown; others follow."""


def checks() -> tuple[Check, ...]:
    """One check per file of quantities."""
    return tuple(
        Check(
            name=f"crosscheck.{file}",
            group="crosscheck",
            title=title(f"{QUANTITIES}.{file}"),
            run=deferred("verify.crosscheck.run", "run", file),
        )
        for file in names(QUANTITIES)
    )


def _margin(outcome: Outcome) -> float:
    """The margin, with those that are no numbers last."""
    return math.inf if math.isnan(outcome.margin) else outcome.margin


def matrix(outcomes: Sequence[Outcome]) -> RenderableType:
    """Draw outcomes with quantities as rows and routes as columns.

    A cell is the worst error in units of its tolerance, and the number of instances.
    """
    from rich.table import Table
    from rich.text import Text

    rows: dict[str, dict[str, Outcome]] = {}
    for outcome in outcomes:
        if outcome.status is Status.ERROR:
            continue  # a check that stopped has no cells; it is listed in full below
        prefix, _, route = outcome.name.rpartition(".")
        rows.setdefault(prefix.removeprefix("crosscheck."), {})[route] = outcome
    found = {route for cells in rows.values() for route in cells}
    routes = [r for r in ROUTES if r in found] + sorted(found.difference(ROUTES))
    table = Table(
        title="Cross-check: worst error / derived tolerance (instances)",
        caption="below 1 is agreement; · the route does not apply",
    )
    table.add_column("quantity", no_wrap=True)
    for route in routes:
        table.add_column(route.replace("_", " "), justify="right", no_wrap=True)
    table.add_column("closest call on", overflow="fold")
    for name, cells in rows.items():
        worst = max(cells.values(), key=_margin)
        drawn = [
            Text(
                f"{cells[route].margin:.0e} ({cells[route].instances})",
                style="" if cells[route].status is Status.AS_EXPECTED else "bold red",
            )
            if route in cells
            else Text("·", style="dim")
            for route in routes
        ]
        table.add_row(Text(name), *drawn, Text(worst.instance))
    return table


GROUP = Group(
    name="crosscheck",
    title="Every exact quantity, by every independent route, on every family of problems",
    checks=checks,
    render=matrix,
)
