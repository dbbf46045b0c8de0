r"""Tier 3, the certificate: confidence sequences for a bounded mean by empirical Bernstein bounds.

Observations X_1, X_2, ... of one coordinate, with E[X_i | F_{i-1}] = mu.  Let m_i (a guess of mu) and
l_i >= 0 (a weight) be functions of the past F_{i-1}, R_i >= |X_i - m_i| a bound that is known before,
l_i R_i < 1, and psi(z) = -log(1 - z) - z.  For every xi >= -1 and 0 <= z < 1 (Fan, Grama and Liu 2015)

    exp( z xi - psi(z) xi^2 ) <= 1 + z xi,

so with xi = (X_i - m_i) / R_i and z = l_i R_i, the conditional expectation of the left side is at most
1 + l_i (mu - m_i) <= exp( l_i (mu - m_i) ).  Hence

    exp( sum_i l_i (X_i - mu) - sum_i psi(l_i R_i) (X_i - m_i)^2 / R_i^2 )

is a nonnegative supermartingale, and the same holds for -X.  By Ville's inequality, with probability
1 - a, at all n at once (Howard et al. 2021; Waudby-Smith and Ramdas 2024, Theorem 2)

    | sum l_i X_i / sum l_i - mu |  <=  ( log(2/a) + sum psi(l_i R_i) (X_i - m_i)^2 / R_i^2 ) / sum l_i.

For d coordinates each gets a / d: all intervals hold at once with probability 1 - a, and the bias lies
in their box.  Its norms are thus bounded by those of the corner that is farthest from zero.

The weights.  For a variance v and a total of N observations the bound is smallest, to second order,
at l = sqrt( 2 log(2d/a) / (v N) ).  The variance is the past's, drawn towards R^2/4 by one observation,
N the total that the past makes expect; and l R <= 1/2.  Within a block m, l and R stay the same.
"""

from dataclasses import dataclass, replace

import numpy as np

from reference.validation import Array

MOST = 0.5
"""Largest l R."""


class OutsideRangeError(Exception):
    """An observation outside the range that was computed for it; the message says which and how far."""


@dataclass(frozen=True, eq=False)
class Interval:
    """Confidence sequences of d means; begin with :meth:`of`.

    Attributes
    ----------
    low, high : (d,)
        Range of the observations.
    alpha : float
        1 - alpha is the confidence of all d intervals together, at all times.
    guess : (d,)
        First guess of the means.
    count : int
    sum_, squares : (d,)
        Sums of X - guess and of its squares.
    weight, weighted, penalty : (d,)
        Sums of l, of l X and of psi(l R) (X - m)^2 / R^2.
    """

    low: Array
    high: Array
    alpha: float
    guess: Array
    count: int
    sum_: Array
    squares: Array
    weight: Array
    weighted: Array
    penalty: Array

    @classmethod
    def of(cls, guess: Array, low: Array, high: Array, alpha: float) -> "Interval":
        """Begin, with a guess of the means between ``low`` and ``high``, (d,) each."""
        zero = np.zeros_like(guess)
        return cls(low, high, alpha, np.clip(guess, low, high), 0, zero, zero, zero, zero, zero)

    @property
    def log_term(self) -> float:
        """log(2 d / alpha)."""
        return float(np.log(2.0 * self.low.size / self.alpha))

    @property
    def mean(self) -> Array:
        """Plain mean, drawn towards the guess by one observation; (d,)."""
        return self.guess + self.sum_ / (self.count + 1)

    @property
    def variance(self) -> Array:
        """Of one observation, drawn towards a quarter of the squared range by one; (d,)."""
        n = self.count
        prior = ((self.high - self.low) / 2.0) ** 2
        spread = self.squares - self.sum_**2 / max(n, 1)
        return np.asarray((prior + np.maximum(spread, 0.0)) / (n + 1))

    @property
    def centre(self) -> Array:
        """Middle of the intervals, (d,)."""
        return np.asarray(np.where(self.weight > 0.0, self.weighted / _safe(self.weight), self.guess))

    @property
    def radius(self) -> Array:
        """Half their length, (d,); zero where the range is a point."""
        wide = np.where(self.weight > 0.0, (self.log_term + self.penalty) / _safe(self.weight), np.inf)
        return np.asarray(np.where(self.high > self.low, wide, 0.0))

    def after(self, x_nd: Array, total: float) -> "Interval":
        """Take in a block (n, d), with weights for an expected total of observations.

        Raises
        ------
        OutsideRangeError
            If one is outside the range.
        """
        self._require_inside(x_nd)
        centre = np.clip(self.mean, self.low, self.high)
        reach = np.maximum(self.high - centre, centre - self.low)
        expected = max(total, float(self.count + len(x_nd)))
        wished = np.sqrt(2.0 * self.log_term / (_safe(self.variance) * expected))
        return self.weighed(x_nd, centre, reach, np.minimum(wished, MOST / _safe(reach)))

    def weighed(self, x_nd: Array, centre: Array, reach: Array, weight: Array) -> "Interval":
        """Take in a block with given m, R >= |X - m| and l, (d,) each, which the past decides."""
        z = weight * reach
        psi = np.where(reach > 0.0, -np.log1p(-z) - z, 0.0) / _safe(reach) ** 2
        off_nd = x_nd - centre
        from_guess_nd = x_nd - self.guess
        return replace(
            self,
            count=self.count + len(x_nd),
            sum_=self.sum_ + from_guess_nd.sum(axis=0),
            squares=self.squares + (from_guess_nd**2).sum(axis=0),
            weight=self.weight + len(x_nd) * weight,
            weighted=self.weighted + weight * x_nd.sum(axis=0),
            penalty=self.penalty + psi * (off_nd**2).sum(axis=0),
        )

    def _require_inside(self, x_nd: Array) -> None:
        outside = (x_nd < self.low) | (x_nd > self.high) | ~np.isfinite(x_nd)
        if outside.any():
            n, d = (int(i) for i in np.argwhere(outside)[0])
            raise OutsideRangeError(
                f"observation {self.count + n + 1} is {x_nd[n, d]:.9g} in coordinate {d}, outside its "
                f"computed range [{self.low[d]:.9g}, {self.high[d]:.9g}]"
            )

    def spread_at(self, total: float) -> Array:
        """Radius to be expected at a total number of observations, (d,)."""
        v, centre = self.variance, np.clip(self.mean, self.low, self.high)
        reach = np.maximum(self.high - centre, centre - self.low)
        weight = np.minimum(np.sqrt(2.0 * self.log_term / (_safe(v) * total)), MOST / _safe(reach))
        z = weight * reach
        psi = (-np.log1p(-z) - z) / _safe(reach) ** 2
        fresh = (self.log_term + total * psi * v) / (total * weight)
        return np.asarray(np.where(self.high > self.low, fresh, 0.0))


def _safe(x: Array) -> Array:
    """Positive numbers as they are, and 1 in place of 0, for quotients that are not read there."""
    return np.asarray(np.where(x > 0.0, x, 1.0))
