"""Optimal values and policies (Lemma 4), by policy iteration, value iteration and mirror descent."""

from collections.abc import Callable

import numpy as np

from reference.optimality import Optimum, mirror_descent, policy_iteration, value_iteration
from reference.problems.mdp import Mdp
from verify.crosscheck.quantity import Case, Measured, Quantity, Single
from verify.crosscheck.tolerances import UNIT, conjugate_tolerance, maximiser_tolerance
from verify.oracles import definitions as primitive
from verify.oracles.arithmetic import Arithmetic, Native
from verify.oracles.route import Point


def _regularized(case: Case[Single]) -> bool:
    return case.problem.at(case.point.x).tau > 0.0


def _short(case: Case[Single]) -> bool:
    """Value iteration needs about 36 / (1 - gamma) sweeps."""
    return case.problem.at(case.point.x).gamma <= 0.99


def _mirror(case: Case[Single]) -> bool:
    mdp = case.problem.at(case.point.x)
    return _regularized(case) and mdp.gamma <= 0.99


def _large_step(mdp: Mdp) -> Optimum:
    """Mirror descent contracts by about max(gamma, 1 / (1 + eta tau)): make the second the smaller."""
    return mirror_descent(mdp, step=100.0 / mdp.tau, max_iterations=5000)


def _measured_v(solver: Callable[[Mdp], Optimum]) -> Callable[[Case[Single]], Measured]:
    def measured(case: Case[Single]) -> Measured:
        found = solver(case.problem.at(case.point.x))
        return Measured.of(found.v_s, found.error)

    return measured


def _measured_q(case: Case[Single]) -> Measured:
    found = policy_iteration(case.problem.at(case.point.x))
    return Measured.of(found.q_sa, found.error)


def _measured_pi(case: Case[Single]) -> Measured:
    mdp = case.problem.at(case.point.x)
    found = policy_iteration(mdp)
    # The maximiser itself: rounding of q / tau is amplified by the exponential, or projected.
    logits = float(np.ptp(found.q_sa, axis=-1).max()) / (mdp.tau * mdp.regularizer.strong_convexity)
    rounding = UNIT * (mdp.n_actions + 16 + 4.0 * logits)
    return Measured.of(found.pi_sa, float(found.policy_error) + rounding)


def _define_v(case: Case[Single], number: Arithmetic, point: Point) -> Native:
    return primitive.optimal_values(number, primitive.model(number, case.problem, point.x))


def _define_q(case: Case[Single], number: Arithmetic, point: Point) -> Native:
    m = primitive.model(number, case.problem, point.x)
    return primitive.backup(number, m, primitive.optimal_values(number, m))


def _define_pi(case: Case[Single], number: Arithmetic, point: Point) -> Native:
    return primitive.optimal_policy(number, primitive.model(number, case.problem, point.x))


# One row of the backup: the best p for action values of any size.


def _measured_argmax(case: Case[Single]) -> Measured:
    mdp, q_sa = case.problem.at(case.point.x), case.weights_sa
    found = mdp.regularizer.argmax(q_sa, mdp.tau)
    return Measured.of(found, maximiser_tolerance(mdp.regularizer, q_sa, mdp.tau))


def _define_argmax(case: Case[Single], number: Arithmetic, point: Point) -> Native:
    m = primitive.model(number, case.problem, point.x)
    return primitive.best_policy(number, m, number.lift(case.weights_sa))


def _measured_conjugate(case: Case[Single]) -> Measured:
    mdp, q_sa = case.problem.at(case.point.x), case.weights_sa
    found = mdp.regularizer.conjugate(q_sa, mdp.tau)
    return Measured.of(found, conjugate_tolerance(mdp.regularizer, q_sa, mdp.tau))


def _define_conjugate(case: Case[Single], number: Arithmetic, point: Point) -> Native:
    m, q_sa = primitive.model(number, case.problem, point.x), number.lift(case.weights_sa)
    p_sa = primitive.best_policy(number, m, q_sa)
    return (p_sa * q_sa).sum(-1) - primitive.charge(number, m, p_sa)


QUANTITIES = (
    Quantity(
        "v",
        "V* by policy iteration",
        "Lemma 4",
        Single,
        _measured_v(policy_iteration),
        _define_v,
        optimum=True,
    ),
    Quantity(
        "v_by_sweeps",
        "V* by value iteration",
        "Lemma 4",
        Single,
        _measured_v(value_iteration),
        _define_v,
        optimum=True,
        premise=_short,
    ),
    Quantity(
        "v_by_mirror",
        "V* by mirror descent",
        "(C.32)",
        Single,
        _measured_v(_large_step),
        _define_v,
        optimum=True,
        premise=_mirror,
    ),
    Quantity("q", "Q*", "(3.7)", Single, _measured_q, _define_q, optimum=True),
    Quantity(
        "pi",
        "optimal policy",
        "(B.23)",
        Single,
        _measured_pi,
        _define_pi,
        optimum=True,
        premise=_regularized,
    ),
    Quantity(
        "argmax",
        "regularised argmax",
        "(B.23)",
        Single,
        _measured_argmax,
        _define_argmax,
        premise=_regularized,
    ),
    Quantity(
        "conjugate",
        "conjugate of the regulariser",
        "(B.23)",
        Single,
        _measured_conjugate,
        _define_conjugate,
        premise=_regularized,
    ),
)
