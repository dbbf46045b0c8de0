"""What a check is and what it returns: the one contract between checks, runner and reports.

A check is a unit of work with a name; running it yields outcomes, one per thing that was held to
something.  The command line, the tests and the reports know nothing else of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType


class Level(IntEnum):
    """How much work a check does."""

    QUICK = 0
    STANDARD = 1
    DEEP = 2


class Status(StrEnum):
    """How an outcome compares with what was expected of it."""

    AS_EXPECTED = "as expected"
    DEVIATION = "deviation"
    ERROR = "error"


@dataclass(frozen=True)
class Outcome:
    """One result.

    Attributes
    ----------
    name : str
        Unique, dotted: ``crosscheck.value_penalty.grad_x.autodiff``.
    title : str
        What was held to what, in a few words.
    status : Status
    margin : float
        Worst error in units of its derived tolerance (1 is the limit); ``nan`` if there is none.
    instance : str
        Where the worst error was seen.
    instances : int
        How many instances met the premises.
    seconds : float
    detail : str
        One sentence; for a deviation, what differs and by how much.
    traceback : str
        Of the exception that ended the check; empty unless the status is an error.
    verdict : str
        Of a claim of the paper: ``PROVED``, ``SURVIVED``, ``REFUTED``, ...; of an audit: ``CERTIFIED``,
        ``BIASED``, ...; empty for other outcomes.
    """

    name: str
    title: str
    status: Status
    margin: float
    instance: str
    instances: int
    seconds: float
    detail: str = ""
    traceback: str = ""
    verdict: str = ""


@dataclass(frozen=True)
class Context:
    """What a check is told: how much to do, and the seed of all its randomness."""

    level: Level
    seed: int


@dataclass(frozen=True)
class Check:
    """A named unit of work.

    Attributes
    ----------
    name : str
        Dotted; its outcomes' names are it, or begin with it and a dot.
    group : str
        Section of the report: ``crosscheck``, ``mutants``, ...
    title : str
    run : callable
        Returns at least one outcome; must not print and must draw all randomness from the seed.  It
        runs in another process: a module-level function, a closure, or :func:`verify.leaves.deferred`.
    """

    name: str
    group: str
    title: str
    run: Callable[[Context], tuple[Outcome, ...]]


@dataclass(frozen=True)
class Group:
    """A section of the report: the constant ``GROUP`` in the module ``group`` of a subpackage.

    That module is imported to list the checks, so it imports nothing heavy: neither NumPy nor the code
    that the checks run.

    Attributes
    ----------
    name : str
    title : str
        One line.
    checks : callable
        Returns the group's checks in the order of the report; they are listed without being run.
    render : callable, optional
        Draws the group's outcomes, possibly of only some of its checks, in place of the table with one
        outcome per line.  What it returns must not be as wide as the console on purpose, and takes its
        styles from :class:`rich.text.Text` or style arguments: markup in strings is off.
    """

    name: str
    title: str
    checks: Callable[[], tuple[Check, ...]]
    render: Callable[[Sequence[Outcome]], RenderableType] | None = None


def within(name: str, prefix: str) -> bool:
    """Whether a dotted name is ``prefix`` or continues it after a dot."""
    return name == prefix or name.startswith(f"{prefix}.")
