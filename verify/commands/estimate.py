"""``python -m verify estimate``: Theorem 11's constants beside performance estimation."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from verify.commands.contract import DEVIATION, Command, usage_errors

if TYPE_CHECKING:
    from rich.table import Table

    from verify.claims.trials.estimation import Estimate

EPILOG = """
\b
Examples:
  python -m verify estimate                            K = 1, 2, 3, 5, into out/estimate
  python -m verify estimate --iterations 2             K = 2 alone
  python -m verify estimate --accuracy 4               eps_orac = 4 alone
  python -m verify estimate --out docs/results/estimate
                                                       the committed results

\b
Needs PEPit.  The folder holds estimate.json: bounds of the average squared projected gradient for
alpha = L = D = 1.

Exit codes: 0 the proved bound, the flip that attains it and the estimate agree; 1 they do not; 2 wrong
usage.
"""

ITERATIONS = (1, 2, 3, 5)

ACCURACIES = (0.0, 0.5, 2.0, 16.0, 100.0)

AGREEMENT = 1e-5
"""Relative; the semidefinite program is solved to a tenth of it."""


def _run(
    iterations: Annotated[
        list[int] | None,
        typer.Option(
            "--iterations", min=1, max=8, metavar="K", help="Number of iterations; repeatable."
        ),
    ] = None,
    accuracy: Annotated[
        list[float] | None,
        typer.Option("--accuracy", min=0.0, metavar="EPS", help="eps_orac for D = 1; repeatable."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the results.")] = Path(
        "out/estimate"
    ),
) -> None:
    import json
    import math

    from rich.console import Console
    from rich.progress import track

    from reference.errors import InputError
    from verify.claims.trials.estimation import estimate
    from verify.report.files import check_writable, make_directory, write

    pairs = [(k, eps) for k in iterations or ITERATIONS for eps in accuracy or ACCURACIES]
    console = Console()
    with usage_errors():
        if not all(map(math.isfinite, accuracy or ())):
            raise InputError("--accuracy must be a finite number: leave the others out")
        make_directory(out)
        check_writable(out / "estimate.json")
        steps = track(pairs, "semidefinite programs", console=console, disable=not console.is_terminal)
        found = [estimate(k, eps) for k, eps in steps]
    document = {
        "command": "python -m verify estimate",
        "unit": "average of |G_k|^2 over K iterations, alpha = L = D = 1",
        "estimates": [rounded(one) for one in found],
    }
    with usage_errors():
        write(out / "estimate.json", json.dumps(document, indent=1) + "\n")
    console.print(_table(found))
    if not all(_agree(one) for one in found):
        raise typer.Exit(DEVIATION)


def rounded(one: "Estimate") -> dict[str, float]:
    """Six digits: what the solver gives."""
    from dataclasses import asdict

    return {name: float(f"{value:.6g}") for name, value in asdict(one).items()}


def _agree(one: "Estimate") -> bool:
    """Whether no run is above the proved bound, and some run is at it."""
    limit = AGREEMENT * one.proved
    return abs(one.flip - one.proved) <= limit and abs(one.estimated - one.proved) <= limit


def _table(found: "list[Estimate]") -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(title="Average squared projected gradient, alpha = L = D = 1: the worst case")
    for column in ("K", "eps", "printed", "for all K", "proved", "flip", "PEPit", "PEPit, smallest"):
        table.add_column(column, justify="right")
    for one in found:
        values = (one.printed, one.asymptotic, one.proved, one.flip, one.estimated, one.smallest)
        style = "" if _agree(one) else "bold red"
        table.add_row(
            str(one.iterations), f"{one.accuracy:g}", *(Text(f"{v:.5f}", style=style) for v in values)
        )
    return table


COMMAND = Command(
    help="Hold the best constants of Theorem 11 to performance estimation.",
    epilog=EPILOG,
    run=_run,
)
