"""Runs the checks of the matrix against a fault until one of them sees it."""

import importlib
import time
from functools import partial

from verify.contract import Check, Context, Level, Outcome, Status
from verify.mutants.mutant import Mutant, StaleMutantError, in_force


def hunt(file: str, context: Context) -> tuple[Outcome, ...]:
    """Report which outcome kills the mutant of a file; a survivor is a deviation."""
    mutant = importlib.import_module(f"verify.mutants.faults.{file}").MUTANT
    started = time.perf_counter()
    tried, killer = 0, ""
    with in_force(mutant):
        try:
            group = importlib.import_module("verify.crosscheck.group").GROUP
            for check in sorted(group.checks(), key=partial(_order, mutant)):
                for outcome in check.run(Context(Level.QUICK, context.seed)):
                    tried += 1
                    if outcome.status is not Status.AS_EXPECTED:
                        killer = f"{outcome.name} sees {outcome.margin:.1e} tolerances"
                        break
                if killer:
                    break
        except StaleMutantError:
            raise
        except Exception as error:  # noqa: BLE001 - a fault may break anything, and that is noticed
            killer = f"a check stops with {type(error).__name__}: {error}"
    return (
        Outcome(
            name=f"mutants.{file}",
            title=mutant.fault,
            status=Status.AS_EXPECTED if killer else Status.DEVIATION,
            margin=float("nan"),
            instance="",
            instances=tried,
            seconds=time.perf_counter() - started,
            detail=killer or f"survived all {tried} cells of the matrix: no check would see this fault",
        ),
    )


def _order(mutant: Mutant, check: Check) -> tuple[bool, str]:
    file = check.name.rpartition(".")[2]
    return (file not in mutant.suspects, check.name)
