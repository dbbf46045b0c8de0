"""The cross-check matrix: quantities as rows, independent routes as columns."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup, escape

from verify.crosscheck.group import ROUTES
from verify.page.contract import Material, Section
from verify.page.mathematics import prose
from verify.page.parts import table
from verify.page.spelling import short

INTRODUCTION = Markup(
    "<p>Every exact quantity by every independent route that applies. A cell is the worst error in "
    "units of its derived tolerance (below 1 is agreement), how many instances were compared, and the "
    "number of the one where the worst error was seen.</p>"
)


def _present(material: Material) -> Markup | None:
    outcomes = [entry for entry in material.outcomes("crosscheck") if entry["status"] != "error"]
    if not outcomes:
        return None
    rows: dict[str, dict[str, Mapping[str, Any]]] = {}
    for outcome in outcomes:
        quantity, _, route = outcome["name"].rpartition(".")
        rows.setdefault(quantity.removeprefix("crosscheck."), {})[route] = outcome
    found = {route for row in rows.values() for route in row}
    routes = [route for route in ROUTES if route in found] + sorted(found.difference(ROUTES))
    marks = {
        name: mark
        for mark, name in enumerate(dict.fromkeys(outcome["instance"] for outcome in outcomes), 1)
    }
    drawn = [
        [Markup("<code>{}</code>").format(_breakable(quantity))]
        + [_cell(row[route], marks) if route in row else "·" for route in routes]
        for quantity, row in rows.items()
    ]
    heads = ["quantity", *(route.replace("_", " ") for route in routes)]
    items = Markup("").join(
        Markup("<li value='{}'>{}</li>").format(mark, prose(name)) for name, mark in marks.items()
    )
    return (
        INTRODUCTION
        + table(
            "Worst error in tolerances, instances, where", heads, drawn, numeric=range(1, len(heads))
        )
        + Markup("<details><summary>The {} instances by number</summary><ol>{}</ol></details>").format(
            len(marks), items
        )
    )


def _cell(outcome: Mapping[str, Any], marks: Mapping[str, int]) -> Markup:
    margin = float("nan") if outcome["margin"] is None else float(outcome["margin"])
    good = outcome["status"] == "as expected"
    return Markup("<span{}>{}</span> <small>({}) #{}</small>").format(
        Markup("") if good else Markup(' class="bad"'),
        short(margin, 1),
        outcome["instances"],
        marks[outcome["instance"]],
    )


def _breakable(name: str) -> Markup:
    """A name that a narrow screen breaks after dots and underscores only."""
    return Markup(str(escape(name)).replace(".", ".<wbr>").replace("_", "_<wbr>"))


SECTION = Section(
    title="Cross-check matrix",
    place=10,
    command="python -m verify report",
    present=_present,
)
