r"""Lemma 13(a): the gradient of the Nikaido-Isoda function.

With best responses pi_1* to pi_2 and pi_2* to pi_1, everything in V(rho)::

    grad_pi psi = (-grad_pi1 V^{pi_1, pi_2*},  grad_pi2 V^{pi_1*, pi_2})
    grad_x  psi =  grad_x V^{pi_1*, pi_2} - grad_x V^{pi_1, pi_2*}

    printed    under Assumption 6 (tau > 0, V continuously differentiable), for convex classes
    meant      the same on products of closed convex sets

Derivation, for products.  With (x, pi_2) fixed player 1 has an MDP and, by Lemma 4 as proved here, one
best response.  max V(., pi_2) is a maximum over a compact set of a function whose gradient in (x, pi_2)
is continuous, and the maximiser is unique, so Danskin's theorem (Lemma 19) makes it differentiable with
that function's gradient at the maximiser.  Likewise min V(pi_1, .) = -max(-V(pi_1, .)); pi_2* is an
argmin, where the text writes "defined similarly".

The class.  Where both states share one policy a player may have two best responses, and psi a kink: in
the game that refutes the equivalence of Lemma 12, max V(., s) = 2 |2s - 1| - s(1 - s).

Without the premise tau > 0 there are kinks on product classes too: matching pennies, at the uniform
policies.  An entropy meets Assumption 6 on no class that reaches the boundary.

Slopes are those of the definitions by a complex step: on one side of psi with its maxima, on the other
of V at fixed policies.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from flint import fmpq

from reference.evaluation import JointEvaluation, evaluate_joint
from reference.optimality import Optimum
from reference.problems.general_position import general_game_family
from reference.problems.hard_cases import matching_pennies
from reference.problems.zero_sum_game import GameFamily
from reference.regularizers import Quadratic
from reference.validation import Array
from verify.claims import exact
from verify.claims.contract import Claim, Fault, Form, Margin, Refutation
from verify.claims.exact.zero_sum import ExactZeroSum
from verify.claims.trials.gradients import equal, slope
from verify.claims.trials.instances import generator_of, sparse
from verify.claims.trials.zero_sum import Play, plays
from verify.contract import Context
from verify.crosscheck.tolerances import at_optimum, joint_scale, x_gradient
from verify.oracles import definitions as primitive
from verify.oracles.arithmetic import Arithmetic, Native

Point = tuple[Native, Native, Native]
"""x, pi_1, pi_2."""

Formula = Callable[["Site", Arithmetic, Point], Native]
"""A function whose slope is the claimed one."""


@dataclass(frozen=True, eq=False)
class Site:
    """A parametric game at a point, with directions that do not leave the domains.

    Attributes
    ----------
    play : Play
        The member at x with the policies.
    family : GameFamily
    x : point of its domain
    directions : tuple of arrays
        In x, pi_1 and pi_2.
    """

    play: Play
    family: GameFamily
    x: Array
    directions: tuple[Array, Array, Array]

    @property
    def point(self) -> tuple[Array, Array, Array]:
        """x, pi_1, pi_2."""
        return self.x, self.play.pi_sa, self.play.pi_sb


def psi(site: Site, number: Arithmetic, point: Point) -> Native:
    """The function by its definition."""
    x, pi_sa, pi_sb = point
    g = primitive.game_model(number, site.family, x)
    first_s = primitive.optimal_values(number, primitive.against_second(number, g, pi_sb))
    second_s = primitive.optimal_values(number, primitive.against_first(number, g, pi_sa))
    return (g.rho_s * (first_s + second_s)).sum(-1)


def at_companions(first: Array, second: Array, signs: tuple[int, int] = (1, -1)) -> Formula:
    """V^{c_1, pi_2} - V^{pi_1, c_2} with companions that stay as they are."""

    def define(site: Site, number: Arithmetic, point: Point) -> Native:
        x, pi_sa, pi_sb = point
        g = primitive.game_model(number, site.family, x)
        v_1s = primitive.joint_value(number, g, number.lift(first), pi_sb)
        v_2s = primitive.joint_value(number, g, pi_sa, number.lift(second))
        return (g.rho_s * (signs[0] * v_1s + signs[1] * v_2s)).sum(-1)

    return define


def printed(site: Site) -> Formula:
    """Best responses as companions."""
    first, second = site.play.responses
    return at_companions(first.pi_sa, second.pi_sa)


def slopes(site: Site, formula: Formula) -> Array:
    """Slopes of a function along the directions in x, pi_1 and pi_2, one at a time."""
    found = []
    for k, direction in enumerate(site.directions):

        def along(number: Arithmetic, z: Native, k: int = k) -> Native:
            point = [number.lift(part) for part in site.point]
            point[k] = z
            return formula(site, number, (point[0], point[1], point[2]))

        found.append(float(slope(along, site.point[k], direction)))
    return np.array(found)


def tolerances(site: Site) -> Array:
    """Of the slopes: first-order effects of inexact responses, and rounding."""
    game, (first, second) = site.play.game, site.play.responses
    pairs: tuple[tuple[JointEvaluation, Optimum], ...] = (
        (evaluate_joint(game, first.pi_sa, site.play.pi_sb), first),
        (evaluate_joint(game, site.play.pi_sa, second.pi_sa), second),
    )
    in_x, in_policies = 0.0, 0.0
    for pair, response in pairs:
        scale, errors = joint_scale(pair), at_optimum(response)
        mass_error = scale.visits_error(1.0) + errors.visits + scale.horizon * errors.row
        in_x += x_gradient(
            site.family,
            scale,
            mass=scale.horizon,
            mass_error=mass_error,
            value_error=scale.value_error + errors.value,
        )
        size = scale.reward + scale.value + game.tau
        moved = scale.q_error + errors.value + errors.row * size
        in_policies += mass_error * size + scale.horizon * moved
    widths = [float(np.abs(direction).sum()) for direction in site.directions]
    return np.asarray(np.array([2.0 * in_x, 2.0 * in_policies, 2.0 * in_policies]) * np.array(widths))


def sites(context: Context) -> Iterator[Site]:
    """Families around small games with the quadratic; x at the centre or off it."""
    generator = generator_of(context, "lemma_13 directions")
    for i, play in enumerate(plays(context, "lemma_13", share=0.3)):
        family = general_game_family(generator, play.game)
        x = np.zeros(family.domain.shape)
        if i % 2:
            x = 0.3 * generator.standard_normal(family.domain.shape)
            x = family.domain.project(x)
        in_x = generator.standard_normal(x.shape)
        in_1 = sparse(generator, play.pi_sa.shape, 1.0) - play.pi_sa
        in_2 = sparse(generator, play.pi_sb.shape, 1.0) - play.pi_sb
        yield Site(replace(play, game=family.at(x)), family, x, (in_x, in_1, in_2))


def held(site: Site, formula: Formula) -> Iterator[Margin]:
    """The claimed slopes against those of the definition."""
    claimed, found, tolerance = slopes(site, formula), slopes(site, psi), tolerances(site)
    for k, variable in enumerate(("x", "pi_1", "pi_2")):
        where = f"{site.play.name}: slope in {variable}"
        yield equal(claimed[k], found[k], tolerance[k], where)


def trials(context: Context) -> Iterator[Margin]:
    """The printed formula, at tau > 0 with the quadratic."""
    for site in sites(context):
        yield from held(site, printed(site))


def own_policies(context: Context) -> Iterator[Margin]:
    """Companions are the players' own policies."""
    for site in sites(context):
        yield from held(site, at_companions(site.play.pi_sa, site.play.pi_sb))


def second_maximises(context: Context) -> Iterator[Margin]:
    """pi_2* is an argmax, as pi_1* is."""
    for site in sites(context):
        game = site.play.game
        opposed = replace(game, r_sab=-game.r_sab)
        first, _ = site.play.responses
        _, second = Play("", opposed, site.play.pi_sa, site.play.pi_sb).responses
        yield from held(site, at_companions(first.pi_sa, second.pi_sa))


def sign(context: Context) -> Iterator[Margin]:
    """The second term has the first one's sign."""
    for site in sites(context):
        first, second = site.play.responses
        yield from held(site, at_companions(first.pi_sa, second.pi_sa, (1, 1)))


def without_regularisation(context: Context) -> Iterator[Margin]:
    """Tau = 0: the slopes of psi to either side are opposite in matching pennies."""
    del context
    game = replace(
        matching_pennies(), gamma=0.0, tau=0.0, regularizer_1=Quadratic(), regularizer_2=Quadratic()
    )
    uniform, step = np.full((2, 2), 0.5), np.array([[0.25, -0.25], [0.0, 0.0]])
    here, left, right = (Play("", game, uniform + sign * step, uniform).psi for sign in (0.0, -1.0, 1.0))
    kink = left.value + right.value - 2.0 * here.value
    rounding = left.error + right.error + 2.0 * here.error
    yield Margin(kink, 0.0, rounding, "matching pennies at tau = 0: piecewise linear, at its kink")


def refute_class(content: dict[str, Any]) -> None:
    """The one-sided derivatives of psi in player 2's shared policy differ, exactly.

    max over t of V(t, s) is V(1, s) for s above the kink and V(0, s) below; the rest of psi does not
    depend on s.
    """
    game = ExactZeroSum.parse(content["game"], content["tau"])
    t, s = exact.indeterminates("t", "s")
    ring, kink = t.context(), exact.fraction(content["kink"])
    game.require_points(content["points"])
    value, denominator = game.shared_value(t, s)
    exact.require(denominator.degrees()[1] == 0, "the chain depends on s")
    found = []
    for reply, side in ((fmpq(1), (kink, fmpq(1))), (fmpq(0), (fmpq(0), kink))):
        at_reply = value.compose(ring.constant(reply), s, ctx=ring)
        scale = denominator(reply, kink)
        exact.nonnegative(
            f"V({reply}, s) - V(t, s)",
            at_reply * denominator - value * scale,
            (fmpq(0), fmpq(1)),
            side,
        )
        found.append(at_reply.derivative("s")(reply, kink) / scale)
    exact.same("the derivative from the right", found[0], content["lhs"])
    exact.same("the derivative from the left", found[1], content["rhs"])
    exact.require(found[0] != found[1], "there is no kink")


GRADIENT = (
    r"\nabla_\pi\psi=\bigl(-\nabla_{\pi_1}V^{\pi_1,\pi_2^*}(\rho),\nabla_{\pi_2}V^{\pi_1^*,\pi_2}(\rho)\bigr),"
    r"\quad\nabla_x\psi=\nabla_xV^{\pi_1^*,\pi_2}(\rho)-\nabla_xV^{\pi_1,\pi_2^*}(\rho)"
)

CLAIM = Claim(
    number="Lemma 13(a)",
    title="gradient of the Nikaido-Isoda function",
    premise="Assumption 6: tau > 0; V(rho) continuously differentiable in x and both policies",
    printed=Form(
        words="For convex classes the Nikaido-Isoda function is differentiable, and its gradients are "
        "those of the values against best responses that are held fixed.",
        formula=GRADIENT,
        refutations=(Refutation("L13_class_kink", refute_class),),
    ),
    meant=Form(
        words="The same where the policies of the states may be chosen independently; player 2's best "
        "response is a minimiser.",
        formula=GRADIENT + r",\quad\Pi_i=\textstyle\prod_s\Pi_{i,s}",
        trials=trials,
    ),
    faults=(
        Fault("own_policies", "the gradients are taken at the own policies", own_policies),
        Fault("second_maximises", "player 2's response is an argmax", second_maximises),
        Fault("sign", "the second term has the first one's sign", sign),
        Fault("without_regularisation", "tau = 0 is allowed", without_regularisation),
    ),
    inherits=("Lemma 4", "Lemma 19"),
    remark="The proof takes uniqueness from Lemma 4, which needs a product class.",
    tried="Shared policies give a kink; on products, boundary policies and reducible chains were tried.",
)
