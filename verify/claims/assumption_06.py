r"""Assumption 6: when the value of a game is continuously differentiable in the policies.

::

    printed   (below it, by Lemma 21)  if h is smooth with bounded slopes, rewards are bounded and
              V(rho) is smooth in x, uniformly in the policies, then V(rho) is continuously
              differentiable in (x, pi_1, pi_2)
    proved    with h of both players C^1 on the simplex and C^1 rewards and transitions V(rho) is so,
              vertices included: with visits u from rho and joint action values Q,

              grad_pi1 V = u(s) ( E_b Q(s,.,b) - tau grad h(pi_1(s)) )
              grad_pi2 V = u(s) ( E_a Q(s,a,.) + tau grad h(pi_2(s)) )
              grad_x   V = sum u(s) pi_1 pi_2 ( grad r + gamma sum_t grad P V(t) )

Derivation of the first.  At a fixed x, V(rho) is a rational function of the policies and their h, with
second slopes that are bounded over all x, since rewards are.  Let the policies move by t d: the
quotients of V(rho) are continuous in x and tend to its slope uniformly as t -> 0, so the slopes in the
policies are continuous in (x, pi).  The gradients in x are equi-Lipschitz in x, and V(rho) is continuous
in the policies; where functions with equi-Lipschitz gradients converge, so do the gradients.  (Lemma 21
claims more, and that is refuted; for this its premises are enough.)

tau > 0 and C^1 rewards and transitions are not: negative entropy, one state, gamma = 0, r = 0, tau = 1,
one action for player 2.  At the vertex (0, 1) of player 1, the quotient of V = -h towards the other
vertex with step e = 2^-k is

    - ( e ln e + (1 - e) ln(1 - e) ) / e  >=  -ln e  =  k ln 2  >=  k / 2,

which exceeds every bound as k grows; so neither V nor psi has a gradient there.

Derivation of the second.  V solves a linear system with matrix 1 - gamma P_{pi_1 pi_2}, invertible as
gamma < 1, so V is a rational function of P, r, the policies and the h_s(pi_i(s)).  The gradients are
(B.10) for each player's own MDP, and are continuous since all their parts are.

What fails without tau > 0 is the differentiability of psi (Lemma 13(a)), not that of V: in matching
pennies the best response jumps, and max over pi_1 of V is |2 q - 1| with q = pi_2(1).
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from flint import fmpq

from reference.evaluation import JointEvaluation, evaluate_joint
from reference.problems.general_position import (
    general_distributions,
    general_game,
    general_game_family,
    general_point,
)
from reference.problems.zero_sum_game import GameFamily
from reference.regularizers import Quadratic, Weighted
from reference.validation import Array
from verify.claims import exact
from verify.claims.contract import Claim, Fault, Form, Margin
from verify.claims.trials.gradients import slope, told_apart
from verify.claims.trials.instances import DRAWS, generator_of, sparse
from verify.contract import Context
from verify.crosscheck.tolerances import UNIT, Scale, joint_scale, x_gradient
from verify.oracles import definitions as primitive
from verify.oracles.arithmetic import Arithmetic, Native
from verify.oracles.rational import nearest

Charge = Callable[[JointEvaluation], tuple[Array, Array]]
"""evaluation -> what the players' own regularisers add to their slopes, (S, A) and (S, B)."""


def families(context: Context) -> Iterator[tuple[GameFamily, np.random.Generator]]:
    """Games with smooth regularisers."""
    generator = generator_of(context, "assumption_06")
    for _ in range(DRAWS[context.level] // 3):
        n, n_first, n_second = (int(k) for k in generator.integers(1, 4, 3))
        game = general_game(
            generator,
            n_states=n,
            n_first=n_first,
            n_second=n_second,
            gamma=float(generator.choice([0.0, 0.5, 0.9])),
            regularizer_1=Weighted(Quadratic(), generator.uniform(0.5, 2.0, n)),
            regularizer_2=Quadratic(),
        )
        yield general_game_family(generator, game), generator


def charges(own: JointEvaluation) -> tuple[Array, Array]:
    """-tau grad h for player 1, tau grad h for player 2."""
    game = own.game
    first_sa = game.tau * game.regularizer_1.gradient(own.pi_sa)
    return -first_sa, game.tau * game.regularizer_2.gradient(own.pi_sb)


def trials_with(charged: Charge) -> Callable[[Context], Iterator[Margin]]:
    """Slopes of V(rho) in each player's policy and in x; policies at vertices in part."""

    def trials(context: Context) -> Iterator[Margin]:
        for family, generator in families(context):
            x = general_point(generator, family.domain)
            game = family.at(x)
            n_first, n_second = game.n_actions
            policies = [
                sparse(generator, (game.n_states, k), float(generator.choice([0.01, 1.0])))
                for k in (n_first, n_second)
            ]
            own = evaluate_joint(game, *policies)
            towards = [general_distributions(generator, pi.shape) - pi for pi in policies]
            u = generator.standard_normal(x.shape)
            found = slopes_by_definition(family, x, policies, towards, u)
            claimed = printed_slopes(family, x, own, towards, u, charged(own))
            allowed = tolerances(family, own, towards, u)
            names = ("grad_pi1 V", "grad_pi2 V", "grad_x V")
            for name, c, f, tolerance in zip(names, claimed, found, allowed, strict=True):
                yield from told_apart(
                    np.array(c), np.array(f), tolerance, f"{game.n_states} states: {name}"
                )

    return trials


def slopes_by_definition(
    family: GameFamily, x: Array, policies: list[Array], towards: list[Array], u: Array
) -> tuple[float, float, float]:
    """Complex steps of V(rho) along both policies and x."""
    pi_sa, pi_sb = policies

    def value(number: Arithmetic, x: Native, pi_sa: Native, pi_sb: Native) -> Native:
        g = primitive.game_model(number, family, x)
        return (g.rho_s * primitive.joint_value(number, g, pi_sa, pi_sb)).sum(-1)

    return (
        float(slope(lambda number, z: value(number, number.lift(x), z, pi_sb), pi_sa, towards[0])),
        float(slope(lambda number, z: value(number, number.lift(x), pi_sa, z), pi_sb, towards[1])),
        float(slope(lambda number, z: value(number, z, pi_sa, pi_sb), x, u)),
    )


def printed_slopes(
    family: GameFamily,
    x: Array,
    own: JointEvaluation,
    towards: list[Array],
    u: Array,
    charge: tuple[Array, Array],
) -> tuple[float, float, float]:
    """The three gradients along the directions."""
    visits_s = own.visits(own.game.rho_s)
    first_sa = np.einsum("sab,sb->sa", own.q_sab, own.pi_sb) + charge[0]
    second_sb = np.einsum("sab,sa->sb", own.q_sab, own.pi_sa) + charge[1]

    def backup(number: Arithmetic, z: Native) -> Native:
        g = primitive.game_model(number, family, z)
        return g.r_sab + g.gamma * number.einsum("sabt,t->sab", g.P_sabt, number.lift(own.v_s))

    backup_sab = slope(backup, x, u)
    return (
        float((visits_s[:, None] * first_sa * towards[0]).sum()),
        float((visits_s[:, None] * second_sb * towards[1]).sum()),
        float((visits_s[:, None, None] * own.joint_sab * backup_sab).sum()),
    )


def tolerances(
    family: GameFamily, own: JointEvaluation, towards: list[Array], u: Array
) -> tuple[float, float, float]:
    """Of the slopes: visits of mass at most the horizon against slopes of the size of the rewards."""
    scale = joint_scale(own)
    in_x = x_gradient(
        family,
        scale,
        mass=scale.horizon,
        mass_error=scale.visits_error(1.0),
        value_error=scale.value_error,
    )
    first, second = (
        2.0 * _policy_tolerance(scale) * float(np.abs(v).sum(axis=1).max()) for v in towards
    )
    return first, second, 2.0 * in_x * float(np.abs(u).sum())


def _policy_tolerance(scale: Scale) -> float:
    # grad h is at most the largest weight, 2, in each entry, and tau h counts in the rewards.
    size = 4.0 * scale.reward + scale.value
    error = scale.q_error + UNIT * (scale.n_actions + 8) * size
    return scale.visits_error(1.0) * size + scale.horizon * error


def same_sign(own: JointEvaluation) -> tuple[Array, Array]:
    """Player 2's regulariser with player 1's sign."""
    first_sa, second_sb = charges(own)
    return first_sa, -second_sb


def matching_pennies(context: Context) -> Iterator[Margin]:  # noqa: ARG001 - the same at every level
    """max over pi_1 of V at tau = 0: its slopes at q = 1/2 in q, against those of one best response."""
    payoffs = np.array([[1.0, -1.0], [-1.0, 1.0]])

    def largest(q: float) -> float:
        return float((payoffs @ np.array([q, 1.0 - q])).max())

    for step in (0.125, -0.125):
        quotient = (largest(0.5 + step) - largest(0.5)) / step
        yield Margin(abs(quotient - 2.0), 0.0, 0.0, "matching pennies, q = 1/2, first best response")


def verify_entropy(content: dict[str, Any]) -> None:
    """The difference quotient of V = -h at a vertex exceeds a bound, by rational estimates.

    The step depends on the bound, whatever it is: e = 2^-k with k = 2 (bound + 1).  Then
    -(e ln e + (1 - e) ln(1 - e)) / e >= -ln e = k ln 2 >= k / 2.  The last step is exp(1/2) <= 2: the
    series up to the fifth power, and its tail, which is at most twice its first term.
    """
    k, bound = int(content["k"]), exact.fraction(content["rhs"])
    exact.require(k == 2 * (bound + 1), "the step is 2^-k with k twice the bound, plus two")
    half, term, partial = fmpq(1, 2), fmpq(1), fmpq(0)
    for n in range(1, 7):
        partial += term
        term = term * half / n
    exact.greater("exp(1/2) <= 2", fmpq(2), partial + 2 * term)
    quotient = fmpq(k, 2)
    exact.same("the lower bound of the quotient", quotient, content["lhs"])
    exact.greater("the quotient exceeds the bound", quotient, bound)


def entropy(context: Context) -> Iterator[Margin]:  # noqa: ARG001 - the contract's signature
    """The recorded quotient, against the recorded bound."""
    content = exact.load("A06_entropy")
    verify_entropy(content)
    lhs, rhs = (nearest(exact.fraction(content[side])) for side in ("lhs", "rhs"))
    yield Margin(lhs, rhs, 0.0, "negative entropy at a vertex")


CLAIM = Claim(
    number="Assumption 6",
    title="differentiability of the game's value in the policies",
    premise="gamma < 1; Lemma 21's (a) and (b); for the second form h, rewards and transitions "
    "continuously differentiable",
    printed=Form(
        words="With a smooth h of bounded slope, bounded rewards, and V(rho) smooth in x uniformly in "
        "the policies, V(rho) is continuously differentiable in x and both policies.",
        formula=r"\text{conditions of Lemma 21}\ \Rightarrow\ "
        r"V^{\pi_1,\pi_2}_{\mathcal M_\tau(x)}(\rho)\in C^1(\mathcal X\times\Pi_1\times\Pi_2)",
        trials=trials_with(charges),
    ),
    proved=Form(
        words="If h is continuously differentiable on the simplex, V is so in x and in both policies, "
        "at vertices too.",
        formula=r"\nabla_{\pi_1}V=u(s)\bigl(\mathbb E_bQ(s,\cdot,b)-\tau\nabla h\bigr),\quad"
        r"\nabla_{\pi_2}V=u(s)\bigl(\mathbb E_aQ(s,a,\cdot)+\tau\nabla h\bigr)",
        trials=trials_with(charges),
    ),
    faults=(
        Fault(
            "entropy",
            "h is not C^1: negative entropy, whose slope at a vertex exceeds every bound",
            entropy,
        ),
        Fault("same_sign", "player 2's regulariser has player 1's sign", trials_with(same_sign)),
        Fault(
            "without_tau",
            "tau = 0: max over pi_1 of V has a kink where best responses change",
            matching_pennies,
        ),
    ),
    inherits=("(B.9)-(B.10)",),
    remark="With negative entropy the assumption fails at the boundary of the simplices and holds "
    "inside; softmax policies never reach the boundary.",
    tried="Entropy at the boundary breaks the conclusion where h is not smooth; smooth h was tried at "
    "vertices too.  That Lemma 21, which is refuted, is cited for it was suspected, and cleared.",
)
