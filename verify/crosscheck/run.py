"""Runs the rows of one file of quantities."""

import importlib
from typing import Any

from verify.contract import Context, Outcome, Status
from verify.crosscheck.cases import cases
from verify.crosscheck.matrix import compared, row
from verify.crosscheck.quantity import Case, Quantity
from verify.leaves import names
from verify.oracles.route import Route


def routes() -> tuple[Route, ...]:
    """The routes: the constants ``ROUTE`` of the oracles."""
    modules = [importlib.import_module(f"verify.oracles.{name}") for name in names("verify.oracles")]
    return tuple(module.ROUTE for module in modules if hasattr(module, "ROUTE"))


def run(file: str, context: Context) -> tuple[Outcome, ...]:
    """All cells of the quantities of one file.

    A quantity that met no route or no instance is a deviation: a row must not vanish in silence.
    """
    found: list[Outcome] = []
    for quantity in quantities(file):
        cells = tuple(
            row(
                f"crosscheck.{file}",
                quantity,
                instances(quantity, context),
                routes(),
                context.seed,
            )
        )
        found.extend(cells or (_empty(f"crosscheck.{file}", quantity),))
    return tuple(found)


def quantities(file: str) -> tuple[Quantity[Any], ...]:
    """The quantities of one file."""
    found: tuple[Quantity[Any], ...] = importlib.import_module(
        f"verify.crosscheck.quantities.{file}"
    ).QUANTITIES
    return found


def instances(quantity: Quantity[Any], context: Context) -> tuple[Case[Any], ...]:
    """The cases of a quantity, its own or those of all."""
    drawn = quantity.instances or cases
    return drawn(context.level, context.seed)


def first_deviation(file: str, quantity: Quantity[Any], context: Context) -> tuple[str, int]:
    """What is first seen to be wrong with a quantity, if anything, and how many comparisons it took.

    For faults that are planted on purpose: it stops where :func:`run` would go on.
    """
    made = 0
    for route, comparison in compared(quantity, instances(quantity, context), routes(), context.seed):
        made += comparison.counts
        if comparison.contradicts:
            seen = f"{file}.{quantity.name} by {route.name} on {comparison.case}"
            return f"{seen}: an error of {comparison.margin:.1e} tolerances", made
    return ("" if made else f"{file}.{quantity.name} can no longer be compared on any instance"), made


def _empty(prefix: str, quantity: Quantity[object]) -> Outcome:
    return Outcome(
        name=f"{prefix}.{quantity.name}.none",
        title=quantity.title,
        status=Status.DEVIATION,
        margin=float("nan"),
        instance="",
        instances=0,
        seconds=0.0,
        detail="no route met an instance on which float64 resolves this quantity",
    )
