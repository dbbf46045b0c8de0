"""The instruments' own error rates, power and forecasts, and another library's bounds as an oracle.

Null runs are counted, and the count is held to the stated level by an exact binomial test: a correct
instrument would fail a test here with the probability ``LEVEL`` at most, when the seed was chosen.
"""

import itertools
import math

import numpy as np
import pytest
import ville  # type: ignore[import-untyped]  # ships no types
from scipy import stats

from reference.errors import InputError
from reference.validation import Array
from verify.audit.statistics.alarm import Alarm
from verify.audit.statistics.budget import FALSE_ALARM, share
from verify.audit.statistics.interval import Interval, OutsideRangeError
from verify.audit.statistics.multinomial import log_e_value

LEVEL = 1e-6

LOW, HIGH = np.array([-6.0, 0.0, -1.0]), np.array([2.0, 3.0, 1.0])
MEAN = np.array([0.3, 0.6, 0.0])


def rows(generator: np.random.Generator, n: int, mean: Array = MEAN) -> Array:
    """Skewed, correlated, with an atom at an end of the range: nothing like a normal vector."""
    chance = (mean - LOW) / (HIGH - LOW)
    common = generator.random((n, 1))
    own = generator.random((n, 3))
    u = np.where(generator.random((n, 3)) < 0.5, common, own)
    # Of mean ``chance``: Bernoulli in the first coordinate, a power of a uniform in the others.
    x = np.c_[u[:, :1] < chance[0], u[:, 1:] ** (1.0 / chance[1:] - 1.0)]
    return np.asarray(LOW + x * (HIGH - LOW))


def counted(errors: int, runs: int, level: float) -> None:
    """So many errors in so many runs are no evidence of a rate above the level."""
    assert stats.binom.sf(errors - 1, runs, level) > LEVEL, f"{errors} errors in {runs} at {level}"


def test_the_rows_have_the_mean() -> None:
    x = rows(np.random.default_rng(0), 200_000)
    radius = (HIGH - LOW) * np.sqrt(np.log(6.0 / LEVEL) / (2 * len(x)))
    assert (np.abs(x.mean(0) - MEAN) <= radius).all()


@pytest.mark.parametrize("alpha", [0.3, 0.05])
def test_alarms_of_right_estimators_are_as_rare_as_stated(alpha: float) -> None:
    generator, false = np.random.default_rng(1), 0
    runs = 1_500
    for _ in range(runs):
        alarm = Alarm.of(MEAN, LOW, HIGH)
        for size in (4, 8, 16, 32, 64, 64, 64):
            alarm = alarm.after(rows(generator, size))
        false += alarm.raised(alpha)  # at any block so far
    counted(false, runs, alpha)
    assert false > 0  # the test bets at all


@pytest.mark.parametrize("alpha", [0.3, 0.05])
def test_intervals_miss_as_rarely_as_stated(alpha: float) -> None:
    generator, missed = np.random.default_rng(2), 0
    runs = 2_000
    for _ in range(runs):
        interval, ever = Interval.of(MEAN + 0.1, LOW, HIGH, alpha), False
        for size in (4, 8, 16, 32, 64, 64, 64):
            interval = interval.after(rows(generator, size), total=100.0)
            ever |= bool((np.abs(interval.centre - MEAN) > interval.radius).any())
        missed += ever
    counted(missed, runs, alpha)


def test_a_peeking_z_test_would_be_caught_by_this_count() -> None:
    generator, missed = np.random.default_rng(3), 0
    for _ in range(2_000):
        x = rows(generator, 256)[:, 0]
        n = np.arange(16, 257)
        mean = np.cumsum(x)[15:] / n
        sd = np.sqrt(np.maximum(np.cumsum(x * x)[15:] / n - mean**2, 1e-9) / n)
        missed += bool((np.abs(mean - MEAN[0]) > 1.96 * sd).any())
    with pytest.raises(AssertionError):
        counted(missed, 2_000, 0.05)


@pytest.mark.parametrize(("bias", "runs"), [(0.2, 20), (0.05, 10), (0.01, 2)])
def test_planted_biases_are_found(bias: float, runs: int) -> None:
    """Biases of 1, 5, 20 per cent of the mean's norm, at the level of a whole session.

    Within three times the observations that a bettor would need who knows the law: he gains q / 2 per
    observation, and the capital must reach 1 / level.
    """
    shifted = MEAN + bias * np.linalg.norm(MEAN) * np.array([0.6, -0.64, 0.48])
    known = rows(np.random.default_rng(100), 100_000, shifted)
    off = shifted - MEAN
    need = -math.log(FALSE_ALARM) / (0.5 * float(off @ np.linalg.solve(np.cov(known.T), off)))
    for seed in range(runs):
        generator, alarm = np.random.default_rng(seed), Alarm.of(MEAN, LOW, HIGH)
        while alarm.count < 3.0 * need and not alarm.raised(FALSE_ALARM):
            alarm = alarm.after(rows(generator, math.ceil(need / 40), shifted))
        assert alarm.raised(FALSE_ALARM), seed


def test_the_bet_is_nearly_the_best() -> None:
    """The growth of the capital against that of the bet of a bettor who knows the law."""
    generator = np.random.default_rng(4)
    shifted = MEAN + np.array([0.1, 0.0, 0.05])
    alarm = Alarm.of(MEAN, LOW, HIGH)
    for _ in range(100):
        alarm = alarm.after(rows(generator, 500, shifted))
    x = rows(generator, 200_000, shifted) - MEAN
    best = np.linalg.solve(x.T @ x / len(x), x.mean(0))
    best *= min(1.0, 0.5 / float(np.abs(best) @ alarm.reach))
    rate = float(np.log1p(x @ best).mean())
    assert alarm.log_capital > 0.9 * rate * alarm.count


def test_alarm_forecasts_come_true() -> None:
    ratios = []
    for seed in range(20):
        generator = np.random.default_rng(seed)
        shifted, alarm = MEAN + np.array([0.15, 0.0, 0.05]), Alarm.of(MEAN, LOW, HIGH)
        while alarm.count < 800:
            alarm = alarm.after(rows(generator, 100, shifted))
        expected, begin = alarm.forecast(FALSE_ALARM), alarm.count
        while not alarm.raised(FALSE_ALARM):
            alarm = alarm.after(rows(generator, 20, shifted))
        ratios.append((alarm.count - begin) / expected)
    assert 0.6 < float(np.median(ratios)) < 1.7, ratios


def test_certificates_need_what_was_forecast() -> None:
    allowed = 0.04
    ratios = []
    for seed in range(10):
        generator = np.random.default_rng(seed)
        interval = Interval.of(MEAN, LOW, HIGH, 1e-3).after(rows(generator, 500), 1e6)
        low, expected = 500.0, 1e9
        while expected / low > 1.01:
            middle = math.sqrt(low * expected)
            if (interval.spread_at(middle) <= allowed).all():
                expected = middle
            else:
                low = middle
        while not (interval.radius <= allowed).all():
            interval = interval.after(rows(generator, 2_000), expected)
        ratios.append(interval.count / expected)
    assert 0.8 < min(ratios) <= max(ratios) < 1.25, ratios


@pytest.mark.parametrize("seed", range(3))
def test_the_bound_agrees_with_another_library(seed: int) -> None:
    """The closed form of Waudby-Smith and Ramdas: the same order of width, and both cover.

    ``ville`` tunes its weights for no total in particular; tuned for this one, ours are narrower.
    """
    x = rows(np.random.default_rng(seed), 20_000)[:, :1]
    low, high = float(LOW[0]), float(HIGH[0])
    other = ville.EmpiricalBernsteinCS(bounds=(low, high), alpha=0.05, intersect=False).fit(x[:, 0])
    theirs = float(other.upper_[-1] - other.lower_[-1]) / 2.0
    interval = Interval.of(MEAN[:1], LOW[:1], HIGH[:1], 0.05)
    for block in x.reshape(40, 500, 1):
        interval = interval.after(block, 20_000.0)
    ours = float(interval.radius[0])
    assert 0.4 * theirs < ours < theirs
    assert abs(float(interval.centre[0]) - MEAN[0]) <= ours
    assert other.lower_[-1] <= MEAN[0] <= other.upper_[-1]
    # No bound of this kind is below the one for a known variance, at any confidence.
    known = math.sqrt(2.0 * math.log(2.0 / 0.05) * float(x.var()) / len(x))
    assert 0.95 * known < ours < 1.3 * known


def test_the_same_weights_give_the_same_bound_as_the_other_library() -> None:
    """One observation at a time, by that library's guesses and weights: equal to rounding."""
    x = rows(np.random.default_rng(5), 50)[:, 1]
    low, high, alpha = float(LOW[1]), float(HIGH[1]), 0.1
    z = (x - low) / (high - low)
    n = np.arange(1, 51)
    mean = np.r_[0.5, ((0.5 + np.cumsum(z)) / (n + 1))[:-1]]
    spread = np.cumsum((z - (0.5 + np.cumsum(z)) / (n + 1)) ** 2)
    variance = np.r_[0.25, ((0.25 + spread) / (n + 1))[:-1]]
    weight = np.minimum(np.sqrt(2 * np.log(2 / alpha) / (variance * n * np.log1p(n))), 0.5)
    one = np.ones(1)
    interval = Interval.of(0.5 * one, 0.0 * one, one, alpha)
    for z_i, m, w in zip(z, mean, weight, strict=True):
        interval = interval.weighed(z_i * np.ones((1, 1)), m * one, one, w * one)
    other = ville.EmpiricalBernsteinCS(bounds=(low, high), alpha=alpha, intersect=False).fit(x)
    (centre,), (radius,) = interval.centre, interval.radius
    for theirs, ours in (
        (other.lower_[-1], max(centre - radius, 0.0)),
        (other.upper_[-1], min(centre + radius, 1.0)),
    ):
        assert math.isclose(float(theirs), low + ours * (high - low), rel_tol=1e-12)
    assert radius < 0.5  # neither end is that of the range


def test_each_coordinate_has_its_share_of_alpha() -> None:
    """d intervals at once are those of each coordinate by itself at alpha / d."""
    x = rows(np.random.default_rng(6), 500)
    together = Interval.of(MEAN, LOW, HIGH, 0.03)
    apart = [Interval.of(MEAN[i : i + 1], LOW[i : i + 1], HIGH[i : i + 1], 0.01) for i in range(3)]
    for block in (x[:100], x[100:]):
        together = together.after(block, 1e3)
        apart = [own.after(block[:, i : i + 1], 1e3) for i, own in enumerate(apart)]
    for name in ("centre", "radius"):
        alone = np.concatenate([getattr(own, name) for own in apart])
        assert np.allclose(getattr(together, name), alone, rtol=1e-13), name


# Over every path of a law with two outcomes, without randomness.

BLOCKS = (1, 2, 1, 3, 2, 2)


def paths(n: int) -> Array:
    """All sequences of n zeros and ones, (2^n, n)."""
    return np.array(list(itertools.product((0.0, 1.0), repeat=n)))


@pytest.mark.parametrize("chance", [0.02, 0.3, 0.9])
def test_the_capital_is_a_martingale(chance: float) -> None:
    """Its expectation over every path is one after every block, and the bets are not nothing."""
    u = paths(sum(BLOCKS))
    ends = np.array([-1.0, 4.0]), np.array([0.5, -2.0])  # of the outcomes 0 and 1
    target = (1.0 - chance) * ends[0] + chance * ends[1]
    begin = Alarm.of(target, np.minimum(*ends), np.maximum(*ends))
    expected, spread = np.zeros(len(BLOCKS)), 0.0
    for path in u:
        law = float(np.prod(np.where(path > 0.0, chance, 1.0 - chance)))
        alarm, at = begin, 0
        for k, size in enumerate(BLOCKS):
            assert float(np.abs(alarm.bet) @ alarm.reach) <= 0.5 + 1e-12
            chosen = path[at : at + size, None]
            alarm, at = alarm.after((1.0 - chosen) * ends[0] + chosen * ends[1]), at + size
            expected[k] += law * math.exp(alarm.log_capital)
        spread += law * abs(alarm.log_capital)
    assert np.abs(expected - 1.0).max() <= 1e-12
    assert spread > 1e-4  # without bets it is zero


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("chance", [0.02, 0.3, 0.9])
def test_what_bounds_the_mean_is_a_supermartingale(chance: float, sign: float) -> None:
    """E exp( sum l (X - mu) - penalty ) <= 1 at every block, in both directions."""
    u, mean, one = paths(sum(BLOCKS)), np.array([chance]), np.ones(1)
    expected = np.zeros(len(BLOCKS))
    for path in u:
        law = float(np.prod(np.where(path > 0.0, chance, 1.0 - chance)))
        interval, at = Interval.of(mean, 0.0 * one, one, 0.2), 0
        for k, size in enumerate(BLOCKS):
            interval, at = interval.after(path[at : at + size, None], 8.0), at + size
            exponent = sign * (interval.weighted - interval.weight * mean) - interval.penalty
            expected[k] += law * math.exp(float(exponent[0]))
    assert (expected <= 1.0 + 1e-12).all()
    assert expected[-1] > 0.5  # and not by far: the weights are not nothing


def test_the_penalty_is_the_least_that_is_valid() -> None:
    """At the end of the range, with the largest weight, nothing is given away: psi is the smallest."""
    one, chance, weight = np.ones(1), 1e-4, 0.5
    mean = 1.0 - chance  # an outcome of 0 is as far below the guess as the range allows
    total = 0.0
    for x, law in ((0.0, chance), (1.0, 1.0 - chance)):
        begin = Interval.of(one, 0.0 * one, one, 0.2)
        after = begin.weighed(np.full((1, 1), x), one, one, weight * one)
        total += law * math.exp(float((after.weighted - after.weight * 1.0 - after.penalty)[0]))
    assert math.isclose(total, 1.0 + weight * (mean - 1.0), rel_tol=1e-14)


def test_what_is_outside_the_range_is_named() -> None:
    interval = Interval.of(MEAN, LOW, HIGH, 0.05)
    bad = rows(np.random.default_rng(0), 3)
    bad[1, 2] = 1.0 + 1e-6
    with pytest.raises(OutsideRangeError, match=r"observation 2 is 1\.000001 in coordinate 2"):
        interval.after(bad, 10.0)


def test_a_coordinate_without_range_needs_no_samples() -> None:
    point = np.array([0.5])
    interval = Interval.of(point, point, point, 0.05)
    assert float(interval.radius[0]) == 0.0
    alarm = Alarm.of(point, point, point).after(np.full((4, 1), 0.5))
    assert float(alarm.bet[0]) == 0.0


def test_the_budget_is_kept_for_any_number_of_audits() -> None:
    total = sum(share(k) for k in range(1, 100_000))
    assert total < FALSE_ALARM
    assert total > 0.9999 * FALSE_ALARM
    with pytest.raises(InputError, match="numbered from 1"):
        share(0)
    with pytest.raises(InputError, match="between 0 and 1"):
        share(1, 1.0)


# Counts.

LAWS = np.array([[0.5, 0.3, 0.2, 0.0], [0.05, 0.05, 0.0, 0.9]])


def test_counts_of_the_right_law_are_as_rarely_suspect_as_stated() -> None:
    generator = np.random.default_rng(6)
    runs, alpha, false = 1_500, 0.05, 0
    for _ in range(runs):
        counts, ever = np.zeros((2, 4)), -np.inf
        for size in (1, 3, 10, 30, 100):
            counts += np.stack([generator.multinomial(size, law) for law in LAWS])
            ever = max(ever, log_e_value(counts, LAWS))
        false += ever >= -math.log(alpha)
    counted(false, runs, alpha)


def test_the_e_value_of_counts_has_mean_one() -> None:
    """Exactly: the sum over all counts of probability times e-value."""
    law, n = np.array([0.6, 0.3, 0.1]), 6
    total = 0.0
    for i in range(n + 1):
        for j in range(n + 1 - i):
            counts = np.array([i, j, n - i - j])
            total += float(stats.multinomial.pmf(counts, n, law)) * math.exp(log_e_value(counts, law))
    # Logarithms of gamma functions of up to 5e4 * 3 + 6, of size 2e6, cost some 1e-9 of each term.
    assert math.isclose(total, 1.0, rel_tol=1e-8)


def test_a_law_that_is_off_is_found() -> None:
    generator = np.random.default_rng(7)
    off = np.array([0.48, 0.31, 0.21])
    counts = generator.multinomial(60_000, off).astype(np.float64)
    assert log_e_value(counts, np.array([0.5, 0.3, 0.2])) > -math.log(FALSE_ALARM)
    assert log_e_value(generator.multinomial(60_000, off).astype(np.float64), off) < 0.0


def test_the_impossible_is_infinite_evidence() -> None:
    assert log_e_value(np.array([1.0, 1.0]), np.array([1.0, 0.0])) == math.inf
    assert log_e_value(np.array([2.0, 0.0]), np.array([1.0, 0.0])) == 0.0
    assert math.isclose(log_e_value(np.zeros(2), np.array([0.5, 0.5])), 0.0, abs_tol=1e-12)
