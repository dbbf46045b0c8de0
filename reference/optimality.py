r"""Optimal values and policies of a regularised MDP: three algorithms, one certificate.

The optimal value is the fixed point of the contracting operator

    (T v)(s) = max_p <p, q(s,.)> - tau h_s(p),     q = r + gamma P v,

and the optimal policy is the maximiser at the fixed point.  For any v, the residual bounds the error:

    max_s |v - V*|  <=  ( max_s |T v - v| + rounding ) / (1 - gamma sigma),

with sigma the largest row sum of P (1 up to rounding) and the rounding of a computed residual bounded
beforehand.  Every answer carries this bound; an algorithm that cannot meet its tolerance raises
instead of returning.

    policy iteration   v  <- v + (I - gamma P_pi)^{-1} (T v - v),  pi the maximiser at v
    value iteration    v  <- T v                                   linear, rate gamma
    mirror descent     xi <- (xi + eta q^pi) / (1 + eta tau),  pi <- argmax_p <p, xi> - h(p)  (C.32)

The first is Newton's method on v = T v, and the new v is V^pi: the textbook's policy iteration.
Written as a correction it can leave out what rounding explains: a residual within its own rounding
error counts as zero.  Let d be the residual that is left and v' = v + (I - gamma P_pi)^{-1} d.  If
T v >= v, then T v' >= v' >= v + d, up to rounding: v grows wherever a residual is left, by more than
rounding, so this ends, and then the error is at most twice the rounding over 1 - gamma sigma.  Ties at
tau = 0 make no cycle for the same reason, and states or members of a batch that are done stay as they
are.  Mirror descent takes the value of its policies by the same correction.

At tau = 0 the maximum is over vertices and ties are possible; `Optimum.unique_policy` refuses them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from reference.contractions import chosen_rows, joint_actions, policy_chain
from reference.errors import ConvergenceError, InputError, NotDifferentiableError
from reference.evaluation import (
    agree,
    backup,
    contraction,
    evaluate,
    residual_rounding,
)
from reference.problems.mdp import Mdp
from reference.resolvents import UNIT, discounted_sum
from reference.validation import Array, entry, first, instance, numbers, policy, scalar, whole


@dataclass(frozen=True, eq=False)
class Optimum:
    """Optimal quantities of one MDP (or a batch), with their error bound.

    Attributes
    ----------
    mdp : Mdp
    pi_sa : (..., S, A)
        Maximiser at ``q_sa``.
    v_s : (..., S)
    q_sa : (..., S, A)
    error : (...)
        Certified bound on max_s |v_s - V*|, rounding included.
    iterations : int
    """

    mdp: Mdp
    pi_sa: Array
    v_s: Array
    q_sa: Array
    error: Array
    iterations: int

    @property
    def value(self) -> Array:
        """V*(rho)."""
        return np.asarray((self.mdp.rho_s * self.v_s).sum(axis=-1))

    @property
    def policy_error(self) -> Array:
        """Bound on the Euclidean error of each row of the policy; ``inf`` at tau = 0.

        The maximiser is Lipschitz in q with constant 1 / (tau m), m the strong convexity of h, and
        ``error`` bounds the error of each of the A entries of q as well: gamma sigma times that of v,
        plus a rounding.  The rest is the rounding of the maximiser itself.
        """
        mdp = self.mdp
        if mdp.tau == 0.0:
            return np.full_like(self.error, np.inf)
        modulus = mdp.tau * mdp.regularizer.strong_convexity
        last_digits = (mdp.n_actions + 8) * UNIT
        return np.asarray(np.sqrt(mdp.n_actions) * (self.error / modulus + last_digits))

    def unique_policy(self) -> Array:
        """Return the optimal policy if it is the only one.

        Raises
        ------
        NotDifferentiableError
            At tau = 0, if two actions of a state are optimal within the error bound.
        """
        if self.mdp.tau > 0.0 or self.mdp.n_actions == 1:
            return self.pi_sa
        ranked = -np.sort(-self.q_sa, axis=-1)
        tied = ranked[..., 0] - ranked[..., 1] <= 2.0 * np.asarray(self.error)[..., None]
        if tied.any():
            where = first(tied)
            best = np.argsort(-self.q_sa[where], kind="stable")[:2]
            raise NotDifferentiableError(
                f"at tau = 0 the actions {best[0]} and {best[1]} of state {where} are both optimal "
                f"(action values {ranked[where][0]:.9g} and {ranked[where][1]:.9g}), so the penalty "
                "need not be differentiable in x: use tau > 0, or pass the companion policy that "
                "you mean"
            )
        return self.pi_sa


def _action_values(mdp: Mdp, q_sa: Array) -> Array:
    instance("mdp", mdp, Mdp)
    q_sa = numbers("q_sa", q_sa, "(state, action)", (mdp.n_states, mdp.n_actions))
    agree(mdp, q_sa=q_sa.shape[:-2])
    return q_sa


def optimal_backup(mdp: Mdp, q_sa: Array) -> Array:
    """max_p <p, q> - tau h(p) at each state, shape (..., S).

    Raises
    ------
    InputError
        If ``q_sa`` is not one finite number per state and action.
    """
    return _optimal_backup(mdp, _action_values(mdp, q_sa))


def _optimal_backup(mdp: Mdp, q_sa: Array) -> Array:
    top_s = np.asarray(q_sa.max(axis=-1))
    if mdp.tau == 0.0:
        return top_s
    # Relative to the best action the conjugate is of the size of tau h, and rounds accordingly.
    return np.asarray(top_s + mdp.regularizer.conjugate(q_sa - top_s[..., None], mdp.tau))


def greedy(mdp: Mdp, q_sa: Array) -> Array:
    """The maximiser; at tau = 0 the first best action.

    Raises
    ------
    InputError
        If ``q_sa`` is not one finite number per state and action.
    """
    return _greedy(mdp, _action_values(mdp, q_sa))


def _greedy(mdp: Mdp, q_sa: Array) -> Array:
    if mdp.tau > 0.0:
        return mdp.regularizer.argmax(q_sa, mdp.tau)
    return np.asarray(np.eye(mdp.n_actions)[q_sa.argmax(axis=-1)])


def greedy_chain(mdp: Mdp, q_sa: Array) -> Array:
    """Transitions of the maximiser, shape (..., S, S).

    Raises
    ------
    InputError
        If ``q_sa`` is not one finite number per state and action.
    """
    q_sa = _action_values(mdp, q_sa)
    if mdp.tau > 0.0:
        return policy_chain(mdp.P_sat, _greedy(mdp, q_sa))
    return chosen_rows(mdp.P_sat, q_sa.argmax(axis=-1))


@dataclass(frozen=True, eq=False)
class _Sweep:
    """One application of T, with all that a decision needs.

    Attributes
    ----------
    v_s, q_sa : (..., S), (..., S, A)
    updated_s : (..., S)
        T v.
    rounding, error : (...)
        Bounds on the rounding of the residual and on max_s |v - V*|.
    attainable : (...)
        Error bound that float64 attains: a residual of three times its rounding.
    """

    v_s: Array
    q_sa: Array
    updated_s: Array
    rounding: Array
    error: Array
    attainable: Array

    def goal(self, tolerance: float | None) -> Array | float:
        return self.attainable if tolerance is None else tolerance


def _sweep(mdp: Mdp, modulus: Array, v_s: Array, q_sa: Array) -> _Sweep:
    updated_s = _optimal_backup(mdp, q_sa)
    rounding = residual_rounding(mdp, v_s)
    error = (np.abs(updated_s - v_s).max(axis=-1) + rounding) / modulus
    return _Sweep(v_s, q_sa, updated_s, rounding, np.asarray(error), 4.0 * rounding / modulus)


_ROW_SLACK = 1e-6
"""More than a row of transitions can miss 1 by: given rows are held to 1e-12, and in a mixture each
entry of a policy to some 1e-9."""


def _modulus(mdp: Mdp) -> Array:
    """1 - gamma sigma, bounded from below; the rows are summed only if that changes it by a percent."""
    if 0.01 * (1.0 - mdp.gamma) > _ROW_SLACK:
        return np.asarray(1.0 - mdp.gamma * (1.0 + _ROW_SLACK))
    return contraction(joint_actions(mdp.P_sat, trailing=1), mdp.gamma)


def certified(mdp: Mdp, v_s: Array, q_sa: Array, iterations: int) -> Optimum:
    """Attach the error bound to a value vector and its backup.

    Raises
    ------
    InputError
        If an array has not the shape of the MDP's values or action values, or is not finite.
    """
    q_sa = _action_values(mdp, q_sa)
    v_s = _checked_values(mdp, v_s, "v_s")
    iterations = whole("iterations", iterations, low=0)
    return _optimum(mdp, _sweep(mdp, _modulus(mdp), v_s, q_sa), iterations)


def _optimum(mdp: Mdp, found: _Sweep, iterations: int) -> Optimum:
    return Optimum(mdp, _greedy(mdp, found.q_sa), found.v_s, found.q_sa, found.error, iterations)


def _accepted(
    mdp: Mdp, found: _Sweep, iterations: int, tolerance: float | None, method: str, remedy: str
) -> Optimum:
    """Return the optimum if its error bound meets the tolerance; raise if it does not."""
    goal = found.goal(tolerance)
    if not (found.error <= goal).all():
        raise ConvergenceError(
            f"{method} stopped after {iterations} iterations with an error bound of "
            f"{found.error.max():.3g} for a tolerance of {np.min(goal):.3g} (float64 attains "
            f"{found.attainable.max():.3g} here): {remedy}"
        )
    return _optimum(mdp, found, iterations)


def _checked_tolerance(tolerance: float | None) -> float | None:
    return None if tolerance is None else scalar("tolerance", tolerance, low=0.0)


def _checked_values(mdp: Mdp, v_s: Array, name: str = "start_s") -> Array:
    v_s = numbers(name, v_s, "(state,)", (mdp.n_states,))
    agree(mdp, **{name: v_s.shape[:-1]})
    return v_s


def policy_iteration(
    mdp: Mdp,
    *,
    start_sa: Array | None = None,
    start_s: Array | None = None,
    tolerance: float | None = None,
    max_iterations: int = 1000,
) -> Optimum:
    """Regularised policy iteration.

    Parameters
    ----------
    mdp : Mdp
    start_sa : (..., S, A), optional
        First policy.
    start_s : (..., S), optional
        First values, instead of a policy; those of one step if neither is given.
    tolerance : float, optional
        On the error bound; what float64 attains if not given.
    max_iterations : int

    Raises
    ------
    ConvergenceError
        If the bound does not meet the tolerance.
    InputError
        If ``start_sa`` is not a policy, ``start_s`` is not one number per state, both are given, or
        gamma is within rounding of 1.
    """
    instance("mdp", mdp, Mdp)
    tolerance = _checked_tolerance(tolerance)
    max_iterations = whole("max_iterations", max_iterations, low=1)
    modulus = _modulus(mdp)
    if start_sa is not None:
        if start_s is not None:
            raise InputError("start_sa and start_s are both given: start from one of them")
        start_s = evaluate(mdp, start_sa).v_s
    v_s = _optimal_backup(mdp, mdp.r_sa) if start_s is None else _checked_values(mdp, start_s)
    found, mixing = _sweep(mdp, modulus, v_s, backup(mdp, v_s)), True
    for iteration in range(max_iterations + 1):
        left_s = _beyond_rounding(found, found.updated_s)
        if tolerance is not None:
            # A member of a batch that meets the tolerance stays as it is.
            left_s = np.where((found.error > tolerance)[..., None], left_s, 0.0)
        if iteration == max_iterations or not left_s.any():
            break
        P_st = greedy_chain(mdp, found.q_sa)
        step_s, mixing = discounted_sum(P_st, mdp.gamma, left_s, owned=True, mixing=mixing)
        v_s = found.v_s + step_s
        found = _sweep(mdp, modulus, v_s, backup(mdp, v_s))
    remedy = "raise the tolerance" if not left_s.any() else "raise max_iterations or the tolerance"
    return _accepted(mdp, found, iteration, tolerance, "policy iteration", remedy)


def _beyond_rounding(found: _Sweep, updated_s: Array) -> Array:
    """Residual of an update of v, or zero where rounding explains it."""
    residual_s = updated_s - found.v_s
    return np.where(np.abs(residual_s) > found.rounding[..., None], residual_s, 0.0)


def value_iteration(
    mdp: Mdp,
    *,
    start_s: Array | None = None,
    tolerance: float | None = None,
    max_iterations: int = 1_000_000,
) -> Optimum:
    """Regularised value iteration.

    Parameters
    ----------
    mdp : Mdp
    start_s : (..., S), optional
        First value vector; zero if not given.
    tolerance : float, optional
        On the error bound; what float64 attains if not given.
    max_iterations : int

    Raises
    ------
    ConvergenceError
        If the bound does not meet the tolerance in ``max_iterations``.
    InputError
        If ``start_s`` is not one number per state, or gamma is within rounding of 1.
    """
    instance("mdp", mdp, Mdp)
    tolerance = _checked_tolerance(tolerance)
    max_iterations = whole("max_iterations", max_iterations, low=1)
    modulus = _modulus(mdp)
    v_s = np.zeros(mdp.r_sa.shape[:-1]) if start_s is None else _checked_values(mdp, start_s)
    found = _sweep(mdp, modulus, v_s, backup(mdp, v_s))
    iteration = 0
    while iteration < max_iterations and (open_ := found.error > found.goal(tolerance)).any():
        # A member of a batch that meets the tolerance stays as it is.
        v_s = np.where(open_[..., None], found.updated_s, found.v_s)
        found = _sweep(mdp, modulus, v_s, backup(mdp, v_s))
        iteration += 1
    return _accepted(
        mdp,
        found,
        iteration,
        tolerance,
        "value iteration",
        "raise max_iterations or use policy_iteration, whose cost does not grow with 1 / (1 - gamma)",
    )


@dataclass(frozen=True, eq=False)
class MirrorState:
    """An iterate of policy mirror descent: the dual point xi and its policy.

    Attributes
    ----------
    xi_sa : (..., S, A)
        A subgradient of h at ``pi_sa``.
    pi_sa : (..., S, A)
    """

    xi_sa: Array
    pi_sa: Array


def mirror_start(mdp: Mdp, pi_sa: Array | None = None) -> MirrorState:
    """First iterate: the given policy, or the uniform one.

    Raises
    ------
    InputError
        If it is not a policy, or has a zero where the regulariser has no gradient.
    """
    instance("mdp", mdp, Mdp)
    if pi_sa is None:
        pi_sa = np.full(mdp.r_sa.shape, 1.0 / mdp.n_actions)
    pi_sa = policy("pi_sa", pi_sa, (mdp.n_states, mdp.n_actions))
    agree(mdp, pi_sa=pi_sa.shape[:-2])
    xi_sa = mdp.regularizer.gradient(pi_sa)
    if not np.isfinite(xi_sa).all():
        where = first(~np.isfinite(xi_sa))
        raise InputError(
            f"{entry('pi_sa', where)} is 0, where the regulariser has no gradient: start mirror descent "
            "from a policy with positive entries"
        )
    return MirrorState(xi_sa, pi_sa)


def _mirror_update(mdp: Mdp, state: MirrorState, q_sa: Array, step: float) -> MirrorState:
    xi_sa = (state.xi_sa + step * q_sa) / (1.0 + step * mdp.tau)
    return MirrorState(xi_sa, mdp.regularizer.argmax(xi_sa, 1.0))


def mirror_step(mdp: Mdp, state: MirrorState, step: float) -> MirrorState:
    """One update of policy mirror descent (C.32) with step eta > 0.

    Raises
    ------
    InputError
        If the step is not positive, or the state has not the shape of the MDP's policies.
    """
    _checked_mirror(mdp, state)
    return _mirror_update(mdp, state, evaluate(mdp, state.pi_sa).q_sa, _checked_step(step))


def _checked_step(step: float) -> float:
    return scalar("step", step, low=0.0, open_low=True)


def _checked_mirror(mdp: Mdp, state: MirrorState) -> None:
    instance("mdp", mdp, Mdp)
    instance("state", state, MirrorState)
    xi_sa = numbers("xi_sa", state.xi_sa, "(state, action)", (mdp.n_states, mdp.n_actions))
    pi_sa = policy("pi_sa", state.pi_sa, (mdp.n_states, mdp.n_actions))
    agree(mdp, xi_sa=xi_sa.shape[:-2], pi_sa=pi_sa.shape[:-2])


def mirror_iterates(mdp: Mdp, state: MirrorState, step: float) -> Iterator[MirrorState]:
    """All iterates of policy mirror descent after the given one.

    Raises
    ------
    InputError
        As :func:`mirror_step`, already by the call.
    """
    _checked_mirror(mdp, state)
    return _mirror_iterates(mdp, state, _checked_step(step))


def _mirror_iterates(mdp: Mdp, state: MirrorState, step: float) -> Iterator[MirrorState]:
    while True:
        state = mirror_step(mdp, state, step)
        yield state


def mirror_descent(
    mdp: Mdp,
    *,
    step: float,
    start_sa: Array | None = None,
    tolerance: float | None = None,
    max_iterations: int = 100_000,
) -> Optimum:
    """Policy mirror descent (C.32) to a certified accuracy.

    Parameters
    ----------
    mdp : Mdp
    step : float > 0
        The step eta.
    start_sa : (..., S, A), optional
        First policy, with positive entries under an entropy; uniform if not given.
    tolerance : float, optional
        On the error bound of its value; what float64 attains if not given.
    max_iterations : int

    Returns
    -------
    Optimum
        ``v_s`` is the value of the last iterate; ``pi_sa`` improves on it, as everywhere.

    Raises
    ------
    ConvergenceError
        If the bound does not meet the tolerance in ``max_iterations``.
    InputError
        If the step is not positive or the start has no subgradient, or gamma is within rounding of 1.
    """
    instance("mdp", mdp, Mdp)
    tolerance, step = _checked_tolerance(tolerance), _checked_step(step)
    max_iterations = whole("max_iterations", max_iterations, low=1)
    modulus = _modulus(mdp)
    state = mirror_start(mdp, start_sa)
    start = evaluate(mdp, state.pi_sa)
    found, mixing = _sweep(mdp, modulus, start.v_s, start.q_sa), True
    for iteration in range(max_iterations + 1):
        open_ = (found.error > found.goal(tolerance))[..., None, None]
        if iteration == max_iterations or not open_.any():
            break
        moved = _mirror_update(mdp, state, found.q_sa, step)
        # A member of a batch that meets the tolerance stays as it is.
        xi_sa, pi_sa = (
            np.where(open_, new, old)
            for new, old in ((moved.xi_sa, state.xi_sa), (moved.pi_sa, state.pi_sa))
        )
        state = MirrorState(xi_sa, pi_sa)
        # The value of the new policy as a correction of the last one, as in policy iteration.
        mean_s = (pi_sa * found.q_sa).sum(axis=-1) - mdp.tau * mdp.regularizer.value(pi_sa)
        left_s = _beyond_rounding(found, mean_s)
        P_st = policy_chain(mdp.P_sat, pi_sa)
        step_s, mixing = discounted_sum(P_st, mdp.gamma, left_s, owned=True, mixing=mixing)
        v_s = found.v_s + step_s
        found = _sweep(mdp, modulus, v_s, backup(mdp, v_s))
    remedy = "raise the step, max_iterations or the tolerance"
    return _accepted(mdp, found, iteration, tolerance, "mirror descent", remedy)
