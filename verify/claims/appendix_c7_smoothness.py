r"""C.7, before (C.30): the value is smooth in the policy, with a constant that is quoted.

::

    printed   V(rho) is smooth in the policy with 2 gamma A / (1 - gamma)^3, for every x
    meant     the same for rewards in [0, 1] and tau = 0, which the source assumes
    proved    with 2 gamma b^2 beta / (1-gamma)^3 + 2 gamma tau B b / (1-gamma)^2 + tau L_h / (1-gamma),
              beta half the range of r - tau h, b <= sqrt A the largest 1-norm of unit vectors that sum
              to zero, B the slope of h along the simplex

The quoted constant knows neither the size of rewards nor tau: at gamma = 0 it is 0, while -tau h bends.

Derivation.  This is (C.22) for direct policies.  With D, D' slopes along unit directions of them, each
state's part has the 1-norm b at most, and k = b beta / (1-gamma) + tau B bounds the push of one
step, so

    v <= k + gamma v,      w <= tau L_h + 2 gamma b v + gamma w

for the largest first and second slopes v and w of V; eliminate v.  For rewards in [0, 1] and tau = 0,
beta = 1/2, so gamma A / (1 - gamma)^3 will do: half of what is quoted.

At gamma = 0 the last term is attained by the quadratic.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from reference.constants import Player, policy_spread, value_blocks
from reference.problems.mdp import Mdp
from reference.regularizers import Quadratic
from verify.claims import exact
from verify.claims.contract import Claim, Fault, Form, Margin, Proof, Refutation, Trials
from verify.claims.exact import facts, order
from verify.claims.trials.instances import generator_of, sparse
from verify.claims.trials.parametrized import Derivatives, Direct, ParameterPair, suitable, without_x
from verify.contract import Context

Constant = Callable[[Mdp], float]


def proved_constant(mdp: Mdp) -> float:
    """(C.22) with b."""
    n = mdp.n_actions
    player = Player(n, policy_spread(n), 0.0, float(np.sqrt(1.0 - 1.0 / n)), 1.0, 1.0)
    return float(value_blocks(without_x(mdp, player))[1, 1])


def printed_constant(mdp: Mdp) -> float:
    """2 gamma A / (1 - gamma)^3."""
    return 2.0 * mdp.gamma * mdp.n_actions / (1.0 - mdp.gamma) ** 3


def margin(pair: ParameterPair, constant: float) -> Margin:
    """The change of grad V(rho) along the simplices."""
    first, second = pair.first, pair.second
    moved = first.values - second.values
    left = float(np.linalg.norm(first.mdp.rho_s @ moved.vector))
    return Margin(left, constant * pair.apart, moved.error, pair.name)


def pairs(context: Context) -> Iterator[ParameterPair]:
    """Two direct policies of each MDP, near and far."""
    still = Mdp(np.ones((1, 2, 1)), np.array([[1.0, 0.0]]), 0.0, np.ones(1), 2.0, Quadratic())
    yield between(still, np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]))
    generator = generator_of(context, "appendix_c7_smoothness")
    for i, (_, mdp, pi_sa) in enumerate(suitable(context, "appendix_c7_smoothness")):
        other_sa = sparse(generator, pi_sa.shape, 0.2)
        yield between(mdp, pi_sa, pi_sa + (1e-3, 1.0)[i % 2] * (other_sa - pi_sa))


def between(mdp: Mdp, *policies: np.ndarray) -> ParameterPair:
    """A pair of direct policies."""
    direct = Direct((mdp.n_states, mdp.n_actions))
    first, second = (Derivatives(mdp, direct, direct.coordinates(pi_sa)) for pi_sa in policies)
    return ParameterPair(first, second)


def within_one(mdp: Mdp) -> Mdp:
    """The MDP at tau = 0 with its rewards moved and scaled into [0, 1]."""
    low, wide = float(mdp.r_sa.min()), float(np.ptp(mdp.r_sa))
    r_sa = (mdp.r_sa - low) / wide if wide > 0.0 else np.zeros_like(mdp.r_sa)
    return Mdp(mdp.P_sat, r_sa, mdp.gamma, mdp.rho_s, 0.0, Quadratic())


def trials_with(constant: Constant) -> Trials:
    """All pairs."""

    def trials(context: Context) -> Iterator[Margin]:
        for pair in pairs(context):
            yield margin(pair, constant(pair.first.mdp))

    return trials


def meant_trials(context: Context) -> Iterator[Margin]:
    """Rewards in [0, 1] and tau = 0."""
    for pair in pairs(context):
        mdp = within_one(pair.first.mdp)
        direct = Direct((mdp.n_states, mdp.n_actions))
        first, second = (Derivatives(mdp, direct, one.y) for one in (pair.first, pair.second))
        yield margin(ParameterPair(first, second), printed_constant(mdp))


def refute(content: dict[str, Any]) -> None:
    """<grad V(pi) - grad V(pi'), pi - pi'> exceeds the constant times |pi - pi'|^2, exactly.

    Only directions between policies enter.
    """
    mdp = exact.ExactMdp.parse(content["mdp"], content["tau"])
    one_sa, other_sa = exact.policy(content["pi"]), exact.policy(content["other"])
    step_sa = one_sa - other_sa
    change_sa = mdp.policy_gradient(one_sa) - mdp.policy_gradient(other_sa)
    left = abs(exact.total(change_sa * step_sa))
    constant = 2 * mdp.gamma * mdp.r_sa.shape[1] / (1 - mdp.gamma) ** 3
    right = constant * exact.total(step_sa * step_sa)
    exact.same("the change of grad V along the step", left, content["lhs"])
    exact.same("the quoted constant times the squared step", right, content["rhs"])
    exact.greater("the change is too large", left, right)


def prove() -> None:
    """(1-gamma)^2 w <= (1-gamma) tau L_h + 2 gamma b k from the two recursions; e is 1 - gamma."""
    e, gamma, b, k, bend, v, w = exact.indeterminates("e", "gamma", "b", "k", "tau L_h", "v", "w")
    exact.combination(
        e * bend + 2 * gamma * b * k - e**2 * w,
        (e, bend + 2 * gamma * b * v - e * w),
        (2 * gamma * b, k - e * v),
    )


PROOFS = (
    Proof("only half the range of Q counts, in any dimension", order.centred_values),
    Proof("the recursion for slopes of V", order.slope_recursion),
    Proof("parts through slopes of the policy", order.through_the_policy),
    Proof("rows of slopes of the chain", order.rows_of_slopes),
    Proof("the recursion for second slopes", order.second_slope_recursion),
    Proof("their combination", prove),
)

TEXTBOOK = (facts.NORM, facts.MEAN_VALUE, facts.RESOLVENT)

SMOOTH = r"\|\nabla_\pi V^\pi(\rho)-\nabla_\pi V^{\pi'}(\rho)\|\le L_v\|\pi-\pi'\|,\quad "

CLAIM = Claim(
    number="C.7",
    title="smoothness of the value in the policy, as quoted",
    premise="direct policies; for the printed form any rewards and tau; h = |p|^2 / 2 in the trials",
    printed=Form(
        words="For every x the value is smooth in the policy with constant 2 gamma A / (1 - gamma)^3.",
        formula=SMOOTH + r"L_v=\frac{2\gamma|\mathcal A|}{(1-\gamma)^3}",
        refutations=(Refutation("C07_tau", refute), Refutation("C07_reward", refute)),
    ),
    meant=Form(
        words="The same for rewards in [0, 1] and without a regulariser; half of it will do.",
        formula=SMOOTH + r"L_v=\frac{2\gamma|\mathcal A|}{(1-\gamma)^3},\quad r\in[0,1],\ \tau=0",
        trials=meant_trials,
        proofs=PROOFS,
        textbook=TEXTBOOK,
    ),
    proved=Form(
        words="With half the range beta of r - tau h and terms for the regulariser.",
        formula=SMOOTH + r"L_v=\frac{2\gamma b^2\beta}{(1-\gamma)^3}+\frac{2\gamma\tau Bb}{(1-\gamma)^2}"
        r"+\frac{\tau L_h}{1-\gamma},\quad b^2\le|\mathcal A|",
        trials=trials_with(proved_constant),
        proofs=PROOFS,
        textbook=TEXTBOOK,
    ),
    faults=(
        Fault(
            "as_printed", "the quoted constant, whatever rewards and tau", trials_with(printed_constant)
        ),
        Fault(
            "slightly_small",
            "the constant is 1% below the proved one",
            trials_with(lambda mdp: 0.99 * proved_constant(mdp)),
        ),
    ),
    inherits=("(C.22)",),
    remark="The source has rewards in [0, 1] and no regulariser; the text applies it to every x. (C.30) "
    "takes the constant for something else again, a slope of the gradient in x.",
    tried="gamma = 0 with a regulariser, and rewards of 100, each break it; rewards in [0, 1] do not.",
)
