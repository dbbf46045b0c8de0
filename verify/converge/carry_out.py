"""Makes the experiments of a level in a folder, from wherever an earlier start of it was interrupted.

A folder holds, from the start, ``converge.json`` with the settings, and until the end ``parts/``: a JSON
file per finished experiment, a folder of checkpoints per unfinished one.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reference.errors import InputError
from verify import runner
from verify.contract import Check, Context, Level, Outcome, Status
from verify.converge import document
from verify.converge.units import Unit
from verify.leaves import deferred
from verify.report import files
from verify.report.run import Origin

PACKAGES = ("reference", "verify.converge")
"""The code that the numbers depend on."""

Units = Callable[[Level, int], tuple[Unit, ...]]


@dataclass(frozen=True)
class Folder:
    """A folder of results, held to what it was begun with.

    Attributes
    ----------
    path : Path
    settings : dict
    context : Context
    """

    path: Path
    settings: dict[str, Any]
    context: Context

    @property
    def file(self) -> Path:
        """The document."""
        return self.path / document.NAME

    @property
    def parts(self) -> Path:
        """What there is of the experiments."""
        return self.path / "parts"

    @classmethod
    def opened(cls, path: Path, context: Context) -> Folder:
        """Open a folder, or make it.

        Raises
        ------
        InputError
            If it is no folder for this run, or cannot be written to.
        """
        folder = cls(path, document.settings(Origin.here(PACKAGES), context), context)
        try:
            path.mkdir(parents=True, exist_ok=True)
            others = [p for p in path.iterdir() if not p.name.startswith(f".{document.NAME}.")]
        except OSError as error:
            raise InputError(f"cannot write to {path}: {error.strerror}; give another --out") from error
        if folder.file.exists():
            document.must_match(path, document.load(folder.file), folder.settings)
        elif others:
            raise InputError(
                f"{path} is not empty and holds no {document.NAME}: give another --out, or an empty "
                "folder"
            )
        files.check_writable(folder.file)
        for stray in path.glob(f".{document.NAME}.*"):  # of a process that was killed
            stray.unlink(missing_ok=True)
        return folder

    def finished(self, names: list[str]) -> dict[str, dict[str, Any]]:
        """Experiments that are finished, by name."""
        found = {}
        for name in names:
            path = self.parts / f"{name}.json"
            if path.exists():
                found[name] = json.loads(path.read_text(encoding="utf-8"))
        return found

    def save(self, names: list[str]) -> dict[str, Any]:
        """Write what there is."""
        content = document.document(self.settings, names, self.finished(names))
        files.write(self.file, document.dumps(content))
        return content

    def close(self, names: list[str]) -> dict[str, Any]:
        """Draw, write the whole document, and remove the parts."""
        from verify.converge.figures import drawings

        parts, figures = self.finished(names), []
        for drawing in drawings(document.document(self.settings, names, parts)):
            files.write(self.path / drawing.file, drawing.svg)
            figures.append({"file": drawing.file, "title": drawing.title, "caption": drawing.caption})
        content = document.document(self.settings, names, parts, figures)
        files.write(self.file, document.dumps(content))
        shutil.rmtree(self.parts, ignore_errors=True)
        return content


def perform(name: str, parts: str, found: Units, context: Context) -> tuple[Outcome, ...]:
    """Make one experiment and write it down; runs in any process."""
    begin = time.perf_counter()
    (unit,) = (unit for unit in found(context.level, context.seed) if unit.name == name)
    folder = Path(parts) / name
    result = unit.run(folder)
    files.write(Path(parts) / f"{name}.json", json.dumps(result, allow_nan=False) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    holds = all(entry["holds"] for entry in result["findings"])
    return (
        Outcome(
            name=name,
            title=unit.title,
            status=Status.AS_EXPECTED if holds else Status.DEVIATION,
            margin=max(entry["ratio"] or 0.0 for entry in result["findings"]),
            instance="",
            instances=len(result["findings"]),
            seconds=time.perf_counter() - begin,
        ),
    )


def carry_out(
    folder: Folder, jobs: int, found: Units
) -> Generator[tuple[int, int, str, tuple[Outcome, ...]], None, dict[str, Any]]:
    """Make what is missing; yields how many are done and of how many, and the last one's outcomes.

    Returns
    -------
    dict
        The document: complete, unless an experiment ended in an error.
    """
    names = [unit.name for unit in found(folder.context.level, folder.context.seed)]
    if folder.file.exists():
        content = document.load(folder.file)
        if content["complete"]:
            shutil.rmtree(folder.parts, ignore_errors=True)
            return content
    folder.parts.mkdir(exist_ok=True)
    folder.save(names)
    done = folder.finished(names)
    checks = [
        Check(name, "converge", name, deferred(__name__, "perform", name, str(folder.parts), found))
        for name in names
        if name not in done
    ]
    errors = False
    for i, (check, outcomes) in enumerate(runner.run(checks, folder.context, jobs=jobs), 1):
        errors = errors or any(outcome.status is Status.ERROR for outcome in outcomes)
        yield len(done) + i, len(names), check.name, outcomes
    return folder.save(names) if errors else folder.close(names)
