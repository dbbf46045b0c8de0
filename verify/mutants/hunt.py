"""Runs the matrix against a fault until a row sees it, and the statements that it names."""

import importlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from verify.contract import Context, Level, Outcome, Status
from verify.leaves import names
from verify.mutants.mutant import Mutant, imports, in_force

ROWS = "verify.crosscheck.quantities"

STATEMENTS = "verify.claims"


def hunt(file: str, context: Context) -> tuple[Outcome, ...]:
    """Report what sees the mutant of a file; a survivor is a deviation."""
    mutant: Mutant = importlib.import_module(f"verify.mutants.faults.{file}").MUTANT
    return (pursue(file, mutant, context, names(ROWS)),)


def pursue(name: str, mutant: Mutant, context: Context, rows: Sequence[str]) -> Outcome:
    """Hold the rows of the matrix that a fault can reach against it until one of them sees it.

    Each of the statements that it names must see it, too; a fault that no row reaches is theirs alone.
    """
    started = time.perf_counter()
    quick = Context(Level.QUICK, context.seed)
    tried = 0
    seen: list[str] = []
    missed: list[str] = []
    # What is right is imported once; what a fault does not reach then stays as it is.
    for loaded in ("verify.crosscheck.run", *(f"{ROWS}.{file}" for file in _files(mutant))):
        importlib.import_module(loaded)
    with in_force(mutant):
        hunters = [(f"{STATEMENTS}.{file}", _statement(file, quick)) for file in mutant.statements]
        if not mutant.statements or any(imports(f"{ROWS}.{row}", mutant.module) for row in rows):
            hunters.insert(0, ("the matrix", _matrix(mutant, rows, quick)))
        for hunter, hunted in hunters:
            found, made = _seen(hunted)
            tried += made
            (seen if found else missed).append(found or hunter)
    return Outcome(
        name=f"mutants.{name}",
        title=mutant.fault,
        status=Status.DEVIATION if missed else Status.AS_EXPECTED,
        margin=float("nan"),
        instance="",
        instances=tried,
        seconds=time.perf_counter() - started,
        detail=f"survived all {tried} comparisons: {' and '.join(missed)} would not see this fault"
        if missed
        else "; ".join(seen),
    )


def _seen(hunted: Callable[[], tuple[str, int]]) -> tuple[str, int]:
    """What is seen of a fault, if anything, and how many comparisons it took."""
    try:
        return hunted()
    except Exception as error:
        # That the code itself refuses is noticed too.  Any other exception (a stale fault, a name
        # that does not exist) says that the fault is badly made, and is passed on.
        if not type(error).__module__.startswith(("reference.", "sampled.")):
            raise
        return f"a check stops with {type(error).__name__}: {error}", 0


def _matrix(mutant: Mutant, rows: Sequence[str], context: Context) -> Callable[[], tuple[str, int]]:
    def hunted() -> tuple[str, int]:
        run = importlib.import_module("verify.crosscheck.run")
        tried = 0
        for row, quantity in _suspected_first(mutant, rows, run.quantities):
            seen, made = run.first_deviation(row, quantity, context)
            tried += made
            if seen:
                return seen, tried
        return "", tried

    return hunted


def _statement(file: str, context: Context) -> Callable[[], tuple[str, int]]:
    def hunted() -> tuple[str, int]:
        judge = importlib.import_module(f"{STATEMENTS}.judge")
        found: tuple[str, int] = judge.first_violation(file, context)
        return found

    return hunted


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
