"""What an algorithm is: a pure step on a frozen state, and a record of an iteration."""

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, runtime_checkable

import numpy as np

from reference.errors import InputError
from reference.validation import Array, instance, provides, real_array, scalar, several, whole

RecordT = TypeVar("RecordT")
RecordT_co = TypeVar("RecordT_co", covariant=True)


@runtime_checkable
class Schedule(Protocol):
    """A positive number for each iteration: a step size or a penalty constant."""

    def __call__(self, k: int) -> float:
        """Value for the update from z_k, k = 0, 1, ..."""
        ...


@dataclass(frozen=True)
class Constant:
    """The same value in every iteration.

    Raises
    ------
    InputError
        If the value is not a positive number.
    """

    value: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", scalar("value", self.value, low=0.0, open_low=True))

    def __call__(self, k: int) -> float:
        """The value."""
        whole("k", k, low=0)
        return self.value


@dataclass(frozen=True)
class Power:
    """first (k + 1)^exponent: growing penalty constants, or with a negative exponent shrinking steps.

    Raises
    ------
    InputError
        If the first value is not a positive number, or the exponent not a number.
    """

    first: float
    exponent: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "first", scalar("first", self.first, low=0.0, open_low=True))
        object.__setattr__(self, "exponent", scalar("exponent", self.exponent))

    def __call__(self, k: int) -> float:
        """first (k + 1)^exponent."""
        base = 1.0 + whole("k", k, low=0)
        try:
            return float(self.first * base**self.exponent)
        except OverflowError as error:
            raise InputError(
                f"{self.first!r} * {base!r}**{self.exponent!r} is beyond float64: lower the exponent"
            ) from error


def scheduled(name: str, schedule: Schedule, k: int) -> float:
    """Value of a schedule in iteration k, checked to be a positive number.

    Raises
    ------
    InputError
        If it is not.
    """
    provides(name, schedule, Schedule)
    return scalar(f"{name}({k})", schedule(k), low=0.0, open_low=True)


def _frozen(name: str, array: Array) -> Array:
    """Read-only copy in C order: the layout that a file gives back, and so the same sums."""
    copy = np.array(real_array(name, array), order="C")
    copy.flags.writeable = False
    return copy


@dataclass(frozen=True, eq=False)
class State:
    """All that an algorithm knows between two iterations.

    Attributes
    ----------
    k : int
        Number of updates made so far.
    x : (..., *domain.shape)
    y : one array (..., *domain.shape) per policy
        Parameters of the lower level's policies.
    oracle : one array per policy, or none
        State of each policy's oracle.

    Raises
    ------
    InputError
        If ``k`` is not a whole number, ``y`` or ``oracle`` no tuple, or an array has entries that are
        not finite, as after steps that are too long.
    """

    k: int
    x: Array
    y: tuple[Array, ...]
    oracle: tuple[Array, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "k", whole("k", self.k, low=0))
        object.__setattr__(self, "x", _frozen("x", self.x))
        for name in ("y", "oracle"):
            arrays = several(name, getattr(self, name), None, "give one array per policy")
            frozen = tuple(_frozen(f"{name}[{i}]", array) for i, array in enumerate(arrays))
            object.__setattr__(self, name, frozen)


@dataclass(frozen=True, eq=False)
class Record:
    """What is known exactly of an iteration without a penalty constant and without an oracle.

    F_lambda, the oracle's error and the sides of Assumptions 3 and 7 are those of
    :class:`reference.algorithms.pbrl.PbrlRecord`.

    Attributes
    ----------
    k : int
    f : (...)
        The upper objective at z_k.
    penalty : (...)
        The exact penalty at z_k, zero if the lower level is solved.
    projected_gradient : (...)
        Norm of the projected gradients that were followed, (x_k - x_{k+1}) / alpha and, of the players
        that step themselves, (y_{k+1} - y_k) / beta: zero where nobody moves.
    """

    k: int
    f: Array
    penalty: Array
    projected_gradient: Array


@runtime_checkable
class Algorithm(Protocol[RecordT_co]):
    """An iterative algorithm."""

    def step(self, state: State) -> State:
        """Return the next state; a function of this state alone."""
        ...

    def record(self, state: State, following: State) -> RecordT_co:
        """Describe the iteration between two states; this may cost exact solves."""
        ...


@dataclass(frozen=True, eq=False)
class Run(Generic[RecordT]):
    """Where a run ended, and the records of the iterations that were asked for."""

    state: State
    records: tuple[RecordT, ...]


def run(
    algorithm: Algorithm[RecordT], state: State, iterations: int, *, record_every: int = 0
) -> Run[RecordT]:
    """Iterate.

    Parameters
    ----------
    algorithm : Algorithm
    state : State
        From the algorithm's ``start``, an earlier run or a checkpoint.
    iterations : int >= 0
    record_every : int >= 0
        Record the iterations whose k is a multiple of it; none if zero.  Records never change the
        states.

    Raises
    ------
    InputError
        If a number is negative or not whole, or an iterate is no longer finite.
    """
    provides("algorithm", algorithm, Algorithm)
    instance("state", state, State)
    whole("iterations", iterations, low=0)
    whole("record_every", record_every, low=0)
    records: list[RecordT] = []
    for _ in range(iterations):
        following = algorithm.step(state)
        if record_every and state.k % record_every == 0:
            records.append(algorithm.record(state, following))
        state = following
    return Run(state, tuple(records))
