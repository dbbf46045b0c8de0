"""Checks of what is given: what, where, why and the remedy, and never a silent repair."""

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from reference.errors import InputError, ShapeError

Array = npt.NDArray[np.float64]
T = TypeVar("T")

ROW_SUM_TOLERANCE = 1e-12
"""How far a row of probabilities may be from summing to one: some thousand rounded additions."""


def entry(name: str, index: Sequence[int]) -> str:
    """Spell one entry of an array, as in ``P_sat[3, 1]``; the bare name for a scalar."""
    return f"{name}[{', '.join(map(str, index))}]" if len(index) else name


def first(mask: npt.NDArray[np.bool_]) -> tuple[int, ...]:
    """Index of the first true entry."""
    return tuple(int(i) for i in np.argwhere(mask)[0])


def reals(name: str, value: npt.ArrayLike, *, finite: bool = True) -> Array:
    """Return an array of real numbers as float64, without a copy if it is that already.

    Raises
    ------
    InputError
        If the array is ragged, complex, boolean or not numeric, or has NaN or infinite entries.
    """
    if isinstance(value, np.ma.MaskedArray):
        raise InputError(f"{name} is masked; fill the masked entries: {name}.filled(...)")
    try:
        raw = np.asarray(value)
    except ValueError as error:
        raise InputError(
            f"{name} is ragged ({error}); give rows of one length, or a NumPy array"
        ) from error
    except (RuntimeError, TypeError) as error:  # tensors that need gradients, or are elsewhere
        raise InputError(f"{name} is no array ({error}): give a NumPy array") from error
    if raw.dtype.kind not in "iuf":
        remedy = {"c": f"take {name}.real if it is real", "O": "give an array of numbers"}
        raise InputError(
            f"{name} has dtype {raw.dtype}; the exact side computes with real numbers: "
            + remedy.get(
                raw.dtype.kind, f"convert it with {name}.astype(float) if that is what it means"
            )
        )
    array = np.asarray(raw, dtype=np.float64)
    if finite and not np.isfinite(array).all():
        where = first(~np.isfinite(array))
        raise InputError(
            f"{entry(name, where)} is {array[where]}; every entry must be finite: "
            "look for a division by zero or a missing value where it was computed"
        )
    return array


def real_array(name: str, value: npt.ArrayLike, *, finite: bool = True) -> Array:
    """Return a read-only float64 copy of an array of real numbers.

    Raises
    ------
    InputError
        As :func:`reals`.
    """
    # In C order, so that merging neighbouring axes is a view wherever the array came from.
    array = np.array(reals(name, value, finite=finite), order="C")
    array.flags.writeable = False
    return array


def shaped(name: str, array: Array, axes: str, shape: tuple[int, ...]) -> Array:
    """Return ``array`` if its trailing axes have the given shape.

    Raises
    ------
    ShapeError
        If they do not; ``axes`` names them in the message.
    """
    if array.ndim < len(shape) or array.shape[array.ndim - len(shape) :] != shape:
        raise ShapeError(
            f"{name} has shape {array.shape}; its last axes are {axes} and must be {shape}: "
            "check the order of the axes"
        )
    return array


def nonnegative(name: str, array: Array) -> Array:
    """Return ``array`` if no entry is negative.

    Raises
    ------
    InputError
        If one is.
    """
    if array.size and array.min() < 0.0:
        where = first(array < 0.0)
        raise InputError(
            f"{entry(name, where)} is {array[where]:.17g}; a probability is never negative: "
            "correct the entry, or clip and renormalise the row yourself if it is rounding"
        )
    return array


def distributions(
    name: str, array: Array, *, tolerance: float = ROW_SUM_TOLERANCE, remedy: str = ""
) -> Array:
    """Return ``array`` if its last axis holds probability distributions.

    Raises
    ------
    InputError
        If an entry is negative or a row does not sum to one within ``tolerance``.
    """
    nonnegative(name, array)
    excess = np.abs(array.sum(axis=-1) - 1.0)
    if excess.size and excess.max() > tolerance:
        where = first(excess > tolerance)
        total = array[where].sum()
        raise InputError(
            f"{entry(name, where)} sums to {total:.17g}; every row must sum to 1 within "
            f"{tolerance:g}: "
            + (remedy or "divide the row by its sum, in float64, if it is meant to be a distribution")
        )
    return array


def numbers(name: str, value: npt.ArrayLike, axes: str, shape: tuple[int, ...]) -> Array:
    """Return a read-only copy of an array of real numbers with the given trailing axes, checked."""
    return shaped(name, real_array(name, value), axes, shape)


def probability_rows(name: str, value: npt.ArrayLike, axes: str, shape: tuple[int, ...]) -> Array:
    """Return a read-only copy of an array of distributions over its last axis, checked."""
    return distributions(name, shaped(name, real_array(name, value), axes, shape))


def weighted(name: str, w: Array, v_kt: Array, axes: str, shape: tuple[int, ...]) -> tuple[Array, Array]:
    """Return weights (..., K, *shape) and value vectors (..., K, S), checked and not copied.

    ``shape`` begins with the number of states; ``axes`` names its axes.

    Raises
    ------
    InputError
        If an array has other axes, or an entry that is not a finite real number.
    """
    w = shaped(name, reals(name, w), axes, shape)
    if w.ndim == len(shape):
        raise InputError(
            f"{name} has shape {w.shape}; it needs an axis k before {axes}: give {name}[None]"
        )
    pairs = w.shape[w.ndim - len(shape) - 1]
    return w, shaped("v_kt", reals("v_kt", v_kt), "(k, state)", (pairs, shape[0]))


def source(generator: object) -> np.random.Generator:
    """Return a generator of random numbers, checked.

    Raises
    ------
    InputError
        If it is something else, such as a seed.
    """
    if not isinstance(generator, np.random.Generator):
        raise InputError(
            f"generator is {generator!r}; pass a generator, such as np.random.default_rng(0)"
        )
    return generator


def whole(name: str, value: object, *, low: int) -> int:
    """Return a whole number that is at least ``low``.

    Raises
    ------
    InputError
        If it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < low:
        raise InputError(f"{name} is {value!r}; it must be a whole number >= {low}")
    return int(value)


def extents(name: str, shape: Sequence[int], *, axes: int | None = None) -> tuple[int, ...]:
    """Return a shape as a tuple of positive whole numbers, ``axes`` of them if given.

    Raises
    ------
    InputError
        If it is not.
    """
    if not isinstance(shape, tuple | list) or (axes is not None and len(shape) != axes):
        count = "" if axes is None else f"{axes} "
        raise InputError(f"{name} is {shape!r}; give a tuple of {count}positive whole numbers")
    return tuple(whole(f"{name}[{i}]", n, low=1) for i, n in enumerate(shape))


def together(**batches: tuple[int, ...]) -> tuple[int, ...]:
    """Return the common batch shape of arrays, given the leading axes of each by name.

    Raises
    ------
    InputError
        If they do not broadcast against each other.
    """
    if not any(batches.values()):
        return ()
    try:
        return np.broadcast_shapes(*batches.values())
    except ValueError as error:
        spelled = ", ".join(f"{name} {shape}" for name, shape in batches.items())
        raise InputError(
            f"the leading (batch) axes do not agree: {spelled}; give every array the same number of "
            "problems, or none"
        ) from error


def instance(name: str, value: object, kind: type[T]) -> T:
    """Return a value of a class, checked.

    Raises
    ------
    InputError
        If it is of another class.
    """
    if not isinstance(value, kind):
        raise InputError(
            f"{name} is {type(value).__name__}; it must be of the class {kind.__name__}: "
            f"see {kind.__module__}.{kind.__name__}"
        )
    return value


def provides(name: str, value: object, contract: type) -> None:
    """Check that a part is an instance with the methods of a runtime-checkable protocol.

    Raises
    ------
    InputError
        If it is a class, or lacks a method.
    """
    if isinstance(value, type):
        raise InputError(f"{name} is the class {value.__name__}; give an instance of it")
    if not isinstance(value, contract):
        wanted = [member for member in dir(contract) if member == "__call__" or member[0] != "_"]
        raise InputError(
            f"{name} is {type(value).__name__}; it must be a {contract.__name__}, "
            f"an object with {', '.join(wanted)}: see {contract.__module__}.{contract.__name__}"
        )


def function(name: str, value: object) -> None:
    """Check that a part can be called and is not a class.

    Raises
    ------
    InputError
        If it cannot, or is one.
    """
    if isinstance(value, type):
        raise InputError(f"{name} is the class {value.__name__}; give an instance of it or a function")
    if not callable(value):
        raise InputError(f"{name} is {type(value).__name__}; it must be a callable: give a function")


def several(name: str, values: object, count: int | None, remedy: str) -> tuple[Any, ...]:
    """Return a tuple or list as a tuple, of ``count`` entries if given.

    Raises
    ------
    InputError
        If it is something else, such as one array, or has another length.
    """
    if not isinstance(values, tuple | list):
        raise InputError(f"{name} is {type(values).__name__}; it must be a tuple: {remedy}")
    if count is not None and len(values) != count:
        raise InputError(f"{name} has the length {len(values)}, which must be {count}: {remedy}")
    return tuple(values)


def policy(name: str, value: npt.ArrayLike, shape: tuple[int, int]) -> Array:
    """Return a policy array (..., S, A), checked at the accuracy of a projection.

    Rows may miss 1 by ``1e-9``: policies are computed (projections, softmax), not given.
    """
    array = shaped(name, real_array(name, value), "(state, action)", shape)
    return distributions(name, array, tolerance=1e-9)


def positive(name: str, array: Array, why: str, remedy: str) -> Array:
    """Return ``array`` if every entry is positive; ``why`` and ``remedy`` complete the error."""
    if array.size and array.min() <= 0.0:
        where = first(array <= 0.0)
        raise InputError(f"{entry(name, where)} is {array[where]:g}; {why}: {remedy}")
    return array


def scalar(
    name: str,
    value: float,
    *,
    low: float = -np.inf,
    high: float = np.inf,
    open_low: bool = False,
    open_high: bool = False,
    remedy: str = "",
) -> float:
    """Return a finite real number of an interval.

    Raises
    ------
    InputError
        If it is not a real number, not finite or outside the interval.
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.number):
        raise InputError(f"{name} is {value!r}; it must be one real number")
    number = float(np.real(value))
    inside = (number > low if open_low else number >= low) and (
        number < high if open_high else number <= high
    )
    if not np.isfinite(number) or not inside or np.iscomplexobj(value):
        left, right = (
            "(" if open_low or low == -np.inf else "[",
            ")" if open_high or high == np.inf else "]",
        )
        raise InputError(
            f"{name} is {value!r}; it must be a number in {left}{low:g}, {high:g}{right}"
            + (f": {remedy}" if remedy else "")
        )
    return number
