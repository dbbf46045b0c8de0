"""A run: what was asked for, from which code, and what has come of it so far."""

import dataclasses
import datetime
import hashlib
import importlib.metadata
import importlib.util
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from verify.contract import Check, Context, Outcome, Status

PACKAGES = ("reference", "sampled", "verify")
"""The packages whose code an outcome depends on."""

LIBRARIES = ("numpy", "scipy", "torch", "python-flint")


@dataclass(frozen=True)
class Origin:
    """What outcomes depend on beside level and seed.

    Attributes
    ----------
    package_version : str
    fingerprint : str
        SHA-256 of the code, in hexadecimal.
    environment : mapping of str to str or None
        Versions of Python and of the numerical libraries (``None`` if absent), and the platform.
    """

    package_version: str
    fingerprint: str
    environment: Mapping[str, str | None]

    @classmethod
    def here(cls, packages: Sequence[str] = PACKAGES) -> "Origin":
        """Origin of what this process computes; no library is imported for it."""
        environment: dict[str, str | None] = {"python": platform.python_version()}
        environment |= {library: _version(library) for library in LIBRARIES}
        environment["platform"] = f"{platform.system()} {platform.machine()}"
        return cls(_version("pbrl") or "unknown", fingerprint(packages), environment)


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def fingerprint(packages: Sequence[str]) -> str:
    """SHA-256, in hexadecimal, of the names and contents of all files of some packages.

    Raises
    ------
    ModuleNotFoundError
        If there is no such package.
    """
    digest = hashlib.sha256()
    for package in packages:
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise ModuleNotFoundError(f"there is no package {package}", name=package)
        root = Path(spec.submodule_search_locations[0])
        for path in sorted(path for path in root.rglob("*") if path.is_file()):
            if path.suffix != ".pyc":
                content = hashlib.sha256(path.read_bytes()).hexdigest()
                digest.update(f"{package}/{path.relative_to(root).as_posix()} {content}\n".encode())
    return digest.hexdigest()


@dataclass(frozen=True)
class Run:
    """A run of checks, finished or not.

    Attributes
    ----------
    origin : Origin
    context : Context
    checks : tuple of Check
        All that were asked for, in the order of the report.
    results : mapping of str to tuple of Outcome
        By name of the finished check.
    started : str
        ISO 8601, UTC.
    seconds : float
        Time it took up to the last finished check, over all sittings.
    """

    origin: Origin
    context: Context
    checks: tuple[Check, ...]
    results: Mapping[str, tuple[Outcome, ...]]
    started: str
    seconds: float

    @classmethod
    def begin(cls, origin: Origin, context: Context, checks: tuple[Check, ...]) -> "Run":
        """Return a run in which nothing has been done."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        return cls(origin, context, checks, {}, now, 0.0)

    def after(self, check: Check, outcomes: tuple[Outcome, ...], seconds: float) -> "Run":
        """Return the run with one more finished check, ``seconds`` after it began."""
        results = {**self.results, check.name: outcomes}
        return dataclasses.replace(self, results=results, seconds=seconds)

    @property
    def complete(self) -> bool:
        """Whether every check has finished."""
        return not self.left

    @property
    def left(self) -> tuple[Check, ...]:
        """The checks that have not finished."""
        return tuple(check for check in self.checks if check.name not in self.results)

    @property
    def finished(self) -> tuple[tuple[Check, Outcome], ...]:
        """The outcomes, each with its check, in the order of the report."""
        return tuple(
            (check, outcome) for check in self.checks for outcome in self.results.get(check.name, ())
        )

    def count(self, status: Status) -> int:
        """Return how many outcomes have a status."""
        return sum(outcome.status is status for _, outcome in self.finished)
