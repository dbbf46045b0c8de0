"""The command line: ``python -m verify all``, ``list``, or the names of checks and groups."""

import contextlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Literal

import typer

from reference.errors import InputError
from verify import collect, leaves, runner
from verify.commands.contract import DEVIATION, INTERRUPTED, USAGE, Command, usage_errors
from verify.contract import Context, Group, Level, Status
from verify.report import files
from verify.report.run import PACKAGES, Origin, Run

PROGRAM = "python -m verify"

EXIT_CODES = """
Exit codes: 0 all as expected; 1 a deviation, or an error in a check; 2 wrong usage; 130 interrupted by
Ctrl-C or SIGTERM, and what had finished is reported.
"""

EXAMPLES = """
\b
Examples:
  python -m verify all                            run every check
  python -m verify list                           show their names
  python -m verify crosscheck                     run a group
  python -m verify crosscheck.value_penalty       run one check
  python -m verify check crosscheck mutants       run several
"""

ALL_EXAMPLES = """
\b
Examples:
  python -m verify all                            run every check
"""

CHECK_EXAMPLES = """
\b
Examples ("check" may be left out):
  python -m verify check crosscheck.value_penalty   run one check
  python -m verify check crosscheck                 run a group
  python -m verify check crosscheck mutants         run several
"""

LIST_EXAMPLES = """
\b
Examples:
  python -m verify list                           all names
  python -m verify list crosscheck                those of a group
  python -m verify list -k "penalty and not nash" those that match
"""

OPTION_EXAMPLES = """\
  python -m verify {0} --level quick              less work on each check
  python -m verify {0} --seed 7                   other random instances
  python -m verify {0} -k "value and not grad"    only those that match
  python -m verify {0} --jobs 1                   in this process alone
  python -m verify {0} --json out.json            a document for programs
  python -m verify {0} --junit out.xml            a report for CI
  python -m verify {0} --resume out.json          go on after an interruption
"""

NAMES = typer.Argument(
    metavar="NAME...",
    show_default=False,
    help="Checks, groups, or beginnings of names up to a dot, as the list command shows them.",
)
PatternOption = Annotated[
    str,
    typer.Option(
        "-k",
        metavar="PATTERN",
        show_default=False,
        help="Only checks that match: words joined by and, or, not and parentheses; a word matches "
        "a check whose name or group contains it, whatever the case.",
    ),
]
LevelOption = Annotated[
    Literal["quick", "standard", "deep"],
    typer.Option("--level", help="How much work each check does."),
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, metavar="N", help="Seed of all randomness.")]
JobsOption = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        min=1,
        metavar="N",
        show_default="the cores this process may use",
        help="Number of processes; it does not change the outcomes. 1 runs in this process.",
    ),
]
JsonOption = Annotated[
    Path | None,
    typer.Option(
        "--json",
        metavar="FILE",
        show_default=False,
        help="Write a JSON document (schema: verify/report/schema.json), which is kept up to date while "
        "the run lasts, and is valid at any moment.",
    ),
]
JunitOption = Annotated[
    Path | None,
    typer.Option("--junit", metavar="FILE", show_default=False, help="Write JUnit XML at the end."),
]
ResumeOption = Annotated[
    Path | None,
    typer.Option(
        "--resume",
        metavar="FILE",
        show_default=False,
        help="Take over what finished in an interrupted run from the file of its --json, run the rest "
        "and what ended in an error, and write to the same file unless --json names another. Version, "
        "code, environment, level and seed must be the same.",
    ),
]


def main(
    arguments: Sequence[str] | None = None,
    *,
    groups: Callable[[], tuple[Group, ...]] = collect.groups,
    packages: Sequence[str] = PACKAGES,
) -> None:
    """Run the command line and exit.

    Parameters
    ----------
    arguments : sequence of str, optional
        Those of the process, unless given.
    groups : callable
        Finds the groups of checks.
    packages : sequence of str
        Packages whose code the outcomes depend on.

    Raises
    ------
    SystemExit
        Always, with the exit code.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words and not words[0].startswith("-") and words[0] not in collect.commands():
        words.insert(0, "check")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a title may hold letters that a terminal lacks
    runner.single_threaded()
    with runner.interruptible():
        application(groups, packages)(words, prog_name=PROGRAM)


def application(groups: Callable[[], tuple[Group, ...]], packages: Sequence[str]) -> typer.Typer:
    """Return the commands over what ``groups`` finds."""
    app = typer.Typer(
        help="Hold the package to independent routes, and the paper to its claims.",
        epilog=EXAMPLES + EXIT_CODES,
        add_completion=False,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )

    @app.command("list", help="Show the names of checks.", epilog=LIST_EXAMPLES)
    def list_checks(
        names: Annotated[list[str] | None, NAMES] = None, pattern: PatternOption = ""
    ) -> None:
        from verify.report import tables

        found = groups()
        with usage_errors():
            checks = collect.select(collect.checks(found), names or (), pattern)
        tables.console(sys.stdout).print(tables.listing(found, checks))

    @app.command("all", help="Run every check.", epilog=_epilog(ALL_EXAMPLES, "all"))
    def run_all(
        pattern: PatternOption = "",
        level: LevelOption = "standard",
        seed: SeedOption = 0,
        jobs: JobsOption = None,
        json_file: JsonOption = None,
        junit_file: JunitOption = None,
        resume_file: ResumeOption = None,
    ) -> None:
        verify((), pattern, level, seed, jobs, json_file, junit_file, resume_file)

    @app.command("check", help="Run checks by name.", epilog=_epilog(CHECK_EXAMPLES, "crosscheck"))
    def run_named(
        names: Annotated[list[str], NAMES],
        pattern: PatternOption = "",
        level: LevelOption = "standard",
        seed: SeedOption = 0,
        jobs: JobsOption = None,
        json_file: JsonOption = None,
        junit_file: JunitOption = None,
        resume_file: ResumeOption = None,
    ) -> None:
        verify(names, pattern, level, seed, jobs, json_file, junit_file, resume_file)

    def verify(
        names: Sequence[str],
        pattern: str,
        level: str,
        seed: int,
        jobs: int | None,
        json_file: Path | None,
        junit_file: Path | None,
        resume_file: Path | None,
    ) -> None:
        found = groups()
        outputs = Outputs(json_file or resume_file, junit_file)
        with usage_errors():
            checks = collect.select(collect.checks(found), names, pattern)
            run = Run.begin(Origin.here(packages), Context(Level[level.upper()], seed), checks)
            if resume_file is not None:
                from verify.report import document

                run = document.resume(run, resume_file)
            outputs.check()
        raise typer.Exit(_carry_out(run, found, jobs, outputs))

    for name, command in leaves.leaves("verify.commands", "COMMAND", Command).items():
        app.command(name, help=command.help, epilog=command.epilog)(command.run)
    return app


def _epilog(examples: str, command: str) -> str:
    return examples + OPTION_EXAMPLES.format(command) + EXIT_CODES


@dataclass(frozen=True)
class Outputs:
    """Where a run is written to."""

    json: Path | None
    junit: Path | None

    def check(self) -> None:
        """Raise ``InputError`` if one of them cannot be written."""
        if (
            self.json is not None
            and self.junit is not None
            and self.json.resolve() == self.junit.resolve()
        ):
            raise InputError(f"--json and --junit both name {self.json}; name two files")
        for path in (self.json, self.junit):
            if path is not None:
                files.check_writable(path)

    def save(self, run: Run) -> None:
        """Write the document."""
        if self.json is not None:
            from verify.report import document

            files.write(self.json, document.dumps(run))

    def close(self, run: Run) -> None:
        """Write the document and the XML."""
        self.save(run)
        if self.junit is not None:
            from verify.report import junit

            files.write(self.junit, junit.dumps(run))


def _carry_out(begun: Run, groups: Sequence[Group], jobs: int | None, outputs: Outputs) -> int:
    """Run what is left, report it, and return the exit code."""
    from verify.report import progress, tables

    run, failure = begun, ""
    try:
        outputs.save(run)
        with contextlib.closing(progress.growing(begun, jobs or progress.cores())) as growing:
            for run in growing:
                outputs.save(run)
    except KeyboardInterrupt:
        pass  # what has finished is reported below
    except InputError as error:
        failure = str(error)
    try:
        outputs.close(run)
    except InputError as error:
        failure = str(error)
    tables.console(sys.stdout).print(tables.report(groups, run))
    if failure:
        typer.echo(f"Error: {failure}", err=True)
        return USAGE
    if not run.complete:
        if outputs.json is not None:
            typer.echo(f"Go on with the same command and --resume {outputs.json}", err=True)
        return INTERRUPTED
    return 0 if run.count(Status.AS_EXPECTED) == len(run.finished) else DEVIATION
