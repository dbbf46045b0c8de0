r"""Tier 2, the alarm: a bet, on a projection chosen from the past, that a mean is not what it should be.

Observations X_1, X_2, ... in R^d are results of whole calls, with F_i the past up to and including
X_i.  The null hypothesis is

    E[ X_i | F_{i-1} ] = G,        |X_ij - G_j| <= R_j.

A bettor who chooses u_i as a function of F_{i-1} alone, with sum_j |u_ij| R_j <= 1/2, has the capital

    K_n = prod_{i <= n} ( 1 + u_i . (X_i - G) ).

Every factor is in [1/2, 3/2] and has conditional expectation one, so that K is a nonnegative
martingale that starts at one: an e-process.  By Ville's inequality P(sup_n K_n >= 1/a) <= a under the
null, and one may look at every n and stop at will.  Nothing else is asked of u: choosing it well only
makes the capital grow when the null is false.

The bets.  With m and C the past mean and covariance of X - G, C drawn towards diag(R^2/4) by one
observation, the capital grows fastest, to second order, for u = C^{-1} m, at the rate q/2 with
q = m . C^{-1} m.  Under the null q is about rank(C) / n all the same; so u is shrunk by
(1 - d / (n q))_+, as James and Stein shrink a mean, and then scaled to meet sum_j |u_j| R_j <= 1/2.
Within a block of observations u stays the same, and is a function of the blocks before.
"""

from dataclasses import dataclass, replace

import numpy as np

from reference.validation import Array


@dataclass(frozen=True, eq=False)
class Alarm:
    """The state of a bet; begin with :meth:`of`.

    Attributes
    ----------
    target : (d,)
        G.
    reach : (d,)
        R; zero where X must equal G.
    count : int
        n.
    sum_ : (d,)
        Of X - G.
    products : (d, d)
        Sum of the outer products of X - G.
    log_capital : float
    log_highest : float
        Largest log-capital at the end of a block so far.
    """

    target: Array
    reach: Array
    count: int
    sum_: Array
    products: Array
    log_capital: float
    log_highest: float

    @classmethod
    def of(cls, target: Array, low: Array, high: Array) -> "Alarm":
        """Begin, for observations between ``low`` and ``high``, (d,) each."""
        d = target.size
        reach = np.maximum(high - target, target - low)
        return cls(target, reach, 0, np.zeros(d), np.zeros((d, d)), 0.0, 0.0)

    @property
    def bet(self) -> Array:
        """u for the next block, (d,)."""
        live = self.reach > 0.0
        if self.count == 0 or not live.any():
            return np.zeros_like(self.reach)
        n, scale = self.count, self.reach[live]
        mean = self.sum_[live] / (n * scale)  # in units of R
        second = self.products[np.ix_(live, live)] / np.outer(scale, scale)
        covariance = (0.25 * np.eye(mean.size) + second - n * np.outer(mean, mean)) / (n + 1)
        direction = np.linalg.solve(covariance, mean)
        q = float(mean @ direction)
        if q <= 0.0:
            return np.zeros_like(self.reach)
        shrunk = max(0.0, 1.0 - mean.size / (n * q)) * direction
        size = float(np.abs(shrunk).sum())
        bet = np.zeros_like(self.reach)
        bet[live] = shrunk * min(1.0, 0.5 / size if size else 1.0) / scale
        return bet

    def after(self, x_nd: Array) -> "Alarm":
        """Bet on a block of observations (n, d), all of them within the range."""
        off_nd = x_nd - self.target
        log_capital = self.log_capital + float(np.log1p(off_nd @ self.bet).sum())
        return replace(
            self,
            count=self.count + len(x_nd),
            sum_=self.sum_ + off_nd.sum(axis=0),
            products=self.products + off_nd.T @ off_nd,
            log_capital=log_capital,
            log_highest=max(self.log_highest, log_capital),
        )

    def raised(self, level: float) -> bool:
        """Whether the capital has reached 1 / level."""
        return bool(self.log_highest >= -np.log(level))

    @property
    def rate(self) -> float:
        """Growth of the log-capital per observation that the current bet expects; >= 0."""
        bet = self.bet
        if self.count < 2:
            return 0.0
        gain = float(bet @ self.sum_) / self.count
        spread = float(bet @ self.products @ bet) / self.count
        return max(0.0, gain - 0.5 * spread)

    def forecast(self, level: float) -> float:
        """Observations still needed for an alarm if the mean is as it looks; infinite if it is right."""
        missing = -np.log(level) - self.log_capital
        return 0.0 if missing <= 0.0 else float(missing / self.rate) if self.rate else np.inf
