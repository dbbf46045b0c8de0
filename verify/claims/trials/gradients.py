r"""Gradient formulas along a direction, held to derivatives of the primitive definitions.

An equality of gradients is tested at a *site*: a problem, a point x, a policy and a direction u.  The
slope along u by the paper's formula is compared with the slope of the quantity itself, whose definition
is differentiated as a whole, policy iteration included:

    complex step     every site
    dual rationals   where the quantity is rational: exactly
    80 digits        some sites, from level standard on

At a tie of optimal actions a derivative follows one of them, so ties are admitted only where Assumption
1(b) makes them all agree; what happens otherwise is for the claims' faults, by difference quotients.

Both sides are analytic in all data, so a formula that is wrong is wrong at almost every site in general
position, along almost every direction.  The search goes where premises end: vertices, ties, reducible
chains, rare start states, tau next to 0, gamma 0 and next to 1.

What :mod:`reference` would contract at once is summed here as it is printed: visits, action values and
scores per state and pair of actions.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Generic, TypeVar

import numpy as np
from flint import arb, ctx, fmpq

from reference.evaluation import PolicyEvaluation
from reference.optimality import Optimum
from reference.policies import DirectPolicy, SoftmaxPolicy
from reference.problems.general_position import (
    general_distributions,
    general_point,
    general_regularizers,
    linear_family,
)
from reference.problems.mdp import Mdp, MdpFamily
from reference.problems.parametrizations import FixedKernel
from reference.problems.stackelberg import StackelbergGame
from reference.regularizers import Quadratic
from reference.validation import Array
from verify.claims.contract import Margin
from verify.claims.trials.instances import DRAWS, corners, generator_of, sparse
from verify.claims.trials.premises import differentiable, one_gradient
from verify.contract import Context, Level
from verify.crosscheck.matrix import RESOLVED
from verify.crosscheck.tolerances import UNIT, at_optimum, scale_of, x_gradient
from verify.oracles import balls, complex_step, rational
from verify.oracles import definitions as primitive
from verify.oracles.arithmetic import Arithmetic, Native, NumpyArithmetic

SECOND_OPINIONS = 25
"""From level standard on, one site in this many is also tried in dual rationals and with 80 digits."""

Problem = MdpFamily | StackelbergGame

ProblemT = TypeVar("ProblemT", MdpFamily, StackelbergGame)


@dataclass(frozen=True, eq=False)
class Site(Generic[ProblemT]):
    """Where a gradient formula is tried.

    Attributes
    ----------
    name : str
    problem : MdpFamily or StackelbergGame
    x : point of its domain
    pi_sa : (S, A)
        The (follower's) policy pi_y.
    u : array of the shape of x
        A direction that does not leave the domain.
    thorough : bool
        Whether further routes are asked.
    """

    name: str
    problem: ProblemT
    x: Array
    pi_sa: Array
    u: Array
    thorough: bool

    @property
    def mdp(self) -> Mdp:
        """The MDP at x."""
        return self.problem.at(self.x)

    def model(self, number: Arithmetic, x: Native) -> primitive.Model:
        """The MDP at x in the numbers of some arithmetic."""
        return primitive.model(number, self.problem, x)


# Sites.


def sites(
    context: Context, claim: str, *, kernel: bool = True, every: int = 1
) -> Iterator[Site[MdpFamily]]:
    """Families around small MDPs near corners, around MDPs in general position and the hard cases.

    Parameters
    ----------
    context : Context
    claim : str
        Seeds the draws.
    kernel : bool
        Whether the transitions depend on x as well as the rewards.
    every : int
        Take one instance in this many.
    """
    generator = generator_of(context, f"{claim} sites")
    for i, instance in enumerate(corners(context, claim)):
        if i % every:
            continue
        family = linear_family(generator, instance.mdp)
        if not kernel:
            mdp = instance.mdp
            family = MdpFamily(
                family.reward, FixedKernel(mdp.P_sat), mdp.gamma, mdp.rho_s, mdp.tau, mdp.regularizer
            )
        x = np.zeros(family.domain.shape) if i % 2 else general_point(generator, family.domain)
        u = generator.standard_normal(family.domain.shape)
        yield Site(instance.name, family, x, instance.pi_sa, u, _thorough(context, i))


def game_sites(
    context: Context, claim: str, *, boundary: bool = False, every: int = 1
) -> Iterator[Site[StackelbergGame]]:
    """Small Stackelberg games near corners, with softmax and direct leaders in turn.

    With ``boundary`` direct leaders rare actions unused; otherwise all their probabilities are positive.
    """
    generator = generator_of(context, f"{claim} games")
    for i in range(DRAWS[context.level]):
        game = _game(generator, (DirectPolicy, SoftmaxPolicy)[i % 2])
        shape, follower = game.domain.shape, (game.P_sabt.shape[0], game.P_sabt.shape[2])
        pi_sb = sparse(generator, follower, 0.3)
        if isinstance(game.leader, SoftmaxPolicy):
            x, u = generator.standard_normal(shape), generator.standard_normal(shape)
        else:
            x = sparse(generator, shape, 1.0)
            x = _truncated(x) if boundary else 0.9 * x + 0.1 / shape[1]
            # Towards another policy: the direction stays in the simplices.
            u = general_distributions(generator, shape) - x
        if i % every == 0:
            yield Site(_described(game), game, x, pi_sb, u, _thorough(context, i))


def _truncated(pi_sa: Array) -> Array:
    """The policy without its rare actions."""
    kept_sa = np.where(pi_sa < 0.3 * pi_sa.max(axis=1, keepdims=True), 0.0, pi_sa)
    return np.asarray(kept_sa / kept_sa.sum(axis=1, keepdims=True))


def _thorough(context: Context, i: int) -> bool:
    return context.level > Level.QUICK and i % SECOND_OPINIONS == 0


def _game(
    generator: np.random.Generator, leader: type[DirectPolicy] | type[SoftmaxPolicy]
) -> StackelbergGame:
    n_states, n_leader, n_follower = (int(k) for k in generator.integers(1, 4, 3))
    sharpness = float(10.0 ** generator.uniform(-2.5, 0.0))
    regularizers = general_regularizers(generator, n_states, n_follower)
    h = regularizers[str(generator.choice(list(regularizers)))]
    return StackelbergGame(
        sparse(generator, (n_states, n_leader, n_follower, n_states), sharpness),
        generator.standard_normal((n_states, n_leader, n_follower)),
        generator.standard_normal((n_states, n_leader, n_follower)),
        float(generator.choice([0.0, 0.5, 0.9, 0.99])),
        general_distributions(generator, (n_states,)),
        float(generator.choice([0.0, 0.03, 0.3, 2.0])),
        h,
        leader((n_states, n_leader)),
        0.7,
        Quadratic(),
    )


def _described(game: StackelbergGame) -> str:
    n_states, n_leader, n_follower, _ = game.P_sabt.shape
    return (
        f"S = {n_states}, A = {n_leader}, B = {n_follower}, gamma = {game.gamma:g}, tau = {game.tau:g}, "
        f"{type(game.leader).__name__}, {type(game.regularizer).__name__}"
    )


@dataclass(frozen=True, eq=False)
class PolicySite:
    """Where a gradient in the policy is tried: an MDP, a policy where V is differentiable, a direction.

    Attributes
    ----------
    name : str
    mdp : Mdp
    pi_sa, u_sa : (S, A)
        The direction leads to another policy.
    """

    name: str
    mdp: Mdp
    pi_sa: Array
    u_sa: Array

    def values(self, number: Arithmetic, pi_sa: Native) -> Native:
        """V^pi(s) as a function of the policy."""
        mdp = self.mdp
        m = primitive.Model(
            number.lift(mdp.P_sat),
            number.lift(mdp.r_sa),
            number.lift(mdp.gamma),
            number.lift(mdp.rho_s),
            number.lift(mdp.tau),
            mdp.regularizer,
            mdp.tau == 0.0,
        )
        return primitive.evaluate(number, m, pi_sa)

    @property
    def slopes(self) -> Array:
        """dV^pi(s) along the direction, by a complex step."""
        return slope(self.values, self.pi_sa, self.u_sa)

    @property
    def h_slopes(self) -> Array:
        """tau <grad h_s(pi(s)), d pi(s)>."""
        mdp = self.mdp
        if mdp.tau == 0.0:
            return np.zeros(mdp.n_states)
        return np.asarray(mdp.tau * (mdp.regularizer.gradient(self.pi_sa) * self.u_sa).sum(axis=1))

    def tolerance(self, own: PolicyEvaluation) -> float:
        """Of visits, of total mass at most the horizon, against slopes Q - tau grad h."""
        scale, mdp = scale_of(own), self.mdp
        h_sa = mdp.regularizer.gradient(self.pi_sa) if mdp.tau > 0.0 else np.zeros_like(self.pi_sa)
        slope_sa = np.abs(own.q_sa - mdp.tau * h_sa)
        error_sa = scale.q_error + 4.0 * UNIT * (mdp.tau * np.abs(h_sa) + slope_sa)
        moved = [float((rows * np.abs(self.u_sa)).sum(axis=1).max()) for rows in (slope_sa, error_sa)]
        return 2.0 * (scale.visits_error(1.0) * moved[0] + scale.horizon * moved[1])


def policy_sites(context: Context, claim: str) -> Iterator[PolicySite]:
    """Small MDPs near corners, in general position and the hard cases, where V is differentiable."""
    generator = generator_of(context, f"{claim} policies")
    for instance in corners(context, claim):
        if differentiable(instance.mdp, instance.pi_sa):
            u_sa = general_distributions(generator, instance.pi_sa.shape) - instance.pi_sa
            yield PolicySite(instance.name, instance.mdp, instance.pi_sa, u_sa)


# Derivatives.

Function = Callable[[Arithmetic, Native], Native]
"""(arithmetic, argument in its numbers) -> a number or an array of them."""


SETTLING = 1e-9
"""Change of the values, relative to rewards and values, below which policy iteration is as good as done:
from there it converges in one step, and its derivative in the next."""


@dataclass(frozen=True)
class _Complex(NumpyArithmetic):
    """Complex numbers whose policy iteration need not stand still to the last digit.

    Near vertices and with little regularisation the last digits of float64 go round in circles.
    """

    def optimum(self, m: primitive.Model) -> Native:
        v_s = primitive.evaluate(self, m, primitive.best_policy(self, m, m.r_sa))
        size, left = float(np.abs(m.r_sa).max()), primitive.SETTLED
        for _ in range(200):
            before = v_s
            v_s = primitive.evaluate(
                self, m, primitive.best_policy(self, m, primitive.backup(self, m, before))
            )
            change = float(np.abs(np.real(v_s - before)).max())
            left -= change <= SETTLING * (size + float(np.abs(v_s).max()))
            if left == 0:
                return v_s
        raise ArithmeticError("policy iteration did not settle in 200 iterations")


def _steady(number: NumpyArithmetic) -> _Complex:
    return _Complex(**{field.name: getattr(number, field.name) for field in fields(number)})


COMPLEX = _steady(complex_step.COMPLEX)


def slope(function: Function, z: Array, u: Array) -> Array:
    """Slope of a function along u, by a complex step."""
    number = COMPLEX
    moved = function(number, number.lift(z) + 1j * complex_step.STEP * u)
    return np.asarray(np.imag(moved) / complex_step.STEP)


def exact_slope(function: Function, z: Array, u: Array) -> Array:
    """Slope of a rational function along u, in dual rationals."""
    number, unit = rational.DUALS, rational.Dual(fmpq(0), fmpq(1))
    moved = np.asarray(function(number, number.lift(z) + unit * number.lift(u)), dtype=object)
    return np.array([rational.nearest(dual.b) for dual in moved.flat]).reshape(moved.shape)


def fine_slope(function: Function, z: Array, u: Array) -> Array:
    """Slope along u by a central difference with 80 digits and a step of 1e-20."""
    number, before = balls.BALLS, ctx.dps
    ctx.dps = balls.DIGITS
    try:
        step = arb(balls.STEP)
        start, direction = number.lift(z), number.lift(u)
        ends = [function(number, start + sign * step * direction) for sign in (1, -1)]
        return number.real((np.asarray(ends[0]) - np.asarray(ends[1])) / (2 * step))
    finally:
        ctx.dps = before


def slopes(
    site: Site[ProblemT], function: Function, z: Array, u: Array, *, optimum: bool
) -> Iterator[tuple[str, Array]]:
    """Slopes of a function of the site's problem by every route that applies.

    ``optimum`` says whether the function contains an optimal value, which is rational only at gamma = 0
    or tau = 0.
    """
    yield "complex step", slope(function, z, u)
    if site.thorough:
        traits = primitive.traits(site.problem)
        if not traits.transcendental and (not optimum or traits.unregularized or traits.gamma == 0.0):
            yield "dual rationals", exact_slope(function, z, u)
        yield "80 digits", fine_slope(function, z, u)


# Margins.


def equal(claimed: float, found: float, tolerance: float, where: str) -> Margin:
    """|claimed - found| <= 0 as |found| <= |found| - |claimed - found|.

    So the ratio is 1 at equality, and planting asks whether a formula wrong by that share is noticed.
    """
    return Margin(abs(found), abs(found) - abs(claimed - found), tolerance, where)


def told_apart(claimed: Array, found: Array, tolerance: float, where: str) -> Iterator[Margin]:
    """Margins of two arrays, entry by entry, where float64 can tell them apart.

    Entries of which the tolerance is more than a thousandth say nothing and are left out.
    """
    for i, (c, f) in enumerate(zip(np.ravel(claimed), np.ravel(found), strict=True)):
        if not tolerance > RESOLVED * max(abs(c), abs(f)):
            entry = f"[{i}]" if np.size(claimed) > 1 else ""
            yield equal(float(c), float(f), tolerance, f"{where}{entry}")


def held(
    site: Site[ProblemT],
    claimed: Array,
    function: Function,
    tolerance: float,
    what: str,
    *,
    optimum: bool,
) -> Iterator[Margin]:
    """Hold slopes along the site's direction in x to the function's, entry by entry, by every route."""
    for route, found in slopes(site, function, site.x, site.u, optimum=optimum):
        yield from told_apart(claimed, found, tolerance, f"{site.name}: {what}, by {route}")


def agreeing(site: Site[ProblemT], optimum: Optimum) -> bool:
    """Assumption 1(b), along the site's direction."""

    def backup(number: Arithmetic, x: Native) -> Native:
        return primitive.backup(number, site.model(number, x), number.lift(optimum.v_s))

    return optimum.mdp.tau > 0.0 or one_gradient(optimum, slope(backup, site.x, site.u))


def mean_q_slopes(site: Site[ProblemT], weights: tuple[Array, ...], companion_sa: Array) -> Array:
    """-E_rho sum_a w(a|s) grad_x Q^pi(s, a) along the direction, at pi = companion, for each w."""
    q_slope_sa = slope(action_values(site, companion_sa), site.x, site.u)
    rho_s = site.mdp.rho_s
    return np.array([-(rho_s[:, None] * w_sa * q_slope_sa).sum() for w_sa in weights])


# Tolerances of slopes: those of the entries of gradients in x, for both sides.


def own_tolerance(site: Site[ProblemT], evaluation: PolicyEvaluation) -> float:
    """Of a slope of V(mu) at a given policy, for any start distribution mu."""
    scale = scale_of(evaluation)
    entry = x_gradient(
        site.problem,
        scale,
        mass=scale.horizon,
        mass_error=scale.visits_error(1.0),
        value_error=scale.value_error,
    )
    return 2.0 * entry * float(np.abs(site.u).sum())


def best_tolerance(site: Site[ProblemT], optimum: Optimum) -> float:
    """Of a slope of V*(rho), or of weights of mass one against the slopes of Q*."""
    best = at_optimum(optimum)
    entry = x_gradient(
        site.problem,
        best.scale,
        mass=best.scale.horizon,
        mass_error=best.visits + best.scale.horizon * best.row,
        value_error=best.value,
    )
    return 2.0 * entry * float(np.abs(site.u).sum())


# Quantities by definition.


def value(site: Site[ProblemT], pi_sa: Array) -> Function:
    """V^pi(rho) as a function of x, at a policy that stays as it is."""

    def define(number: Arithmetic, x: Native) -> Native:
        m = site.model(number, x)
        return (m.rho_s * primitive.evaluate(number, m, number.lift(pi_sa))).sum(-1)

    return define


def action_values(site: Site[ProblemT], pi_sa: Array) -> Function:
    """Q^pi(s, a) as a function of x, at a policy that stays as it is."""

    def define(number: Arithmetic, x: Native) -> Native:
        m = site.model(number, x)
        return primitive.backup(number, m, primitive.evaluate(number, m, number.lift(pi_sa)))

    return define


def value_penalty(site: Site[ProblemT]) -> Function:
    """The value penalty (3.2) over all policies, as a function of x."""

    def define(number: Arithmetic, x: Native) -> Native:
        m = site.model(number, x)
        own_s = primitive.evaluate(number, m, number.lift(site.pi_sa))
        return (m.rho_s * (primitive.optimal_values(number, m) - own_s)).sum(-1)

    return define


def bellman_parts(site: Site[ProblemT]) -> Function:
    """g(x, y) of (3.6) and v(x) of (3.5), one after the other, as functions of x.

    The maxima over policies in (3.7) are those of the optimality equation: for all policies, or any
    class that is a product over the states, one policy is optimal in all states.
    """

    def define(number: Arithmetic, x: Native) -> Native:
        m = site.model(number, x)
        q_sa = primitive.backup(number, m, primitive.optimal_values(number, m))
        return number.stack(
            [
                (m.rho_s * (primitive.charge(number, m, pi_sa) - (pi_sa * q_sa).sum(-1))).sum(-1)
                for pi_sa in (number.lift(site.pi_sa), primitive.best_policy(number, m, q_sa))
            ]
        )

    return define
