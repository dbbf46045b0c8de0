r"""Steps from Lipschitz constants to Lipschitz constants, as exact combinations of their hypotheses.

Lengths are indeterminates that are known to be nonnegative; vectors enter through inner products.  Every
function verifies one step and raises `CertificateError` if it is wrong.  Each takes the share of its
right side that is claimed: all of it, for with any other the identity does not hold.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from flint import fmpq

from verify.claims import exact
from verify.claims.exact import ExactMdp
from verify.claims.exact.gram import Space, Terms, follows, identical

ONE = fmpq(1)


def through_the_policy(share: fmpq = ONE) -> None:
    """|a|^2 <= L^2 (dx^2 + dpi^2) and dpi <= c dx give |a|^2 <= L^2 (1 + c^2) dx^2."""
    a2, smooth, c, dx, dpi = exact.indeterminates("a2", "L", "c", "dx", "dpi")
    exact.combination(
        share * smooth**2 * (1 + c**2) * dx**2 - a2,
        (dx**0, smooth**2 * (dx**2 + dpi**2) - a2),
        (smooth**2, c**2 * dx**2 - dpi**2),
    )


def gradient_of_maximum(share: fmpq = ONE) -> None:
    """Danskin's formula, where maximisers are Lipschitz: |m' - m - s| <= (L/2 + L c) D^2.

    m = l(x, p) and m' = l(x', p') are the largest values at x and x', D apart; l is L-smooth in both, s
    and s' are the slopes of l along x' - x at (x, p) and (x, p'), and |p' - p| <= c D.
    """
    smooth, c, D, moved, m, n, s, t, ahead, back = exact.indeterminates(
        "L", "c", "D", "dp", "m", "m'", "s", "s'", "l(x',p)", "l(x,p')"
    )
    one, bend = D**0, smooth * D**2 / 2
    exact.combination(bend + n - m - s, (one, n - ahead), (one, ahead - m - s + bend))
    exact.combination(
        share * (bend + smooth * c * D**2) - (n - m - s),
        (one, back + t + bend - n),
        (one, m - back),
        (one, s + smooth * moved * D - t),
        (smooth * D, c * D - moved),
    )


def minima(share: fmpq = ONE) -> None:
    """v - v' <= C D for minima v <= g(x, y') and v' = g(x', y'), where |g(x, y') - g(x', y')| <= C D."""
    slope, D, v, other, there = exact.indeterminates("C", "D", "v", "v'", "g(x,y')")
    exact.combination(
        share * slope * D - (v - other), (D**0, there - v), (D**0, slope * D - (there - other))
    )


def root_below_sum(share: fmpq = ONE) -> None:
    """1 + c^2 <= (1 + c)^2, so sqrt(1 + c^2) <= 1 + c."""
    (c,) = exact.indeterminates("c")
    exact.combination(share * (1 + c) ** 2 - (1 + c**2), (2 * c, c**0))


def two_parts(share: fmpq = ONE) -> None:
    """|a| <= N D and |b| <= M D give |a - b|^2 <= (M + N)^2 D^2.

    Multiplied by M N; if one of them is zero there is nothing to show.
    """
    space = Space("a b", "M N D")
    a, b = space.vectors
    M, N, D = space.numbers
    known: Terms = [
        (N * (M + N), M * M * D * D - space.square(b)),
        (M * (M + N), N * N * D * D - space.square(a)),
        (1, space.square(N * b + M * a)),
    ]
    slack = M * N * (share * (M + N) * (M + N) * D * D - space.square(a - b))
    follows("the triangle inequality", slack, known)


def second_slopes(share: fmpq = ONE) -> None:
    """(1-gamma)^2 |D'DV| <= (1-gamma) K + gamma (p k' + p' k), for slopes along any two directions.

    From |DV| <= k + gamma |DV|, likewise for D', and |D'DV| <= K + gamma (p |D'V| + p' |DV|) +
    gamma |D'DV|, where p bounds sum_t |DP|; e is 1 - gamma.
    """
    e, gamma, bend, p, q, k, m, v, u, w = exact.indeterminates(
        "e", "gamma", "K", "p", "p'", "k", "k'", "v", "v'", "w"
    )
    exact.combination(
        share * (e * bend + gamma * (p * m + q * k)) - e**2 * w,
        (e, bend + gamma * (p * u + q * v) - e * w),
        (gamma * q, k - e * v),
        (gamma * p, m - e * u),
    )


def largest_eigenvalue(share: fmpq = ONE) -> None:
    """|N z| <= lambda |z| for N = [[a, b], [b, c]] with a, b, c >= 0 and lambda its larger eigenvalue.

    lambda >= a, c and (lambda - a)(lambda - c) = b^2, so that with s, t the roots of lambda - a and
    lambda - c,  N = lambda - (s, -t)(s, -t)',  and  lambda^2 |z|^2 - |N z|^2 = (a + c)(s X - t Y)^2.
    """
    lam, s, t, x, y = exact.indeterminates("lambda", "s", "t", "X", "Y")
    a, b, c = lam - s * s, s * t, lam - t * t
    identical(
        "the largest eigenvalue",
        share * lam**2 * (x**2 + y**2) - (a * x + b * y) ** 2 - (b * x + c * y) ** 2,
        (a + c) * (s * x - t * y) ** 2,
    )


def blocks(share: fmpq = ONE) -> None:
    """Parts u, v of a vector with |u| <= a X + b Y and |v| <= b X + c Y, and so |(u, v)| <= |N (X, Y)|.

    The slack of the squares is (bound - length)(bound + length) for each part.
    """
    a, b, c, x, y, u, v = exact.indeterminates("a", "b", "c", "X", "Y", "u", "v")
    first, second = a * x + b * y, b * x + c * y
    exact.combination(
        share * (first**2 + second**2) - u**2 - v**2,
        (first + u, first - u),
        (second + v, second - v),
    )


def strongly_concave_maximisers(share: fmpq = ONE) -> None:
    """tau |p - p'| <= |q - q'| for the maximisers p, p' of <., q> - tau h over a convex set.

    Each is better than the other at its own q, by tau |d|^2 / 2 at least, d = p - p'; added up,
    <q - q', d> >= tau |d|^2, and then |q - q'|^2 - tau^2 |d|^2 = |q - q' - tau d|^2 + 2 tau (slack).
    """
    space = Space("q r d", "h k tau")
    q, r, d = space.vectors
    h, k, tau = space.numbers
    half = fmpq(1, 2) * tau * space.square(d)
    first = space.dot(q, d) - tau * (h - k) - half
    second = -space.dot(r, d) + tau * (h - k) - half
    monotone = space.dot(q - r, d) - tau * space.square(d)
    follows("the two optimality inequalities", monotone, [(1, first), (1, second)])
    slack = share * space.square(q - r) - tau * tau * space.square(d)
    follows("Lipschitz", slack, [(1, space.square(q - r - tau * d)), (2 * tau, monotone)])


def solution_from_values(share: fmpq = ONE) -> None:
    """tau |d|^2 / n <= L D |d| for the optimal policies at two parameters D apart.

    V_nu grows by tau |d|^2 / (2 n) from its maximum, at either parameter; the mixed difference of the
    L-smooth V_nu is at most L D |d|.
    """
    both, tau, n_inverse, smooth, D, d, e, f = exact.indeterminates(
        "mixed", "tau", "1/n", "L", "D", "d", "gain", "gain'"
    )
    growth = tau * n_inverse * d**2
    exact.combination(
        share * smooth * D * d - growth,
        (d**0, smooth * D * d - both),
        (d**0, both - e - f),
        (d**0, e - growth / 2),
        (d**0, f - growth / 2),
    )


def game_parts(share: fmpq = ONE) -> None:
    """|grad psi - grad psi'|^2 <= 4 k^2 |dz|^2 with k = L_v sqrt(1 + L_pi^2).

    The gradient's parts are b_x - a_x, -a_1 and b_2, where (a_x, a_1) belongs to V(pi_1, pi_2*) and
    (b_x, b_2) to V(pi_1*, pi_2); k2 is k^2, and dx2, d1, d2 are squared moves.
    """
    space = Space("ax bx a1 b2", "k2 dx2 d1 d2")
    ax, bx, a1, b2 = space.vectors
    k2, dx2, d1, d2 = space.numbers
    first = k2 * (dx2 + d1) - space.square(ax) - space.square(a1)
    second = k2 * (dx2 + d2) - space.square(bx) - space.square(b2)
    slack = (
        share * 4 * k2 * (dx2 + d1 + d2) - space.square(bx - ax) - space.square(a1) - space.square(b2)
    )
    follows(
        "the two players' parts",
        slack,
        [
            (2, first),
            (2, second),
            (1, space.square(ax + bx)),
            (1, space.square(a1)),
            (1, space.square(b2)),
            (2 * k2, d1),
            (2 * k2, d2),
        ],
    )


# One state whose policy is a stretched parameter.


@dataclass(frozen=True)
class StretchedPair:
    """Two points (x, y) of one state at gamma = 0 with rewards x f, pi_y = (y/M, 1 - y/M), h = |p|^2/2.

    Attributes
    ----------
    feature_a : (2,) rationals
    M, tau : rationals
    points : pairs (x, y)
    """

    feature_a: exact.Rationals
    M: fmpq
    tau: fmpq
    points: tuple[tuple[fmpq, fmpq], ...]

    @classmethod
    def parse(cls, content: Mapping[str, Any]) -> "StretchedPair":
        """Read the data of a certificate.

        Raises
        ------
        CertificateError
            If a point is outside of Y; X is spanned by the two x.
        """
        M, tau = exact.fraction(content["M"]), exact.fraction(content["tau"])
        ys = content.get("y", ["0", "0"])
        points = tuple(
            (exact.fraction(x), exact.fraction(y)) for x, y in zip(content["x"], ys, strict=True)
        )
        exact.require(all(0 <= y <= M for _, y in points), "a point is outside of Y")
        exact.require(M > 0 and tau > 0, "M and tau must be positive")
        return cls(exact.fractions(content["feature"]), M, tau, points)

    @property
    def squared_distance(self) -> fmpq:
        """|z - z'|^2."""
        (x, y), (x_, y_) = self.points
        return (x - x_) ** 2 + (y - y_) ** 2

    def require_premises(self, smooth: fmpq, slope_q: fmpq) -> None:
        """Require that V is L_v-smooth, by the sum of its constant derivatives, and |grad q| <= C_J."""
        mixed = abs(self.feature_a[0] - self.feature_a[1]) / self.M
        exact.require(smooth == mixed + 2 * self.tau / self.M**2, "L_v is not |V_xy| + |V_yy|")
        exact.require(slope_q**2 >= exact.total(self.feature_a**2), "|grad q| exceeds C_J")

    def mdp(self, x: fmpq) -> ExactMdp:
        """The MDP at x."""
        one = exact.fractions([[["1"], ["1"]]])
        return ExactMdp(one, (x * self.feature_a)[None, :], fmpq(0), exact.fractions(["1"]), self.tau)

    def best_gradient(self, i: int) -> fmpq:
        """grad_x max V at a point; the optimal policy is (1/2 + u, 1/2 - u), and is checked."""
        x, _ = self.points[i]
        u = x * (self.feature_a[0] - self.feature_a[1]) / (2 * self.tau)
        pi_a = np.array([fmpq(1, 2) + u, fmpq(1, 2) - u], dtype=object)
        exact.require_distribution(pi_a)
        self.mdp(x).require_optimal(pi_a[None, :])
        return exact.total(pi_a * self.feature_a)

    def penalty_gradient(self, i: int) -> exact.Rationals:
        """grad p = (grad_x max V - grad_x V, -grad_y V) at a point."""
        x, y = self.points[i]
        pi_a = np.array([y / self.M, 1 - y / self.M], dtype=object)
        in_policy = self.mdp(x).policy_gradient(pi_a[None, :])[0]
        in_x = self.best_gradient(i) - exact.total(pi_a * self.feature_a)
        return np.array([in_x, -(in_policy[0] - in_policy[1]) / self.M], dtype=object)


# Refutations that are shared: the constants of Lemmas 20 and 21 with no room for x.


def refute_without_cross_term(content: Mapping[str, Any]) -> None:
    """V = x (y1 - y2) at tau = gamma = 0: grad_x V moves with the policy, though L_vx = 0 and B_r = R.

    Both sides squared; the right side is c B_pi^2 B_r, whatever the constant c of the O.
    """
    reach, c, b_pi = (exact.fraction(content[name]) for name in ("R", "c", "B_pi"))
    feature_a = exact.fractions(content["feature"])
    first_a, second_a = (exact.fractions(row) for row in content["policies"])
    for row in (first_a, second_a):
        exact.require_distribution(row)
    exact.require(reach > 0 and c > 0, "R and c must be positive")
    exact.require(b_pi == len(feature_a), "B_pi is the number of actions for direct policies")
    # |r_x(a)| <= R on X = [-R, R], and V is linear in x, so that L_vx = 0.
    exact.require(max(abs(f) for f in feature_a) <= 1, "B_r is not R")
    moved = exact.total((first_a - second_a) ** 2)
    change = exact.total(feature_a * (first_a - second_a))
    power = int(exact.fraction(content["power"]))
    exact.same("the change of grad_x V, squared", change**2, content["lhs"])
    exact.same("the printed bound, squared", (c * b_pi**power * reach) ** 2 * moved, content["rhs"])
    exact.greater("the change exceeds the bound", change**2, exact.fraction(content["rhs"]))


def refute_from_rho(content: Mapping[str, Any]) -> None:
    """V(rho) = 0 and V(s) = x^2: what is assumed of V(rho) says nothing of V(s)."""
    reach, c = exact.fraction(content["R"]), exact.fraction(content["c"])
    rho_s, curvature_s = exact.fractions(content["rho"]), exact.fractions(content["r_xx"])
    exact.require_distribution(rho_s)
    exact.require(all(p > 0 for p in rho_s), "rho must be positive")
    # r_x(s) = r_xx x^2 / 2 is V(s) at gamma = 0 with one action; B_pi = 1 and L_vx = 0.
    exact.require(exact.total(rho_s * curvature_s) == 0, "V(rho) is not affine in x")
    bound = max(abs(a) for a in curvature_s) * reach**2 / 2
    left = abs(curvature_s[0]) * reach
    exact.same("the change of grad_x V(s)", left, content["lhs"])
    exact.same("the printed bound", c * bound * reach, content["rhs"])
    exact.greater("the change exceeds the bound", left, c * bound * reach)
