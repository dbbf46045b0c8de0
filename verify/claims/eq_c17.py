r"""(C.17): values of actions are bounded.

With |r| <= B_r and |h| <= B_h::

    printed   |Q(s, a)| <= (B_r + tau B_h) / (1 - gamma)
    proved    |Q(s, a)| <= (B_r + gamma tau B_h) / (1 - gamma); no smaller bound will do

Derivation.  Let v and q be the largest |V| and |Q|.  V = <pi, r> - tau h + gamma P_pi V and Q = r +
gamma P V give

    v <= B_r + tau B_h + gamma v,    q <= B_r + gamma v,

and with (1 - gamma) times the second plus gamma times the first, (1 - gamma) q <= B_r + gamma tau B_h.
The printed sum starts at t = 0 and counts the regulariser of the current state, which is not in Q.

Attained where every reward is -B_r and the policy is a vertex, where h is largest.
"""

from collections.abc import Callable, Iterator

import numpy as np

from reference.problems.mdp import Mdp
from reference.regularizers import Quadratic
from verify.claims import exact
from verify.claims.contract import Claim, Fault, Form, Margin, Proof, Trials
from verify.claims.exact import facts, order
from verify.claims.trials.parametrized import STAY, Derivatives, Segment, suitable
from verify.contract import Context

Bound = Callable[[float, float, float], float]
"""(B_r, tau B_h, gamma) -> a bound of |Q|."""


def printed_bound(reward: float, bonus: float, gamma: float) -> float:
    """(B_r + tau B_h) / (1 - gamma)."""
    return (reward + bonus) / (1.0 - gamma)


def proved_bound(reward: float, bonus: float, gamma: float) -> float:
    """(B_r + gamma tau B_h) / (1 - gamma)."""
    return (reward + gamma * bonus) / (1.0 - gamma)


def without_regulariser(reward: float, bonus: float, gamma: float) -> float:  # noqa: ARG001 - the contract's signature
    """B_r / (1 - gamma)."""
    return reward / (1.0 - gamma)


def slightly_small(reward: float, bonus: float, gamma: float) -> float:
    """The proved bound, less one percent."""
    return 0.99 * proved_bound(reward, bonus, gamma)


def worst(gamma: float, tau: float) -> Derivatives:
    """Reward -1 everywhere, and a policy at a vertex."""
    P_sat = np.full((2, 2, 2), 0.5)
    mdp = Mdp(P_sat, -np.ones((2, 2)), gamma, np.array([0.3, 0.7]), tau, Quadratic())
    return Derivatives(mdp, Segment(STAY, STAY), np.zeros(1))


def margin(point: Derivatives, bound: Bound) -> Margin:
    """The largest |Q| against the bound."""
    mdp = point.mdp
    right = bound(float(np.abs(mdp.r_sa).max()), 0.5 * mdp.tau, mdp.gamma)
    return Margin(float(np.abs(point.evaluation.q_sa).max()), right, point.scale.q_error, point.name)


def trials_with(bound: Bound) -> Trials:
    """Where it is attained, and small MDPs."""

    def trials(context: Context) -> Iterator[Margin]:
        for gamma in (0.0, 0.5, 0.9, 0.99):
            for tau in (0.0, 0.3, 2.0):
                yield margin(worst(gamma, tau), bound)
        for _, mdp, pi_sa in suitable(context, "eq_c17"):
            yield margin(Derivatives(mdp, Segment(pi_sa, pi_sa), np.zeros(1)), bound)

    return trials


def prove() -> None:
    """(1 - gamma) q <= B_r + gamma tau B_h from the two recursions; e is 1 - gamma."""
    e, gamma, reward, bonus, v, q = exact.indeterminates("e", "gamma", "B_r", "tau_B_h", "v", "q")
    exact.combination(
        (e + gamma) * reward + gamma * bonus - e * q,
        (e, reward + gamma * v - q),
        (gamma, reward + bonus - e * v),
    )


PROOFS = (
    Proof("the recursions for V and Q, in any dimension", order.values),
    Proof("their combination", prove),
)

CLAIM = Claim(
    number="(C.17)",
    title="values of actions are bounded",
    premise="|r| <= B_r and |h_s| <= B_h at the policies",
    printed=Form(
        words="Values of actions are at most (B_r + tau B_h) / (1 - gamma) in absolute value.",
        formula=r"|Q(s,a)|\le\frac{B_r+\tau B_h}{1-\gamma}",
        trials=trials_with(printed_bound),
        proofs=PROOFS,
        textbook=(facts.MAXIMUM,),
    ),
    proved=Form(
        words="They are at most (B_r + gamma tau B_h) / (1 - gamma), and no smaller bound will do.",
        formula=r"|Q(s,a)|\le\frac{B_r+\gamma\tau B_h}{1-\gamma}",
        trials=trials_with(proved_bound),
        proofs=PROOFS,
        textbook=(facts.MAXIMUM,),
    ),
    faults=(
        Fault("without_regulariser", "the regulariser is forgotten", trials_with(without_regulariser)),
        Fault("slightly_small", "the bound is 1% below the proved one", trials_with(slightly_small)),
    ),
    remark="The sum counts the regulariser at t = 0, which Q does not contain; harmless.",
    tried="Scaled rewards, tau up to 4, vertices, gamma = 0.99, Hypothesis over small rational "
    "MDPs; the sharper bound is attained.",
)
