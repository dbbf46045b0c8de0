"""The results on the terminal."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.console import Group as Lines
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from verify.converge.bounds import PRINTED, PROVED
from verify.converge.fits import Estimate


def report(content: dict[str, Any]) -> RenderableType:
    """All there is to say of a document."""
    parts: list[RenderableType] = []
    for heading, rows, draw in (
        ("Both sides of the bound at each K", content["bounds"], _bounds),
        ("Iterations ~ lambda^p eps^-r until the average (or the best) |G|^2 is at most eps",
         content["exponents"], _exponents),
        ("Steps of mirror descent per oracle call, against log(lambda^2 / eps_orac)",
         content["inner"], _inner),
        ("Largest multiple of the step 1 / (L_f + lambda L_p): an observation, not a claim",
         content["steps"], _steps),
    ):  # fmt: skip
        if rows:
            parts += [Text(heading, style="bold"), Padding(draw(rows), (0, 0, 1, 0), expand=False)]
    for deviation in content["deviations"]:
        parts.append(_in_full(deviation))
    return Lines(*parts, summary(content))


def summary(content: dict[str, Any]) -> str:
    """Return one line."""
    deviations = len(content["deviations"])
    noun = "deviation" if deviations == 1 else "deviations"
    return (
        ("" if content["complete"] else "not complete: ")
        + f"{content['held'] - deviations} inequalities hold, {deviations} {noun} "
        + f"(level {content['level']}, seed {content['seed']})"
    )


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    table.add_column(columns[0], overflow="fold")
    for column in columns[1:]:
        table.add_column(column, justify="right")
    return table


def _bounds(rows: list[dict[str, Any]]) -> Table:
    table = _table(
        "run", "K", "1/alpha", "average", "proved", "printed", "left/proved", "left/printed",
        "eps_orac", "without eps", "exponent in K",
    )  # fmt: skip
    for run in rows:
        curve, ratios = run["curve"], {found["key"]: found for found in run["findings"]}
        mean = run["exponents"].get("mean_of_average")
        table.add_row(
            run["name"].removeprefix("bound."),
            str(run["iterations"]),
            f"{1.0 / run['alpha']:.3g}",
            *(f"{curve[key][-1]:.3g}" for key in ("average", PROVED.key, PRINTED.key)),
            *(_ratio(ratios[key]) for key in (PROVED.key, PRINTED.key)),
            f"{curve['eps_as_said'][-1]:.2g}, {curve['eps_as_used'][-1]:.2g}",
            f"{run['without_eps']:.3g}",
            "-" if mean is None else str(Estimate(**mean)),
        )
    table.caption = (
        "average, bounds and eps_orac (as the assumption says it, as the proof uses it): one problem, "
        "last K; ratios: worst K and problem.\nThe exponent is at least -1, as K times the average "
        "cannot fall; with exact oracles it is -1 in the end."
    )
    return table


def _ratio(found: dict[str, Any]) -> Text:
    return Text(f"{found['ratio']:.4f}", style="" if found["holds"] else "bold red")


def _exponents(rows: list[dict[str, Any]]) -> Table:
    table = _table("penalty", "start", "metric", "p", "r", "p, last doubling", "problems")
    for row in rows:
        table.add_row(
            row["kind"],
            row["start"],
            row["metric"],
            str(Estimate(**row["lambda"])),
            str(Estimate(**row["one_over_eps"])),
            "-" if row["lambda_in_the_end"] is None else str(Estimate(**row["lambda_in_the_end"])),
            str(row["members"]),
        )
    table.caption = (
        "Table 1 says p = 1, r = 1; proved is at most p = 2 from a fixed start and p = 1 from a "
        "solution of the lower level, for the average"
    )
    return table


def _inner(rows: list[dict[str, Any]]) -> Table:
    table = _table("penalty", "slope", "proved slope", "at", "steps", "proved")
    for row in rows:
        table.add_row(
            row["kind"],
            str(Estimate(**row["slope"])),
            f"{row['proved_slope']:.3f}",
            f"{row['quotients'][-1]:.0e}",
            str(max((T for T in row["steps"][-1] if T is not None), default="-")),
            str(max((T for T in row["proved"][-1] if T is not None), default="-")),
        )
    return table


def _steps(rows: list[dict[str, Any]]) -> Table:
    table = _table("run", "K", "proved bound", "printed bound")
    for run in rows:
        table.add_row(
            run["title"],
            str(run["iterations"]),
            *(_largest(run["largest"][form.key]) for form in (PROVED, PRINTED)),
        )
    return table


def _largest(found: dict[str, Any]) -> str:
    if found["fails"] is None:
        return f"{found['holds']:.4g}, none fails"
    return f"{found['holds']:.4g}, fails at {found['fails']:.4g} (K = {found['fails_at_K']})"


def _in_full(deviation: dict[str, Any]) -> RenderableType:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row(Text("deviation", style="bold red"), deviation["experiment"])
    for field in ("words", "lhs", "rhs", "tolerance", "where"):
        table.add_row(field, str(deviation[field]))
    return Padding(table, (0, 0, 1, 0), expand=False)
