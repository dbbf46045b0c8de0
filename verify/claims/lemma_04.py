r"""Lemma 4: the Bellman penalty measures how far a policy is from optimal.

With g of (3.6), v = min g, p = g - v, m = min rho, h_s 1-strongly convex and tau > 0::

    printed   (i)    one optimal policy pi*, and argmin g = Y* = {pi*}, on every convex class
              (ii)   p(y) <= eps  =>  |y - pi*|^2 <= eps / tau
              (iii)  |f* - f*_eps| <= L sqrt(eps / tau)
    proved    (i)    on every product of closed convex sets; with growth, for every state s,
                         V*(s) - V^pi(s) >= (tau / 2) |pi(s) - pi*(s)|^2
              (ii)   |y - pi*|^2 <= 2 eps / (tau m)
              (iii)  |f* - f*_eps| <= L sqrt(2 eps / (tau m)),    f* and f*_eps minima over x and y

Derivation.  (i) On a product of closed convex sets Pi_s let T v(s) be the maximum over p in Pi_s of
<p, r + gamma P v> - tau h_s(p).  T is monotone and contracts by gamma; at its fixed point w each
maximum has one maximiser pi*(s), since h_s is strongly convex.  V^{pi*} = w, and T v >= T^pi v gives
w >= V^pi in all states, so pi* is optimal everywhere and Q* = r + gamma P w is the maximum of (3.7).
The minimum of g over a product is taken state by state, and there it is pi*(s).  A strongly concave
function falls off its maximiser by (tau / 2) |p - pi*(s)|^2 at least, so the one-step loss

    b(s) = w(s) - <pi(s), Q*(s,.)> + tau h_s(pi(s))  >=  (tau / 2) |pi(s) - pi*(s)|^2,

and w - V^pi = (I - gamma P_pi)^{-1} b >= b.  Hence the growth; and as rho > 0, Y* = {pi*}.

(ii) p = E_rho b >= (tau / 2) E_rho |y_s - pi*(s)|^2 >= (tau m / 2) |y - pi*|^2.  (iii) f*_eps <= f*, as
pi* is feasible.  If f(x, y) comes within any margin of f*_eps with p(x, y) <= eps, then f* <= f(x, pi*)
<= f(x, y) + L |y - pi*|.

Both bounds are attained: the quadratic, and an f that pulls in the rarest state only, where the
solution stays inside its simplex.  The printed proof uses (3.7)'s modulus tau for tau m and forgets
the 1/2 of strong convexity.  Each of the two errors is refuted by itself.

The class.  On a convex class that is no product, such as one policy shared by two states, V(rho) may
have two maximisers; and when one policy is optimal in every state, argmin g may still be another,
since g weights the states by rho and not by how often they are visited.  (The text also allows an h
that jumps at a vertex, and then no policy need be optimal: h is taken continuous here.)

Part (iii) is tried with linear f, for which the solution of min f + lambda p solves BM_eps with
eps = p; its sides are compared as squares.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from reference.evaluation import evaluate
from reference.optimality import Optimum, policy_iteration
from reference.problems.mdp import Mdp
from reference.validation import Array
from verify.claims import exact
from verify.claims.contract import Claim, Fault, Form, Margin, Refutation
from verify.claims.instances import corners, generator_of
from verify.claims.measures import Measured, bellman_gap, lipschitz, relative
from verify.claims.penalized import linear_solution, random_slopes
from verify.contract import Context
from verify.crosscheck.tolerances import UNIT


@dataclass(frozen=True, eq=False)
class Case:
    """A regularised MDP with its optimum, a policy, and the slopes of an upper objective.

    Attributes
    ----------
    name : str
    optimum : Optimum
    q_sa : (S, A)
        Q* from the best action down.
    pi_sa : (S, A)
    c_sa : (S, A)
        f(y) = <c, y>.
    strength : float
        The penalty constant whose solution is tried.
    """

    name: str
    optimum: Optimum
    q_sa: Array
    pi_sa: Array
    c_sa: Array
    strength: float

    @property
    def mdp(self) -> Mdp:
        """The MDP."""
        return self.optimum.mdp

    @property
    def star_sa(self) -> Array:
        """argmin g."""
        return self.mdp.regularizer.argmax(self.q_sa, self.mdp.tau)

    @property
    def star_error(self) -> float:
        """Rounding of it, as a policy of the given q."""
        mdp = self.mdp
        largest = float(np.abs(self.q_sa).max()) / mdp.tau + 1.0
        return float(np.sqrt(mdp.n_states * mdp.n_actions)) * (mdp.n_actions + 12) * UNIT * largest


def cases(context: Context) -> Iterator[Case]:
    """Every regularised MDP whose h is 1-strongly convex, with rho > 0."""
    generator = generator_of(context, "lemma_04 slopes")
    for instance in corners(context, "lemma_04"):
        mdp = instance.mdp
        if mdp.tau == 0.0 or mdp.regularizer.strong_convexity < 1.0 or mdp.rho_s.min() == 0.0:
            continue
        strength = float(10.0 ** generator.uniform(-1.0, 2.0))
        optimum = policy_iteration(mdp)
        q_sa, c_sa = relative(optimum.q_sa), random_slopes(generator, mdp, strength)
        yield Case(instance.name, optimum, q_sa, instance.pi_sa, c_sa, strength)


def shortfall(case: Case, pi_sa: Array, growth: float) -> Margin:
    """growth |pi(s) - pi*(s)|^2 <= V*(s) - V^pi(s), at the state where it is tightest."""
    own, optimum = evaluate(case.mdp, pi_sa), case.optimum
    rounding = float(np.max(own.error) + np.max(optimum.error))
    distance_s = np.linalg.norm(pi_sa - case.star_sa, axis=-1)
    needed_s, lost_s = growth * distance_s**2, optimum.v_s - own.v_s
    state = int((needed_s - lost_s).argmax())
    rounding += 2.0 * growth * float(distance_s[state] + case.star_error) * case.star_error
    return Margin(float(needed_s[state]), float(lost_s[state]), rounding, case.name)


def optimal(case: Case, q_sa: Array) -> Margin:
    """The minimiser of g loses nothing; g is built from the given action values."""
    own, optimum = evaluate(case.mdp, case.mdp.regularizer.argmax(q_sa, case.mdp.tau)), case.optimum
    # The policy's own rounding and that of Q* count to first order: each costs at most its size in a
    # step, by the slope of <p, Q> - tau h, which vanishes along the simplex or points outwards.
    loss = float((optimum.v_s - own.v_s).max())
    slope = float(np.abs(case.q_sa).max()) + case.mdp.tau
    step = slope * case.star_error + 2.0 * float(np.max(optimum.error))
    rounding = float(np.max(own.error) + np.max(optimum.error)) + step / (1.0 - case.mdp.gamma)
    return Margin(loss, 0.0, rounding, case.name)


def distance(case: Case, pi_sa: Array, factor: float) -> Margin:
    """|y - pi*|^2 <= factor * eps with eps = p(y)."""
    gap = bellman_gap(case.mdp, case.q_sa, pi_sa)
    off = float(np.linalg.norm(pi_sa - case.star_sa))
    rounding = factor * gap.error + 2.0 * (off + case.star_error) * case.star_error
    return Margin(off**2, factor * gap.value, rounding, case.name)


def objective(case: Case, factor: float) -> tuple[Array, Margin]:
    """(f* - f*_eps)^2 <= L^2 factor eps, eps the penalty of a solution; and that solution."""
    found = linear_solution(case.mdp, case.q_sa, case.c_sa, case.strength)
    gap = bellman_gap(case.mdp, case.q_sa, found.pi_sa)
    step_sa, slope = case.star_sa - found.pi_sa, lipschitz(case.c_sa)
    along_sa = case.c_sa - case.c_sa.mean(axis=-1, keepdims=True)
    off = found.change * float(np.linalg.norm(step_sa)) + slope * case.star_error
    off += 4.0 * UNIT * step_sa.size * slope
    gain = Measured(float((along_sa * step_sa).sum()), off)
    bound = factor * slope**2 * gap.value
    rounding = 2.0 * abs(gain.value) * gain.error + gain.error**2
    rounding += factor * (slope + found.change) ** 2 * gap.error
    rounding += (
        ((1.0 + found.change / slope) ** 2 - 1.0 + 8.0 * UNIT) * abs(bound) if slope > 0.0 else 0.0
    )
    return found.pi_sa, Margin(gain.value**2, bound, rounding, case.name)


def best(mdp: Mdp) -> float:
    """2 / (tau min rho)."""
    return 2.0 / (mdp.tau * float(mdp.rho_s.min()))


def margins(case: Case, factor: float) -> Iterator[Margin]:
    """All parts, with a factor in place of 2 / (tau min rho)."""
    solution_sa, value = objective(case, factor)
    yield value
    for pi_sa in (case.pi_sa, solution_sa):
        yield shortfall(case, pi_sa, 0.5 * case.mdp.tau)
        yield distance(case, pi_sa, factor)
    yield optimal(case, case.q_sa)


def trials(context: Context) -> Iterator[Margin]:
    """All parts on all cases."""
    for case in cases(context):
        yield from margins(case, best(case.mdp))


def one_for_two(context: Context) -> Iterator[Margin]:
    """1.9 / (tau min rho)."""
    for case in cases(context):
        yield from margins(case, 0.95 * best(case.mdp))


def without_rho(context: Context) -> Iterator[Margin]:
    """2 / tau."""
    for case in cases(context):
        yield from margins(case, 2.0 / case.mdp.tau)


def own_action_values(context: Context) -> Iterator[Margin]:
    """G from the action values of some policy."""
    for case in cases(context):
        yield optimal(case, relative(evaluate(case.mdp, case.pi_sa).q_sa))


def start_not_everywhere(context: Context) -> Iterator[Margin]:
    """Rho vanishes in one state of several; the smallest positive rho stands for the minimum."""
    for case in cases(context):
        mdp = case.mdp
        if mdp.n_states == 1:
            continue
        rho_s = np.where(np.arange(mdp.n_states) == 0, 0.0, mdp.rho_s)
        rho_s /= rho_s.sum()
        optimum = replace(case.optimum, mdp=replace(mdp, rho_s=rho_s))
        elsewhere_s1 = np.arange(mdp.n_states)[:, None] > 0
        moved_sa = np.where(elsewhere_s1, case.star_sa, case.pi_sa)
        factor = 2.0 / (mdp.tau * float(rho_s[1:].min()))
        yield distance(replace(case, optimum=optimum), moved_sa, factor)


def refute_distance(content: dict[str, Any]) -> None:
    """p(y) <= eps and |y - pi*|^2 > eps / tau, exactly; h is ``weight`` times |p|^2 / 2."""
    tau, weight = exact.fraction(content["tau"]), exact.fraction(content["weight"])
    eps = exact.fraction(content["eps"])
    mdp = exact.ExactMdp.parse(content["mdp"], str(tau * weight))
    y_sa, optimal_sa = exact.policy(content["y"]), exact.policy(content["optimal"])
    exact.require(tau > 0 and weight >= 1, "h is not 1-strongly convex")
    exact.same("p(y)", mdp.bellman_penalty(y_sa, optimal_sa), content["eps"])
    squared = exact.total((y_sa - optimal_sa) ** 2)
    exact.same("|y - pi*|^2", squared, content["lhs"])
    exact.same("eps / tau", eps / tau, content["rhs"])
    exact.greater("the distance is too large", squared, eps / tau)


def refute_value(content: dict[str, Any]) -> None:
    """A feasible y with f(pi*) - f(y) > L sqrt(eps / tau), exactly; f = <c, y>."""
    mdp = exact.ExactMdp.parse(content["mdp"], content["tau"])
    c_sa, slope, eps = (
        exact.fractions(content["c"]),
        *map(exact.fraction, (content["L"], content["eps"])),
    )
    y_sa, optimal_sa = exact.policy(content["y"]), exact.policy(content["optimal"])
    exact.require(exact.total(c_sa * c_sa) <= slope**2, "f is not L-Lipschitz")
    exact.require(mdp.bellman_penalty(y_sa, optimal_sa) <= eps, "y is not feasible")
    gain = exact.total(c_sa * (optimal_sa - y_sa))
    bound = exact.fraction(content["rhs"])
    exact.require(bound > 0 and bound**2 * mdp.tau == slope**2 * eps, "rhs is not L sqrt(eps / tau)")
    exact.same("f* - f(y)", gain, content["lhs"])
    exact.greater("f*_eps is too far below f*", gain, bound)


def refute_unique(content: dict[str, Any]) -> None:
    """Of the policies shared by both states, exactly those listed maximise V(rho).

    V at t = 0 exceeds V at t by ``growth`` t (1 - t) at least.
    """
    mdp = exact.ExactMdp.parse(content["mdp"], content["tau"])
    exact.require(mdp.tau > 0, "tau must be positive")
    (t,) = exact.indeterminates("t")
    numerator_s, denominator = mdp.value_fractions(exact.shared(t, 2))
    highest = mdp.start_value(exact.shared(exact.fraction(0), 2))
    growth = exact.fraction(content["growth"])
    exact.greater("the growth is positive", growth, exact.fraction(0))
    exact.nonnegative(
        "V(0) - V(t) - growth t (1 - t)",
        denominator * (highest - growth * t * (1 - t)) - exact.total(mdp.rho_s * numerator_s),
        (exact.fraction(0), exact.fraction(1)),
    )
    maximisers = [exact.fraction(one) for one in content["optimal"]]
    exact.require(all(one * (1 - one) == 0 for one in maximisers), "an interior t is no maximiser")
    for one in maximisers:
        exact.same(f"V at t = {one}", mdp.start_value(exact.shared(one, 2)), content["value"])
    exact.same("the number of optimal policies", exact.fraction(len(set(maximisers))), content["lhs"])
    exact.same("one is claimed", exact.fraction(1), content["rhs"])
    exact.greater("there are several", exact.fraction(content["lhs"]), exact.fraction(content["rhs"]))


def refute_argmin(content: dict[str, Any]) -> None:
    """The shared policy t = 0 alone is optimal, in every state; g is least at t = 1.

    V(0) exceeds V(t) by ``growth`` t in both states, and g(t) exceeds g(1) by ``fall`` (1 - t).
    """
    mdp = exact.ExactMdp.parse(content["mdp"], content["tau"])
    exact.require(mdp.tau > 0, "tau must be positive")
    growth, fall = exact.fraction(content["growth"]), exact.fraction(content["fall"])
    exact.require(growth > 0 and fall > 0, "growth and fall must be positive")
    unit = (exact.fraction(0), exact.fraction(1))
    (t,) = exact.indeterminates("t")
    optimal_sa, least_sa = (exact.shared(exact.fraction(content[side]), 2) for side in ("rhs", "lhs"))
    family_sa = exact.shared(t, 2)
    numerator_s, denominator = mdp.value_fractions(family_sa)
    for value, numerator in zip(mdp.values(optimal_sa), numerator_s, strict=True):
        exact.nonnegative("V(0) - V(t) - growth t", denominator * (value - growth * t) - numerator, unit)
    # The optimal values are those of one policy in every state, so its Q is the maximum of (3.7).
    q_sa = mdp.action_values(optimal_sa)

    def g(pi_sa: exact.Rationals) -> Any:
        return exact.total(mdp.rho_s * (mdp.tau * exact.quadratic(pi_sa) - (pi_sa * q_sa).sum(axis=1)))

    exact.nonnegative("g(t) - g(1) - fall (1 - t)", g(family_sa) - g(least_sa) - fall * (1 - t), unit)
    exact.require(
        content["lhs"] == "1" and content["rhs"] == "0", "argmin g is t = 1, and t = 0 optimal"
    )


CLAIM = Claim(
    number="Lemma 4",
    title="the Bellman penalty measures the distance to the optimal policy",
    premise="tau > 0; h_s is 1-strongly convex and continuous; rho > 0; f(x, .) is L-Lipschitz",
    printed=Form(
        words="On every convex class there is one optimal policy, the one minimiser of g; a policy "
        "with penalty at most eps is within sqrt(eps / tau) of it, and the optimal values of the two "
        "problems are within L sqrt(eps / tau).",
        formula=r"\arg\min_yg(x,y)=\mathcal{Y}^*(x)=\{\pi^*_y(x)\},\quad "
        r"\|y_\epsilon-\pi^*_y(x)\|^2\le\tau^{-1}\epsilon,\quad "
        r"|f^*-f^*_\epsilon|\le L\sqrt{\tau^{-1}\epsilon}",
        refutations=(
            Refutation("L04_half", refute_distance),
            Refutation("L04_rho", refute_distance),
            Refutation("L04_value", refute_value),
            Refutation("L04_class_two", refute_unique),
            Refutation("L04_class_argmin", refute_argmin),
        ),
    ),
    proved=Form(
        words="On a product of closed convex sets there is one optimal policy, the one minimiser of g, "
        "and other policies fall short of it quadratically in every state; with m the smallest start "
        "probability, the distances are at most sqrt(2 eps / (tau m)) and L times that.",
        formula=r"V^*(s)-V^\pi(s)\ge\tfrac{\tau}{2}\|\pi(s)-\pi^*(s)\|^2,\quad "
        r"\|y_\epsilon-\pi^*\|^2\le\frac{2\epsilon}{\tau\min_s\rho(s)},\quad "
        r"|f^*-f^*_\epsilon|\le L\sqrt{\frac{2\epsilon}{\tau\min_s\rho(s)}}",
        trials=trials,
    ),
    faults=(
        Fault("one_for_two", "1.9 for 2 in the squared distance", one_for_two),
        Fault("without_rho", "the squared distance is 2 eps / tau", without_rho),
        Fault(
            "own_action_values", "g has the action values of another policy for Q*", own_action_values
        ),
        Fault("start_not_everywhere", "rho vanishes in a state", start_not_everywhere),
    ),
    inherits=("(3.7)",),
    remark="The first part is right for product classes, which its proof takes for granted when it "
    "maximises state by state.  The second takes the modulus tau from (3.7), where tau min rho is "
    "right, and loses the 1/2 of strong convexity.",
)
