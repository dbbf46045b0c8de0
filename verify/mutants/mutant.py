"""A fault is one replacement in the source of one module; it lives in a fresh import of the house.

Nothing is patched in place: while a fault is in force, the module and all that import it, directly or
not, are imported anew with the faulty source in the place of the right one, and afterwards the right
ones are put back.  A replacement that no longer fits its source exactly once is an error, so a fault
cannot die in silence when the code around it changes.
"""

import ast
import pkgutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import find_spec
from pathlib import Path
from types import CodeType, ModuleType

AFFECTED = ("reference", "sampled", "verify.claims", "verify.crosscheck", "verify.oracles")
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
        Rows of the matrix that are tried first, such as ``policy.grad_x``; the others that import what
        is changed follow.
    statements : tuple of str
        Statements of the ledger, such as ``lemma_08``: the trials of each must see the fault, whatever
        the matrix sees.
    """

    fault: str
    module: str
    old: str
    new: str
    suspects: tuple[str, ...] = ()
    statements: tuple[str, ...] = ()


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


class _RightLoader(SourceFileLoader):
    """Loads a module as it is, compiled once however often it is imported anew."""

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002 - the contract's signature
        return _compiled(self.path)


@cache
def _compiled(path: str) -> CodeType:
    return compile(Path(path).read_bytes(), path, "exec", dont_inherit=True)


class _Finder(MetaPathFinder):
    """Finds the one faulty module, and those that are imported anew because of it."""

    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not _affected(fullname):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        is_faulty = fullname == self._mutant.module
        if spec is None or spec.origin is None:
            if is_faulty:
                raise StaleMutantError(f"there is no module {fullname} to put a fault in")
            return None
        spec.loader = (
            _FaultyLoader(fullname, spec.origin, self._mutant)
            if is_faulty
            else _RightLoader(fullname, spec.origin)
        )
        return spec


@cache
def _imported(name: str) -> frozenset[str]:
    """Dotted names that a module's source may import, functions' bodies included.

    Whoever imports a package itself may walk through it: all of its modules count.
    """
    spec = _spec(name)
    if spec is None or spec.origin is None:
        return frozenset()
    found: set[str] = set()
    given: set[str] = set()
    for node in ast.walk(ast.parse(Path(spec.origin).read_bytes())):
        if isinstance(node, ast.Import):
            given.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            found.add(node.module)
            given.update(f"{node.module}.{alias.name}" for alias in node.names)
    for one in filter(_affected, given):
        package = _spec(one)
        if package is not None and package.submodule_search_locations is not None:
            children = pkgutil.iter_modules(package.submodule_search_locations)
            found.update(f"{one}.{child.name}" for child in children)
    return frozenset(found | given)


@cache
def imports(name: str, module: str) -> bool:
    """Whether a module of the affected packages imports ``module``, directly or not, or is it."""
    seen, new = set(), {name}
    while new:
        if module in new:
            return True
        seen |= new
        new = {found for one in new for found in _imported(one) if _affected(found)} - seen
    return False


@cache
def _spec(name: str) -> ModuleSpec | None:
    """Where a module is; none if the name is that of something inside a module."""
    parent = name.rpartition(".")[0]
    if not parent:
        return find_spec(name)
    above = _spec(parent)
    if above is None or above.submodule_search_locations is None:
        return None
    return PathFinder.find_spec(name, above.submodule_search_locations)


def _reached(module: str) -> set[str]:
    """Loaded modules of the affected packages that import ``module``, directly or not, and itself."""
    loaded = [name for name in sys.modules if _affected(name)]
    reached = {module}
    while more := {name for name in loaded if name not in reached and _imported(name) & reached}:
        reached |= more
    return reached & set(loaded)


@cache
def _affected(name: str) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in AFFECTED)


@contextmanager
def in_force(mutant: Mutant) -> Iterator[None]:
    """Import what a fault reaches anew, with the fault in it; undo it at the end."""
    right = {name: sys.modules[name] for name in _reached(mutant.module)}
    _forget(right)
    before = set(sys.modules)
    finder = _Finder(mutant)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        # What was imported meanwhile may hold the fault, even if it was not loaded before.
        _forget([name for name in sys.modules if _affected(name) and name not in before])
        sys.modules.update(right)
        for name, module in right.items():
            parent, _, child = name.rpartition(".")
            setattr(sys.modules[parent], child, module)


def _forget(names: Iterable[str]) -> None:
    """Take modules out of the table of loaded ones, and out of their packages, which hold them too."""
    for name in names:
        parent, _, child = name.rpartition(".")
        if parent in sys.modules:
            vars(sys.modules[parent]).pop(child, None)
        del sys.modules[name]
