"""What is asked of a route, and what it answers."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from verify.oracles.arithmetic import Arithmetic, Floats, Native


@dataclass(frozen=True, eq=False)
class Point:
    """The arguments of a quantity, as floats or in the numbers of an arithmetic.

    Attributes
    ----------
    x : parameters of the problem
    policies : one array per player, (S, A)
    companions : one approximate companion per player, (S, A)
    logits : one array per player; softmax parameters of policies of their own
    """

    x: Native
    policies: tuple[Native, ...] = ()
    companions: tuple[Native, ...] = ()
    logits: tuple[Native, ...] = ()

    def lifted(self, number: Arithmetic) -> "Point":
        """The same point in the numbers of an arithmetic."""
        return Point(
            number.lift(self.x),
            tuple(map(number.lift, self.policies)),
            tuple(map(number.lift, self.companions)),
            tuple(map(number.lift, self.logits)),
        )


@dataclass(frozen=True)
class Variable:
    """One of the arrays of a point: ``x``, or the i-th of ``policies`` or ``logits``."""

    field: str
    index: int = 0

    def get(self, point: Point) -> Native:
        """The array."""
        part = getattr(point, self.field)
        return part[self.index] if isinstance(part, tuple) else part

    def put(self, point: Point, array: Native) -> Point:
        """The point with the array replaced."""
        part = getattr(point, self.field)
        if isinstance(part, tuple):
            array = (*part[: self.index], array, *part[self.index + 1 :])
        return replace(point, **{self.field: array})


def undefined(number: Arithmetic, point: Point) -> Native:
    """Stand for a definition where there is none, only code that must agree with other code.

    Raises
    ------
    ValueError
        Always.
    """
    raise ValueError(f"the quantity has no definition to evaluate in {number} at {point}")


@dataclass(frozen=True, eq=False)
class Request:
    """A quantity at a point: the definition, and the array in which it is differentiated.

    Attributes
    ----------
    define : (arithmetic, point in its numbers) -> native array; a single number if differentiated
        Or :func:`undefined`: only the samples' code can answer.
    point : Point of floats
    variable : Variable or None
        None asks for the value itself.
    directions : arrays of the variable's shape
        Directions for the routes that differentiate along one.
    gamma : discount of the problem
    n_states : states of the problem
    transcendental : whether exp or log occur (entropies, softmax)
    optimum : whether an optimal value occurs
    unregularized : whether tau = 0
    estimate : variable in tensors -> what the samples' code makes of all trajectories, and its error
        None if nothing estimates the quantity.
    """

    define: Callable[[Arithmetic, Point], Native]
    point: Point
    variable: Variable | None
    directions: tuple[Floats, ...]
    gamma: float
    n_states: int
    transcendental: bool
    optimum: bool
    unregularized: bool
    estimate: Callable[[Native], tuple[Native, float]] | None = None

    @property
    def is_defined(self) -> bool:
        """Whether there is a definition."""
        return self.define is not undefined


@dataclass(frozen=True, eq=False)
class Answer:
    """What a route found.

    Attributes
    ----------
    values : the quantity, its gradient, or one slope per direction of the request
    error : bound on the route's own error beyond rounding in float64 (truncation, solver)
    slopes : whether ``values`` are slopes along the directions
    """

    values: Floats
    error: float
    slopes: bool = False


class Route(Protocol):
    """An independent way to compute requests."""

    @property
    def name(self) -> str:
        """Short name, the column of the matrix."""
        ...

    def applies(self, request: Request) -> bool:
        """Whether the route can answer this request."""
        ...

    def answer(self, request: Request) -> Answer:
        """Compute it."""
        ...


def moved(
    number: Arithmetic, request: Request, amount: Native, direction: npt.NDArray[np.float64]
) -> Point:
    """The request's point in native numbers, moved by ``amount`` along a direction."""
    point = request.point.lifted(number)
    if request.variable is None:
        raise ValueError("a value has no direction to move in")
    start = request.variable.get(point)
    return request.variable.put(point, start + amount * number.lift(direction))
