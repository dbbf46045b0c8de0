"""What a command is, and how it ends: the constant ``COMMAND`` of a module of this package.

The module's name is the command's; no group and no check may have it.  These modules are imported at
every start, to show the help: they import nothing heavy but inside the function that does the work.

Exit codes: 0 all as expected, 1 a deviation, 2 wrong usage, 130 interrupted.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import typer

from reference.errors import InputError

DEVIATION, USAGE, INTERRUPTED = 1, 2, 130
"""Exit codes; 0 says that all is as expected."""


@dataclass(frozen=True)
class Command:
    """A command of ``python -m verify``.

    Attributes
    ----------
    help : str
        One line.
    epilog : str
        Examples of each use, then the exit codes.
    run : callable
        Its parameters, annotated for Typer, are the arguments and options.
    """

    help: str
    epilog: str
    run: Callable[..., None]


@contextlib.contextmanager
def usage_errors() -> Iterator[None]:
    """Have what was wrongly asked for reported in one sentence, and exit with :data:`USAGE`.

    Raises
    ------
    typer.Exit
        In place of an :class:`InputError`.
    """
    try:
        yield
    except InputError as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(USAGE) from None
