"""Problems, checkpoints and other frozen dataclasses in ``.npz`` files, without pickle.

A file holds the arrays of the tree (:mod:`reference.problems.structure`) under dotted names, such as
``P_sat`` and ``regularizer.weight_s``, which ``numpy.load`` reads too, and one JSON header with
everything else::

    {"schema": "pbrl", "version": 1, "root": node}

    node    null, true, 3, 0.5, "text"              itself
            {"float": "inf"}                        a number that JSON cannot spell
            {"array": "P_sat"}, {"scalar": "x"}     the array, or its only entry, under that name
            {"tuple": [...]}, {"list": [...]}, {"dict": [[key, node], ...]}
            {"class": "reference.problems.mdp.Mdp", "fields": {...}}

Only public frozen dataclasses of the given packages are written and read, and their names are looked
up among the modules that those packages contain: a file can never choose what is imported.  Reading
calls the constructors, which check everything again.
"""

import json
import math
import os
import pkgutil
import tempfile
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from reference.errors import InputError
from reference.problems.structure import given, is_record

SCHEMA = "pbrl"
VERSION = 1
PACKAGES = ("reference",)

T = TypeVar("T")
AnyArray = npt.NDArray[Any]
_HEADER = "header"
_CONTAINERS = {"tuple": tuple, "list": list}


def save(path: str | PathLike[str], record: object, *, packages: Sequence[str] = PACKAGES) -> None:
    """Write a frozen dataclass to a file, all of it or nothing.

    Parameters
    ----------
    path : path of the file
        Replaced if it exists; the new content is written beside it and moved into place.
    record : a problem, or any public frozen dataclass of the packages
        Its leaves must be arrays, numbers, strings, tuples, lists, dictionaries with string keys or
        ``None``.
    packages : sequence of str
        Where the classes of the record and of its parts are defined.

    Raises
    ------
    InputError
        If a leaf is something else, such as a function: the message names it; if the path is none, or
        there is something that is no file; or if the file cannot be written.
    """
    path = _path(path)
    if not is_record(record):
        raise InputError(
            f"record is {type(record).__name__}; only frozen dataclasses are saved: wrap it in one"
        )
    if not path.parent.is_dir():
        raise InputError(f"{path.parent} is not a directory; create it first")
    encoder = _Encoder(_Classes.of(packages), {})
    content = {"schema": SCHEMA, "version": VERSION, "root": encoder.node("", record)}
    header = np.array(json.dumps(content, allow_nan=False))
    try:
        if path.exists() and not path.is_file():
            raise InputError(f"{path} is there and no file that could be replaced: give another path")
        _write(path, {_HEADER: header, **encoder.arrays})
    except OSError as error:
        raise InputError(
            f"cannot write {path}: {error.strerror}; nothing was changed: make room or give another path"
        ) from error


def load(path: str | PathLike[str], kind: type[T], *, packages: Sequence[str] = PACKAGES) -> T:
    """Read a frozen dataclass from a file written by :func:`save`.

    Parameters
    ----------
    path : path of the file
    kind : type
        Class that the file must hold; ``object`` for any.
    packages : sequence of str
        Where the classes of the record and of its parts are defined.

    Raises
    ------
    InputError
        If there is no such file, it is damaged, of another or a newer schema, or holds another
        class or values that the class refuses.  The message names the file.
    """
    path = _path(path)
    if not isinstance(kind, type):
        raise InputError(f"kind is {kind!r}; it must be a class, such as Mdp, or object for any")
    arrays = _read(path)
    try:
        root = _root(arrays.pop(_HEADER))
        record = _Decoder(_Classes.of(packages), arrays).value(root)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    if not isinstance(record, kind):
        raise InputError(f"{path} holds {type(record).__name__}, not {kind.__name__}: load it as that")
    return record


def _path(path: object) -> Path:
    if isinstance(path, str | PathLike) and "\0" not in os.fsdecode(path):
        return Path(os.fsdecode(path))
    raise InputError(f"path is {path!r}; it must be the path of a file, such as 'problem.npz'")


@dataclass(frozen=True)
class _Classes:
    """The public frozen dataclasses of some packages."""

    modules: frozenset[str]

    @classmethod
    def of(cls, packages: Sequence[str]) -> "_Classes":
        if isinstance(packages, str):
            raise InputError(f"packages is {packages!r}; it must be a sequence: give ({packages!r},)")
        names = set(packages)
        for package in packages:
            walked = pkgutil.walk_packages(import_module(package).__path__, prefix=f"{package}.")
            names.update(module.name for module in walked)
        return cls(frozenset(names))

    def find(self, spelled: object) -> type[Any] | None:
        """Return the class of that full name, if it is one of them."""
        module, _, name = str(spelled).rpartition(".")
        if module not in self.modules or name.startswith("_"):
            return None
        found = vars(import_module(module)).get(name)
        if not isinstance(found, type) or not is_dataclass(found) or found.__module__ != module:
            return None
        parameters = found.__dataclass_params__  # type: ignore[attr-defined]  # not in the stubs
        return found if parameters.frozen else None


def _is_key(key: object) -> bool:
    return isinstance(key, str) and key.isprintable()


@dataclass(frozen=True)
class _Encoder:
    classes: _Classes
    arrays: dict[str, AnyArray]

    def node(self, name: str, value: object) -> Any:
        """Return the header's node for a value, and collect its arrays."""
        if isinstance(value, np.ndarray | np.generic):
            return self._array(name, value)
        if is_record(value):
            return self._record(name, value)
        kind = type(value)
        if kind is float and not math.isfinite(value):  # type: ignore[arg-type]  # it is a float
            return {"float": str(value)}
        if value is None or kind in (bool, int, float, str):
            return value
        if isinstance(value, tuple | list) and kind in (tuple, list):
            return {kind.__name__: [self.node(f"{name}.{i}", part) for i, part in enumerate(value)]}
        if isinstance(value, dict) and kind is dict and all(map(_is_key, value)):
            return {"dict": [[key, self.node(f"{name}.{key}", part)] for key, part in value.items()]}
        raise InputError(
            f"{name} is {kind.__name__}, which no file can hold: save what it was made from, or "
            "replace it by one of the maps and kernels that are arrays, such as LinearReward"
        )

    def _array(self, name: str, value: AnyArray | np.generic) -> Any:
        array = np.asarray(value)
        if array.dtype.hasobject or (isinstance(value, np.ndarray) and type(value) is not np.ndarray):
            raise InputError(
                f"{name} is {type(value).__name__} of dtype {array.dtype}; only plain arrays of "
                "numbers or text are saved: convert it with numpy.array"
            )
        # Different paths can be spelled alike if a dictionary's key has a dot.
        key = f"{name}~{len(self.arrays)}" if name in {*self.arrays, _HEADER} else name
        self.arrays[key] = array
        return {"scalar" if isinstance(value, np.generic) else "array": key}

    def _record(self, name: str, record: object) -> Any:
        kind = type(record)
        spelled = f"{kind.__module__}.{kind.__qualname__}"
        if self.classes.find(spelled) is not kind:
            raise InputError(
                f"{name or 'record'} is {spelled}, which is no public frozen dataclass of the "
                "packages: save what it was made from, or add its package"
            )
        prefix = f"{name}." if name else ""
        parts = {f.name: self.node(prefix + f.name, getattr(record, f.name)) for f in given(record)}
        return {"class": spelled, "fields": parts}


@dataclass(frozen=True)
class _Decoder:
    classes: _Classes
    arrays: Mapping[str, AnyArray]

    def value(self, node: Any) -> Any:
        """Return what a node of the header stands for."""
        if not isinstance(node, dict):
            return node
        match list(node.items()):
            case [("array", str(key))] if key in self.arrays:
                value: Any = self.arrays[key]
            case [("scalar", str(key))] if key in self.arrays:
                value = self.arrays[key][()]
            case [("float", "inf" | "-inf" | "nan" as text)]:
                value = float(text)
            case [("tuple" | "list" as kind, list(parts))]:
                value = _CONTAINERS[kind](self.value(part) for part in parts)
            case [("dict", list(pairs))]:
                value = {key: self.value(part) for key, part in pairs}
            case [("class", spelled), ("fields", dict(parts))]:
                value = self._record(spelled, parts)
            case _:
                raise InputError(
                    f"the header's entry {str(node)[:80]} names an array that the file lacks, or is "
                    "none of this schema: the file is damaged; restore it from a copy"
                )
        return value

    def _record(self, spelled: object, nodes: Mapping[str, Any]) -> Any:
        kind = self.classes.find(spelled)
        if kind is None:
            raise InputError(
                f"{spelled} is no public frozen dataclass of the packages; it may have been renamed: "
                "use the version that wrote the file, or add its package"
            )
        expected = {field.name for field in given(kind)}
        if expected != set(nodes):
            raise InputError(
                f"{kind.__name__} lacks the fields {sorted(expected - set(nodes))} and has the "
                f"unknown fields {sorted(set(nodes) - expected)}: use the version that wrote the file"
            )
        parts = {name: self.value(node) for name, node in nodes.items()}
        try:
            return kind(**parts)
        except InputError:
            raise
        except (TypeError, AttributeError, ValueError, LookupError, ArithmeticError) as error:
            raise InputError(
                f"the fields of {kind.__name__} have the wrong types ({error}): the file is damaged; "
                "restore it from a copy"
            ) from error


def _write(path: Path, arrays: Mapping[str, AnyArray]) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        part = Path(folder) / path.name
        with part.open("wb") as handle:
            with zipfile.ZipFile(handle, "w") as archive:
                for key, array in arrays.items():
                    # A ZipInfo has a fixed date: the same record gives the same bytes.
                    with archive.open(zipfile.ZipInfo(f"{key}.npy"), "w", force_zip64=True) as member:
                        np.lib.format.write_array(member, array, allow_pickle=False)
            handle.flush()
            os.fsync(handle.fileno())
        part.replace(path)


def _read(path: Path) -> dict[str, AnyArray]:
    try:
        present = path.is_file()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; check the path") from error
    if not present:
        raise InputError(f"{path} is not a file; check the path, or save to it first")
    try:
        # Opened here: numpy.load leaves a file open that it finds to be no archive.
        with path.open("rb") as handle:
            if not zipfile.is_zipfile(handle):
                raise zipfile.BadZipFile("it is no zip archive")
            handle.seek(0)
            with np.load(handle, allow_pickle=False) as archive:
                arrays = {key: archive[key] for key in archive.files}
    # What the zip, array and text readers raise for bytes that they cannot make sense of.
    except (
        OSError,
        EOFError,
        LookupError,
        ValueError,
        TypeError,
        AttributeError,
        RuntimeError,
        SyntaxError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise InputError(
            f"{path} is not a readable .npz file ({error}): it is damaged or something else; restore "
            "it from a copy or save it again"
        ) from error
    if _HEADER not in arrays:
        raise InputError(
            f"{path} has no header; read files of bare arrays with numpy.load and give the arrays to "
            "the class of the problem"
        )
    return arrays


def _root(header: AnyArray) -> Any:
    try:
        content = json.loads(str(header[()]))
        schema, version, root = content["schema"], content["version"], content["root"]
    except (json.JSONDecodeError, LookupError, TypeError) as error:
        raise InputError(
            f"the header cannot be read ({error}): the file is damaged; restore it from a copy"
        ) from error
    if schema != SCHEMA or not isinstance(version, int) or version < 1:
        raise InputError(
            f"the schema is {schema!r}, version {version!r}, and not {SCHEMA!r}: read the file with "
            "the program that wrote it"
        )
    if version > VERSION:
        raise InputError(
            f"the file has version {version} of the schema, and this program reads up to {VERSION}: "
            "update the program"
        )
    return root
