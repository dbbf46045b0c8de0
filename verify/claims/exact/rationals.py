"""Exact rationals: read from certificates, compared, and gathered in arrays."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from flint import fmpq

from verify.claims.contract import CertificateError

FOLDER = Path(__file__).parent.parent / "certificates"

Rationals = npt.NDArray[Any]
"""An array of exact rationals."""


def load(certificate: str) -> dict[str, Any]:
    """Read a certificate."""
    content: dict[str, Any] = json.loads((FOLDER / f"{certificate}.json").read_text(encoding="utf-8"))
    return content


def fraction(text: object) -> fmpq:
    """Parse ``"3/4"`` or a whole number.

    Raises
    ------
    CertificateError
        If it is neither; floats are refused, since they would not be exact.
    """
    if isinstance(text, bool) or not isinstance(text, str | int):
        raise CertificateError(f"{text!r} is no exact rational; write it as a string p/q")
    numerator, _, denominator = str(text).partition("/")
    try:
        return fmpq(int(numerator), int(denominator or "1"))
    except (ValueError, ZeroDivisionError) as error:
        raise CertificateError(f"{text!r} is no exact rational: {error}") from error


def fractions(nested: object) -> Rationals:
    """Parse nested lists of rationals."""
    return np.asarray(np.vectorize(fraction, otypes=[object])(np.array(nested, dtype=object)))


def require(condition: bool, what: str) -> None:
    """Raise :class:`CertificateError` unless a condition holds."""
    if not condition:
        raise CertificateError(what)


def same(what: str, found: fmpq, recorded: object) -> None:
    """Require that a recomputed number is the recorded one."""
    require(found == fraction(recorded), f"{what} is {found}, but {recorded} is recorded")


def greater(what: str, larger: fmpq, smaller: fmpq) -> None:
    """Require a strict inequality."""
    require(larger > smaller, f"{what}: {larger} is not greater than {smaller}")


def total(array: Rationals) -> fmpq:
    """Sum of all entries."""
    added: fmpq = sum(array.flat, start=fmpq(0))
    return added


def identity(n: int) -> Rationals:
    """The identity matrix of rationals."""
    return fractions(np.eye(n, dtype=int).tolist())


def filled(numbers: Sequence[Any], shape: tuple[int, ...]) -> Rationals:
    """Array of numbers or polynomials in C order; NumPy would take a polynomial for a sequence."""
    array = np.empty(shape, dtype=object)
    for index, number in zip(np.ndindex(shape), numbers, strict=True):
        array[index] = number
    return array


def require_distribution(row: Rationals) -> None:
    """Require that probabilities are nonnegative and sum to one."""
    require(all(p >= 0 for p in row) and total(row) == 1, f"{list(row)} is no distribution")
