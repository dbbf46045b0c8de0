r"""PBRL in exact rationals, with one state, gamma = 0 and the quadratic regulariser.

With r_x = offset + x feature, h(p) = |p|^2 / 2, x in [low, high], f(x) = a x^2 / 2 + b x, direct
policies y and the value penalty (here the same as the Bellman penalty)::

    pi*(x)    = Proj( r_x / tau )
    p(x, y)   = <pi* - y, r_x> - tau (|pi*|^2 - |y|^2) / 2
    grad_x p  = <pi* - y, feature>                      with pi^ in place of pi* for the estimate
    grad_y p  = tau y - r_x
    z_{k+1}   = Proj_Z( z_k - alpha (grad f + lambda grad^ p) )
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from flint import fmpq

from verify.claims.exact import Rationals, fraction, fractions, greater, require, same, total


def clipped(x: fmpq, low: fmpq, high: fmpq) -> fmpq:
    """Nearest point of an interval."""
    return min(max(x, low), high)


def to_policy(y: fmpq, M: fmpq) -> Rationals:
    """(y/M, 1 - y/M)."""
    return np.array([y / M, 1 - y / M], dtype=object)


def to_simplex(point: Rationals) -> Rationals:
    """Nearest distribution: max(point - c, 0) with the threshold c at which it sums to one.

    Of the thresholds that the k largest entries would need, the largest is the right one.
    """
    descending = sorted(point, reverse=True)
    sums = np.cumsum(np.array(descending, dtype=object))
    threshold = max((sums[k] - 1) / (k + 1) for k in range(len(descending)))
    projected = np.array([max(p - threshold, fmpq(0)) for p in point], dtype=object)
    require(total(projected) == 1, f"{list(projected)} is no distribution")
    return projected


@dataclass(frozen=True, eq=False)
class ExactBilevel:
    """One state, gamma = 0, and x on an interval.

    Attributes
    ----------
    offset_a, feature_a : (A,) rationals
    tau, low, high : rationals
    a, b : rationals
        f(x) = a x^2 / 2 + b x.
    strength : rational
        The penalty constant lambda.
    """

    offset_a: Rationals
    feature_a: Rationals
    tau: fmpq
    low: fmpq
    high: fmpq
    a: fmpq
    b: fmpq
    strength: fmpq

    @classmethod
    def parse(cls, content: Mapping[str, Any]) -> "ExactBilevel":
        """Read the data of a certificate.

        Raises
        ------
        CertificateError
            If a number is no exact rational, or tau, lambda or the interval is not positive.
        """
        low, high = (fraction(end) for end in content["X"])
        a, b = (fraction(c) for c in content["f"])
        found = cls(
            fractions(content["offset"]),
            fractions(content["feature"]),
            fraction(content["tau"]),
            low,
            high,
            a,
            b,
            fraction(content["lambda"]),
        )
        require(found.tau > 0, "Assumption 2 needs tau > 0")
        require(found.strength > 0 and low < high, "lambda and the length of X must be positive")
        return found

    def reward(self, x: fmpq) -> Rationals:
        """r_x."""
        return np.asarray(self.offset_a + x * self.feature_a)

    def optimum(self, x: fmpq) -> Rationals:
        """pi*(x)."""
        return to_simplex(self.reward(x) / self.tau)

    def f(self, x: fmpq) -> fmpq:
        """The upper objective."""
        return self.a * x * x / 2 + self.b * x

    def lowest(self) -> fmpq:
        """inf f over the interval, at an end or at the stationary point of a convex f."""
        candidates = [self.low, self.high]
        if self.a > 0:
            candidates.append(clipped(-self.b / self.a, self.low, self.high))
        return min(self.f(x) for x in candidates)

    def value(self, x: fmpq, y_a: Rationals) -> fmpq:
        """V^y at x."""
        return total(y_a * self.reward(x)) - self.tau * total(y_a * y_a) / 2

    def penalized(self, x: fmpq, y_a: Rationals) -> fmpq:
        """F_lambda = f + lambda p."""
        return self.f(x) + self.strength * (self.value(x, self.optimum(x)) - self.value(x, y_a))

    def gradient(self, x: fmpq, y_a: Rationals, companion_a: Rationals) -> tuple[fmpq, Rationals]:
        """Gradient of F_lambda in x and in y, estimated with a companion policy."""
        slope = total((companion_a - y_a) * self.feature_a)
        slope_a = self.tau * y_a - self.reward(x)
        return self.a * x + self.b + self.strength * slope, np.asarray(self.strength * slope_a)

    def moved(
        self, x: fmpq, y_a: Rationals, companion_a: Rationals, alpha: fmpq
    ) -> tuple[fmpq, Rationals]:
        """Proj_Z( z - alpha gradient )."""
        slope, slope_a = self.gradient(x, y_a, companion_a)
        return clipped(x - alpha * slope, self.low, self.high), to_simplex(y_a - alpha * slope_a)


@dataclass(frozen=True)
class ExactSums:
    """What Theorem 11 speaks of, over K iterations.

    Attributes
    ----------
    gap : rational
        F_lambda(z_1) - inf f.
    squares, errors, moves : rationals
        Sums of |G_k|^2, of lambda^2 |grad^ p - grad p|^2 and of |z_{k+1} - z_k|^2 / alpha^2.
    """

    gap: fmpq
    squares: fmpq
    errors: fmpq
    moves: fmpq


Companion = Callable[[fmpq], Rationals]
"""The oracle's answer at x."""


def exact_run(
    problem: ExactBilevel,
    x: fmpq,
    y_a: Rationals,
    companion: Companion,
    alpha: fmpq,
    iterations: int,
    *,
    game: bool = False,
) -> tuple[ExactSums, fmpq, Rationals]:
    """Run (4.4) and return what Theorem 11 speaks of, and the point where it ends.

    With ``game`` there is a player 2 with one action and psi = p: the gradient <pi_1*, r_x> in its
    probability, which does not move, is estimated by <pi^, r_x>, and that error counts.
    """
    policy("y", y_a)
    require(problem.low <= x <= problem.high, f"x = {x} is outside X")
    gap = problem.penalized(x, y_a) - problem.lowest()
    squares = errors = moves = fmpq(0)
    for _ in range(iterations):
        companion_a, best_a = companion(x), problem.optimum(x)
        policy("the companion", companion_a)
        bar_x, bar_a = problem.moved(x, y_a, best_a, alpha)
        new_x, new_a = problem.moved(x, y_a, companion_a, alpha)
        exact, estimate = (problem.gradient(x, y_a, policy) for policy in (best_a, companion_a))
        squares += squared(x - bar_x, y_a - bar_a) / alpha**2
        moves += squared(x - new_x, y_a - new_a) / alpha**2
        errors += squared(estimate[0] - exact[0], estimate[1] - exact[1])
        if game:
            errors += (problem.strength * total((companion_a - best_a) * problem.reward(x))) ** 2
        x, y_a = new_x, new_a
    return ExactSums(gap, squares, errors, moves), x, y_a


def policy(name: str, y_a: Rationals) -> None:
    """Require a distribution."""
    require(total(y_a) == 1 and all(p >= 0 for p in y_a), f"{name} = {list(y_a)} is no distribution")


def squared(x: fmpq, y_a: Rationals) -> fmpq:
    """|(x, y)|^2."""
    return x * x + total(y_a * y_a)


# Certificates that constants of Theorems 11 and 16 cannot be smaller.


def flipping(problem: ExactBilevel, share: fmpq) -> Companion:
    """The answer whose error in x is share times x: another action gets the weight share |x| / kappa."""
    kappa = problem.high

    def companion(x: fmpq) -> Rationals:
        weight, none = share * abs(x) / kappa, fmpq(0)
        entries = [1 - weight, weight, none] if x >= 0 else [1 - weight, none, weight]
        return np.array(entries, dtype=object)

    return companion


def flip_problem(content: Mapping[str, Any], alpha: fmpq, *, game: bool) -> ExactBilevel:
    """Read a problem of the flipping family, and check its premises and that alpha is a valid step.

    f = x^2 / 2 on [-kappa, kappa], lambda = 1 and r_x = (c, kappa x, -kappa x).  For tau <= c - kappa^2
    the first action is optimal for all x, so that p = const - <y, r_x> + tau |y|^2 / 2 on X x Y; for
    tau <= kappa its gradient has the constant (tau + sqrt(tau^2 + 8 kappa^2)) / 2 <= 2 kappa.  In the
    MDP with tau = kappa that is L_v, and the constant L_v (2 + C_J / tau) printed in Lemma 10, with
    C_J = sqrt(2) kappa, is less than 7 kappa as well.
    """
    problem = ExactBilevel.parse(content)
    kappa = problem.high
    flat = fractions([0, 1, -1]) * kappa
    require(
        problem.low == -kappa and (problem.feature_a == flat).all(), "X and the features must be kappa's"
    )
    top, tau = (2 * kappa**2, kappa**2) if game else (fmpq(1), kappa)
    require(list(problem.offset_a) == [top, 0, 0], f"the offset must be ({top}, 0, 0)")
    require(problem.tau == tau, f"tau must be {tau}")
    require(problem.a == 1 and problem.b == 0 and problem.strength == 1, "F must be x^2 / 2 + p")
    require(top - kappa**2 >= tau, "the first action must be optimal")
    require(alpha * (1 + 7 * kappa) <= 1, f"alpha = {alpha} exceeds 1 / (1 + 7 kappa)")
    return problem


def too_small(content: Mapping[str, Any], *, game: bool = False) -> None:
    """A run that meets all premises and breaks the bound with the recorded constants c1 and c2.

    Sides are in units of x_1^2, the left one rounded down and the right one up to six digits.  A run
    of ``repeats`` times the iterations must return to its start.
    """
    alpha = fraction(content["alpha"])
    problem = flip_problem(content, alpha, game=game)
    x, y_a = fraction(content["x"]), fractions(content["y"])
    companion = flipping(problem, fraction(content["share"]))
    repeats = fraction(content["repeats"])
    require(repeats.q == 1 and repeats > 0, "the number of repeats must be whole")
    sums, last_x, last_a = exact_run(
        problem, x, y_a, companion, alpha, int(content["iterations"]), game=game
    )
    require(repeats == 1 or (last_x == x and (last_a == y_a).all()), "the run must return to its start")
    eps, k = fraction(content["eps"]), repeats * content["iterations"]
    require(20 * repeats * sums.errors <= k * eps + repeats * sums.moves, "Assumption 3 fails")
    c1, c2 = fraction(content["c1"]), fraction(content["c2"])
    lhs = repeats * sums.squares / k
    rhs = c1 * sums.gap / (alpha * k) + c2 * eps
    same("the average of |G_k|^2, rounded down,", down(lhs / x**2), content["lhs"])
    same("the right side, rounded up,", -down(-rhs / x**2), content["rhs"])
    greater("the bound must fail", fraction(content["lhs"]), fraction(content["rhs"]))


def down(number: fmpq) -> fmpq:
    """Round down to six digits after the point."""
    return fmpq((number * 10**6).floor(), 10**6)
