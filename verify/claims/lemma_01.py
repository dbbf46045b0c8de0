r"""Lemma 1: global solutions with the value penalty.

With F = f + lambda p, p the value penalty and max |f| = C / 2::

    printed    lambda >= C / delta,  F(z) <= inf F + eps
               =>  with e = p(z):   e <= delta + eps / lambda,   f(z) <= f(z') + eps  if p(z') <= e

It is right, and the bound of e is attained.

Derivation.  Let z = (x, y), y* optimal at x and z* = (x, y*), so that p(z*) = 0.  The slacks

    (i)  F(z*) + eps - F(z),   (ii)  C - f(z*) + f(z),   (iii)  lambda delta - C

are nonnegative, and their sum is lambda delta + eps - lambda p(z).  For z' with p(z') <= p(z), the
slacks (iv) F(z') + eps - F(z) and (v) p(z) - p(z') give f(z') + eps - f(z) = (iv) + lambda (v).
Nothing but these is used: p may be any function that is nonnegative and zero at some y for every x,
C any bound of max f(x, .) - min f(x, .), and neither convexity nor compactness matters.

The level must be e = p(z) itself; with delta + eps / lambda in its place the second part is false.
The text allows f = 0 and lambda = 0, where eps / lambda means nothing: lambda > 0 is understood.

Attained: S = 1, gamma = 0, V = K pi(1), f = C pi(1) - C / 2 with lambda K >= C, at pi(1) = 0.  Then
inf F = C / 2 at pi(1) = 1, eps = F - inf F = lambda K - C, and p = K = delta + eps / lambda.

The trials are reward shaping (2.6): f = C / 2 - (V_g(rho) - min V_g(rho)) with another reward g.
Then f + lambda p is a constant minus the value for the reward g + lambda r at temperature lambda tau,
so its infimum is known from policy iteration, and eps is the smallest that makes a policy an
eps-minimum.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from flint import fmpq

from reference.evaluation import evaluate
from reference.optimality import policy_iteration
from reference.problems.mdp import Mdp
from reference.regularizers import Quadratic
from reference.validation import Array
from verify.claims import exact
from verify.claims.contract import Claim, Fault, Form, Margin, Proof
from verify.claims.trials.instances import Instance, corners, generator_of
from verify.claims.trials.measures import Measured, start_value
from verify.contract import Context


@dataclass(frozen=True)
class Judged:
    """A policy: f up to a constant, p, and the smallest eps that makes it an eps-minimum of F."""

    f: Measured
    p: Measured
    eps: Measured


@dataclass(frozen=True)
class Shaping:
    """A shaping problem with some policies.

    Attributes
    ----------
    name : str
    strength : float
        The penalty constant lambda.
    spread : Measured
        C.
    policies : tuple of Judged
    """

    name: str
    strength: float
    spread: Measured
    policies: tuple[Judged, ...]


def shaping(lower: Instance, upper_sa: Array, strength: float) -> Shaping:
    """Judge the given policy, and those that solve the upper problem, its opposite and F."""
    mdp = lower.mdp
    upper = replace(mdp, r_sa=upper_sa, tau=0.0, regularizer=Quadratic())
    highest, lowest = policy_iteration(upper), policy_iteration(replace(upper, r_sa=-upper_sa))
    combined = replace(mdp, r_sa=upper_sa + strength * mdp.r_sa, tau=strength * mdp.tau)
    solved = policy_iteration(combined)
    best, least = start_value(policy_iteration(mdp)), start_value(solved)

    def judge(pi_sa: Array) -> Judged:
        own, gained = start_value(evaluate(mdp, pi_sa)), start_value(evaluate(upper, pi_sa))
        return Judged(-1.0 * gained, best - own, least - (gained + strength * own))

    policies = (lower.pi_sa, solved.pi_sa, highest.pi_sa, lowest.pi_sa)
    spread = start_value(highest) + start_value(lowest)
    return Shaping(lower.name, strength, spread, tuple(judge(pi_sa) for pi_sa in policies))


def tight(gain: float, spread: float) -> Shaping:
    """The instance that attains the first bound; with no gain it attains the second."""
    mdp = Mdp(np.ones((1, 2, 1)), np.array([[gain, 0.0]]), 0.0, np.ones(1), 0.0, Quadratic())
    pi_sa = np.array([[0.0, 1.0]]) if gain > 0.0 else np.array([[1.0, 0.0]])
    lower = Instance(f"one state, V = {gain:g} pi(1), C = {spread:g}", mdp, pi_sa)
    return shaping(lower, np.array([[-spread, 0.0]]), 1.0)


def problems(context: Context) -> Iterator[Shaping]:
    """The tight ones, and all instances with a random or an opposed upper reward."""
    yield tight(1.5, 1.0)
    yield tight(0.0, 2.0)
    generator = generator_of(context, "lemma_01 rewards")
    for lower in corners(context, "lemma_01"):
        upper_sa = generator.standard_normal(lower.mdp.r_sa.shape)
        if generator.random() < 0.3:
            upper_sa = -lower.mdp.r_sa * generator.uniform(0.0, 2.0)
        yield shaping(lower, upper_sa, float(10.0 ** generator.uniform(-1.0, 1.0)))


def accuracy(problem: Shaping, share: float = 1.0) -> Iterator[Margin]:
    """p(z) <= delta + eps / lambda, with delta = share * C / lambda."""
    for one in problem.policies:
        eps = max(one.eps.value, 0.0)
        bound = (share * problem.spread.value + eps) / problem.strength
        rounding = one.p.error + (problem.spread.error + one.eps.error) / problem.strength
        yield Margin(one.p.value, bound, rounding, problem.name)


def relaxed(problem: Shaping, *, own_level: bool = True) -> Iterator[Margin]:
    """f(z) <= f(z') + eps for the other policies that are, beyond rounding, no farther from optimal."""
    for one in problem.policies:
        eps = max(one.eps.value, 0.0)
        bound = (problem.spread.value + eps) / problem.strength
        level = one.p.value if own_level else bound
        for other in problem.policies:
            if other.p.value + other.p.error <= level - one.p.error:
                rounding = one.f.error + other.f.error + one.eps.error
                yield Margin(one.f.value - other.f.value, eps, rounding, problem.name)


def trials(context: Context) -> Iterator[Margin]:
    """Both parts."""
    for problem in problems(context):
        yield from accuracy(problem)
        yield from relaxed(problem)


def half_of_the_spread(context: Context) -> Iterator[Margin]:
    """C / 2 for C."""
    for problem in problems(context):
        yield from accuracy(problem, 0.5)


def at_the_bound(context: Context) -> Iterator[Margin]:
    """The level delta + eps / lambda for p(z)."""
    for problem in problems(context):
        yield from relaxed(problem, own_level=False)


def prove_accuracy() -> None:
    """The slacks (i)-(iii) sum to lambda delta + eps - lambda p(z)."""
    strength, f, f_star, p, eps, spread, delta = exact.indeterminates(
        "lambda", "f", "f_star", "p", "eps", "C", "delta"
    )
    one = strength**0
    exact.combination(
        strength * delta + eps - strength * p,
        (one, f_star + eps - f - strength * p),
        (one, spread - f_star + f),
        (one, strength * delta - spread),
    )


def prove_relaxed() -> None:
    """f(z') + eps - f(z) = (iv) + lambda (v)."""
    strength, f, p, f_other, p_other, eps = exact.indeterminates(
        "lambda", "f", "p", "f_other", "p_other", "eps"
    )
    exact.combination(
        f_other + eps - f,
        (strength**0, f_other + strength * p_other + eps - f - strength * p),
        (strength, p - p_other),
    )


def prove_attained() -> None:
    """On the recorded instance both sides of the first part are equal."""
    verify_attained(exact.load("L01_tight"))


def verify_attained(content: dict[str, Any]) -> None:
    """p(z) = delta + eps / lambda, exactly: f and V are affine on the segment of policies."""
    mdp = exact.ExactMdp.parse(content["mdp"])
    f_a, pi_sa = exact.fractions(content["f"]), exact.policy(content["pi"])
    strength, delta = exact.fraction(content["lambda"]), exact.fraction(content["delta"])
    constant, spread = exact.fraction(content["constant"]), exact.fraction(content["C"])
    best = mdp.start_value(mdp.best_deterministic())
    ends = [exact.deterministic([action], len(f_a)) for action in range(len(f_a))]

    def upper(policy_sa: exact.Rationals) -> fmpq:
        return exact.total(policy_sa[0] * f_a) + constant

    def penalised(policy_sa: exact.Rationals) -> fmpq:
        return upper(policy_sa) + strength * (best - mdp.start_value(policy_sa))

    exact.require(mdp.gamma == 0 and len(mdp.rho_s) == 1, "F is affine only at gamma = 0 and one state")
    exact.require(2 * max(abs(upper(end)) for end in ends) == spread, "max |f| is not C / 2")
    exact.require(strength * delta >= spread, "lambda is below C / delta")
    eps = penalised(pi_sa) - min(penalised(end) for end in ends)
    exact.same("eps", eps, content["eps"])
    exact.same("p(z)", best - mdp.start_value(pi_sa), content["lhs"])
    exact.same("delta + eps / lambda", delta + eps / strength, content["rhs"])
    exact.require(content["lhs"] == content["rhs"], "the bound is not attained")


FORMULA = (
    r"F(x_\lambda,y_\lambda)\le\inf F+\epsilon,\ \lambda\ge C/\delta\ \Rightarrow\ "
    r"\epsilon_\lambda:=p(x_\lambda,y_\lambda)\le\delta+\epsilon/\lambda,\quad "
    r"f(x_\lambda,y_\lambda)\le\min_{p(x,y)\le\epsilon_\lambda}f(x,y)+\epsilon"
)

CLAIM = Claim(
    number="Lemma 1",
    title="global solutions with the value penalty",
    premise="max |f| = C / 2; delta > 0; lambda >= C / delta and lambda > 0; z an eps-minimum of F",
    printed=Form(
        words="An eps-minimum of the penalised problem is feasible up to delta + eps / lambda, and an "
        "eps-minimum among all points that are at most as infeasible as itself.",
        formula=FORMULA,
        trials=trials,
        proofs=(
            Proof("the accuracy is a sum of three slacks", prove_accuracy),
            Proof("so is optimality for the relaxed problem", prove_relaxed),
            Proof("the accuracy is attained exactly", prove_attained),
        ),
    ),
    faults=(
        Fault(
            "half_of_the_spread", "lambda is C / (2 delta), as if |f| were at most C", half_of_the_spread
        ),
        Fault("at_the_bound", "the relaxed problem has the level delta + eps / lambda", at_the_bound),
    ),
    remark="The proof is right.  It needs only the spread of f(x, .) for each x, not a bound of |f|. "
    "For f = 0 the text would allow lambda = 0, where eps / lambda has no meaning.",
    tried="f unbounded but for its spread, lambda small, ties of optimal actions, the relaxed level"
    " at the bound: only C = 0 with lambda = 0 is left without meaning.",
)
