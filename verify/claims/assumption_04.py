r"""Assumption 4: whether what the text names is enough for it, and the constants of C.5.

::

    printed   (below it)  a smooth r_x, and a smooth policy or a direct one with a smooth h, are enough
              for h(pi_y) and for V, Q in (x, y) to be smooth
    proved    P_x must be smooth as well, and h(pi_y); then Lemma 20 as proved gives the constants, with

              softmax, A >= 2 actions:   sum_a |grad pi_y(a|s)| <= sqrt(1 - 1/A),   in the text  1
                                         L_y = 1 / (3 sqrt 3),                      in the text  2
                                         L_h = 2 ln A for negative entropy of it
              direct, along the simplices:  sum_a |grad pi_y(a|s)| = sqrt(A (A - 1)), in the text  A

P_x is not mentioned: with one action and a chance |x|^(3/2) to enter a state that pays for ever, the
gradient of V is continuous, and not Lipschitz.  Nor is h, where the policy is smooth but not direct:
with h = |p|^2 / 2 + |p_1 - p_2|, which is 1-strongly convex, and pi_y = (1/2 + y, 1/2 - y), h(pi_y) has
a kink.

Derivation, for one state, with m = <pi, u> and variances and means under pi = pi_y.

*Slopes.*  |grad pi_a| = pi_a |e_a - pi|, and by Jensen sum_a pi_a |e_a - pi| <= sqrt(1 - |pi|^2).
Attained by the uniform policy.

*Second slopes* along a unit u:  u' H_a u = pi_a [ (u_a - m)^2 - Var u ].  Let p = pi_a, and d = u_a less
the mean, W the variance of u over the other actions.  Then it is p (1 - p) [ (1 - 2p) d^2 - W ], where

    d^2 <= 2,   W <= |w|^2 / 2,   W + (mean of w)^2 <= |w|^2,   w the other entries, |w|^2 = 1 - u_a^2.

For p <= 1/2 it is between -p (1-p) / 2 >= -1/8 and 2 p (1-p) (1-2p) <= 1 / (3 sqrt 3).  For p > 1/2 and
c = 2p - 1, W + c d^2 is largest where |w|^2 is all mean, 2c, or half of it, the largest eigenvalue of
[[c, c/sqrt 2], [c/sqrt 2, (1 + c)/2]] (between them the eigenvalue is monotone).  The former gives
1 / (3 sqrt 3) at most, again; the latter exceeds it only for c < 1/2, where it is below 1: times
p (1-p) = (1 - c^2) / 4 it stays below .19 < .1924.  Attained by two actions, p = (1 - 1/sqrt 3) / 2.

*Entropy.*  With l = ln pi less its mean, h = sum pi ln pi has u' H u = E[(1 + l) (u - m)^2].  As
l <= ln A, Var u <= 1/2, (u - m)^2 <= 2 and E l = 0, it is between -2 ln A and (1 + ln A) / 2 <= 2 ln A.
So softmax policies never feel that the entropy is steep at the boundary.  Direct ones do: there its
slope has no bound, and Lemma 10 and Theorem 11 fail (see the faults here and there).
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from flint import fmpq
from scipy.special import softmax

from reference.regularizers import NegativeEntropy
from reference.validation import Array
from verify.claims import exact
from verify.claims.contract import Claim, Fault, Form, Margin, Refutation, Trials
from verify.claims.trials.instances import DRAWS, generator_of
from verify.claims.trials.parametrized import Direct
from verify.contract import Context
from verify.crosscheck.tolerances import UNIT

SECOND_SLOPE = 1.0 / (3.0 * np.sqrt(3.0))
"""L_y of softmax policies."""

Factor = dict[str, float]
"""Factors of the constants that are not 1: ``slope``, ``bend``, ``entropy`` and ``direct``."""


def jacobian(y: Array) -> Array:
    """Derivatives of softmax(y), shape (A, A)."""
    pi = softmax(y)
    return np.asarray(pi[:, None] * (np.eye(len(pi)) - pi))


def entropy_slope(y: Array) -> Array:
    """Gradient of sum pi ln pi in the logits: pi (ln pi - mean)."""
    pi = softmax(y)
    log = y - y.max() - np.log(np.exp(y - y.max()).sum())
    return np.asarray(pi * (log - pi @ log))


def along(y: Array, u: Array, step: float, factor: Factor) -> Iterator[Margin]:
    """Slopes at y, and their changes over a step along a unit u, against the constants."""
    n = len(y)
    here, there = jacobian(y), jacobian(y + step * u)
    size = 1.0 + float(np.abs(y).max()) + step
    rounding = 16.0 * UNIT * n * size
    norms = float(np.linalg.norm(here, axis=1).sum())
    where = f"softmax, A = {n}"
    limit = factor.get("slope", 1.0) * np.sqrt(1.0 - 1.0 / n)
    yield Margin(norms, float(limit), n * rounding, f"{where}, slopes")
    bend = float(np.linalg.norm(there - here, axis=1).max())
    limit = factor.get("bend", 1.0) * SECOND_SLOPE * step
    yield Margin(bend, float(limit), 2.0 * rounding, f"{where}, second slopes")
    turn = float(np.linalg.norm(entropy_slope(y + step * u) - entropy_slope(y)))
    limit = factor.get("entropy", 1.0) * 2.0 * np.log(n) * step
    yield Margin(turn, float(limit), 4.0 * rounding * size, f"{where}, entropy")


def direct(n: int, factor: Factor) -> Margin:
    """The slopes of direct policies, in orthonormal coordinates of the simplex."""
    policies = Direct((1, n))
    slopes = policies.jacobian(policies.coordinates(np.full((1, n), 1.0 / n)))[0]
    limit = factor.get("direct", 1.0) * np.sqrt(n * (n - 1.0))
    return Margin(
        float(np.linalg.norm(slopes, axis=-1).sum()),
        float(limit),
        64.0 * UNIT * n**2,
        f"direct, A = {n}",
    )


def constants(factor: Factor) -> Trials:
    """Where they are attained, and random logits, flat and steep."""

    def trials(context: Context) -> Iterator[Margin]:
        generator = generator_of(context, "assumption_04")
        steepest = np.array([np.log((np.sqrt(3.0) - 1.0) / (np.sqrt(3.0) + 1.0)), 0.0])
        up = np.array([1.0, -1.0]) / np.sqrt(2.0)
        yield from along(steepest, up, 1e-3, factor)
        for _ in range(DRAWS[context.level]):
            n = int(generator.integers(2, 7))
            y = float(10.0 ** generator.uniform(-2.0, 1.0)) * generator.standard_normal(n)
            u = generator.standard_normal(n)
            u /= np.linalg.norm(u)
            yield from along(y, u, float(10.0 ** generator.uniform(-3.0, 1.0)), factor)
        for n in range(2, 7):
            yield from along(np.zeros(n), np.eye(n)[0], 1e-3, factor)
            yield direct(n, factor)

    return trials


def entropy_at_the_boundary(context: Context) -> Iterator[Margin]:  # noqa: ARG001 - the contract's signature
    """Direct policies and negative entropy: the change of grad p against 1000 |y - y'|, near a vertex.

    One state, gamma = 0, no reward, tau = 1: both penalties are h less its minimum.
    """
    near, nearer = (np.array([[p, 1.0 - p]]) for p in (2e-6, 1e-6))
    slopes = (NegativeEntropy().gradient(pi_sa) for pi_sa in (near, nearer))
    first, second = (slope - slope.mean() for slope in slopes)
    change, apart = float(np.linalg.norm(first - second)), float(np.linalg.norm(near - nearer))
    yield Margin(change, 1000.0 * apart, 1e3 * UNIT, "entropy near a vertex")


def second_difference(what: str, content: dict[str, Any], function: Callable[[fmpq], fmpq]) -> None:
    """Require that |f(t) + f(-t) - 2 f(0)| exceeds L t^2, L the recorded bound, and is as recorded."""
    t, bound = exact.fraction(content["t"]), exact.fraction(content["rhs"])
    exact.require(t > 0 and bound > 0, "a point or a bound is not positive")
    bend = abs(function(t) + function(-t) - 2 * function(fmpq(0))) / t**2
    exact.same(f"the second difference of {what} over t^2", bend, content["lhs"])
    exact.greater(f"{what} bends more than the bound", bend, bound)


def refute_kernel(content: dict[str, Any]) -> None:
    """V(u) bends without bound at x = 0: the chance to enter the paying state is |x|^(3/2).

    One action, and x = +-root^2; every entry of P_x is continuously differentiable in x.
    """
    root = exact.fraction(content["root"])
    exact.require(
        root > 0 and exact.fraction(content["t"]) == root**2, "x is not the square of the root"
    )
    rows = {sign: exact.ExactMdp.parse(content[sign], content["tau"]) for sign in ("at_zero", "at_x")}
    start, paying, other = range(3)
    for sign, chance in (("at_zero", fmpq(0)), ("at_x", root**3)):
        row = rows[sign].P_sat[start, 0]
        exact.require(row[paying] == chance and row[other] == 1 - chance, "the chance is not |x|^(3/2)")
    same = (rows["at_zero"].P_sat[1:] == rows["at_x"].P_sat[1:]).all()
    same = same and (rows["at_zero"].r_sa == rows["at_x"].r_sa).all()
    exact.require(
        bool(same) and rows["at_zero"].gamma == rows["at_x"].gamma, "more than P(.|u) depends on x"
    )
    only = exact.deterministic([0, 0, 0], 1)

    def value(x: fmpq) -> fmpq:
        found: fmpq = rows["at_zero" if x == 0 else "at_x"].values(only)[start]
        return found

    second_difference("V(u)", content, value)


def refute_kink(content: dict[str, Any]) -> None:
    """h(pi_y) bends without bound at y = 0, for a policy that is affine in y and an h with a kink."""
    kink = exact.fraction(content["kink"])
    exact.require(kink > 0, "h has no kink")
    half = fmpq(1, 2)

    def h(y: fmpq) -> fmpq:
        first, second = half + y, half - y
        exact.require(first >= 0 and second >= 0, "pi_y is no policy")
        return (first**2 + second**2) / 2 + kink * abs(first - second)

    second_difference("h(pi_y)", content, h)


CLAIM = Claim(
    number="Assumption 4",
    title="what is enough for it",
    premise="r_x smooth; the policy smooth in y, or direct with h smooth (proved form: P_x and h(pi_y) "
    "smooth, too)",
    printed=Form(
        words="A smooth r_x with a smooth policy, or with a direct one and a smooth h, makes h(pi_y), V "
        "and Q smooth.",
        formula=r"r_x,\ \pi_y\text{ smooth}\ \Rightarrow\ h_s(\pi_y(s)),\ "
        r"V^{\pi_y}_{\mathcal M_\tau(x)}(s),\ Q^{\pi_y}_{\mathcal M_\tau(x)}(s,a)"
        r"\text{ smooth in }(x,y)",
        refutations=(Refutation("A04_kernel", refute_kernel), Refutation("A04_kink", refute_kink)),
    ),
    proved=Form(
        words="With P_x and h(pi_y) smooth as well, Lemma 20 gives the constants; softmax policies have "
        "B_pi = sqrt(1 - 1/A) and L_y = 1/(3 sqrt 3), negative entropy of them 2 ln A; direct ones have "
        "B_pi = sqrt(A (A - 1)) along the simplices.",
        formula=r"\sum_a\|\nabla\pi_y(a|s)\|\le\sqrt{1-\tfrac1{|\mathcal A|}},\quad "
        r"L_y=\frac1{3\sqrt3},\quad L_h=2\ln|\mathcal A|\qquad\text{(softmax)}",
        trials=constants({}),
    ),
    faults=(
        Fault("smaller_slope", "the sum of softmax slopes, less 1%", constants({"slope": 0.99})),
        Fault("smaller_bend", "L_y of softmax, less 1%", constants({"bend": 0.99})),
        Fault("entropy_bend", "L_h is a quarter as large", constants({"entropy": 0.25})),
        Fault("direct_slope", "direct policies have A - 1", constants({"direct": np.sqrt(0.5)})),
        Fault(
            "without_assumption_4",
            "Lemma 10 with negative entropy and direct policies: no constant near the boundary",
            entropy_at_the_boundary,
        ),
    ),
    inherits=("Lemma 20",),
    remark="C.5's constants of softmax, 1 and 2, are right, and larger than needed; so is its A for "
    "direct policies.  That the smoothness in x needs to be checked is said there, not here.",
    tried="P_x and h, which the sentence leaves out, each break it by itself. The constants were tried "
    "on flat and steep logits; eigenvalues at random distributions are below them.",
)
