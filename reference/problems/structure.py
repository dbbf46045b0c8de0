"""Problems as trees: frozen dataclasses whose leaves are arrays, numbers, names and functions.

Comparing, stacking and saving walk this tree by the dataclass fields, so a new kind of problem needs
no code for any of them.
"""

import reprlib
from collections.abc import Callable, Sequence
from dataclasses import Field, fields, is_dataclass
from typing import Any, TypeVar

import numpy as np

from reference.domains import Domain
from reference.errors import InputError

T = TypeVar("T")


def is_record(value: object) -> bool:
    """Return whether a value is an instance of a dataclass."""
    return is_dataclass(value) and not isinstance(value, type)


def given(record: Any) -> tuple[Field[Any], ...]:
    """Return the fields that the constructor takes."""
    return tuple(field for field in fields(record) if field.init)


def same(first: object, second: object) -> bool:
    """Return whether two values have the same types, fields, arrays (entry by entry) and numbers.

    Functions are the same only if they are one object.
    """
    if first is second:
        return True
    if type(first) is not type(second):
        return False
    if isinstance(first, np.ndarray) and isinstance(second, np.ndarray):
        return first.dtype == second.dtype and np.array_equal(first, second)
    if is_record(first):
        return all(same(getattr(first, f.name), getattr(second, f.name)) for f in given(first))
    if isinstance(first, tuple | list) and isinstance(second, tuple | list):
        return len(first) == len(second) and all(map(same, first, second))
    return bool(first == second)


def stack(problems: Sequence[T]) -> T:
    """Stack problems of one shape along a new leading axis, so that they advance together.

    Every array of the problems is stacked; domains are shared, and so is everything that is not an
    array (discounts, temperatures, shapes, functions).  ``batch_axes`` fields grow by one.

    Parameters
    ----------
    problems : sequence of problems of one class
        Mdp, ZeroSumGame, any family or application, or their parts.

    Returns
    -------
    problem of the same class
        Values of x, policies and companions then have one leading axis of ``len(problems)``, or
        none if all problems share them.  To stack stacks, every array of theirs must have their
        batch axes, as those that this function returns do.

    Raises
    ------
    InputError
        If there is no problem, or two differ in anything but the entries of their arrays.
    """
    if len(problems) == 0:
        raise InputError("problems is empty; give at least one problem")
    if not is_record(problems[0]):
        raise InputError(f"problems[0] is {type(problems[0]).__name__}; give problems, not their parts")
    stacked: T = _stacked("problems[{}]", list(problems))
    return stacked


def _stacked(name: str, members: list[Any]) -> Any:
    head = members[0]
    for i, member in enumerate(members):
        if type(member) is not type(head):
            raise InputError(
                f"{name.format(i)} is {type(member).__name__} and {name.format(0)} "
                f"{type(head).__name__}; only problems of one kind can be stacked"
            )
    if isinstance(head, np.ndarray):
        return _stacked_arrays(name, members)
    if is_record(head) and not isinstance(head, Domain):
        parts = {
            field.name: _stacked(f"{name}.{field.name}", [getattr(m, field.name) for m in members])
            for field in given(head)
        }
        if "batch_axes" in parts:
            parts["batch_axes"] += 1
        build: Callable[..., Any] = type(head)
        return build(**parts)
    return _shared(name, members)


def _stacked_arrays(name: str, arrays: list[np.ndarray]) -> np.ndarray:
    for i, array in enumerate(arrays):
        if array.shape != arrays[0].shape:
            raise InputError(
                f"{name.format(i)} has shape {array.shape} and {name.format(0)} {arrays[0].shape}; "
                "only problems of one shape can be stacked"
            )
    return np.stack(arrays)


def _shared(name: str, members: list[Any]) -> Any:
    for i, member in enumerate(members):
        if not same(member, members[0]):
            raise InputError(
                f"{name.format(i)} is {reprlib.repr(member)} and {name.format(0)} "
                f"{reprlib.repr(members[0])}, which differ; problems that are stacked share all but "
                "the entries of their arrays: give them one value"
            )
    return members[0]
