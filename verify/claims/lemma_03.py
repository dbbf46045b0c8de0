r"""Lemma 3: local solutions with the value penalty, and which lambda they need.

With direct policies, f(x, .) L-Lipschitz, C = diam Y and mu the constant of Lemma 2::

    printed    lambda >= L C / delta          =>  p(z) <= delta at local solutions z
    proved     lambda >= L C / (mu delta), lambda > 0, likewise,   on products of closed convex sets,
               mu = (1 - gamma) m / (gamma + (1 - gamma) m),       m = min rho

Derivation.  Let z = (x, y) be a local solution of F = f + lambda p, y' in Y, d = y' - y and p' the
directional derivative of p(x, .) at y.  F does not decrease along d, and f changes by at most L per
length: -p'(d) <= L |d| / lambda <= L C / lambda.  No derivative of f is needed.  The largest -p'(d) is
the best linearised improvement, at least mu p(x, y) by Lemma 2 as proved here.  Hence
p <= L C / (mu lambda) <= delta.  With e = p(z) the point is a local solution of the relaxed problem:
f(z') - f(z) = [F(z') - F(z)] + lambda [p(z) - p(z')].

The printed proof uses Lemma 2 with its inverted constant, of which it only keeps that it is at least
1; so the error shows where mu < 1, with two states and gamma > 0.  At gamma = 0, and with one state,
the constant of Lemma 2 is 1 (with one state better than mu) and the printed lambda is right.

Attained: at gamma = 0 with as much to lose in each state, whole simplices.  For any gamma as it tends
to 1, on the MDP that attains Lemma 2: the rare state with "stay" (reward 1) and "leave", the other one
with "stay" and "go", of which at most a share beta is allowed.  The policy that leaves and stays is a
local solution as soon as f has the slope lambda m against staying, m = rho(rare); then p over its
bound is

    [m + (1 - m) beta gamma / (1 - gamma + gamma beta)] / [(gamma + (1 - gamma) m) sqrt(1 + beta^2)],

which tends to 1 as gamma -> 1 and then beta -> 0.

Local solutions are not searched for: f is made for a policy that is then proven to be one; see
:mod:`verify.claims.trials.local_solutions`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from reference.evaluation import PolicyEvaluation, evaluate, policy_gradient
from reference.optimality import policy_iteration
from reference.problems.mdp import Mdp
from reference.regularizers import Quadratic
from reference.validation import Array
from verify.claims import exact
from verify.claims.contract import Claim, Fault, Form, Margin, Proof, Refutation
from verify.claims.exact import dominance, facts
from verify.claims.trials.instances import Instance, adversary, corners, generator_of, simplex, unit
from verify.claims.trials.local_solutions import holding_slopes, is_interior_solution, some_vertex
from verify.claims.trials.measures import (
    Measured,
    diameter,
    dominance_constant,
    lipschitz,
    start_value,
)
from verify.contract import Context
from verify.crosscheck.tolerances import UNIT, policy_gradient_tolerance


@dataclass(frozen=True, eq=False)
class Local:
    """A local solution for f = <c, y> and a lambda.

    Attributes
    ----------
    name : str
    mdp : Mdp
    p : Measured
    slope, slope_error : float
        L, and how much larger it may be for the f that is solved exactly.
    width : float
        The diameter of Y.
    strength : float
        lambda.
    """

    name: str
    mdp: Mdp
    p: Measured
    slope: float
    slope_error: float
    width: float
    strength: float

    def margin(self, constant: float) -> Margin:
        """p <= L C / (lambda constant)."""
        scale = self.width / (self.strength * constant)
        rounding = self.p.error + scale * (self.slope_error + 8.0 * UNIT * self.slope)
        return Margin(self.p.value, scale * self.slope, rounding, self.name)


def gradient_error(own: PolicyEvaluation) -> Array:
    """Bound on the rounding of the policy gradient, entry by entry."""
    mdp = own.mdp
    h_gradient_sa = mdp.regularizer.gradient(own.pi_sa) if mdp.tau > 0.0 else np.zeros_like(own.pi_sa)
    return policy_gradient_tolerance(own, own.q_sa - mdp.tau * h_gradient_sa, h_gradient_sa)


def value_gap(own: PolicyEvaluation) -> Measured:
    """The value penalty."""
    return start_value(policy_iteration(own.mdp)) - start_value(own)


def vertex(name: str, mdp: Mdp, vertex_sa: Array, strength: float) -> Local:
    """A deterministic policy, and the least slopes that hold it."""
    own = evaluate(mdp, vertex_sa)
    gradient_sa, error_sa = -strength * policy_gradient(own), strength * gradient_error(own)
    slope = lipschitz(holding_slopes(gradient_sa, error_sa, vertex_sa))
    return Local(name, mdp, value_gap(own), slope, 0.0, diameter(vertex_sa.shape), strength)


def interior(name: str, mdp: Mdp, pi_sa: Array, strength: float) -> Local | None:
    """A policy on the way from the optimal one to the given, proven to be a solution; or none."""
    optimal_sa = policy_iteration(mdp).pi_sa
    for share in 0.5 ** np.arange(8):
        blend_sa = optimal_sa + share * (pi_sa - optimal_sa)
        own = evaluate(mdp, blend_sa / blend_sa.sum(axis=-1, keepdims=True))
        if np.isfinite(mdp.regularizer.gradient(own.pi_sa)).all() and is_interior_solution(own):
            slope = lipschitz(strength * policy_gradient(own))
            change = strength * float(np.linalg.norm(gradient_error(own)))
            p, width = value_gap(own), diameter(pi_sa.shape)
            return Local(f"{name}, interior", mdp, p, slope, change, width, strength)
    return None


def tight(gamma: float, rare: float, beta: float) -> Local:
    """The family that attains the constant; "go" with probability beta is the other state's action 0."""
    P_sat = np.array([[[1.0, 0.0], [0.0, 1.0]], [[beta, 1.0 - beta], [0.0, 1.0]]])
    r_sa = np.array([[1.0, 0.0], [0.0, 0.0]])
    mdp = Mdp(P_sat, r_sa, gamma, np.array([rare, 1.0 - rare]), 0.0, Quadratic())
    vertex_sa = np.array([[0.0, 1.0], [0.0, 1.0]])
    own = evaluate(mdp, vertex_sa)
    c_sa = holding_slopes(-policy_gradient(own), gradient_error(own), vertex_sa)
    # Along the other state's segment, whose length is beta times that of the whole simplex.
    slope = lipschitz(c_sa / np.array([[1.0], [beta]]))
    width = float(np.sqrt(2.0 + 2.0 * beta**2))
    name = f"rare state with probability {rare:g}, gamma = {gamma:g}, beta = {beta:g}"
    return Local(name, mdp, value_gap(own), slope, 0.0, width, 1.0)


def smooth(instance: Instance) -> bool:
    """Whether the value has a gradient at vertices."""
    return bool(np.isfinite(instance.mdp.regularizer.smoothness)) or instance.mdp.tau == 0.0


def solutions(context: Context) -> Iterator[Local]:
    """The tight ones, vertices of every MDP with a smooth h, and interior points where tau > 0."""
    yield tight(0.9999, 0.5, 0.05)
    yield tight(0.99, 0.1, 0.2)
    yield tight(0.5, 0.5, 1.0)
    generator = generator_of(context, "lemma_03 solutions")
    for instance in corners(context, "lemma_03"):
        mdp, name = instance.mdp, instance.name
        if mdp.rho_s.min() == 0.0 or mdp.n_actions == 1:
            continue
        strength = float(10.0 ** generator.uniform(-1.0, 2.0))
        if smooth(instance):
            vertex_sa = some_vertex(generator, mdp.n_states, mdp.n_actions)
            yield vertex(name, mdp, vertex_sa, strength)
        if mdp.tau > 0.0:
            found = interior(name, mdp, instance.pi_sa, strength)
            if found is not None:
                yield found


def decoded(z: Array) -> Local:
    """Two states, two actions, tau = 0, lambda = 1 and the vertex (1, 1), from ten numbers.

    The best of the four deterministic policies is optimal.
    """
    P_sat = simplex(np.stack([z[:4], -z[:4]], axis=-1)).reshape(2, 2, 2)
    r_sa, gamma, rare = np.tanh(z[4:8]).reshape(2, 2), 0.999 * unit(z[8]), 0.01 + 0.49 * unit(z[9])
    rho_s = np.array([rare, 1.0 - rare])
    mdp = Mdp.unchecked(P_sat, r_sa, gamma, rho_s, 0.0, Quadratic())
    choice_ks = np.array([[1, 1], [0, 0], [0, 1], [1, 0]])
    chain_kst, reward_ks = P_sat[np.arange(2), choice_ks], r_sa[np.arange(2), choice_ks]
    resolvent_kst = np.linalg.inv(np.eye(2) - gamma * chain_kst)
    v_ks = (resolvent_kst @ reward_ks[..., None])[..., 0]
    visits_s, q_sa = rho_s @ resolvent_kst[0], r_sa + gamma * P_sat @ v_ks[0]
    fall_s = visits_s * np.maximum(q_sa[:, 0] - q_sa[:, 1], 0.0)
    slope = float(np.linalg.norm(fall_s)) / np.sqrt(2.0)
    error = 200.0 * UNIT / (1.0 - gamma) ** 2
    p = Measured(float((v_ks @ rho_s).max() - v_ks[0] @ rho_s), error)
    return Local("two states, climbed to", mdp, p, slope, error / (1.0 - gamma), 2.0, 1.0)


def trials(context: Context) -> Iterator[Margin]:
    """All solutions, and where a climb on the ratio ends."""
    for local in solutions(context):
        yield local.margin(dominance_constant(local.mdp))

    def climbed(z: Array) -> Margin:
        local = decoded(z)
        return local.margin(dominance_constant(local.mdp))

    yield from adversary(context, "lemma_03", 10, climbed)


def without_mu(context: Context) -> Iterator[Margin]:
    """The printed constant."""
    for local in solutions(context):
        yield local.margin(1.0)


def too_large(context: Context) -> Iterator[Margin]:
    """Mu 2% too large."""
    for local in solutions(context):
        yield local.margin(1.02 * dominance_constant(local.mdp))


def refute_constant(content: dict[str, Any]) -> None:
    """A local solution with p > delta although lambda >= L diam(Y) / delta, exactly.

    The vertex y is a local solution: by the performance difference identity and the convexity of h,
    F(y') - F(y) is at least the sum over s and b of y'(b|s) times

        c(s,b) - c(s,a(s)) - lambda v'(s) [slope(s,b) - slope(s,a(s))],       v' the visits of y',

    where each bracket is positive at v, hence near it, or nonnegative for any v' >= 0.
    """
    mdp = exact.ExactMdp.parse(content["mdp"], content["tau"])
    c_sa, vertex_sa = exact.fractions(content["c"]), exact.policy(content["y"])
    slope, width, strength, delta = (exact.fraction(content[k]) for k in ("L", "C", "lambda", "delta"))
    exact.require(all(p in (0, 1) for p in vertex_sa.flat), "y is no vertex")
    exact.require(exact.total(c_sa * c_sa) <= slope**2, "f is not L-Lipschitz")
    exact.require(2 * len(mdp.rho_s) == width**2, "C is not the diameter of the whole simplices")
    exact.require(strength > 0 and strength * delta >= slope * width, "lambda is too small")
    visits_s, slope_sa = mdp.visits(vertex_sa), mdp.action_values(vertex_sa) - mdp.tau * vertex_sa
    for visits, c_a, slope_a, own_a in zip(visits_s, c_sa, slope_sa, vertex_sa, strict=True):
        price_a, gain_a = c_a - exact.total(c_a * own_a), slope_a - exact.total(slope_a * own_a)
        for own, price, gain in zip(own_a, price_a, gain_a, strict=True):
            held = price > strength * visits * gain or (price >= 0 and gain <= 0)
            exact.require(own == 1 or held, "F may decrease along an edge")
    gap = mdp.start_value(mdp.best_deterministic()) - mdp.start_value(vertex_sa)
    exact.same("p(y)", gap, content["lhs"])
    exact.same("delta", delta, content["rhs"])
    exact.greater("the penalty exceeds delta", gap, delta)


def refute_class(content: dict[str, Any]) -> None:
    """On one policy shared by both states, f = 0 and t = 0 is a local solution for every lambda.

    The slope of V(rho) along the class is negative at t = 0, the end of the segment.
    """
    mdp = exact.ExactMdp.parse(content["mdp"], content["tau"])
    gap, delta = exact.gap_at_a_stuck_end(mdp, content["slope"]), exact.fraction(content["delta"])
    exact.same("a lower bound of p", gap, content["lhs"])
    exact.same("delta", delta, content["rhs"])
    exact.require(delta > 0, "delta must be positive")
    exact.greater("the penalty exceeds delta", gap, delta)


CLAIM = Claim(
    number="Lemma 3",
    title="local solutions with the value penalty",
    premise="direct policies; f(x, .) is L-Lipschitz on Y; rho > 0; delta > 0; lambda > 0",
    printed=Form(
        words="With lambda at least L diam(Y) / delta, the penalty is at most delta at every local "
        "solution of the penalised problem, which therefore solves the relaxed one locally.",
        formula=r"\lambda\ge LC_u\delta^{-1}\ \Rightarrow\ "
        r"\epsilon_\lambda=p(x_\lambda,y_\lambda)\le\delta,\quad C_u=\max_{y,y'\in\mathcal{Y}}\|y-y'\|",
        refutations=(
            Refutation("L03_constant", refute_constant),
            Refutation("L03_class", refute_class),
        ),
    ),
    proved=Form(
        words="The same on products of closed convex sets with lambda at least L diam(Y) / (mu delta), "
        "mu the constant of Lemma 2; no smaller one will do.",
        formula=r"\lambda\ge\frac{LC_u}{\mu\,\delta}\ \Rightarrow\ "
        r"p(x_\lambda,y_\lambda)\le\frac{LC_u}{\mu\,\lambda}\le\delta,\quad "
        r"\mu=\frac{(1-\gamma)\min_s\rho(s)}{\gamma+(1-\gamma)\min_s\rho(s)}",
        trials=trials,
        proofs=(
            Proof("gradient dominance against the slope that holds F", dominance.of_solutions),
            Proof("a solution stays one in the relaxed problem", dominance.of_relaxed),
        ),
        textbook=(facts.MAXIMUM,),
    ),
    faults=(
        Fault("without_mu", "the constant of gradient dominance is 1", without_mu),
        Fault("too_large", "the constant of gradient dominance is 2% above the best one", too_large),
    ),
    inherits=("Lemma 2",),
    remark="The proof takes Lemma 2 with its inverted constant and then drops it as being at least 1. "
    "It also differentiates f, which is only Lipschitz, and (B.16) has a minimum where a maximum is "
    "meant.  With L = 0 the text would allow lambda = 0, where nothing is penalised.",
    tried="Vertices and interior points proven to be local solutions, uneven rho, gamma near 1: "
    "fails by mu; on shared policies for every lambda.",
)
