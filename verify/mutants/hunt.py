"""Runs the checks of the matrix against a fault until one of them sees it."""

import importlib
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from verify.contract import Context, Level, Outcome, Status
from verify.leaves import names
from verify.mutants.mutant import Mutant, in_force

ROWS = "verify.crosscheck.quantities"


def hunt(file: str, context: Context) -> tuple[Outcome, ...]:
    """Report what sees the mutant of a file; a survivor is a deviation."""
    mutant: Mutant = importlib.import_module(f"verify.mutants.faults.{file}").MUTANT
    return (pursue(file, mutant, context, names(ROWS)),)


def pursue(name: str, mutant: Mutant, context: Context, rows: Sequence[str]) -> Outcome:
    """Hold the rows of the matrix against a mutant until one of them sees it."""
    started = time.perf_counter()
    tried, seen = 0, ""
    with in_force(mutant):
        try:
            run = importlib.import_module("verify.crosscheck.run")
            pairs = [(row, quantity) for row in rows for quantity in run.quantities(row)]
            for row, quantity in sorted(pairs, key=partial(_order, mutant)):
                seen, made = run.first_deviation(row, quantity, Context(Level.QUICK, context.seed))
                tried += made
                if seen:
                    break
        except Exception as error:
            # That the reference itself refuses is noticed too.  Any other exception (a stale fault, a
            # name that does not exist) says that the fault is badly made, and is passed on.
            if not type(error).__module__.startswith("reference."):
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


def _order(mutant: Mutant, pair: tuple[str, Any]) -> bool:
    row, quantity = pair
    return f"{row}.{quantity.name}" not in mutant.suspects
