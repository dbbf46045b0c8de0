"""Runs the checks of the matrix against a fault until one of them sees it."""

import importlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from verify.contract import Context, Level, Outcome, Status
from verify.leaves import names
from verify.mutants.mutant import Mutant, imports, in_force

ROWS = "verify.crosscheck.quantities"


def hunt(file: str, context: Context) -> tuple[Outcome, ...]:
    """Report what sees the mutant of a file; a survivor is a deviation."""
    mutant: Mutant = importlib.import_module(f"verify.mutants.faults.{file}").MUTANT
    return (pursue(file, mutant, context, names(ROWS)),)


def pursue(name: str, mutant: Mutant, context: Context, rows: Sequence[str]) -> Outcome:
    """Hold the rows of the matrix that a fault can reach against it until one of them sees it."""
    started = time.perf_counter()
    tried, seen = 0, ""
    # What is right is imported once; what a fault does not reach then stays as it is.
    for loaded in ("verify.crosscheck.run", *(f"{ROWS}.{file}" for file in _files(mutant))):
        importlib.import_module(loaded)
    with in_force(mutant):
        try:
            run = importlib.import_module("verify.crosscheck.run")
            for row, quantity in _suspected_first(mutant, rows, run.quantities):
                seen, made = run.first_deviation(row, quantity, Context(Level.QUICK, context.seed))
                tried += made
                if seen:
                    break
        except Exception as error:
            # That the code itself refuses is noticed too.  Any other exception (a stale fault, a name
            # that does not exist) says that the fault is badly made, and is passed on.
            if not type(error).__module__.startswith(("reference.", "sampled.")):
                raise
            seen = f"a check stops with {type(error).__name__}: {error}"
    return Outcome(
        name=f"mutants.{name}",
        title=mutant.fault,
        status=Status.AS_EXPECTED if seen else Status.DEVIATION,
        margin=float("nan"),
        instance="",
        instances=tried,
        seconds=time.perf_counter() - started,
        detail=seen or f"survived all {tried} comparisons: no check would see this fault",
    )


def _files(mutant: Mutant) -> tuple[str, ...]:
    """The files of the suspects."""
    return tuple(dict.fromkeys(suspect.partition(".")[0] for suspect in mutant.suspects))


def _suspected_first(
    mutant: Mutant, rows: Sequence[str], quantities: Callable[[str], Sequence[Any]]
) -> Iterator[tuple[str, Any]]:
    """Rows with their quantities, each imported when its turn comes: those with suspects at first."""
    files = _files(mutant)
    reached = [row for row in rows if row in files or imports(f"{ROWS}.{row}", mutant.module)]

    def pairs(*, suspected: bool) -> Iterator[tuple[str, Any]]:
        for row in reached if not suspected else [row for row in reached if row in files]:
            for quantity in quantities(row):
                if (f"{row}.{quantity.name}" in mutant.suspects) is suspected:
                    yield row, quantity

    yield from pairs(suspected=True)
    yield from pairs(suspected=False)
