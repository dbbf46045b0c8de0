"""Sources of words for tests."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from sampled.laws import BITS


class Replay:
    """Gives the words of a list, one tensor per request."""

    def __init__(self, words: Sequence[Tensor]) -> None:
        self._words: Iterator[Tensor] = iter(words)
        self.device = words[0].device

    def words(self, shape: tuple[int, ...]) -> Tensor:
        word = next(self._words)
        assert tuple(word.shape) == shape
        return word


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
