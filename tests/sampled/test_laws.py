"""The samplers' law: exact for every word, held to all words, to bucket boundaries and to samples."""

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from sampled.errors import InputError
from sampled.laws import BITS, Alias, InverseCdf, RunningSums, Sampler, SamplerKind, weights
from tests.sampled.statistics import LEVEL, binomial_p_value, multinomial_p_value

SMALL = 10
"""Bits of words few enough to try them all."""

KINDS: tuple[SamplerKind, ...] = (InverseCdf, Alias)

Build = Callable[[Tensor], Sampler]
SMALL_KINDS: dict[str, Build] = {
    "inverse": InverseCdf.of_weights,
    "alias": lambda w_rk: Alias.of_weights(w_rk, bits=SMALL),
}


def rows(generator: np.random.Generator, shape: tuple[int, ...], zeros: float) -> Tensor:
    """Uneven distributions, some of whose outcomes are impossible."""
    p = generator.exponential(size=shape) ** 3
    p[generator.random(shape) < zeros] = 0.0
    p[..., generator.integers(shape[-1])] += 1e-3
    return torch.from_numpy(p / p.sum(-1, keepdims=True))


@st.composite
def probabilities(draw: st.DrawFn) -> list[float]:
    """Any distribution: zeros, subnormal numbers and certainties among its entries."""
    entry = st.one_of(st.just(0.0), st.floats(0.0, 1.0), st.floats(0.0, 1e-300), st.just(5e-17))
    raw = np.array(draw(st.lists(entry, min_size=1, max_size=40)))
    if raw.sum() <= 1e-290:
        raw[draw(st.integers(0, len(raw) - 1))] = 1.0
    return [float(x) for x in raw / raw.sum()]


@given(probabilities())
@example([1.0])
@example([0.0, 1.0, 0.0])
@example([0.1] * 10)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_weights_are_the_probabilities_within_their_rounding(p: list[float]) -> None:
    w = [int(x) for x in weights(torch.tensor(p, dtype=torch.float64))]
    assert sum(w) == 2**BITS
    assert min(w) >= 0
    exact = [Fraction(x) for x in p]
    excess = abs(1 - sum(exact, Fraction(0)))
    likeliest = p.index(max(p))
    for i, (whole, probability) in enumerate(zip(w, exact, strict=True)):
        error = abs(Fraction(whole, 2**BITS) - probability)
        half = Fraction(1, 2 ** (BITS + 1))
        assert error <= (excess + len(p) * half if i == likeliest else half)
        if probability == 0:
            assert whole == 0


@pytest.mark.parametrize("build", SMALL_KINDS.values(), ids=SMALL_KINDS)
@pytest.mark.parametrize("outcomes", [1, 2, 3, 5, 8, 25, 100])
def test_every_word_is_counted(build: Build, outcomes: int) -> None:
    """Of all 2^b words, w_i are mapped to outcome i, in every row."""
    p_rk = rows(np.random.default_rng(outcomes), (50, outcomes), 0.3)
    w_rk = weights(p_rk, bits=SMALL)
    sampler = build(w_rk)
    assert (sampler.rows, sampler.outcomes) == (50, outcomes)
    word = torch.arange(1 << SMALL)
    for r in range(50):
        drawn = sampler.draw(torch.full_like(word, r), word)
        assert torch.equal(torch.bincount(drawn, minlength=outcomes), w_rk[r])


@pytest.mark.parametrize("outcomes", [1, 2, 3, 25, 100, 128])
def test_inverse_cdf_changes_outcome_exactly_at_the_cumulative_weights(outcomes: int) -> None:
    p_rk = rows(np.random.default_rng(outcomes), (20, outcomes), 0.3)
    w_rk = weights(p_rk)
    sampler = InverseCdf.of_weights(w_rk)
    for r in range(20):
        c = torch.cumsum(w_rk[r], 0)
        some = w_rk[r] > 0
        row = torch.full((int(some.sum()),), r)
        own = torch.arange(outcomes)[some]
        assert torch.equal(sampler.draw(row, c[some] - 1), own)
        assert torch.equal(sampler.draw(row, (c - w_rk[r])[some]), own)


@pytest.mark.parametrize("outcomes", [1, 2, 3, 25, 100, 128])
def test_alias_buckets_add_up_to_the_weights(outcomes: int) -> None:
    """Where the outcome changes within a bucket is tried from both sides; lengths are added up."""
    p_rk = rows(np.random.default_rng(outcomes), (20, outcomes), 0.3)
    w_rk = weights(p_rk)
    sampler = Alias.of_weights(w_rk)
    size, n = 1 << sampler.width, 1 << (BITS - sampler.width)
    for r in range(20):
        total = [0] * size
        for i, bucket in enumerate(sampler.bucket_i[r * size : (r + 1) * size].tolist()):
            h, alias = divmod(bucket, size)
            assert 0 <= h <= n
            parts = [(0, i), (h - 1, i)] if h > 0 else []
            parts += [(h, alias), (n - 1, alias)] if h < n else []
            word = torch.tensor([remainder * size + i for remainder, _ in parts])
            drawn = sampler.draw(torch.full_like(word, r), word)
            assert drawn.tolist() == [outcome for _, outcome in parts]
            total[i] += h
            total[alias] += n - h
        assert total[:outcomes] == w_rk[r].tolist()
        assert not any(total[outcomes:])


@pytest.mark.parametrize("kind", KINDS)
def test_impossible_outcomes_never_occur(kind: SamplerKind) -> None:
    """Neither for the first word nor the last, nor at the edges of any bucket."""
    p = [0.0, 0.0, 0.25, 0.0, 0.5, 0.25, 0.0]
    sampler = kind.of(torch.tensor([p], dtype=torch.float64))
    top = torch.arange(1 << 12) << (BITS - 12)
    low = torch.arange(1 << 12)
    last = (1 << BITS) - 1
    word = torch.cat((top, low, last - top, last - low, torch.tensor([0, last])))
    drawn = sampler.draw(torch.zeros_like(word), word)
    assert set(drawn.tolist()) == {2, 4, 5}


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_lost_next_to_a_certain_outcome(kind: SamplerKind) -> None:
    """A probability of one step is drawn by one word; the smallest float64 by none."""
    p = torch.tensor([[2.0**-BITS, 1.0 - 2.0**-53, 5e-324]], dtype=torch.float64)
    w = weights(p)[0].tolist()
    assert w == [1, 2**BITS - 1, 0]
    word = torch.arange(1 << 12)
    assert set(kind.of(p).draw(torch.zeros_like(word), word).tolist()) <= {0, 1}


@pytest.mark.parametrize("kind", KINDS)
def test_samples_pass_an_exact_multinomial_test(kind: SamplerKind) -> None:
    p = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.0, 0.9]], dtype=torch.float64)
    generator = torch.Generator().manual_seed(20)
    row = torch.arange(2).repeat(300)
    word = torch.empty(600, dtype=torch.int64).random_(0, 1 << BITS, generator=generator)
    drawn = kind.of(p).draw(row, word)
    counts = [torch.bincount(drawn[row == r], minlength=3).numpy() for r in range(2)]
    assert multinomial_p_value(counts[0], p[0]) > LEVEL
    assert counts[1][1] == 0
    assert multinomial_p_value(counts[1][[0, 2]], p[1, [0, 2]]) > LEVEL
    # The test has power: it rejects a law that is off by a few standard deviations.
    assert multinomial_p_value(counts[0], [0.35, 0.3, 0.35]) < LEVEL


@pytest.mark.parametrize("kind", KINDS)
def test_many_samples_of_many_outcomes(kind: SamplerKind) -> None:
    n, p = 200_000, rows(np.random.default_rng(3), (1, 25), 0.2)
    generator = torch.Generator().manual_seed(21)
    word = torch.empty(n, dtype=torch.int64).random_(0, 1 << BITS, generator=generator)
    counts = torch.bincount(kind.of(p).draw(torch.zeros_like(word), word), minlength=25).numpy()
    assert binomial_p_value(counts, n, p[0].numpy()) > LEVEL
    assert binomial_p_value(counts, n, np.roll(p[0].numpy(), 1)) < LEVEL


def test_float32_probabilities_are_taken_as_they_are() -> None:
    p = torch.tensor([[0.1, 0.2, 0.3, 0.4]], dtype=torch.float32)
    w = weights(p)[0].tolist()
    exact: list[Fraction] = [Fraction(x) for x in p[0].tolist()]
    excess = abs(1 - sum(exact, Fraction(0)))
    for i, x in enumerate(exact):
        assert abs(Fraction(w[i], 2**BITS) - x) <= (excess if i == 3 else 0)
    assert excess > 0


@pytest.mark.parametrize(
    ("p", "message"),
    [
        ([[0.5, 0.5], [0.5, 0.47]], r"pi\[1\] sums to 0.97.*divide the row"),
        ([[0.5, 0.5], [1.25, -0.25]], r"pi\[1, 1\] is -0.25.*never negative"),
        ([[0.5, float("nan")], [0.5, 0.5]], r"pi\[0, 1\] is nan.*finite"),
        ([[float("inf"), 0.5]], r"pi\[0, 0\] is inf"),
        ([[0.5, 0.5 + 3e-12]], r"sums to"),
    ],
)
@pytest.mark.parametrize("kind", [*KINDS, RunningSums])
def test_what_is_no_distribution_raises(kind: SamplerKind, p: list[list[float]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        kind.of(torch.tensor(p, dtype=torch.float64), "pi")


def test_other_bad_input() -> None:
    with pytest.raises(InputError, match=r"int64.*float32 or float64"):
        weights(torch.tensor([1, 0]))
    with pytest.raises(InputError, match="bits is 63"):
        weights(torch.tensor([1.0]), bits=63)
    with pytest.raises(InputError, match="5 outcomes need at least 3 bits"):
        Alias.of_weights(weights(torch.full((5,), 0.2, dtype=torch.float64), bits=2), bits=2)
    with pytest.raises(InputError, match="last axis must hold outcomes"):
        weights(torch.empty((3, 0), dtype=torch.float64))
