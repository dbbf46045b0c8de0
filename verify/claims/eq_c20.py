r"""(C.20): occupancies are Lipschitz in the policy's parameters, with which constant.

With sum_a |grad pi_y(a|s)| <= B_pi, for every start state::

    printed   sup_s |d_y(s) - d_y'(s)|  <=  B_pi |y - y'|
    proved    sup_s |d_y(s) - d_y'(s)|  <=  gamma B_pi / (2 (1 - gamma)) |y - y'|
              sum_s |d_y(s) - d_y'(s)|  <=  gamma B_pi / (1 - gamma) |y - y'|;  both the best possible

so the printed constant is right for gamma <= 2/3, and too small by any factor as gamma -> 1.

Derivation.  For a function f of the states with values in [-1, 1], d_y f is (1 - gamma) V of the reward
f.  Differentiate V = f + gamma P_pi V:

    grad V(s) = gamma sum_a grad pi(a|s) (P V)(s, a) + gamma (P_pi grad V)(s),

where the reward does not enter, since it is the same for all actions and sum_a grad pi = 0.  For the
same reason only half the range of V counts, m <= 1 / (1 - gamma):  with v the largest |grad V|,

    v <= gamma B_pi m + gamma v,      (1 - gamma) m <= 1,      |grad d f| <= (1 - gamma) v,

so |grad d f| <= gamma B_pi / (1 - gamma).  The maximum over f is the l1 norm; an indicator is
(1 + f) / 2 with half the gradient.  The printed proof puts tau = 0 and B_r = 1 into (C.18), which has
(1 - gamma)^{-2}, and loses one of the two factors.

Attained at y = 0 by two states in which one stays, or goes with probability y, B_pi = 2: to first order
the mass gamma y / (1 - gamma) moves.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from reference.validation import Array
from verify.claims import exact
from verify.claims.contract import Claim, Fault, Form, Margin, Proof, Refutation, Trials
from verify.claims.exact import facts, order
from verify.claims.trials.instances import adversary
from verify.claims.trials.parametrized import ParameterPair, climbed_to, parameter_pairs, swapped
from verify.contract import Context


def half(gamma: float) -> float:
    """What B_pi is multiplied with, in the supremum norm."""
    return 0.5 * gamma / (1.0 - gamma)


def margins(pair: ParameterPair, factor: float) -> Iterator[Margin]:
    """Both norms of the change, against factor B_pi and twice that."""
    change = pair.first.occupancies - pair.second.occupancies
    bound = factor * pair.first.policies.player.move * pair.apart
    largest = float(np.abs(change.vector).max())
    total = float(np.abs(change.vector).sum(axis=1).max())
    yield Margin(largest, bound, change.error, f"largest entry, {pair.name}")
    yield Margin(total, 2.0 * bound, change.error, f"l1 norm, {pair.name}")


def drawn(context: Context) -> Iterator[ParameterPair]:
    """Where it is attained, and small MDPs with every parametrisation."""
    for gamma in (0.1, 0.5, 0.9, 0.99):
        yield swapped(gamma, 0.0, 1e-3 * (1.0 - gamma))
        yield swapped(gamma, 0.0, 1.0)
    yield from parameter_pairs(context, "eq_c20")


def trials_with(share: float) -> Trials:
    """The proved constant, times a share; with an adversary."""

    def trials(context: Context) -> Iterator[Margin]:
        for pair in drawn(context):
            yield from margins(pair, share * half(pair.first.mdp.gamma))

        def climbed(z: Array) -> Margin:
            pair = climbed_to(z)
            return list(margins(pair, share * half(pair.first.mdp.gamma)))[1]

        yield from adversary(context, "eq_c20", 6, climbed)

    return trials


def as_printed(context: Context) -> Iterator[Margin]:
    """B_pi alone."""
    for pair in drawn(context):
        yield from margins(pair, 1.0)


def without_horizon(context: Context) -> Iterator[Margin]:
    """gamma B_pi / 2."""
    for pair in drawn(context):
        yield from margins(pair, 0.5 * pair.first.mdp.gamma)


def refute(content: dict[str, Any]) -> None:
    """The occupancy of the state that one may leave, for two chances to leave; both sides squared.

    The policies are direct, so that B_pi is the number of actions.
    """
    mdp = exact.ExactMdp.parse(content["mdp"])
    first, second = (exact.policy(rows) for rows in content["policies"])
    exact.require(max(mdp.rho_s) == 1 and not any(mdp.r_sa.flat), "one start state, and no reward")
    state = int(np.argmax(mdp.rho_s))
    b_pi = exact.fraction(mdp.r_sa.shape[1])
    visits = [(1 - mdp.gamma) * mdp.visits(pi_sa)[state] for pi_sa in (first, second)]
    change = (visits[0] - visits[1]) ** 2
    bound = b_pi**2 * exact.total((first - second) ** 2)
    exact.same("the change of the occupancy, squared", change, content["lhs"])
    exact.same("the printed bound, squared", bound, content["rhs"])
    exact.greater("the change exceeds the bound", change, bound)


def prove() -> None:
    """(1 - gamma) |grad d f| <= gamma B_pi from the recursion; e is 1 - gamma."""
    e, gamma, b_pi, v, m, d = exact.indeterminates("e", "gamma", "B_pi", "v", "m", "d")
    exact.combination(
        gamma * b_pi - e * d,
        (e, e * v - d),
        (e, gamma * b_pi * m - e * v),
        (gamma * b_pi, e**0 - e * m),
    )


CLAIM = Claim(
    number="(C.20)",
    title="occupancies are Lipschitz in the policy's parameters",
    premise="Lemma 20's (a): sum_a |grad pi_y(a|s)| <= B_pi",
    printed=Form(
        words="From every start state, the entries of the occupancy are Lipschitz in y with constant "
        "B_pi.",
        formula=r"\sup_s|d_{s_0}^{\pi_y}(s)-d_{s_0}^{\pi_{y'}}(s)|\le B_\pi\|y-y'\|",
        refutations=(Refutation("C20_constant", refute),),
    ),
    proved=Form(
        words="The entries are Lipschitz with constant gamma B_pi / (2 (1 - gamma)), the occupancy in "
        "the l1 norm with twice that; no smaller constants will do.",
        formula=r"\|d_{s_0}^{\pi_y}-d_{s_0}^{\pi_{y'}}\|_1\le\frac{\gamma B_\pi}{1-\gamma}\|y-y'\|",
        trials=trials_with(1.0),
        proofs=(
            Proof("the values of a reward within [-1, 1], in any dimension", order.values),
            Proof("the recursion for their slopes", order.slope_recursion),
            Proof("its part through the policy has rows of l1 norm gamma B_pi", order.rows_of_slopes),
            Proof("and rows with sum zero", order.through_the_transitions),
            Proof("the recursion, solved", prove),
        ),
        textbook=(facts.NORM, facts.DUALITY, facts.MEAN_VALUE, facts.RESOLVENT),
    ),
    faults=(
        Fault("as_printed", "the constant is B_pi", as_printed),
        Fault("without_horizon", "the constant is gamma B_pi / 2", without_horizon),
        Fault("slightly_small", "the constant is 1% below the proved one", trials_with(0.99)),
    ),
    remark="(C.18) with tau = 0 and B_r = 1 has (1 - gamma)^{-2}, and d = (1 - gamma) V takes away one "
    "factor, not both.  Right for gamma <= 2/3, as the true constant is then smaller.",
    tried="gamma > 2/3 breaks it; the text has no factor that a reader could supply. The proved "
    "constant was climbed on.",
)
