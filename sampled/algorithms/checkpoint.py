"""States in ``.npz`` files, bound to the algorithm and settings that they belong to.

A checkpoint holds a state, whatever records were made so far, and a digest of every leaf of the
algorithm: of each tensor of the problem, each step and strength; in a run also of the first state.
Loading with anything else names what differs.  Writing is all or nothing, so an interrupted program
leaves the previous checkpoint; a refused file stays as it is.  Reading executes nothing of the file
(:mod:`reference.problems.storage`).
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from types import FunctionType
from typing import Any, TypeVar

import numpy.typing as npt
import torch
from torch import Tensor

from reference.problems import storage
from reference.problems.structure import given, is_record
from sampled.algorithms.contract import Algorithm, Run, State, iterated, unwatched
from sampled.errors import InputError
from sampled.validation import instance, provides, several, whole

RecordT = TypeVar("RecordT")
AnyArray = npt.NDArray[Any]

VERSION = 1
"""Of the algorithms: it grows whenever equal settings would give other states than before."""

PACKAGES = ("reference", "sampled")


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What a file holds.

    Attributes
    ----------
    digests : dict
        Version, and digest of each leaf of the algorithm and of the run's start, by its dotted name.
    k : int
    arrays : dict
        The tensors of the state, by name.
    records : tuple
    """

    digests: dict[str, str]
    k: int
    arrays: dict[str, AnyArray]
    records: tuple[Any, ...]

    def __post_init__(self) -> None:
        instance("digests", self.digests, dict)
        instance("arrays", self.arrays, dict)
        several("records", self.records, None, "give a tuple of records")


def fingerprint(value: object, name: str = "algorithm") -> dict[str, str]:
    """Digest every leaf of a tree of dataclasses, by its dotted name.

    Raises
    ------
    InputError
        If a leaf has no lasting identity, such as a function defined in another one.
    """
    return dict(_leaves(name, value))


def _leaves(name: str, value: object) -> Iterator[tuple[str, str]]:
    if is_record(value):
        yield name, f"{type(value).__module__}.{type(value).__qualname__}"
        for field in given(value):
            yield from _leaves(f"{name}.{field.name}", getattr(value, field.name))
    elif isinstance(value, tuple | list):
        yield name, f"{type(value).__name__} of {len(value)}"
        for i, part in enumerate(value):
            yield from _leaves(f"{name}[{i}]", part)
    elif isinstance(value, Tensor):
        array = value.detach().cpu().contiguous().numpy()
        content = hashlib.sha256(array.tobytes()).hexdigest()
        yield name, f"{value.dtype} {tuple(value.shape)} {content}"
    elif value is None or isinstance(value, bool | int | float | str):
        yield name, f"{type(value).__name__} {value!r}"
    elif isinstance(value, type | FunctionType) and "<" not in value.__qualname__:
        yield name, f"{value.__module__}.{value.__qualname__}"
    else:
        raise InputError(
            f"{name} is {value!r}, which cannot be recognised in a later run: use a function of a "
            "module, or a frozen dataclass with __call__"
        )


def save(
    path: str | PathLike[str],
    algorithm: Algorithm,
    state: State,
    records: Sequence[object] = (),
    *,
    start: State | None = None,
    packages: Sequence[str] = (),
) -> None:
    """Write a state, and records, to a file: all of it or nothing.

    Parameters
    ----------
    path : path of the file
    algorithm : Algorithm
    state : State
    records : sequence of frozen dataclasses, arrays or numbers
        Tensors are no records that a file can hold: make arrays of what matters.
    start : State, optional
        Where the run began; if given here, it must be given again to load.
    packages : sequence of str
        Where the classes of the records are defined, beside ``sampled`` and ``reference``.

    Raises
    ------
    InputError
        If a part of the algorithm cannot be recognised later, a record cannot be written, or the folder
        does not exist.
    """
    instance("state", state, State)
    _write(_path(path), _digests(algorithm, start), state, records, packages)


def load(
    path: str | PathLike[str],
    algorithm: Algorithm,
    *,
    start: State | None = None,
    packages: Sequence[str] = (),
) -> tuple[State, tuple[Any, ...]]:
    """Read a state and its records, written by :func:`save` with the same algorithm and settings.

    Tensors go to the device of the algorithm's problem.

    Parameters
    ----------
    path, algorithm, start, packages
        As in :func:`save`.

    Raises
    ------
    InputError
        If the file is damaged or of another schema or version, or was written with another algorithm,
        problem, setting or start: the message names what differs.
    """
    return _read(_path(path), _digests(algorithm, start), algorithm, packages)


def resume(
    path: str | PathLike[str],
    algorithm: Algorithm,
    start: State,
    iterations: int,
    *,
    save_every: int,
    record_every: int = 0,
    record: Callable[[State], RecordT],
    watch: Callable[[State], None] = unwatched,
    packages: Sequence[str] = (),
) -> Run[RecordT]:
    """Run to a number of iterations, from a file if there is one, and keep the file up to date.

    Whatever ends the run early, an interrupt or an error, what has been computed is written first; the
    same call continues from there, to the same result as without the interruption.

    Parameters
    ----------
    path : path of the file
    algorithm : Algorithm
    start : State
        Where the run begins, or once began.
    iterations : int >= 0
        In all, from ``start`` on.
    save_every : int >= 1
        Iterations between two writes.
    record_every, record, watch
        As in :func:`sampled.algorithms.contract.run`.
    packages : sequence of str
        As in :func:`save`.

    Raises
    ------
    InputError
        As :func:`load`, :func:`save` and ``run``.  A file that is refused stays as it was.
    """
    whole("save_every", save_every, low=1)
    whole("iterations", iterations, low=0)
    whole("record_every", record_every, low=0)
    instance("start", start, State)
    path, digests = _path(path), _digests(algorithm, start)
    exists = path.exists()
    state, records = _read(path, digests, algorithm, packages) if exists else (start, ())
    if not exists:
        algorithm.bilevel.admitted(start)
    # One name for both, so that no interrupt can fall between the state and its record.
    current: Run[RecordT] = Run(state, records)
    written = state.k if exists else -1

    def write() -> int:
        _write(path, digests, current.state, current.records, packages)
        return current.state.k

    try:
        while current.state.k < start.k + iterations:
            one = iterated(algorithm, current.state, 1, record_every, record)
            current = Run(one.state, current.records + one.records)
            watch(current.state)
            if (current.state.k - start.k) % save_every == 0:
                written = write()
    finally:
        if written != current.state.k:
            write()
    return current


def _digests(algorithm: Algorithm, start: State | None) -> dict[str, str]:
    provides("algorithm", algorithm, Algorithm)
    begun = {} if start is None else fingerprint(start, "start")
    return {"version": str(VERSION), **fingerprint(algorithm), **begun}


def _write(
    path: Path,
    digests: dict[str, str],
    state: State,
    records: Sequence[object],
    packages: Sequence[str],
) -> None:
    arrays = {name: part.cpu().numpy() for name, part in state.parts().items()}
    content = Checkpoint(digests, state.k, arrays, tuple(records))
    with _refusals():
        storage.save(path, content, packages=(*PACKAGES, *packages))


def _read(
    path: Path, digests: dict[str, str], algorithm: Algorithm, packages: Sequence[str]
) -> tuple[State, tuple[Any, ...]]:
    with _refusals():
        found = storage.load(path, Checkpoint, packages=(*PACKAGES, *packages))
    names = dict.fromkeys((*digests, *found.digests))
    differing = [name for name in names if digests.get(name) != found.digests.get(name)]
    if differing:
        raise InputError(
            f"{path} was written with another {', '.join(differing[:4])}"
            + (f" and {len(differing) - 4} more" if len(differing) > 4 else "")
            + ": resume with the problem, settings and program of the run, or start another file"
        )
    device = algorithm.bilevel.like_ps.device
    parts = {name: torch.from_numpy(array.copy()).to(device) for name, array in found.arrays.items()}

    try:
        y, oracle, memory = (_listed(parts, name) for name in ("y", "oracle", "memory"))
        state = State(found.k, parts["x"], y, oracle, memory, parts["key_p"], parts["steps_p"])
        algorithm.bilevel.admitted(state)
    except (KeyError, InputError) as error:
        raise InputError(f"{path} holds no complete state ({error}): restore it from a copy") from error
    return state, found.records


@contextmanager
def _refusals() -> Iterator[None]:
    """Pass on what ``reference`` refuses, a ValueError with a remedy, as an error of this package."""
    try:
        yield
    except InputError:
        raise
    except ValueError as error:
        raise InputError(str(error)) from error


def _listed(parts: dict[str, Tensor], name: str) -> tuple[Tensor, ...]:
    count = sum(key.startswith(f"{name}[") for key in parts)
    return tuple(parts[f"{name}[{i}]"] for i in range(count))


def _path(path: str | PathLike[str]) -> Path:
    if not isinstance(path, str | PathLike):
        raise InputError(f"path is {type(path).__name__}; give the name of a file or a pathlib.Path")
    return Path(path)
