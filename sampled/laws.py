r"""Sampling from rows of probabilities, with a law that is known exactly.

A row p_1, ..., p_K is first turned into whole numbers that sum to 2^b, b = 62,

    w_i = round(2^b p_i),    and the likeliest outcome also takes 2^b - sum_i w_i,

and both samplers below map a word u, uniform on {0, ..., 2^b - 1}, to outcome i for exactly w_i of the
2^b words.  What is drawn thus has the law w_i / 2^b with no further rounding, and

    |w_i / 2^b - p_i| <= 2^-(b+1),       for the likeliest |1 - sum p| + K 2^-(b+1);

an impossible outcome has w_i = 0 and is never drawn, whatever the word.

Inverse CDF.  With c_i = w_1 + ... + w_i the outcome is the first i with u < c_i.  Monotone in u, as
common and antithetic random numbers need.

Alias table (Walker 1977).  K is filled up to a power of two, K' = 2^k, with impossible outcomes, and the
words are split into K' buckets of n = 2^(b-k).  Word u falls into bucket u mod K' with remainder
r = u div K'; the outcome is the bucket's own if r < h and its alias otherwise: one lookup, whatever K.
Light outcomes (w <= n) keep their own words, h = w, and are filled up by the heavy ones in turn.  With
the sums of deficits and excesses up to and including i, in the order of the outcomes,

    D_i = sum_{j <= i} max(n - w_j, 0),        E_i = sum_{j <= i} max(w_j - n, 0),

    light i    alias  the first heavy j with E_j > D_{i-1}
    heavy j    if a light i has D_{i-1} < E_j < D_i, it uses up the excess of j and overdraws it:
               h = n - (D_i - E_j), and the next heavy outcome is the alias, which pays for it;
               otherwise h = n

(Hübschle-Schneider and Sanders 2022).  Two searches in running sums find all of it at once, for all
rows, on any device and in whole numbers.  Each bucket is one int64, h K' + alias.
"""

from dataclasses import dataclass
from typing import Protocol, Self

import torch
from torch import Tensor
from torch.nn.functional import pad

from sampled.errors import InputError
from sampled.validation import distributions, floating, whole

BITS = 62
"""Bits b of a word: the most for which h K' + alias, at most 2^b, is an int64."""


class Sampler(Protocol):
    """Draws from the distributions of a table's rows."""

    @property
    def rows(self) -> int:
        """Number of distributions."""
        ...

    @property
    def outcomes(self) -> int:
        """Number K of outcomes of each."""
        ...

    @property
    def device(self) -> torch.device:
        """Where the table is."""
        ...

    def draw(self, row_m: Tensor, word_m: Tensor) -> Tensor:
        """Outcomes (M,) int64 for rows and words (M,), int64; the outcome is a function of the two."""
        ...


class SamplerKind(Protocol):
    """Builds a sampler: :class:`InverseCdf`, :class:`Alias`, :class:`RunningSums`."""

    def of(self, p_rk: Tensor, name: str = "p") -> Sampler:
        """Build it from probabilities (..., K), whose leading axes together number the rows."""
        ...


def sampler_kind(name: str, value: object) -> None:
    """Check that a value builds samplers.

    Raises
    ------
    InputError
        If it does not.
    """
    if not callable(getattr(value, "of", None)):
        raise InputError(
            f"{name} is {value!r}; it must build samplers: give a class of sampled.laws, such as Alias"
        )


def weights(p_k: Tensor, name: str = "p", *, bits: int = BITS) -> Tensor:
    """Whole numbers that sum to 2^bits, in proportion to probabilities.

    Parameters
    ----------
    p_k : (..., K)
        Distributions, in float32 or float64.
    name : str
        What an error calls them.
    bits : int in [1, 62]

    Returns
    -------
    (..., K) int64

    Raises
    ------
    InputError
        If a row is not a distribution: no row is clamped or renormalised.
    """
    if whole("bits", bits, low=1) > BITS:
        raise InputError(f"bits is {bits}; a word has at most {BITS}")
    p_k = distributions(name, floating(name, p_k).detach())
    # In float64 the product is exact, and so is its conversion once rounded.
    w_k = (p_k.to(torch.float64) * float(1 << bits)).round_().to(torch.int64)
    likeliest = p_k.argmax(-1, keepdim=True)
    return w_k.scatter_add_(-1, likeliest, (1 << bits) - w_k.sum(-1, keepdim=True))


@dataclass(frozen=True, eq=False)
class InverseCdf:
    """Inverse CDF: the first outcome whose cumulative weight exceeds the word.

    Reads a row of K numbers per draw: for small batches, and where monotonicity is wanted.

    Attributes
    ----------
    cumulative_rk : (R, K) int64
        c; its last column is 2^bits.
    """

    cumulative_rk: Tensor

    @classmethod
    def of(cls, p_rk: Tensor, name: str = "p") -> Self:
        """Build from probabilities (..., K); raises as :func:`weights`."""
        return cls.of_weights(weights(p_rk, name))

    @classmethod
    def of_weights(cls, w_rk: Tensor) -> Self:
        """Build from whole numbers (..., K) of :func:`weights`."""
        return cls(w_rk.cumsum(-1).reshape(-1, w_rk.shape[-1]))

    @property
    def rows(self) -> int:
        """R."""
        return self.cumulative_rk.shape[0]

    @property
    def outcomes(self) -> int:
        """K."""
        return self.cumulative_rk.shape[1]

    @property
    def device(self) -> torch.device:
        """Device of the table."""
        return self.cumulative_rk.device

    def draw(self, row_m: Tensor, word_m: Tensor) -> Tensor:
        """Draw (M,) outcomes."""
        c_mk = self.cumulative_rk.index_select(0, row_m)
        return torch.searchsorted(c_mk, word_m.unsqueeze(-1), right=True).squeeze(-1)


class RunningSums:
    """Builds an inverse CDF in four operations, apart from the check.

    With S_i = p_1 + ... + p_i as float64 rounds it, c_i is the whole part of 2^b S_i / S_K.  An
    impossible outcome is still never drawn: its S_i is the one before.  The law misses p by K + 1
    roundings of float64 at most, where that of :func:`weights` misses it by none.
    """

    @classmethod
    def of(cls, p_rk: Tensor, name: str = "p") -> InverseCdf:
        """Build from probabilities (..., K); raises as :func:`weights`."""
        return KnownSums.of(distributions(name, floating(name, p_rk).detach()))


class KnownSums:
    """:class:`RunningSums` of rows that are known to be distributions, with nothing read on the host.

    For the steps of an algorithm, whose policies were checked when it started and are the values of
    maps onto distributions since.
    """

    @classmethod
    def of(cls, p_rk: Tensor, name: str = "p") -> InverseCdf:  # noqa: ARG003 - the contract's signature
        """Build from probabilities (..., K), which are not checked."""
        sums_rk = p_rk.detach().to(torch.float64).cumsum(-1)
        share_rk = sums_rk.div_(sums_rk[..., -1:].clone()).mul_(float(1 << BITS))
        return InverseCdf(share_rk.to(torch.int64).reshape(-1, p_rk.shape[-1]))


@dataclass(frozen=True, eq=False)
class Alias:
    """Alias table: one lookup per draw.

    Attributes
    ----------
    bucket_i : (R K',) int64
        h K' + alias of each bucket, row after row.
    outcomes : int
        K.
    width : int
        k, with K' = 2^k.
    """

    bucket_i: Tensor
    outcomes: int
    width: int

    @classmethod
    def of(cls, p_rk: Tensor, name: str = "p") -> Self:
        """Build from probabilities (..., K); raises as :func:`weights`."""
        return cls.of_weights(weights(p_rk, name))

    @classmethod
    def of_weights(cls, w_rk: Tensor, *, bits: int = BITS) -> Self:
        """Build from whole numbers (..., K) that sum to 2^bits, bits >= k.

        Raises
        ------
        InputError
            If there are more outcomes than words.
        """
        outcomes = w_rk.shape[-1]
        width = (outcomes - 1).bit_length()
        if width > bits:
            raise InputError(f"{outcomes} outcomes need at least {width} bits; a word has {bits}")
        size, n = 1 << width, 1 << (bits - width)
        w = pad(w_rk.reshape(-1, outcomes), (0, size - outcomes))
        light = w <= n
        lack = torch.where(light, n - w, 0)
        D = lack.cumsum(-1)
        E = torch.where(light, 0, w - n).cumsum(-1)
        payer = torch.searchsorted(E, torch.where(light, D - lack, E), right=True)
        # What the light outcome that uses up a heavy one takes from the next: none if it came out even.
        taker = torch.searchsorted(D, E, right=True).clamp_(max=size - 1)
        D_taker = D.gather(-1, taker)
        overdrawn = (D_taker > E) & (D_taker - lack.gather(-1, taker) < E)
        h_heavy = torch.where(overdrawn, n + E - D_taker, n)
        own = torch.arange(size, device=w.device)
        # Where nobody pays, the bucket is full and its alias is never taken.
        alias = torch.where(payer == size, own, payer)
        return cls((torch.where(light, w, h_heavy) * size + alias).reshape(-1), outcomes, width)

    @property
    def rows(self) -> int:
        """R."""
        return self.bucket_i.shape[0] >> self.width

    @property
    def device(self) -> torch.device:
        """Device of the table."""
        return self.bucket_i.device

    def draw(self, row_m: Tensor, word_m: Tensor) -> Tensor:
        """Draw (M,) outcomes."""
        last = (1 << self.width) - 1
        place = (word_m & last).add_(row_m, alpha=1 << self.width)
        bucket = self.bucket_i.index_select(0, place)
        # r < h in one comparison: with all k low bits set, r K' + (K' - 1) < h K' + alias iff r < h.
        # The sign, spread over all bits, chooses between place and bucket faster than `where`.
        own = (word_m | last).sub_(bucket).bitwise_right_shift_(63)
        return place.bitwise_xor_(bucket).bitwise_and_(own).bitwise_xor_(bucket).bitwise_and_(last)
