r"""(A.6): the curvature in the policy of the objective that the optimal policy minimises.

With J(q, pi) = E_rho[<pi, q> + tau h(pi)] of (A.2), h_s 1-strongly convex, d = pi - pi', m = min rho::

    printed   d' grad^2_pi J d  >=  |d|^2 / tau
    proved    d' grad^2_pi J d  >=  tau m |d|^2;   between any two policies, without second derivatives,
              <grad_pi J(pi) - grad_pi J(pi'), d>  >=  tau m |d|^2

Derivation.  <., q> is linear.  Two inequalities of strong convexity add up to
<grad h_s(pi) - grad h_s(pi'), d_s> >= |d_s|^2, and rho(s) tau times that is at least m tau |d_s|^2; sum
over s, or let pi' tend to pi.  Equality holds for the quadratic and a move in the rarest state only.

Two things are wrong as printed: 1/tau for tau, which matters for tau < 1, and rho is left out.  At
tau = 1, where the first makes no difference, an uneven rho refutes it.  Lemma 17, which is derived from
it, is right on product classes for another reason: state by state, rho never enters.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from reference.problems.mdp import Mdp
from reference.validation import Array
from verify.claims import exact
from verify.claims.contract import Claim, Fault, Form, Margin, Proof, Refutation, Trials
from verify.claims.exact import dominance
from verify.claims.trials.instances import corners, generator_of, sparse
from verify.contract import Context
from verify.crosscheck.tolerances import UNIT


def margin(mdp: Mdp, pi_sa: Array, other_sa: Array, modulus: float, name: str) -> Margin:
    """modulus |d|^2 against the change of grad_pi J along d."""
    step_sa = pi_sa - other_sa
    slopes = [mdp.regularizer.gradient(p) for p in (pi_sa, other_sa)]
    change_sa = mdp.tau * mdp.rho_s[:, None] * (slopes[0] - slopes[1])
    size = mdp.tau * max(float(np.abs(slope).max()) for slope in slopes)
    rounding = 8.0 * UNIT * (pi_sa.size + 8) * size * float(np.abs(step_sa).sum())
    lhs = modulus * float((step_sa**2).sum())
    return Margin(lhs, float((change_sa * step_sa).sum()), rounding + 8.0 * UNIT * lhs, name)


def pairs(context: Context) -> Iterator[tuple[Mdp, Array, Array, str]]:
    """Two policies of each regularised MDP; every second pair differs in the rarest state only."""
    generator = generator_of(context, "eq_a06 others")
    for instance in corners(context, "eq_a06"):
        mdp, pi_sa = instance.mdp, instance.pi_sa
        if mdp.tau == 0.0 or mdp.regularizer.strong_convexity < 1.0:
            continue
        other_sa = sparse(generator, pi_sa.shape, 1.0)
        if generator.random() < 0.5:
            elsewhere_s1 = np.arange(mdp.n_states)[:, None] != mdp.rho_s.argmin()
            other_sa = np.where(elsewhere_s1, pi_sa, other_sa)
        if all(np.isfinite(mdp.regularizer.gradient(p)).all() for p in (pi_sa, other_sa)):
            yield mdp, pi_sa, other_sa, instance.name


def best(mdp: Mdp) -> float:
    """tau min rho."""
    return mdp.tau * float(mdp.rho_s.min())


def trials_with(factor: float) -> Trials:
    """factor times tau min rho."""

    def trials(context: Context) -> Iterator[Margin]:
        for mdp, pi_sa, other_sa, name in pairs(context):
            yield margin(mdp, pi_sa, other_sa, factor * best(mdp), name)

    return trials


def inverted(context: Context) -> Iterator[Margin]:
    """min rho / tau."""
    for mdp, pi_sa, other_sa, name in pairs(context):
        yield margin(mdp, pi_sa, other_sa, float(mdp.rho_s.min()) / mdp.tau, name)


def without_rho(context: Context) -> Iterator[Margin]:
    """tau."""
    for mdp, pi_sa, other_sa, name in pairs(context):
        yield margin(mdp, pi_sa, other_sa, mdp.tau, name)


def refute(content: dict[str, Any]) -> None:
    """For the quadratic d' grad^2 J d = tau sum_s rho(s) |d_s|^2; it is below |d|^2 / tau, exactly."""
    tau, rho_s = exact.fraction(content["tau"]), exact.fractions(content["rho"])
    pi_sa, other_sa = exact.policy(content["pi"]), exact.policy(content["other"])
    exact.require(tau > 0, "tau must be positive")
    exact.require_distribution(rho_s)
    exact.require(all(p > 0 for p in rho_s), "rho has a zero")
    squares_s = ((pi_sa - other_sa) ** 2).sum(axis=1)
    left, right = tau * exact.total(rho_s * squares_s), exact.total(squares_s) / tau
    exact.same("the curvature along d", left, content["lhs"])
    exact.same("|d|^2 / tau", right, content["rhs"])
    exact.greater("the curvature is too small", right, left)


def prove_monotone() -> None:
    """The two inequalities of strong convexity, added: a slope's change along d is at least |d|^2."""
    here, there, slope, other, n = exact.indeterminates("h", "h'", "dh(pi) d", "dh(pi') d", "|d|^2")
    exact.combination(
        slope - other - n,
        (n**0, there - here + slope - n / 2),
        (n**0, here - there - other - n / 2),
    )


CLAIM = Claim(
    number="(A.6)",
    title="curvature of the objective of the optimal policy",
    premise="tau > 0; h_s 1-strongly convex and differentiable; rho > 0",
    printed=Form(
        words="The second derivative of the objective (A.2) in the policy is at least 1 / tau.",
        formula=r"(\pi-\pi')^\top\nabla^2_\pi J(q,\pi^*)(\pi-\pi')\ge\tau^{-1}\|\pi-\pi'\|^2",
        refutations=(Refutation("A06eq_tau", refute), Refutation("A06eq_rho", refute)),
    ),
    proved=Form(
        words="It is at least tau times the smallest start probability, and for the quadratic no more.",
        formula=r"\langle\nabla_\pi J(q,\pi)-\nabla_\pi J(q,\pi'),\pi-\pi'\rangle\ge"
        r"\tau\min_s\rho(s)\,\|\pi-\pi'\|^2",
        trials=trials_with(1.0),
        proofs=(
            Proof("strong convexity at both ends, added", prove_monotone),
            Proof("in each state, a sum of two nonnegative terms", dominance.weighted_growth),
        ),
    ),
    faults=(
        Fault("too_large", "the modulus is 1% above tau min rho", trials_with(1.01)),
        Fault("inverted", "1 / tau for tau", inverted),
        Fault("without_rho", "the modulus is tau", without_rho),
    ),
    remark="The modulus tau is claimed one line before, and 1 / tau here; neither counts rho.",
    tried="Each of the two errors is refuted by itself: tau < 1 with one state, and an uneven rho at "
    "tau = 1.",
)
