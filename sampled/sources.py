"""Where random words come from: whole numbers, uniform on {0, ..., 2^62 - 1}.

A rollout asks its source for words and maps them to outcomes; it draws nothing by itself.  So the same
words give the same trajectories, whoever made them.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from sampled.errors import InputError
from sampled.laws import BITS


class Source(Protocol):
    """A stream of random words on one device."""

    @property
    def device(self) -> torch.device:
        """Where the words are made."""
        ...

    def words(self, shape: tuple[int, ...]) -> Tensor:
        """Return the next words, int64; the last axis numbers the trajectories of one problem."""
        ...


def _check(generator: object) -> None:
    if not isinstance(generator, torch.Generator):
        raise InputError(
            f"generator is {generator!r}; pass a generator, such as "
            "torch.Generator(device).manual_seed(0)"
        )


def _device(generator: torch.Generator) -> torch.device:
    """The generator's device as tensors on it name theirs: "cuda" is "cuda:0" to them."""
    return torch.empty(0, device=generator.device).device


@dataclass(frozen=True, eq=False)
class Independent:
    """Independent words from a generator.

    Raises
    ------
    InputError
        If ``generator`` is no torch.Generator.
    """

    generator: torch.Generator

    def __post_init__(self) -> None:
        _check(self.generator)

    @property
    def device(self) -> torch.device:
        """The generator's device."""
        return _device(self.generator)

    def words(self, shape: tuple[int, ...]) -> Tensor:
        """Draw words; equal seeds give equal words on one kind of device."""
        empty = torch.empty(shape, dtype=torch.int64, device=self.generator.device)
        return empty.random_(0, 1 << BITS, generator=self.generator)


@dataclass(frozen=True, eq=False)
class Antithetic:
    """Words of the first half of the trajectories, mirrored in the second: u and 2^62 - 1 - u.

    Trajectories n and n + N/2 are a pair; each alone has the law of an independent one.  The two are
    anticorrelated if outcomes are monotone in the words, as those of an inverse CDF are.

    Raises
    ------
    InputError
        If ``generator`` is no torch.Generator.
    """

    generator: torch.Generator

    def __post_init__(self) -> None:
        _check(self.generator)

    @property
    def device(self) -> torch.device:
        """The generator's device."""
        return _device(self.generator)

    def words(self, shape: tuple[int, ...]) -> Tensor:
        """Draw half of the words and mirror them.

        Raises
        ------
        InputError
            If the number of trajectories is odd.
        """
        *lead, n = shape
        if n % 2:
            raise InputError(f"antithetic trajectories come in pairs; {n} is odd: ask for {n + 1}")
        half = Independent(self.generator).words((*lead, n // 2))
        return torch.cat((half, (1 << BITS) - 1 - half), dim=-1)
