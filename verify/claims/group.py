"""The ledger as a group of checks: one check per numbered statement."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from verify.contract import Check, Group, Outcome, Status
from verify.leaves import deferred, defining, title

if TYPE_CHECKING:
    from rich.console import RenderableType

PACKAGE = "verify.claims"


def checks() -> tuple[Check, ...]:
    """One check per statement."""
    return tuple(
        Check(
            name=file,
            group="claims",
            title=title(f"{PACKAGE}.{file}"),
            run=deferred(f"{PACKAGE}.judge", "run", file),
        )
        for file in defining(PACKAGE, "CLAIM")
    )


def ledger(outcomes: Sequence[Outcome]) -> RenderableType:
    """Draw the ledger: a line per form, then how the planted faults fared."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title="The ledger: what stands of the paper")
    for column in ("statement", "form", "verdict"):
        table.add_column(column)
    table.add_column("tightest", justify="right")
    table.add_column("instances", justify="right")
    table.add_column("seconds", justify="right")
    table.add_column("evidence", overflow="fold")
    faults = [outcome for outcome in outcomes if ".fault." in outcome.name]
    for outcome in outcomes:
        if outcome in faults or outcome.status is Status.ERROR:
            continue
        form = outcome.name.rpartition(".")[2]
        style = "" if outcome.status is Status.AS_EXPECTED else "bold red"
        table.add_row(
            Text(outcome.title if form == "printed" else ""),
            Text(form),
            Text(outcome.verdict, style=style),
            Text("" if math.isnan(outcome.margin) else f"{outcome.margin:.4f}"),
            Text(str(outcome.instances)),
            Text(f"{outcome.seconds:.1f}"),
            Text(f"{outcome.instance}: {outcome.detail}" if outcome.instance else outcome.detail),
        )
    caught = sum(outcome.status is Status.AS_EXPECTED for outcome in faults)
    table.caption = f"{caught} of {len(faults)} planted faults noticed by the statements' own trials"
    return table


GROUP = Group(
    name="claims",
    title="Every numbered statement of the paper, as printed and as proved",
    checks=checks,
    render=ledger,
)
