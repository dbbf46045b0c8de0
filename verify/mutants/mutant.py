"""A fault is one replacement in the source of one module; it lives in a fresh import of the house.

Nothing is patched in place: while a fault is in force, the modules of `AFFECTED` packages are
imported anew with the faulty source in the place of the right one, and afterwards the right ones
are put back.  A replacement that no longer fits its source exactly once is an error, so a fault
cannot die in silence when the code around it changes.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType

AFFECTED = ("reference", "sampled", "verify.crosscheck", "verify.oracles")
"""Packages that are imported anew under a fault."""


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


def _affected(name: str) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in AFFECTED)


@contextmanager
def in_force(mutant: Mutant) -> Iterator[None]:
    """Import the affected packages anew with the fault in them; undo it at the end."""
    right = {name: sys.modules.pop(name) for name in list(sys.modules) if _affected(name)}
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
        for name in [name for name in sys.modules if _affected(name)]:
            del sys.modules[name]
        sys.modules.update(right)
        for (parent, child), module in bound.items():
            setattr(sys.modules[parent], child, module)
