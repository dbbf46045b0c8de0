"""Finds the leaves of a package: one constant per file, in sorted order of the file names."""

import ast
import functools
import importlib
import importlib.util
import pkgutil
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

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


def defining(package: str, constant: str) -> tuple[str, ...]:
    """Names of the modules of a package that assign ``constant``; they are read, not imported."""
    return tuple(
        name
        for name in names(package)
        if re.search(rf"^{constant} = ", _source(f"{package}.{name}"), re.M)
    )


def title(module: str) -> str:
    """First line of a module's docstring, without its full stop; the module is not imported.

    Raises
    ------
    ModuleNotFoundError
        If there is no such module, or it has no source.
    ValueError
        If it has no docstring.
    """
    docstring = ast.get_docstring(ast.parse(_source(module)))
    if not docstring:
        raise ValueError(f"{module} has no docstring; its first line is the title of the leaf")
    return docstring.splitlines()[0].rstrip(".")


def _source(module: str) -> str:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"there is no module {module} with a source file", name=module)
    return Path(spec.origin).read_text(encoding="utf-8")


def deferred(module: str, function: str, *first: object) -> Callable[..., Any]:
    """Return a callable that imports ``module`` when it is called, and calls its ``function``.

    The arguments given here come before those of the call.

    It can be sent to another process.
    """
    return functools.partial(_call, module, function, *first)


def _call(module: str, function: str, *args: object) -> Any:
    return getattr(importlib.import_module(module), function)(*args)
