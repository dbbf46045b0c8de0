import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from reference.errors import InputError
from verify.experiments.paired import holm, paired

numbers = st.floats(-10.0, 10.0, allow_nan=False).map(lambda x: round(x, 3))


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.lists(st.tuples(numbers, numbers), min_size=3, max_size=12))
def test_agrees_with_tests_of_two_samples(pairs: list[tuple[float, float]]) -> None:
    first, second = np.array(pairs).T
    d = first - second
    found = paired(d)
    assert found.n == len(d)
    assert found.positive == sum(x > 0 for x in d)
    if np.ptp(d) > 1e-6 * np.abs(d).max():
        expected = stats.ttest_rel(first, second)
        # The statistic loses what the deviation does to the mean: a relative 1e-10 for these data.
        assert found.p_t == pytest.approx(float(expected.pvalue), rel=1e-6, abs=1e-12)
        interval = expected.confidence_interval(0.95)
        assert (found.low, found.high) == pytest.approx((interval.low, interval.high), abs=1e-8)
        assert found.effect == pytest.approx(d.mean() / d.std(ddof=1))


def test_ranks_by_all_signs() -> None:
    """The exact law: each of the 2^n signs of the ranks is as probable."""
    d = np.array([0.3, -0.1, 2.0, 1.5, 0.9, -0.2, 0.7])
    ranks = np.argsort(np.argsort(np.abs(d))) + 1
    centre = ranks.sum() / 2.0
    seen = abs(ranks[d > 0].sum() - centre)
    all_signs = itertools.product((0, 1), repeat=len(d))
    far = [abs((ranks * signs).sum() - centre) >= seen for signs in all_signs]
    assert paired(d).p_rank == pytest.approx(np.mean(far))


def test_five_pairs_cannot_reject_by_ranks() -> None:
    """Why the experiment of Section 6.3 has more problems than the paper's."""
    assert paired(np.arange(1.0, 6.0)).p_rank == pytest.approx(2.0 / 2**5)
    assert paired(np.arange(1.0, 6.0)).p_rank > 0.05


def test_no_spread() -> None:
    same = paired(np.zeros(4))
    assert (same.p_t, same.p_rank, same.effect, same.positive) == (1.0, 1.0, 0.0, 0)
    shifted = paired(np.full(4, 0.25))
    assert (shifted.p_t, shifted.effect) == (0.0, np.inf)
    assert paired(np.full(4, -0.25)).effect == -np.inf


def test_bad_input() -> None:
    with pytest.raises(InputError, match="two pairs or more"):
        paired(np.array([1.0]))
    with pytest.raises(InputError, match="two pairs or more"):
        paired(np.ones((3, 2)))
    with pytest.raises(InputError, match="finite"):
        paired(np.array([1.0, np.nan]))
    with pytest.raises(InputError, match=r"must be in \[0, 1\]"):
        holm([0.5, 1.2])


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.6]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=8))
def test_holm_is_the_step_down_procedure(p_values: list[float]) -> None:
    """It rejects at a level exactly what stepping down at that level rejects."""
    corrected = holm(p_values)
    for level in (0.01, 0.05, 0.3):
        rejected: set[int] = set()
        for i in sorted(range(len(p_values)), key=lambda i: p_values[i]):
            if p_values[i] * (len(p_values) - len(rejected)) > level:
                break
            rejected.add(i)
        assert {i for i, p in enumerate(corrected) if p <= level} == rejected
