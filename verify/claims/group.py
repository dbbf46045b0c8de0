"""The ledger as a group of checks: one check per numbered statement."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from verify.contract import Check, Group, Outcome, Status
from verify.leaves import deferred, defining, title

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

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


FORMS = ("printed", "meant", "proved")


def ledger(outcomes: Sequence[Outcome]) -> RenderableType:
    """Draw the ledger, a line per statement; then the evidence, and how the planted faults fared."""
    from rich.console import Group as Stack

    return Stack(_statements(outcomes), _evidence(outcomes))


def _statements(outcomes: Sequence[Outcome]) -> RenderableType:
    """Each statement with its verdicts; ratio and instances are those of its last form with trials."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title="The ledger: what stands of the paper")
    table.add_column("statement")
    for form in FORMS:
        table.add_column(form)
    for column in ("tightest", "instances", "seconds"):
        table.add_column(column, justify="right")
    forms = [outcome for outcome in outcomes if _is_form(outcome)]
    for file in dict.fromkeys(_file(outcome) for outcome in forms):
        own = {_form(outcome): outcome for outcome in forms if _file(outcome) == file}
        tried = [outcome for outcome in own.values() if not math.isnan(outcome.margin)]
        table.add_row(
            Text(next(iter(own.values())).title),
            *(_verdict(own[form]) if form in own else Text("") for form in FORMS),
            Text(f"{tried[-1].margin:.4f}" if tried else ""),
            Text(str(tried[-1].instances) if tried else ""),
            Text(f"{sum(o.seconds for o in outcomes if _file(o) == file):.1f}"),
        )
    faults = [outcome for outcome in outcomes if ".fault." in outcome.name]
    caught = sum(outcome.status is Status.AS_EXPECTED for outcome in faults)
    table.caption = f"{caught} of {len(faults)} planted faults noticed by the statements' own trials"
    return table


def _evidence(outcomes: Sequence[Outcome]) -> RenderableType:
    """Each form with its certificates, its proof, or how strong the search was."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title="The evidence")
    table.add_column("form", overflow="fold")
    table.add_column("verdict")
    table.add_column("evidence", overflow="fold")
    for outcome in filter(_is_form, outcomes):
        where = f"{outcome.instance}: " if outcome.instance else ""
        table.add_row(Text(outcome.name), _verdict(outcome), Text(f"{where}{outcome.detail}"))
    return table


def _is_form(outcome: Outcome) -> bool:
    return _form(outcome) in FORMS and ".fault." not in outcome.name


def _file(outcome: Outcome) -> str:
    return outcome.name.partition(".")[0]


def _form(outcome: Outcome) -> str:
    return outcome.name.rpartition(".")[2]


def _verdict(outcome: Outcome) -> Text:
    from rich.text import Text

    return Text(outcome.verdict, style="" if outcome.status is Status.AS_EXPECTED else "bold red")


GROUP = Group(
    name="claims",
    title="Every numbered statement of the paper, as printed and as proved",
    checks=checks,
    render=ledger,
)
