"""Runs the rows of one file of quantities."""

import importlib

from verify.contract import Context, Outcome, Status
from verify.crosscheck.cases import cases
from verify.crosscheck.matrix import row
from verify.crosscheck.quantity import Quantity
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
    quantities = importlib.import_module(f"verify.crosscheck.quantities.{file}").QUANTITIES
    found: list[Outcome] = []
    for quantity in quantities:
        cells = tuple(
            row(
                f"crosscheck.{file}",
                quantity,
                cases(context.level, context.seed),
                routes(),
                context.seed,
            )
        )
        found.extend(cells or (_empty(f"crosscheck.{file}", quantity),))
    return tuple(found)


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
