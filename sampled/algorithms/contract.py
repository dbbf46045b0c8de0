"""What a sampled algorithm is: a pure step on a frozen state, and a loop around it.

A state holds a key per problem.  All words of iteration k are a function of the keys and of k
(:class:`sampled.sources.Counter`), so a step reads its state and nothing else: a run that is interrupted
anywhere and resumed continues bit for bit, and each problem runs as it would alone.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor

from sampled.errors import InputError
from sampled.validation import finite, instance, number, one_device, provides, whole

RecordT = TypeVar("RecordT")


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
        If it is not a positive number.
    """

    value: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", number("value", self.value, low=0.0, open_low=True))

    def __call__(self, k: int) -> float:  # noqa: ARG002 - the contract's signature
        """The value."""
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
        object.__setattr__(self, "first", number("first", self.first, low=0.0, open_low=True))
        object.__setattr__(self, "exponent", number("exponent", self.exponent))

    def __call__(self, k: int) -> float:
        """first (k + 1)^exponent."""
        try:
            return float(self.first * (1.0 + k) ** self.exponent)
        except OverflowError as error:
            raise InputError(
                f"{self.first!r} * {k + 1}**{self.exponent!r} is beyond float64: lower the exponent"
            ) from error


@dataclass(frozen=True)
class Ramp:
    """From first to last in equal steps over so many iterations, then constant: lambda continuation.

    Raises
    ------
    InputError
        If an end is not a positive number, or there is not at least one iteration.
    """

    first: float
    last: float
    iterations: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "first", number("first", self.first, low=0.0, open_low=True))
        object.__setattr__(self, "last", number("last", self.last, low=0.0, open_low=True))
        whole("iterations", self.iterations, low=1)

    def __call__(self, k: int) -> float:
        """first + (last - first) min(k / iterations, 1)."""
        share = min(k / self.iterations, 1.0)
        return (1.0 - share) * self.first + share * self.last


def scheduled(name: str, schedule: Schedule, k: int) -> float:
    """Value of a schedule in iteration k, checked to be a positive number.

    Raises
    ------
    InputError
        If it is not.
    """
    return number(f"{name}({k})", schedule(k), low=0.0, open_low=True)


@dataclass(frozen=True, eq=False)
class State:
    """All that an algorithm knows between two iterations.

    Attributes
    ----------
    k : int
        Number of updates made so far.
    x : (P, *shape)
    y : one tensor (P, S, A) per player
        Parameters of the lower level's policies.
    oracle : one tensor (P, S, A) per player, or none
        Parameters of the companions.
    memory : tuple of tensors
        What the step rules remember.
    key_p : (P,) int64
        By which each problem draws.
    steps_p : (P,) int64
        Environment steps of all updates so far, inner ones included.

    Raises
    ------
    InputError
        If ``k`` is no whole number, a part is of another kind, on another device or for another number
        of problems, or has entries that are not finite, as after steps that are too long.
    """

    k: int
    x: Tensor
    y: tuple[Tensor, ...]
    oracle: tuple[Tensor, ...]
    memory: tuple[Tensor, ...]
    key_p: Tensor
    steps_p: Tensor

    def __post_init__(self) -> None:
        whole("k", self.k, low=0)
        for name in ("y", "oracle", "memory"):
            given = getattr(self, name)
            if not isinstance(given, tuple) or not all(isinstance(part, Tensor) for part in given):
                raise InputError(f"{name} is {type(given).__name__}; give a tuple of tensors")
        parts = self.parts()
        for name, part in parts.items():
            instance(name, part, Tensor)
            if part.requires_grad:
                raise InputError(f"{name} is part of a graph; a state holds numbers: detach it")
        one_device(**parts)
        problems = self.x.shape[:1]
        for name in ("key_p", "steps_p"):
            if parts[name].dtype != torch.int64 or parts[name].shape != problems:
                raise InputError(
                    f"{name} is {tuple(parts[name].shape)} of {parts[name].dtype}; it must be one int64 "
                    f"for each problem, {tuple(problems)}"
                )
        for name, part in parts.items():
            if part.shape[:1] != problems:
                raise InputError(
                    f"{name} has shape {tuple(part.shape)} and x {tuple(self.x.shape)}: the first axis "
                    "of all numbers the problems"
                )
            # A sum is finite only if all its terms are: one reduction, whatever the size.
            if part.dtype.is_floating_point and not math.isfinite(float(part.sum())):
                finite(name, part)

    def parts(self) -> dict[str, Tensor]:
        """All tensors by name."""
        listed = {
            f"{name}[{i}]": part
            for name in ("y", "oracle", "memory")
            for i, part in enumerate(getattr(self, name))
        }
        return {"x": self.x, **listed, "key_p": self.key_p, "steps_p": self.steps_p}


def keys(generator: torch.Generator, problems: int) -> Tensor:
    """Draw one key per problem, (P,) int64 on the generator's device.

    Raises
    ------
    InputError
        If it is no generator, or the number is not whole and positive.
    """
    instance("generator", generator, torch.Generator)
    empty = torch.empty(whole("problems", problems, low=1), dtype=torch.int64, device=generator.device)
    return empty.random_(generator=generator)


@runtime_checkable
class Algorithm(Protocol):
    """An iterative algorithm."""

    @property
    def bilevel(self) -> Any:
        """The :class:`sampled.algorithms.bilevel.Bilevel` that it solves."""
        ...

    def start(
        self, key_p: Tensor, x: Tensor | None = None, y: tuple[Tensor, ...] | None = None
    ) -> State:
        """First state; x begins at the domain's point nearest to zero and the policies uniform."""
        ...

    def step(self, state: State) -> State:
        """Return the next state; a function of this state alone."""
        ...


@dataclass(frozen=True, eq=False)
class Run(Generic[RecordT]):
    """Where a run ended, and the records of the states that were asked for."""

    state: State
    records: tuple[RecordT, ...]


def itself(state: State) -> State:
    """Return the state: what a run records if nothing else is asked for."""
    return state


def unwatched(state: State) -> None:
    """Do nothing."""


def run(
    algorithm: Algorithm,
    state: State,
    iterations: int,
    *,
    record_every: int = 0,
    record: Callable[[State], RecordT] = itself,  # type: ignore[assignment]  # then it is State
    watch: Callable[[State], None] = unwatched,
) -> Run[RecordT]:
    """Iterate.

    Parameters
    ----------
    algorithm : Algorithm
    state : State
        From the algorithm's ``start``, an earlier run or a checkpoint.
    iterations : int >= 0
    record_every : int >= 0
        Record the states before an update whose k is a multiple of it; none if zero.
    record : State -> record
        Such as an exact evaluation.
    watch : State -> None
        Called after each update, such as :class:`sampled.algorithms.progress.Bar`.

    Raises
    ------
    InputError
        If a number is negative or not whole, the state lies outside the problem's domains, as a first
        state must not, or an iterate is no longer finite.
    """
    provides("algorithm", algorithm, Algorithm)
    instance("state", state, State)
    whole("iterations", iterations, low=0)
    whole("record_every", record_every, low=0)
    algorithm.bilevel.admitted(state)
    return iterated(algorithm, state, iterations, record_every, record, watch)


def iterated(
    algorithm: Algorithm,
    state: State,
    iterations: int,
    record_every: int,
    record: Callable[[State], RecordT],
    watch: Callable[[State], None] = unwatched,
) -> Run[RecordT]:
    """Iterate as :func:`run`, from arguments that were checked."""
    records: list[RecordT] = []
    for _ in range(iterations):
        if record_every and state.k % record_every == 0:
            records.append(record(state))
        state = algorithm.step(state)
        watch(state)
    return Run(state, tuple(records))
