"""``python -m verify converge``: the bounds of Theorems 11 and 16 along runs, with figures."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from verify.commands.contract import DEVIATION, INTERRUPTED, Command, usage_errors

if TYPE_CHECKING:
    from verify.contract import Outcome
    from verify.converge.carry_out import Folder

EPILOG = """
\b
Examples:
  python -m verify converge                       into out/converge, in two minutes
  python -m verify converge --level quick         fewer problems and shorter runs
  python -m verify converge --out DIR             into another folder
  python -m verify converge --seed 7              other random problems
  python -m verify converge --jobs 1              in this process alone

\b
The folder holds converge.json (schema: verify/converge/schema.json) and SVG figures.  After an
interruption of any kind the same command goes on, and ends with the same numbers; once complete, it
shows the results again.

Exit codes: 0 every proved bound held; 1 one did not, or an error; 2 wrong usage; 130 interrupted.
"""


def _run(
    level: Annotated[
        Literal["quick", "standard", "deep"],
        typer.Option("--level", help="How many problems, iterations and penalty constants."),
    ] = "standard",
    seed: Annotated[
        int, typer.Option("--seed", min=0, metavar="N", help="Seed of the random problems.")
    ] = 0,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            min=1,
            metavar="N",
            show_default="the cores this process may use",
            help="Number of processes; it does not change the results.",
        ),
    ] = None,
    out: Annotated[
        Path,
        typer.Option(
            "--out", metavar="DIR", help="Folder for the results; that of another run is refused."
        ),
    ] = Path("out/converge"),
) -> None:
    from verify.contract import Context, Level
    from verify.converge.carry_out import Folder

    with usage_errors():
        _report(*_carried_out(Folder.opened(out, Context(Level[level.upper()], seed)), jobs))


def _carried_out(folder: "Folder", jobs: int | None) -> "tuple[dict[str, Any], list[Outcome]]":
    """The document, and the experiments that ended in an error."""
    import joblib  # type: ignore[import-untyped]  # joblib ships no types

    from verify.contract import Status
    from verify.converge import units
    from verify.converge.carry_out import carry_out
    from verify.report import tables

    errors = []
    running = carry_out(folder, jobs or int(joblib.cpu_count()), units.units)
    try:
        with tables.progress() as bar:
            task = bar.add_task("", total=None)
            while True:
                done, total, name, outcomes = next(running)
                bar.update(task, completed=done, total=total, description=name)
                errors += [outcome for outcome in outcomes if outcome.status is Status.ERROR]
    except StopIteration as end:
        return end.value, errors
    except KeyboardInterrupt:
        running.close()
        typer.echo(f"Interrupted; the same command goes on in {folder.path}", err=True)
        raise typer.Exit(INTERRUPTED) from None


def _report(content: "dict[str, Any]", errors: "list[Outcome]") -> None:
    """Show the results, and exit with what they say."""
    import sys

    from verify.converge.tables import report
    from verify.report import tables

    console = tables.console(sys.stdout)
    console.print(report(content))
    for outcome in errors:
        console.print(f"error in {outcome.name}: {outcome.detail}\n{outcome.traceback}")
    if errors or content["deviations"]:
        raise typer.Exit(DEVIATION)


COMMAND = Command(
    help="Run PBRL with each penalty, and hold every iteration to the convergence bounds.",
    epilog=EPILOG,
    run=_run,
)
