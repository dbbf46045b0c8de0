"""Where random words come from: whole numbers, uniform on {0, ..., 2^62 - 1}.

A rollout asks its source for words and maps them to outcomes; it draws nothing by itself.  So the same
words give the same trajectories, whoever made them.

Words by number.  With the odd constant g = 2^64 / phi and the finaliser of SplitMix64 (Steele, Lea and
Flood 2014), a bijection of {0, ..., 2^64 - 1},

    mix(z) = z3,    z1 = (z xor z >> 30) m1,   z2 = (z1 xor z1 >> 27) m2,   z3 = z2 xor z2 >> 31,

word number i of a problem with key c in stream k is the upper 62 bits of mix(mix(c + k g) + i g):
a function of (c, k, i) alone, the same on every device, whatever was drawn before and beside it.
"""

from dataclasses import dataclass
from math import prod
from typing import Protocol

import torch
from torch import Tensor

from sampled.errors import InputError
from sampled.laws import BITS
from sampled.validation import whole


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


_GOLDEN = -0x61C8864680B583EB  # 2^64 / phi, as an int64
_FIRST, _SECOND = -0x40A7B892E31B1A47, -0x6B2FB644ECCEEE15


def _mixed(z: Tensor) -> Tensor:
    """SplitMix64's finaliser, in place; its shifts bring in zeros, those of int64 the sign."""
    z.bitwise_xor_((z >> 30).bitwise_and_((1 << 34) - 1)).mul_(_FIRST)
    z.bitwise_xor_((z >> 27).bitwise_and_((1 << 37) - 1)).mul_(_SECOND)
    return z.bitwise_xor_((z >> 31).bitwise_and_((1 << 33) - 1))


class Counter:
    """Words by number, of a stream: each problem's are a function of its own key.

    Parameters
    ----------
    key_p : (P,) int64
    stream : int >= 0
        k, such as the number of an iteration.

    Raises
    ------
    InputError
        If the keys are no int64 of one axis, or the stream is no whole number.
    """

    def __init__(self, key_p: Tensor, stream: int) -> None:
        if key_p.dtype != torch.int64 or key_p.ndim != 1:
            raise InputError("key_p must be a tensor (problem,) of int64: see sampled.algorithms.keys")
        offset = whole("stream", stream, low=0) * _GOLDEN % (1 << 64)
        signed = offset - (1 << 64) if offset >> 63 else offset
        self._base_p1 = _mixed(key_p + signed).unsqueeze(-1)
        self._next = 0

    @property
    def device(self) -> torch.device:
        """Where the keys are."""
        return self._base_p1.device

    def words(self, shape: tuple[int, ...]) -> Tensor:
        """Return the next words of each problem.

        Raises
        ------
        InputError
            If the last axes are not those of the problems and their trajectories.
        """
        *lead, problems, n = shape
        if problems != self._base_p1.shape[0]:
            raise InputError(f"{self._base_p1.shape[0]} problems have keys; {problems} draw words")
        count = prod(lead) * n
        number = torch.arange(self._next, self._next + count, device=self.device)
        self._next += count
        z = number.mul_(_GOLDEN).view(*lead, 1, n) + self._base_p1
        return _mixed(z).bitwise_right_shift_(2).bitwise_and_((1 << BITS) - 1)
