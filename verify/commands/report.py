"""``python -m verify report``: a run, the statements and all results as one HTML page."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from verify.commands.contract import DEVIATION, INTERRUPTED, Command, usage_errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from verify.page.contract import Material
    from verify.report.run import Run

PAGE, DOCUMENT = "index.html", "run.json"

DEFAULT_RESULTS = (Path("docs/results"), Path("out"))

EPILOG = """
\b
Examples:
  python -m verify report                         run every check, into out/report/index.html
  python -m verify report --out DIR               into another folder
  python -m verify report --from run.json         show a run that was made: all --json run.json
  python -m verify report --results DIR           with the results of other commands in DIR/converge,
                                                  DIR/stackelberg, ...; may be given several times
  python -m verify report --level deep --seed 7   more work on each check, other random instances
  python -m verify report --jobs 1                in this process alone
  python -m verify report --resume                go on after an interruption

\b
The page holds all that it shows, and fetches nothing.  Beside it stands run.json, the run as a document
(schema: verify/report/schema.json), which is kept up to date while the run lasts.

Exit codes: 0 all as expected; 1 a deviation, or an error in a check; 2 wrong usage; 130 interrupted by
Ctrl-C or SIGTERM: the page shows what had finished.
"""


def _run(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the page.")] = Path(
        "out/report"
    ),
    source: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="FILE",
            show_default=False,
            help="Run nothing: show the run in this file of --json.",
        ),
    ] = None,
    results: Annotated[
        list[Path] | None,
        typer.Option(
            "--results",
            metavar="DIR",
            show_default="docs/results and out, if they exist",
            help="Folder with results of other commands; of several, the first that has them counts.",
        ),
    ] = None,
    level: Annotated[
        Literal["quick", "standard", "deep"] | None,
        typer.Option("--level", show_default="standard", help="How much work each check does."),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", min=0, metavar="N", show_default="0", help="Seed of all randomness."),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            min=1,
            metavar="N",
            show_default="the cores this process may use",
            help="Number of processes; it does not change the outcomes.",
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Take over what finished from DIR/run.json, and run the rest."),
    ] = False,
) -> None:
    from reference.errors import InputError

    with usage_errors():
        given = {"--level": level, "--seed": seed, "--jobs": jobs, "--resume": resume or None}
        if source is not None:
            if idle := [name for name, value in given.items() if value is not None]:
                raise InputError(f"--from runs nothing: leave out {', '.join(idle)}, or --from")
            code = _show(source, out, _folders(results))
        else:
            code = _carry_out(
                _begun(level or "standard", seed or 0, out, resume), out, _folders(results), jobs
            )
    raise typer.Exit(code)


def _folders(results: "Sequence[Path] | None") -> tuple[Path, ...]:
    """Folders of results; those that are named must exist."""
    from reference.errors import InputError

    if results is None:
        return tuple(folder for folder in DEFAULT_RESULTS if folder.is_dir())
    for folder in results:
        if not folder.is_dir():
            raise InputError(
                f"--results: there is no directory {folder}; give one that holds a folder for each "
                "command or experiment, such as converge or stackelberg"
            )
    return tuple(results)


def _opened(out: Path) -> None:
    """Make the folder of the page, if its files can be written there."""
    from verify.report import files

    files.make_directory(out)
    for name in (PAGE, DOCUMENT):
        files.check_writable(out / name)


def _show(source: Path, out: Path, folders: tuple[Path, ...]) -> int:
    """Show a run that was made; return the exit code."""
    from verify.page.contract import Material
    from verify.report import document
    from verify.report.run import Origin

    read = document.read(source, "--from takes a file that `python -m verify all --json FILE` wrote")
    _opened(out)
    same_code = read["fingerprint"] == Origin.here().fingerprint
    if not same_code:
        typer.echo(
            f"The run in {source} is of other code than this; the page says so. To show this code, "
            "leave out --from",
            err=True,
        )
    return _written(Material(read, folders), out, same_code=same_code)


def _begun(level: str, seed: int, out: Path, resume: bool) -> "Run":
    """Return the run of all checks, with what is taken over."""
    from reference.errors import InputError
    from verify import collect
    from verify.contract import Context, Level
    from verify.report import document
    from verify.report.run import Origin, Run

    checks = collect.checks(collect.groups())
    run = Run.begin(Origin.here(), Context(Level[level.upper()], seed), checks)
    if resume:
        if not (out / DOCUMENT).is_file():
            raise InputError(f"there is no {out / DOCUMENT} to go on from; leave out --resume")
        run = document.resume(run, out / DOCUMENT)
    return run


def _carry_out(begun: "Run", out: Path, folders: tuple[Path, ...], jobs: int | None) -> int:
    """Run what is left, write the page, and return the exit code."""
    import contextlib

    from verify.page import page
    from verify.page.contract import Material
    from verify.report import document, files, progress

    _opened(out)
    run, interrupted = begun, False
    page.drawn(Material(document.document(run), folders))  # results that cannot be read are found now
    try:
        with contextlib.closing(progress.growing(begun, jobs or progress.cores())) as growing:
            for run in growing:
                files.write(out / DOCUMENT, document.dumps(run))
    except KeyboardInterrupt:
        interrupted = True
    files.write(out / DOCUMENT, document.dumps(run))
    code = _written(Material(document.document(run), folders), out)
    if interrupted or not run.complete:
        typer.echo("Go on with the same command and --resume", err=True)
        return INTERRUPTED
    return code


def _written(material: "Material", out: Path, *, same_code: bool = True) -> int:
    """Write the page and say where it is."""
    from verify.page.page import page
    from verify.report import files

    files.write(out / PAGE, page(material, same_code=same_code))
    document: Any = material.document
    bad = [outcome["name"] for outcome in document["outcomes"] if outcome["status"] != "as expected"]
    typer.echo(
        f"{out / PAGE}: {len(document['outcomes'])} outcomes, "
        + (f"{len(bad)} not as expected: {', '.join(bad)}" if bad else "all as expected")
    )
    return DEVIATION if bad else 0


COMMAND = Command(
    help="Write one HTML page: the ledger, every statement worked out, and all results.",
    epilog=EPILOG,
    run=_run,
)
