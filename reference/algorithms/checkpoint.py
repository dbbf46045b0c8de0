"""States in ``.npz`` files, bound to the algorithm and settings that they belong to.

A checkpoint holds the state and a digest of every leaf of the algorithm: of each array of the problem,
each step and limit, each function by its name.  Loading with anything else names what differs.  Writing
is all or nothing, so an interrupted program leaves the previous checkpoint.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike
from types import FunctionType

import numpy as np

from reference.algorithms.contract import Algorithm, State
from reference.errors import InputError
from reference.problems import storage
from reference.problems.structure import given, is_record
from reference.validation import instance, provides


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A state and what it belongs to.

    Attributes
    ----------
    digests : dict
        Digest of each leaf of the algorithm, by its dotted name.
    state : State
    """

    digests: dict[str, str]
    state: State

    def __post_init__(self) -> None:
        instance("digests", self.digests, dict)
        instance("state", self.state, State)


def fingerprint(value: object, name: str = "algorithm") -> dict[str, str]:
    """Digest every leaf of a tree of dataclasses, by its dotted name.

    Raises
    ------
    InputError
        If a leaf has no lasting identity, such as a function defined in another one.
    """
    instance("name", name, str)
    return dict(_leaves(name, value))


def _path(path: str | PathLike[str]) -> None:
    if not isinstance(path, str | PathLike):
        raise InputError(f"path is {type(path).__name__}; give the name of a file or a pathlib.Path")


def _leaves(name: str, value: object) -> Iterator[tuple[str, str]]:
    if is_record(value):
        yield name, f"{type(value).__module__}.{type(value).__qualname__}"
        for field in given(value):
            yield from _leaves(f"{name}.{field.name}", getattr(value, field.name))
    elif isinstance(value, tuple | list):
        yield name, f"{type(value).__name__} of {len(value)}"
        for i, part in enumerate(value):
            yield from _leaves(f"{name}[{i}]", part)
    elif isinstance(value, np.ndarray) and not value.dtype.hasobject:
        content = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
        yield name, f"{value.dtype.str} {value.shape} {content}"
    elif value is None or isinstance(value, bool | int | float | str | np.number):
        yield name, f"{type(value).__name__} {value!r}"
    elif isinstance(value, FunctionType) and "<" not in value.__qualname__:
        yield name, f"function {value.__module__}.{value.__qualname__}"
    else:
        raise InputError(
            f"{name} is {value!r}, which cannot be recognised in a later run: use a function of a "
            "module, or a frozen dataclass with __call__"
        )


def save(path: str | PathLike[str], algorithm: Algorithm[object], state: State) -> None:
    """Write a state to a file, all of it or nothing.

    Raises
    ------
    InputError
        If a part of the algorithm cannot be recognised later, or the folder does not exist.
    """
    _path(path)
    provides("algorithm", algorithm, Algorithm)
    storage.save(path, Checkpoint(fingerprint(algorithm), state))


def load(path: str | PathLike[str], algorithm: Algorithm[object]) -> State:
    """Read a state written by :func:`save` with the same algorithm and settings.

    Raises
    ------
    InputError
        If the file is damaged or of another schema, or was written with another algorithm, problem or
        setting: the message names what differs.
    """
    _path(path)
    provides("algorithm", algorithm, Algorithm)
    found = storage.load(path, Checkpoint)
    # A leaf that only the file has comes with another class or length, which both have.
    now = fingerprint(algorithm)
    differing = [name for name, digest in now.items() if found.digests.get(name) != digest]
    if differing:
        raise InputError(
            f"{path} was written with another {', '.join(differing[:4])}"
            + (f" and {len(differing) - 4} more" if len(differing) > 4 else "")
            + ": resume with the problem and settings of the run, or start a new one"
        )
    return found.state
