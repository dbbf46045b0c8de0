"""A fault is one replacement in the source of one module; it lives in a fresh import of the house.

Nothing is patched in place: while a fault is in force, the module and all that import it, directly or
not, are imported anew with the faulty source in the place of the right one, and afterwards the right
ones are put back.  A replacement that no longer fits its source exactly once is an error, so a fault
cannot die in silence when the code around it changes.
"""

import ast
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

AFFECTED = ("reference", "sampled", "verify.crosscheck", "verify.oracles")
"""Packages whose modules a fault can reach."""


@dataclass(frozen=True)
class Mutant:
    """One deliberate fault.

    Attributes
    ----------
    fault : str
        What is wrong, in a few words.
    module : str
        Dotted name of the module that is changed.
    old, new : str
        The replacement; ``old`` occurs exactly once in the module's source.
    suspects : tuple of str
        Rows of the matrix that are tried first, such as ``policy.grad_x``; the others follow.
    """

    fault: str
    module: str
    old: str
    new: str
    suspects: tuple[str, ...] = ()


class StaleMutantError(Exception):
    """The source has changed under a fault; the message says how to mend it."""


class _FaultyLoader(SourceFileLoader):
    """Loads a module with the replacement made, and never from a cache."""

    def __init__(self, name: str, path: str, mutant: Mutant) -> None:
        super().__init__(name, path)
        self._mutant = mutant

    def get_code(self, fullname: str) -> CodeType:
        source = self.get_source(fullname) or ""
        count = source.count(self._mutant.old)
        if count != 1:
            raise StaleMutantError(
                f"the text {self._mutant.old!r} occurs {count} times in {fullname}; a fault must fit "
                "exactly once: quote the line as it reads now"
            )
        faulty = source.replace(self._mutant.old, self._mutant.new)
        return compile(faulty, self.path, "exec", dont_inherit=True)


class _Finder(MetaPathFinder):
    """Finds the one faulty module; all others are found as usual."""

    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self._mutant.module:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.origin is None:
            raise StaleMutantError(f"there is no module {fullname} to put a fault in")
        spec.loader = _FaultyLoader(fullname, spec.origin, self._mutant)
        return spec


@cache
def _imported(name: str) -> frozenset[str]:
    """Dotted names that a module's source may import, functions' bodies included."""
    spec = PathFinder.find_spec(name, _search_path(name))
    if spec is None or spec.origin is None:
        return frozenset()
    found: set[str] = set()
    for node in ast.walk(ast.parse(Path(spec.origin).read_bytes())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return frozenset(found)


def _search_path(name: str) -> Sequence[str] | None:
    parent = name.rpartition(".")[0]
    return list(sys.modules[parent].__path__) if parent else None


def _reached(module: str) -> set[str]:
    """Loaded modules of the affected packages that import ``module``, directly or not, and itself."""
    loaded = [name for name in sys.modules if _affected(name)]
    reached = {module}
    while more := {name for name in loaded if name not in reached and _imported(name) & reached}:
        reached |= more
    return reached & set(loaded)


def _affected(name: str) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in AFFECTED)


@contextmanager
def in_force(mutant: Mutant) -> Iterator[None]:
    """Import what a fault reaches anew, with the fault in it; undo it at the end."""
    right = {name: sys.modules.pop(name) for name in _reached(mutant.module)}
    before = set(sys.modules)
    # A parent package holds its submodules as attributes as well.
    bound = {
        (parent, child): vars(sys.modules[parent]).pop(child)
        for parent, _, child in (name.rpartition(".") for name in right)
        if parent in sys.modules and child in vars(sys.modules[parent])
    }
    finder = _Finder(mutant)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        # What was imported meanwhile may hold the fault, even if it was not loaded before.
        for name in [name for name in sys.modules if _affected(name) and name not in before]:
            del sys.modules[name]
        sys.modules.update(right)
        for (parent, child), module in bound.items():
            setattr(sys.modules[parent], child, module)
