"""Checks of tensors: what, where, why and the remedy, and never a silent repair.

A check reads its verdict on the host: one transfer each, before a rollout and never inside one.
"""

import math
from collections.abc import Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from sampled.errors import InputError

T = TypeVar("T")

FLOATING = (torch.float32, torch.float64)
"""The dtypes of rewards, probabilities and logits."""

GIVEN_ROW_SUM = 1e-12
"""How far a row that was given in float64 may be from summing to one."""


def entry(name: str, index: Sequence[int]) -> str:
    """Spell one entry of a tensor, as in ``pi[0, 3]``; the bare name for a scalar."""
    return f"{name}[{', '.join(map(str, index))}]" if len(index) else name


def first(mask: Tensor) -> tuple[int, ...]:
    """Index of the first true entry."""
    return tuple(int(i) for i in mask.nonzero()[0])


def floating(name: str, value: object, *, axes: int | None = None) -> Tensor:
    """Return a tensor of real numbers in float32 or float64, with a given number of axes.

    Raises
    ------
    InputError
        If it is something else.
    """
    if not isinstance(value, Tensor):
        raise InputError(
            f"{name} is {type(value).__name__}; it must be a tensor: torch.as_tensor({name})"
        )
    if value.dtype not in FLOATING:
        raise InputError(
            f"{name} has dtype {value.dtype}; it must be float32 or float64: convert it with "
            f"{name}.to(torch.float64)"
        )
    if axes is not None and value.ndim != axes:
        raise InputError(
            f"{name} has shape {tuple(value.shape)}; it must have {axes} axes, the first of which "
            f"numbers the problems: add it to one problem's with {name}.unsqueeze(0)"
        )
    return value


def finite(name: str, value: Tensor) -> Tensor:
    """Return a tensor without NaN and infinities.

    Raises
    ------
    InputError
        If it has some.
    """
    if value.is_meta:  # it holds no values
        return value
    # A sum is finite only if all its terms are: one reduction, whatever the size.
    if not math.isfinite(float(value.detach().sum())) and not torch.isfinite(value).all():
        where = first(~torch.isfinite(value))
        raise InputError(
            f"{entry(name, where)} is {float(value[where])}; every entry must be finite: look for a "
            "division by zero, an overflow or steps that are too long where it was computed"
        )
    return value


def shaped(name: str, value: Tensor, axes: str, shape: tuple[int, ...]) -> Tensor:
    """Return a tensor of the given shape, whose axes ``axes`` names.

    Raises
    ------
    InputError
        If it has another.
    """
    if tuple(value.shape) != shape:
        raise InputError(
            f"{name} has shape {tuple(value.shape)}; its axes are {axes} and must be {shape}: check "
            "their order"
        )
    return value


def row_sum_tolerance(value: Tensor) -> float:
    """How far a row may be from summing to one.

    A softmax rounds each of K entries by a few units and their sum by K; what is given in float64
    may miss by ``GIVEN_ROW_SUM``.
    """
    computed = (value.shape[-1] + 8) * torch.finfo(value.dtype).eps
    return max(GIVEN_ROW_SUM, computed)


def distributions(name: str, value: Tensor) -> Tensor:
    """Return a tensor whose last axis holds probability distributions.

    Raises
    ------
    InputError
        If an entry is negative or not finite, or a row does not sum to one within
        :func:`row_sum_tolerance`.
    """
    if value.shape[-1:] in ((), (0,)):
        raise InputError(f"{name} has shape {tuple(value.shape)}; its last axis must hold outcomes")
    tolerance = row_sum_tolerance(value)
    total = value.sum(-1)
    good = ((total - 1.0).abs() <= tolerance) & (value.amin(-1) >= 0.0)
    if good.all():
        return value
    finite(name, value)
    if (value < 0.0).any():
        where = first(value < 0.0)
        raise InputError(
            f"{entry(name, where)} is {float(value[where])!r}; a probability is never negative: "
            "correct the entry, or clip and renormalise the row yourself if it is rounding"
        )
    where = first(~good)
    raise InputError(
        f"{entry(name, where)} sums to {float(total[where])!r}; every row must sum to 1 within "
        f"{tolerance:.2g}: divide the row by its sum if it is meant to be a distribution"
    )


def one_device(**tensors: Tensor) -> torch.device:
    """Return the device that all tensors are on.

    Raises
    ------
    InputError
        If they are on several.
    """
    devices = {name: tensor.device for name, tensor in tensors.items()}
    if len(set(devices.values())) > 1:
        spelled = ", ".join(f"{name} on {device}" for name, device in devices.items())
        raise InputError(
            f"the tensors are on several devices: {spelled}; move all to one with .to(device)"
        )
    return next(iter(devices.values()))


def one_dtype(**tensors: Tensor) -> torch.dtype:
    """Return the dtype that all tensors have.

    Raises
    ------
    InputError
        If they have several.
    """
    dtypes = {name: tensor.dtype for name, tensor in tensors.items()}
    if len(set(dtypes.values())) > 1:
        spelled = ", ".join(f"{name} in {dtype}" for name, dtype in dtypes.items())
        raise InputError(
            f"the tensors have several dtypes: {spelled}; convert all to one with .to(dtype)"
        )
    return next(iter(dtypes.values()))


def whole(name: str, value: object, *, low: int) -> int:
    """Return a whole number that is at least ``low``.

    Raises
    ------
    InputError
        If it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise InputError(f"{name} is {value!r}; it must be a whole number >= {low}")
    return value


def fraction(name: str, value: object, why: str) -> float:
    """Return a number of [0, 1); ``why`` completes the error.

    Raises
    ------
    InputError
        If it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value < 1.0:
        raise InputError(f"{name} is {value!r}; it must be a number in [0, 1): {why}")
    return float(value)


def number(
    name: str, value: object, *, low: float = -math.inf, high: float = math.inf, open_low: bool = False
) -> float:
    """Return a finite number of an interval.

    Raises
    ------
    InputError
        If it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(f"{name} is {value!r}; it must be one finite number")
    if not low <= value <= high or (open_low and value == low):
        bound = f"> {low:g}" if open_low else f">= {low:g}"
        upper = "" if high == math.inf else f" and <= {high:g}"
        raise InputError(f"{name} is {value!r}; it must be {bound}{upper}")
    return float(value)


def instance(name: str, value: object, kind: type[T]) -> T:
    """Return a value of a class.

    Raises
    ------
    InputError
        If it is of another class.
    """
    if not isinstance(value, kind):
        raise InputError(
            f"{name} is {type(value).__name__}; it must be of the class {kind.__name__}: see "
            f"{kind.__module__}.{kind.__name__}"
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
            f"{name} is {type(value).__name__}; it must be a {contract.__name__}, an object with "
            f"{', '.join(wanted)}: see {contract.__module__}.{contract.__name__}"
        )


def several(name: str, values: object, count: int | None, remedy: str) -> tuple[Any, ...]:
    """Return a tuple or list as a tuple, of ``count`` entries if given.

    Raises
    ------
    InputError
        If it is something else, such as one tensor, or has another length.
    """
    if not isinstance(values, tuple | list):
        raise InputError(f"{name} is {type(values).__name__}; it must be a tuple: {remedy}")
    if count is not None and len(values) != count:
        raise InputError(f"{name} has {len(values)} entries; there must be {count}: {remedy}")
    return tuple(values)
