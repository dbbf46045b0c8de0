"""The mutants as a group of checks: each must be seen by the matrix, and by the statements it names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from verify.contract import Check, Group, Outcome, Status
from verify.leaves import deferred, names, title

if TYPE_CHECKING:
    from rich.console import RenderableType

FAULTS = "verify.mutants.faults"


def checks() -> tuple[Check, ...]:
    """One check per fault."""
    return tuple(
        Check(
            name=f"mutants.{file}",
            group="mutants",
            title=title(f"{FAULTS}.{file}"),
            run=deferred("verify.mutants.hunt", "hunt", file),
        )
        for file in names(FAULTS)
    )


def faults(outcomes: Sequence[Outcome]) -> RenderableType:
    """Draw outcomes as a list of faults with what saw them."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title="Deliberate faults, and what sees them")
    table.add_column("fault", overflow="fold")
    table.add_column("seen by", overflow="fold")
    for outcome in outcomes:
        caught = outcome.status is Status.AS_EXPECTED
        table.add_row(Text(outcome.title), Text(outcome.detail, style="" if caught else "bold red"))
    return table


GROUP = Group(
    name="mutants",
    title="Deliberate faults, each of which some check must see",
    checks=checks,
    render=faults,
)
