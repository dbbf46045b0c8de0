r"""Gradient dominance and growth on product classes, and what solutions of penalised problems inherit.

For a policy with value V = C + M V, M = gamma P_pi, and an optimal one with V* = C* + M* V*; d and d*
are their occupancies from rho, m the smallest rho, e = 1 - gamma, and l(s) >= 0 the best linearised
improvement in a state::

    one step        C* + M* V - V  <=  l            h is convex
    difference      V*(rho) - V(rho)  =  sum_s d*(s) (C* + M* V - V)(s) / e
    occupancies     e m d*(s)  <=  (gamma + e m) d(s)

The best linearised improvement from rho is sum_s d(s) l(s) / e, since the class is a product.
"""

from verify.claims import exact
from verify.claims.exact.operators import operators, vanishes


def one_step() -> None:
    """<Q, o - p> - tau (h(o) - h(p)) <= l, as <Q - tau h'(p), o - p> <= l and h is convex."""
    best, tau, gained, h_o, h_p, bend = exact.indeterminates(
        "l", "tau", "<Q,o-p>", "h(o)", "h(p)", "<h',o-p>"
    )
    exact.combination(
        best - (gained - tau * (h_o - h_p)),
        (tau**0, best - gained + tau * bend),
        (tau, h_o - h_p - bend),
    )


def performance_difference() -> None:
    """r (V* - V) = w (C* + M* V - V), where w = r + w M* are the visits of the optimal policy from r."""
    gain = operators("C + M V - V")
    apart = operators("C + M O - V")
    vanishes("V* - V as a recursion", apart - gain - operators("M O - M V"))
    weighted = operators("w D - w B - w M D").replaced("w M", operators("w - r"))
    vanishes("summed over visits", weighted - operators("r D - w B"))


def occupancies() -> None:
    """(gamma + e m) d l >= e m d* l, with d = e rho + gamma y, d* = e rho + gamma x, y >= 0, x <= 1."""
    e, g, m, rho, x, y, loss = exact.indeterminates("e", "gamma", "m", "rho", "x", "y", "l")
    own, optimal = e * rho + g * y, e * rho + g * x
    exact.combination(
        loss * ((g + e * m) * own - e * m * optimal),
        (loss * e * g, rho - m),
        (loss * e * g * m, 1 - x),
        (loss * g * (g + e * m), y),
    )


def of_solutions() -> None:
    """lambda mu (delta - p) >= 0 where lambda mu delta >= L C, at a local solution.

    p' is the slope of p along the best direction, of length D <= C: dominance is -p' >= mu p, and F does
    not fall along it, lambda p' + L D >= 0.
    """
    strength, mu, delta, lipschitz, width, D, p, slope = exact.indeterminates(
        "lambda", "mu", "delta", "L", "C", "D", "p", "p'"
    )
    exact.combination(
        strength * mu * (delta - p),
        (D**0, strength * mu * delta - lipschitz * width),
        (lipschitz, width - D),
        (D**0, strength * slope + lipschitz * D),
        (strength, -slope - mu * p),
    )


def of_relaxed() -> None:
    """f(z') - f(z) = [F(z') - F(z)] + lambda [p(z) - p(z')]: z solves it with p <= p(z), too."""
    strength, f, p, f_other, p_other = exact.indeterminates("lambda", "f", "p", "f'", "p'")
    exact.combination(
        f_other - f,
        (strength**0, f_other + strength * p_other - f - strength * p),
        (strength, p - p_other),
    )


def of_penalties() -> None:
    """rho <= v and e m v <= (gamma + e m) rho for the visits v, e v = e rho + gamma x, 0 <= x <= 1.

    Both are multiplied by what a policy loses in one step, l >= 0.
    """
    e, g, m, rho, x, loss = exact.indeterminates("e", "gamma", "m", "rho", "x", "l")
    visits = e * rho + g * x
    exact.combination(loss * (visits - e * rho), (loss * g, x))
    exact.combination(
        loss * ((g + e * m) * rho - m * visits), (loss * g, rho - m), (loss * g * m, 1 - x)
    )


def growth() -> None:
    """(o - u) >= tau (1 - t) D / 2 for a maximum o, the value u at squared distance D, and every t > 0.

    The value between them, at a share t of the way, is at most o and, by strong concavity, at least
    (1 - t) o + t u + tau t (1 - t) D / 2.
    """
    tau, t, D, o, u, between = exact.indeterminates("tau", "t", "D", "o", "u", "between")
    bend = tau * t * (1 - t) * D / 2
    exact.combination(
        t * (o - u) - bend, (t**0, o - between), (t**0, between - (1 - t) * o - t * u - bend)
    )


def weighted_growth() -> None:
    """rho b >= tau m D / 2 in each state, where b >= tau D / 2 and rho >= m.

    b is what is lost in a state, or tau times a Bregman divergence.
    """
    tau, rare, rest, loss, D = exact.indeterminates("tau", "m", "rho - m", "b", "D")
    rho = rare + rest
    exact.combination(rho * loss - tau * rare * D / 2, (rho, loss - tau * D / 2), (tau / 2, rest * D))


def loss_in_a_state() -> None:
    """V* - V = b + M (V* - V) with b = V* - C - M V*; so V* - V >= b, as M has no negative entry."""
    loss, apart = operators("O - C - M O"), operators("O - V")
    equation = operators("V - C - M V")
    vanishes("V* - V", apart - loss - operators("M") * apart + equation)


def values_within() -> None:
    """f* - f(y) <= L D for the optimal policy at distance D from y."""
    best, there, here, lipschitz, D = exact.indeterminates("f*", "f(pi*)", "f(y)", "L", "D")
    exact.combination(
        lipschitz * D - (best - here),
        (D**0, there - best),
        (D**0, here + lipschitz * D - there),
    )
