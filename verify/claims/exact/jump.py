r"""A parametrisation of policies that jumps: Lemmas 6 and 7(a), taken at their word.

One state, gamma = tau = 0, rewards affine in one number x.  For y > 0 the policy pi_y is a polynomial in
y on each of two intervals, at y = 0 it is another one, and for y < 0 it is that of -y with the first two
actions exchanged; the rewards are exchanged with them as x changes its sign.
"""

from collections.abc import Mapping
from typing import Any

from flint import fmpq

from verify.claims import exact


def refute_jump(content: Mapping[str, Any]) -> None:
    """max_y V is |x| + x^2 / 2, with one maximiser at each x, although grad_x V is continuous.

    The recorded sides are its slopes at x = 0, to the right and to the left.

    Raises
    ------
    CertificateError
        If a policy is no distribution, a premise fails, or the maximum is another.
    """
    x, y = exact.indeterminates("x", "y")
    feature_a, offset_a = (exact.fractions(content[name]) for name in ("feature", "offset"))
    mirror = [1, 0, *range(2, len(feature_a))]
    exact.require(
        all(-feature_a[mirror] == feature_a) and all(offset_a[mirror] == offset_a),
        "the rewards are not exchanged as x changes its sign",
    )
    reach = exact.fraction(content["X"][1])
    exact.require(exact.fraction(content["X"][0]) == -reach and reach > 0, "X is not [-reach, reach]")
    largest = x + x**2 / 2
    at_zero = exact.policy([content["at_zero"]])[0]
    # At y = 0: no slope in x, so that the limit of the slope y is attained; and no reward.
    exact.require(exact.total(feature_a * at_zero) == 0, "grad_x V is not 0 at y = 0")
    exact.require(exact.total(offset_a * at_zero) == 0, "V is not 0 at y = 0")
    end = fmpq(0)
    for piece in content["pieces"]:
        low, high = (exact.fraction(bound) for bound in piece["y"])
        exact.require(low == end and high > low, "the pieces do not follow each other")
        end = high
        rows = [exact.fractions(row) for row in piece["policy"]]
        pi_a = exact.filled(
            [sum((c * y**k for k, c in enumerate(row)), start=0 * y) for row in rows], (len(rows),)
        )
        exact.require((pi_a.sum() - 1).is_zero(), "probabilities do not sum to one")
        box = ((fmpq(0), reach), (low, high))
        for probability in pi_a:
            exact.nonnegative("a probability", probability, *box)
        slope, cost = (feature_a * pi_a).sum(), -(offset_a * pi_a).sum()
        exact.require((slope - y).is_zero(), "grad_x V is not y, which is continuous")
        value = x * slope - cost
        # For y < 0 the value is -x y - cost, below 0 and so below the maximum, unless x = 0.
        exact.nonnegative("what y < 0 costs", cost, *box)
        if piece["attained"]:
            # The excess vanishes at y = 1 + x alone; at x = 0 that is not in the piece.
            exact.require((2 * (largest - value) - (y - 1 - x) ** 2).is_zero(), "another maximum")
            exact.require(low == 1 and 1 + reach <= high, "the maximiser leaves the piece")
        else:
            exact.nonnegative("the maximum is not near", largest - value - fmpq(1, 2), *box)
    exact.require(any(piece["attained"] for piece in content["pieces"]), "nothing attains the maximum")
    exact.require(end == exact.fraction(content["Y"][1]) == -exact.fraction(content["Y"][0]), "Y")
    slope_right = largest.derivative(0)(fmpq(0), fmpq(0))
    exact.same("the slope of the maximum to the right", slope_right, content["lhs"])
    exact.same("the slope of the maximum to the left", -slope_right, content["rhs"])
    exact.require(slope_right != 0, "the maximum has a derivative")
