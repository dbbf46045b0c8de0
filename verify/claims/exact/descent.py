r"""The descent argument of Theorems 11 and 16, as exact combinations of its hypotheses.

Notation.  Z closed and convex, F smooth with constant L, alpha L = theta, an inexact gradient with error
e_k, and (everything divided by alpha)::

    g    = ( z_k - Proj(z_k - alpha grad F) ) / alpha              exact projected gradient, G_k
    h    = ( z_k - z_{k+1} ) / alpha                               the step that is made
    d    = g - h,   n = g - grad F,   m = h - grad F - e
    fall = ( F(z_k) - F(z_{k+1}) ) / alpha

Hypotheses of a step, each a slack that is nonnegative::

    smoothness    fall - <grad F, h> + theta |h|^2 / 2             with theta <= 1
    projection    -<n, g>, -<n, d>  and  -<m, h>, <m, d>           n, m are normal to Z where they arise,
                                                                   tested at z_k and at each other

and of a run, for the sums G, E, U over k of |g|^2, |e|^2, |h|^2, with D = (F(z_1) - inf f) / alpha and
k = K eps_orac::

    Assumption 3, 7    k + U - 20 E  >= 0
    descent            D - sum fall  >= 0,    D >= 0               as F = f + lambda p >= inf f

Every function below verifies one step of a proof and raises `CertificateError` if it is wrong.
"""

from flint import fmpq, fmpq_mpoly

from verify.claims.exact import greater, require
from verify.claims.exact.gram import Space, Terms, follows, identical, nonnegative

HALF = fmpq(1, 2)

LONGEST = fmpq(14478, 10000), fmpq(14480, 10000)
"""The printed constants hold up to the first of these steps times 1/L, and not at the second."""


def paper_descent() -> None:
    """(C.34)-(C.37), (D.13)-(D.16): |h|^2 / 4 <= fall + |e|^2."""
    space = Space("slope e h", "fall")
    slope, e, h = space.vectors
    (fall,) = space.numbers
    smoothness = fall - space.dot(slope, h) + HALF * space.square(h)
    optimality = -space.dot(h - slope - e, h)
    young = space.square(e - HALF * h)
    slack = fall + space.square(e) - fmpq(1, 4) * space.square(h)
    follows("(C.37)", slack, [(1, smoothness), (1, optimality), (1, young)])


def paper_triangle() -> None:
    """(C.38), (D.17): |g|^2 <= 2 |e|^2 + 2 |h|^2, with the non-expansiveness that it uses."""
    space = Space("h d n m")
    h, d, n, m = space.vectors
    e = -d + n - m
    nonexpansive = space.square(e) - space.square(d)
    normal = [(2, -space.dot(n, d)), (2, space.dot(m, d)), (1, space.square(n - m))]
    follows("the projection is non-expansive", nonexpansive, normal)
    slack = 2 * space.square(e) + 2 * space.square(h) - space.square(h + d)
    follows("(C.38)", slack, [(2, nonexpansive), (1, space.square(d - h))])


def paper_step() -> None:
    """Between (C.38) and (C.39): |g|^2 <= 10 |e|^2 + 8 fall."""
    space = Space("", "G E U fall")
    G, E, U, fall = space.numbers
    c37, c38 = fall + E - fmpq(1, 4) * U, 2 * E + 2 * U - G
    follows("the step before (C.39)", 10 * E + 8 * fall - G, [(8, c37), (1, c38)])


def one_step() -> None:
    """|g|^2 <= |e|^2 + 2 fall."""
    space = Space("g d n m", "fall")
    g, d, n, m = space.vectors
    (fall,) = space.numbers
    h, slope, e = g - d, g - n, n - m - d
    known = [
        (2, fall - space.dot(slope, h) + HALF * space.square(h)),
        (2, -space.dot(n, g)),
        (2, space.dot(m, d)),
        (1, space.square(n - m)),
    ]
    follows("the one-step lemma", 2 * fall + space.square(e) - space.square(g), known)


def one_long_step() -> None:
    """|g|^2 <= |e|^2 + (theta - 1) |h|^2 + 2 fall, for every theta."""
    space = Space("g d n m", "fall theta")
    g, d, n, m = space.vectors
    fall, theta = space.numbers
    h, slope, e = g - d, g - n, n - m - d
    known = [
        (2, fall - space.dot(slope, h) + HALF * theta * space.square(h)),
        (2, -space.dot(n, g)),
        (2, space.dot(m, d)),
        (1, space.square(n - m)),
    ]
    slack = 2 * fall + space.square(e) + (theta - 1) * space.square(h) - space.square(g)
    follows("the one-step lemma for long steps", slack, known)


def step_made() -> None:
    """share |h|^2 <= share (1 + share) |g|^2 + (1 + share) |e|^2, from |h - g| <= |e|."""
    space = Space("g d", "E share")
    g, d = space.vectors
    E, s = space.numbers
    slack = s * (1 + s) * space.square(g) + (1 + s) * E - s * space.square(g - d)
    nonexpansive, completed = E - space.square(d), space.square(s * g + d)
    follows("the step that is made", slack, [(1 + s, nonexpansive), (1, completed)])


def printed_constants() -> None:
    """(16, 1) from (C.37), (C.38) and Assumption 3 as it is printed; in fact (21/2, 5/8)."""
    space = Space("", "G E U D k")
    G, E, U, D, k = space.numbers
    known: Terms = [
        (fmpq(21, 2), D + E - fmpq(1, 4) * U),
        (1, 2 * E + 2 * U - G),
        (fmpq(5, 8), k + U - 20 * E),
    ]
    half = fmpq(21, 2) * D + fmpq(5, 8) * k - G
    follows("the constants 21/2 and 5/8", half, known)
    follows("the constants 16 and 1", 16 * D + k - G, [(1, half), (fmpq(11, 2), D), (fmpq(3, 8), k)])


def best_constants() -> None:
    """(9/4, 1/16) from the one-step lemma, Assumption 3 as it is printed, and |h - g| <= |e|."""
    space = Space("", "G E U D k")
    G, E, U, D, k = space.numbers
    known = [
        (fmpq(9, 8), 2 * D + E - G),
        (fmpq(1, 16), k + U - 20 * E),
        (fmpq(1, 16), 2 * G + 2 * E - U),
    ]
    follows("the constants 9/4 and 1/16", fmpq(9, 4) * D + fmpq(1, 16) * k - G, known)


def front() -> None:
    """A whole front of constants, c1 = 2 (19 s - 1) / (18 s - 1 - s^2), c2 = s / (18 s - 1 - s^2).

    All multiplied by s (18 s - 1 - s^2); s from 1/4 to 1.
    """
    space = Space("", "G E U D k s")
    G, E, U, D, k, s = space.numbers
    scale = 18 * s - 1 - s * s
    known: Terms = [
        (19 * s - 1, 2 * D + E - G),
        (s, k + U - 20 * E),
        (1, s * (1 + s) * G + (1 + s) * E - s * U),
    ]
    follows("the front", 2 * (19 * s - 1) * D + s * k - scale * G, known)
    low, high = fmpq(1, 4), fmpq(1)
    nonnegative("the multiplier of the one-step lemma", [-1, 19], low, high)
    nonnegative("the scale of the front", [-1, 18, -1], low, high)


def needed() -> None:
    """What the flips ask of any constants (c1, c2), and that the front just meets it.

    In one dimension, with F = z^2 / 2, alpha = 1 and e = s z: z_{k+1} = -s z_k, and every hypothesis
    is an equality.  In units of z_1^2 / (1 - s^2), as K grows: G = 1, E = s^2, U = (1 + s)^2,
    D = (1 - s^2) / 2 and k = 19 s^2 - 2 s - 1, so that (c1/2) (1 - s^2) + c2 (19 s^2 - 2 s - 1) >= 1
    is necessary.
    """
    space = Space("", "s t z c1 c2")
    s, t, z, c1, c2 = space.numbers
    g, e = z, s * z
    new = z - g - e
    identical("the flip", new, -s * z)
    identical("the one-step lemma is attained", z * z - new * new + e * e, g * g)
    identical("the error that Assumption 3 allows", 20 * s * s - (1 + s) ** 2, 19 * s * s - 2 * s - 1)

    def demand(first: fmpq_mpoly, second: fmpq_mpoly, share: fmpq_mpoly) -> fmpq_mpoly:
        return HALF * first * (1 - share * share) + second * (19 * share * share - 2 * share - 1)

    # With c2 = 1/16 the flip asks for c1 >= 9/4 - (1 - s) / (8 (1 + s)), and at s = 1 for c2 >= 1/16.
    asked = 16 * demand(c1, c2, s) - 16
    at_best = asked.compose(s, t, z, c1, 0 * s + fmpq(1, 16))
    shortfall = 8 * (1 - s) * (1 + s) * c1 - 18 * (1 - s) * (1 + s) + (1 - s) ** 2
    identical("what a flip asks of c1", at_best, shortfall)
    at_one = asked.compose(0 * s + 1, t, z, c1, c2)
    identical("what the full flip asks of c2", at_one, 16 * (16 * c2 - 1))
    # On the front the slack is the square (s - t)^2: each of its points is asked for by its own flip.
    scale = 18 * t - 1 - t * t
    left = demand(2 * (19 * t - 1), t, s) - scale
    identical("the slack of the front", left, (s - t) ** 2)


def flips() -> None:
    """Flips with finitely many iterations refute every smaller constant: three of them, exactly."""
    c1 = flip_demand(fmpq(99, 100), 1000, c2=fmpq(1, 16))
    greater("c1 with c2 = 1/16 is nearly 9/4", c1, fmpq(9, 4) - fmpq(1, 1000))
    c1 = flip_demand(fmpq(2, 7), 20, c2=fmpq(10**6))
    greater("c1 with eps_orac = 0 is nearly (85 + sqrt 5) / 40", c1, fmpq(2177, 1000))
    squares, drop, accuracy = flip_sums(fmpq(1), 10**6)
    greater(
        "c2 with c1 = 16 is nearly 1/16",
        (squares - 16 * drop) / accuracy,
        fmpq(1, 16) - fmpq(1, 10**5),
    )


def flip_sums(share: fmpq, iterations: int) -> tuple[fmpq, fmpq, fmpq]:
    """G, D and k of a flip that starts at z_1 = 1, with the least k >= 0 that Assumption 3 allows."""
    ratio = share * share
    powers = ratio**iterations
    squares = fmpq(iterations) if share == 1 else (1 - powers) / (1 - ratio)
    return squares, HALF, max(fmpq(0), (20 * ratio - (1 + share) ** 2) * squares)


def flip_demand(share: fmpq, iterations: int, c2: fmpq) -> fmpq:
    """The smallest c1 that this flip leaves, given c2."""
    squares, drop, accuracy = flip_sums(share, iterations)
    return (squares - c2 * accuracy) / drop


def long_steps() -> None:
    """(16, 1) for alpha L <= 1.4478, in units of G: E = s^2, U <= (1 + s)^2.

    The one-step lemma for long steps and Assumption 3 give 16 D + k >= 8 (1 - s^2) - 8 (theta - 1) U
    + 20 s^2 - U, which is at least 1 for s up to 0.3814; from there on Assumption 3 alone gives k >= 1.
    For steps of 1.448 / L a flip with z_{k+1} = -z_k makes both D / K and k / (K G) too small.
    """
    theta, split = LONGEST[0], fmpq(3814, 10000)
    excess = 1 + 8 * (theta - 1)
    # 8 (1 - s^2) + 20 s^2 - 1 - excess (1 + s)^2, lowest coefficient first.
    early = [7 - excess, -2 * excess, 12 - excess]
    nonnegative("small errors, by both", early, fmpq(0), split)
    # 20 s^2 - (1 + s)^2 - 1 = 19 s^2 - 2 s - 2 is increasing from there on.
    require(19 * split * split - 2 * split - 2 >= 0, "large errors, by Assumption 3 alone")
    require(38 * split - 2 >= 0, "large errors: the slack must increase")
    share = 2 / LONGEST[1] - 1
    require(LONGEST[1] * (1 + share) == 2, "the flip must return to -z")
    greater("the flip of a longer step", fmpq(1), 20 * share * share - (1 + share) ** 2)


def iterations() -> None:
    """An average of at most eps from K >= (9/2) D / eps and eps_orac <= 8 eps."""
    space = Space("", "G D k total")
    G, D, k, total = space.numbers
    # total is K eps.
    known: Terms = [
        (1, fmpq(9, 4) * D + fmpq(1, 16) * k - G),
        (fmpq(9, 4), fmpq(2, 9) * total - D),
        (fmpq(1, 16), 8 * total - k),
    ]
    follows("the number of iterations", total - G, known)


def exact_gradient_reading() -> None:
    """(40/19, 1/19), if Assumption 3 had the exact projected gradient: what (C.39) uses."""
    space = Space("", "G E D k")
    G, E, D, k = space.numbers
    known = [(fmpq(20, 19), 2 * D + E - G), (fmpq(1, 19), k + G - 20 * E)]
    follows("the other reading", fmpq(40, 19) * D + fmpq(1, 19) * k - G, known)


def what_assumption_3_gives() -> None:
    """10 E <= (10/9) G + (5/9) k, in place of the second inequality of (C.39)."""
    space = Space("", "G E U k")
    G, E, U, k = space.numbers
    known = [(fmpq(5, 9), k + U - 20 * E), (fmpq(5, 9), 2 * G + 2 * E - U)]
    slack = fmpq(10, 9) * G + fmpq(5, 9) * k - 10 * E
    follows("what replaces (C.39)", slack, known)
