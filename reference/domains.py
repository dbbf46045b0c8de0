"""Convex sets X and Y: projection, diameter, membership.

A domain has an event shape; points may carry any leading batch axes, and the projection acts on each.
All projections are Euclidean, so they are non-expansive, as (4.4) and (5.12) need.
"""

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from reference.errors import InputError
from reference.validation import Array, entry, extents, first, real_array, reals, scalar


@runtime_checkable
class Domain(Protocol):
    """A closed convex set of arrays of one shape."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one point."""
        ...

    @property
    def diameter(self) -> float:
        """Largest Euclidean distance of two points; ``inf`` if unbounded."""
        ...

    def project(self, x: Array) -> Array:
        """Nearest point of the set, for each point of ``x`` (..., *shape).

        Raises
        ------
        InputError
            If an entry is not a finite real number, or the shape is another.
        """
        ...


MEMBERSHIP_TOLERANCE = 1e-9
"""A point is accepted if it is this close to its projection, relative to its size."""


def point(name: str, x: Array, domain: Domain) -> Array:
    """Return ``x`` as float64 if it is finite and has the shape of a domain's points.

    Raises
    ------
    InputError
        If it is not.
    """
    x = real_array(name, x)
    _fitting(name, x, domain)
    return x


def located(name: str, x: Array, domain: Domain) -> Array:
    """Return ``x`` as :func:`point` does, without a copy: for numerics, inside or outside the set.

    Raises
    ------
    InputError
        If an entry is not a finite real number, or the shape is not that of a domain's points.
    """
    x = reals(name, x)
    _fitting(name, x, domain)
    return x


def _fitting(name: str, x: Array, domain: Domain) -> None:
    n = len(domain.shape)
    if x.ndim < n or x.shape[x.ndim - n :] != domain.shape:
        raise InputError(
            f"{name} has shape {x.shape}; its last axes must be {domain.shape}, the shape of its domain"
        )


def member(name: str, x: Array, domain: Domain) -> Array:
    """Return ``x`` as float64 if it lies in ``domain``.

    Raises
    ------
    InputError
        If the shape differs, an entry is not finite, or the point is outside.
    """
    x = point(name, x, domain)
    nearest = domain.project(x)
    distance = np.abs(x - nearest)
    allowed = MEMBERSHIP_TOLERANCE * (1.0 + np.abs(x))
    if (distance > allowed).any():
        where = first(distance > allowed)
        raise InputError(
            f"{entry(name, where)} is {x[where]:.6g}, outside the {type(domain).__name__} that is its "
            f"domain (in the nearest point it is {nearest[where]:.6g}): project it first, with "
            f"domain.project({name})"
        )
    return x


def some_point(domain: Domain, slope: float = 0.0) -> Array:
    """Return a point of a domain, by which parts that share x are held to each other.

    It is the projection of (1, 2, ..., n) slope / n: of the origin at slope zero.
    """
    n = math.prod(domain.shape)
    return domain.project(slope * np.arange(1, n + 1).reshape(domain.shape) / n)


@dataclass(frozen=True)
class Euclidean:
    """The whole space R^d, with arrays of the given shape.

    Raises
    ------
    InputError
        If the shape is not a tuple of positive whole numbers.
    """

    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", extents("shape", self.shape))

    @property
    def diameter(self) -> float:
        """Infinite."""
        return np.inf

    def project(self, x: Array) -> Array:
        """Return the point itself."""
        return located("x", x, self)


@dataclass(frozen=True, eq=False)
class Box:
    """All x with ``low <= x <= high``, entry by entry.

    Parameters
    ----------
    low, high : array of the event shape

    Raises
    ------
    InputError
        If the shapes differ or ``low > high`` somewhere.
    """

    low: Array
    high: Array

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            bound = real_array(name, getattr(self, name), finite=False)
            if np.isinf(bound).any():
                where = first(np.isinf(bound))
                raise InputError(
                    f"{entry(name, where)} is {bound[where]}; a box is bounded: give a finite number, "
                    "or take Euclidean for all of R^d"
                )
            object.__setattr__(self, name, real_array(name, bound))
        if self.low.shape != self.high.shape:
            raise InputError(
                f"low has shape {self.low.shape} and high {self.high.shape}; give both the same shape"
            )
        if (self.low > self.high).any():
            where = first(self.low > self.high)
            raise InputError(f"{entry('low', where)} exceeds {entry('high', where)}: swap them")

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one point."""
        return self.low.shape

    @property
    def diameter(self) -> float:
        """Length of the diagonal."""
        return float(np.linalg.norm(self.high - self.low))

    def project(self, x: Array) -> Array:
        """Clip every entry."""
        return np.clip(located("x", x, self), self.low, self.high)


@dataclass(frozen=True, eq=False)
class Ball:
    """All x with ``|x - centre| <= radius`` in the Euclidean norm.

    Raises
    ------
    InputError
        If the radius is not a positive number.
    """

    centre: Array
    radius: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "centre", real_array("centre", self.centre))
        radius = scalar("radius", self.radius, low=0.0, open_low=True)
        object.__setattr__(self, "radius", radius)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one point."""
        return self.centre.shape

    @property
    def diameter(self) -> float:
        """Twice the radius."""
        return 2.0 * self.radius

    def project(self, x: Array) -> Array:
        """Pull a point outside radially to the sphere."""
        x = located("x", x, self)
        offset = x - self.centre
        axes = tuple(range(x.ndim - len(self.shape), x.ndim))
        norm = np.sqrt((offset * offset).sum(axis=axes, keepdims=True))
        shrink = self.radius / np.maximum(norm, self.radius)
        return np.where(shrink == 1.0, x, self.centre + shrink * offset)


@dataclass(frozen=True)
class Simplices:
    """Products of probability simplices: the last axis of the shape holds distributions.

    Direct policies (S, A) live here: one simplex per state.

    Raises
    ------
    InputError
        If the shape is empty or not a tuple of positive whole numbers.
    """

    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        shape = extents("shape", self.shape)
        if not shape:
            raise InputError("shape is (); give at least the axis that holds a distribution: (n,)")
        object.__setattr__(self, "shape", shape)

    @property
    def diameter(self) -> float:
        """Distance of two opposite vertices: its square is 2 per simplex with two entries or more."""
        return math.sqrt(2.0 * math.prod(self.shape[:-1])) if self.shape[-1] > 1 else 0.0

    def project(self, x: Array) -> Array:
        """Project each row; see :func:`project_to_simplex`."""
        return project_to_simplex(located("x", x, self))


def project_to_simplex(x: Array) -> Array:
    """Euclidean projection of each last-axis row onto the probability simplex.

    The projection is ``max(x - c, 0)`` with the threshold c at which it sums to one; c is found
    from the sorted entries in O(A log A) (Held, Wolfe and Crowder 1974).
    """
    # Only differences within a row matter: subtracting the maximum keeps large rows exact.
    x = x - x.max(axis=-1, keepdims=True)
    descending = -np.sort(-x, axis=-1)
    counts = np.arange(1, x.shape[-1] + 1)
    thresholds = (np.cumsum(descending, axis=-1) - 1.0) / counts
    support = (descending > thresholds).sum(axis=-1, keepdims=True)
    threshold = np.take_along_axis(thresholds, support - 1, axis=-1)
    return np.maximum(x - threshold, 0.0)
