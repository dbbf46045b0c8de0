"""The cross-check matrix as a group of checks: one check per file of quantities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from verify.contract import Check, Group, Outcome, Status
from verify.leaves import deferred, names, title

if TYPE_CHECKING:
    from rich.console import RenderableType

QUANTITIES = "verify.crosscheck.quantities"
ROUTES = (
    "autodiff",
    "complex_step",
    "80_digits",
    "rationals",
    "series",
    "linear_program",
    "every_trajectory",
)
"""Columns of the matrix, in the order shown; others follow."""

LEGEND = 150
"""Width of the list of instances where lines are not folded otherwise."""


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


def matrix(outcomes: Sequence[Outcome]) -> RenderableType:
    """Draw outcomes with quantities as rows and routes as columns.

    A cell is the worst error in units of its tolerance, the number of instances, and the mark of the
    instance where the worst error was seen; the marks are resolved below.
    """
    from rich.columns import Columns
    from rich.console import Group as Lines
    from rich.constrain import Constrain
    from rich.table import Table
    from rich.text import Text

    rows: dict[str, dict[str, Outcome]] = {}
    for outcome in outcomes:
        if outcome.status is Status.ERROR:
            continue  # a check that stopped has no cells; it is listed in full below
        prefix, _, route = outcome.name.rpartition(".")
        rows.setdefault(prefix.removeprefix("crosscheck."), {})[route] = outcome
    cells = [cell for row in rows.values() for cell in row.values()]
    found = {route for row in rows.values() for route in row}
    routes = [r for r in ROUTES if r in found] + sorted(found.difference(ROUTES))
    marks = {name: f"#{i}" for i, name in enumerate(dict.fromkeys(c.instance for c in cells), 1)}
    wide = max(map(len, marks.values()), default=0)
    table = Table(
        title="Cross-check: worst error / derived tolerance (instances) #where",
        caption="below 1 is agreement; · the route does not apply; the worst errors were seen on",
    )
    table.add_column("quantity", no_wrap=True)
    for route in routes:
        table.add_column(route.replace("_", " "), justify="right", no_wrap=True)
    for name, row in rows.items():
        drawn = [
            Text(
                f"{row[route].margin:.0e} ({row[route].instances}) {marks[row[route].instance]:<{wide}}",
                style="" if row[route].status is Status.AS_EXPECTED else "bold red",
            )
            if route in row
            else Text("·", style="dim")
            for route in routes
        ]
        table.add_row(Text(name), *drawn)
    legend = Columns(
        [Text(f"{mark} {name}") for name, mark in marks.items()],
        padding=(0, 2),
        column_first=True,
        width=max((len(f"{mark} {name}") for name, mark in marks.items()), default=0),
    )
    return Lines(table, Constrain(legend, LEGEND))


GROUP = Group(
    name="crosscheck",
    title="Every exact quantity, by every independent route, on every family of problems",
    checks=checks,
    render=matrix,
)
