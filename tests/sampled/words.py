"""Sources of words for tests."""

from collections.abc import Iterator, Sequence
from math import prod

import torch
from torch import Tensor

from sampled.laws import BITS


class Replay:
    """Gives the words of a list, (..., P, N) each, however many are asked for at once."""

    def __init__(self, words: Sequence[Tensor]) -> None:
        flat = (word.reshape(-1, *word.shape[-2:]) for word in words)
        self._words: Iterator[Tensor] = (one for several in flat for one in several)
        self.device = words[0].device

    def words(self, shape: tuple[int, ...]) -> Tensor:
        *lead, problems, n = shape
        taken = torch.stack([next(self._words) for _ in range(prod(lead))])
        return taken.view(*lead, problems, n)


class Nothing:
    """Words without values, on a device without data."""

    device = torch.device("meta")

    def words(self, shape: tuple[int, ...]) -> Tensor:
        return torch.empty(shape, dtype=torch.int64, device=self.device)


class Kept:
    """Keeps the words that another source gives."""

    def __init__(self, seed: int) -> None:
        self._generator = torch.Generator().manual_seed(seed)
        self.device = self._generator.device
        self.given: list[Tensor] = []

    def words(self, shape: tuple[int, ...]) -> Tensor:
        word = torch.empty(shape, dtype=torch.int64).random_(0, 1 << BITS, generator=self._generator)
        self.given.append(word)
        return word
