"""Finds the leaves of a package: one constant per file, in sorted order of the file names."""

import importlib
import pkgutil
from typing import TypeVar

LeafT = TypeVar("LeafT")


def names(package: str) -> tuple[str, ...]:
    """Names of the modules of a package, sorted; the package is imported, the modules are not."""
    paths = importlib.import_module(package).__path__
    return tuple(sorted(module.name for module in pkgutil.iter_modules(paths)))


def leaves(package: str, constant: str, kind: type[LeafT]) -> dict[str, LeafT]:
    """Import every module of a package that defines ``constant``, keyed by module name.

    Modules without the constant are the package's shared code.

    Raises
    ------
    TypeError
        If a constant is not of the stated kind: a leaf is never skipped in silence.
    """
    found: dict[str, LeafT] = {}
    for name in names(package):
        module = importlib.import_module(f"{package}.{name}")
        if not hasattr(module, constant):
            continue
        leaf = getattr(module, constant)
        if not isinstance(leaf, kind):
            raise TypeError(
                f"{package}.{name}.{constant} is a {type(leaf).__name__}; it must be a {kind.__name__}"
            )
        found[name] = leaf
    return found
