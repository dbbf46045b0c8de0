r"""Common random numbers: means of several processes over the same words.

A penalty is a difference of values, V^{best} - V^{own}.  Estimated from the same words,

    Var( J_best - J_own ) = Var J_best + Var J_own - 2 Cov( J_best, J_own ),

each mean with the law that it has alone, so that the expectation stays.  With an inverse CDF outcomes
are monotone in the words: while two policies are close, so are the trajectories, and the covariance is
large.  At equal policies nothing is left of the difference.  Far apart there is no promise.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from sampled.errors import InputError
from sampled.estimators.contract import Estimator
from sampled.expectations import MonteCarlo, Pairs, Tally, enough
from sampled.laws import InverseCdf, SamplerKind, sampler_kind
from sampled.processes import Process
from sampled.sources import Counter, Source


class Recorded:
    """Words of another source, kept so that they can be given again."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._kept: list[Tensor] = []
        self._next = 0

    @property
    def device(self) -> torch.device:
        """That of the source."""
        return self._source.device

    def rewind(self) -> None:
        """Give the same words again from the next request on."""
        self._next = 0

    def words(self, shape: tuple[int, ...]) -> Tensor:
        """Return the kept words of this request, or new ones.

        Raises
        ------
        InputError
            If the words that were kept are of another shape: the two do not draw alike.
        """
        if self._next == len(self._kept):
            self._kept.append(self._source.words(shape))
        word = self._kept[self._next]
        if tuple(word.shape) != tuple(shape):
            raise InputError(
                f"{tuple(shape)} words are asked for where {tuple(word.shape)} were kept; only walks of "
                "as many steps, problems and trajectories have numbers in common: use a fixed horizon"
            )
        self._next += 1
        return word.clone()


@dataclass(frozen=True, eq=False)
class CommonNumbers:
    """Means over N trajectories, whose words are the same in every mean.

    Attributes
    ----------
    estimator : Estimator
        Of a fixed number of steps.
    n : int
        N; of pairs as well, the two of which are independent.
    source : Source
    sampler : SamplerKind
        Of the policies; that of the problem's transitions is chosen with the problem.
    tally : Tally
        Of the steps drawn.

    Raises
    ------
    InputError
        As :class:`sampled.expectations.MonteCarlo`.
    """

    estimator: Estimator
    n: int
    source: Source
    sampler: SamplerKind = InverseCdf
    tally: Tally = field(default_factory=Tally)
    _words: Recorded = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_words", Recorded(self.source))
        self._fresh()

    def value(self, process: Process) -> Tensor:
        """Mean of the surrogates of N trajectories from the common words."""
        return self._fresh().value(process)

    def values(self, processes: Sequence[Process]) -> list[Tensor]:
        """Each one's."""
        return [self.value(process) for process in processes]

    def pairs(self, process: Process, steps: int) -> Pairs:
        """N pairs, from words of their own."""
        return MonteCarlo(self.estimator, self.n, self.source, self.sampler, tally=self.tally).pairs(
            process, steps
        )

    @property
    def steps_p(self) -> Tensor | int:
        """Environment steps of each problem drawn so far."""
        return self.tally.steps_p

    def _fresh(self) -> MonteCarlo:
        """A mean that begins with the first of the words."""
        self._words.rewind()
        return MonteCarlo(self.estimator, self.n, self._words, self.sampler, tally=self.tally)


@dataclass(frozen=True)
class CommonSamples:
    """How an algorithm estimates: N trajectories of each process, new words in each iteration.

    Attributes
    ----------
    estimator : Estimator
    n : int
    sampler : SamplerKind
        Of the policies.

    Raises
    ------
    InputError
        If N is less than the estimator needs.
    """

    estimator: Estimator
    n: int
    sampler: SamplerKind = InverseCdf

    def __post_init__(self) -> None:
        enough(self.estimator, self.n)
        sampler_kind("sampler", self.sampler)

    def at(self, k: int, key_p: Tensor) -> CommonNumbers:
        """Return the mean of iteration k, whose words are those of the keys and k."""
        return CommonNumbers(self.estimator, self.n, Counter(key_p, k), self.sampler)
