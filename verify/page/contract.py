"""What a section of the page is: the constant ``SECTION`` of a module of :mod:`verify.page.sections`.

A section is given all the material there is and draws what belongs to it.  One that has no data says
so by returning ``None``, and the page then names the command that makes the data.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from reference.errors import InputError


@dataclass(frozen=True)
class Material:
    """All that the page is made of.

    Attributes
    ----------
    document : mapping
        A run, as ``verify/report/schema.json`` describes it.
    results : tuple of Path
        Folders that hold a folder for each command or experiment that makes results, named after it.
    """

    document: Mapping[str, Any]
    results: tuple[Path, ...] = ()

    def outcomes(self, group: str) -> tuple[Mapping[str, Any], ...]:
        """Outcomes of a group of checks, in the order of the run."""
        return tuple(entry for entry in self.document["outcomes"] if entry["group"] == group)

    def find(self, file: str, *folders: str) -> Path | None:
        """Return the first file of this name in one of the folders of results, ``None`` if none has it.

        Parameters
        ----------
        file : str
        folders : str
            Within the folders of results; the first ones come first.
        """
        places = (place / folder / file for place in self.results for folder in folders)
        return next((path for path in places if path.is_file()), None)


@dataclass(frozen=True)
class Section:
    """A section below the statements.

    Attributes
    ----------
    title : str
    place : int
        Sections are ordered by it, then by the names of their files.
    command : str
        Makes the data: what the page names if there are none.
    present : callable
        Draws the inside, with headings from level 3 on, or returns ``None`` if there are no data.
    """

    title: str
    place: int
    command: str
    present: Callable[[Material], Markup | None]


def read_json(path: Path) -> Any:
    """Read a file of results.

    Raises
    ------
    InputError
        If it cannot be read, or is no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; make the results anew") from error
    except ValueError as error:
        raise InputError(f"{path} is not JSON ({error}); make the results anew") from error


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Have what is missing in a file's content reported as such.

    Raises
    ------
    InputError
        In place of what an unexpected content raises.
    """
    try:
        yield
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"{path} is not as this version writes it ({error!r}); make the results anew"
        ) from error


Rows = Sequence[Sequence[object]]
"""Cells of a table; what is no :class:`~markupsafe.Markup` is escaped."""
