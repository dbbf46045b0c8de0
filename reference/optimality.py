r"""Optimal values and policies of a regularised MDP: three algorithms, one certificate.

The optimal value is the fixed point of the (1 - gamma)-contracting operator

    (T v)(s) = max_p <p, q(s,.)> - tau h_s(p),     q = r + gamma P v,

and the optimal policy is the maximiser at the fixed point.  For any v, the residual bounds the error:

    max_s |v - V*|  <=  max_s |T v - v| / (1 - gamma).

Every answer carries this bound, with the rounding of the residual added; an algorithm that cannot
meet its tolerance raises instead of returning.

    policy iteration   pi <- argmax at q^pi          Newton's method on v = T v
    value iteration    v  <- T v                     linear, rate gamma
    mirror descent     xi <- (xi + eta q^pi) / (1 + eta tau),  pi <- argmax_p <p, xi> - h(p)  (C.32)

At tau = 0 the maximum is over vertices and ties are possible; `Optimum.unique_policy` refuses them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from reference.errors import ConvergenceError, InputError, NotDifferentiableError
from reference.evaluation import backup, evaluate
from reference.problems.mdp import Mdp
from reference.validation import Array, first, policy, scalar

_UNIT = float(np.finfo(np.float64).eps)


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
        q errs by at most gamma times the error of v in each of A entries.
        """
        mdp = self.mdp
        if mdp.tau == 0.0:
            return np.full_like(self.error, np.inf)
        modulus = mdp.tau * mdp.regularizer.strong_convexity
        return np.asarray(np.sqrt(mdp.n_actions) * mdp.gamma * self.error / modulus)

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


def optimal_backup(mdp: Mdp, q_sa: Array) -> Array:
    """max_p <p, q> - tau h(p) at each state, shape (..., S)."""
    if mdp.tau == 0.0:
        return np.asarray(q_sa.max(axis=-1))
    return mdp.regularizer.conjugate(q_sa, mdp.tau)


def greedy(mdp: Mdp, q_sa: Array) -> Array:
    """The maximiser; at tau = 0 the first best action."""
    if mdp.tau > 0.0:
        return mdp.regularizer.argmax(q_sa, mdp.tau)
    return np.asarray(np.eye(mdp.n_actions)[q_sa.argmax(axis=-1)])


def residual_rounding(mdp: Mdp, v_s: Array) -> Array:
    """Bound on the rounding error of a computed residual T v - v.

    S products and sums for the expectation, and a few operations per action for the maximum, on
    numbers of the size of the reward and of v.
    """
    operations = mdp.n_states + 4 * mdp.n_actions + 8
    size = mdp.reward_bound + 2.0 * np.abs(v_s).max(axis=-1)
    return np.asarray(operations * _UNIT * size)


def certified(mdp: Mdp, v_s: Array, q_sa: Array, iterations: int) -> Optimum:
    """Attach the error bound to a value vector and its backup."""
    residual = np.abs(optimal_backup(mdp, q_sa) - v_s).max(axis=-1)
    error = (residual + residual_rounding(mdp, v_s)) / (1.0 - mdp.gamma)
    return Optimum(mdp, greedy(mdp, q_sa), v_s, q_sa, np.asarray(error), iterations)


def attainable(mdp: Mdp, v_s: Array) -> Array:
    """Error bound that float64 attains: the rounding of the residual and of the linear solve."""
    return 4.0 * residual_rounding(mdp, v_s) / (1.0 - mdp.gamma)


def require(optimum: Optimum, tolerance: float | Array, method: str, remedy: str) -> Optimum:
    """Return the optimum if its error bound meets the tolerance.

    Raises
    ------
    ConvergenceError
        If it does not.
    """
    if (optimum.error > tolerance).any():
        worst = float(np.max(optimum.error / tolerance))
        raise ConvergenceError(
            f"{method} stopped after {optimum.iterations} iterations with an error bound of "
            f"{np.max(optimum.error):.3g}, {worst:.3g} times the tolerance: {remedy}"
        )
    return optimum


def policy_iteration(
    mdp: Mdp,
    *,
    start_sa: Array | None = None,
    tolerance: float | None = None,
    max_iterations: int = 1000,
) -> Optimum:
    """Regularised policy iteration.

    Parameters
    ----------
    mdp : Mdp
    start_sa : (..., S, A), optional
        First policy; the best one for v = 0 if not given.
    tolerance : float, optional
        On the error bound; what float64 attains if not given.
    max_iterations : int

    Raises
    ------
    ConvergenceError
        If the bound does not meet the tolerance.
    InputError
        If ``start_sa`` is not a policy.
    """
    pi_sa = greedy(mdp, mdp.r_sa) if start_sa is None else start_sa
    best: Optimum | None = None
    for iteration in range(1, max_iterations + 1):
        evaluation = evaluate(mdp, pi_sa)
        found = certified(mdp, evaluation.v_s, evaluation.q_sa, iteration)
        # Newton's method decreases the residual until rounding stops it: then it is done.
        if best is not None and not (found.error < best.error).any():
            break
        best = found
        if (found.error <= 0.5 * attainable(mdp, found.v_s)).all():
            break
        pi_sa = _improve(found, evaluation.pi_sa)
    if best is None:
        raise InputError(f"max_iterations is {max_iterations}; it must be at least 1")
    goal = attainable(mdp, best.v_s) if tolerance is None else tolerance
    return require(best, goal, "policy iteration", "raise max_iterations or the tolerance")


def _improve(found: Optimum, pi_sa: Array) -> Array:
    """Greedy improvement; at tau = 0 an action is kept unless a better one beats rounding."""
    if found.mdp.tau > 0.0:
        return found.pi_sa
    kept = (pi_sa * found.q_sa).sum(axis=-1)
    margin = residual_rounding(found.mdp, found.v_s)[..., None]
    better = found.q_sa.max(axis=-1) > kept + margin
    return np.where(better[..., None], found.pi_sa, pi_sa)


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
    """
    v_s = np.zeros(mdp.r_sa.shape[:-1]) if start_s is None else np.asarray(start_s, dtype=float)
    for iteration in range(max_iterations):
        q_sa = backup(mdp, v_s)
        updated = optimal_backup(mdp, q_sa)
        rounding = residual_rounding(mdp, v_s)
        error = (np.abs(updated - v_s).max(axis=-1) + rounding) / (1.0 - mdp.gamma)
        if (error <= (attainable(mdp, v_s) if tolerance is None else tolerance)).all():
            return Optimum(mdp, greedy(mdp, q_sa), v_s, q_sa, np.asarray(error), iteration)
        v_s = updated
    found = certified(mdp, v_s, backup(mdp, v_s), max_iterations)
    goal = attainable(mdp, v_s) if tolerance is None else tolerance
    return require(
        found,
        goal,
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
    """First iterate: the given policy with positive entries, or the uniform one."""
    if pi_sa is None:
        pi_sa = np.full(mdp.r_sa.shape, 1.0 / mdp.n_actions)
    pi_sa = policy("pi_sa", pi_sa, (mdp.n_states, mdp.n_actions))
    xi_sa = mdp.regularizer.gradient(pi_sa)
    if not np.isfinite(xi_sa).all():
        where = first(~np.isfinite(xi_sa))
        raise InputError(
            f"pi_sa{list(where)} is 0, where the regulariser has no gradient: start mirror descent "
            "from a policy with positive entries"
        )
    return MirrorState(xi_sa, pi_sa)


def mirror_step(mdp: Mdp, state: MirrorState, step: float) -> MirrorState:
    """One update of policy mirror descent (C.32) with step eta."""
    q_sa = evaluate(mdp, state.pi_sa).q_sa
    xi_sa = (state.xi_sa + step * q_sa) / (1.0 + step * mdp.tau)
    return MirrorState(xi_sa, mdp.regularizer.argmax(xi_sa, 1.0))


def mirror_iterates(mdp: Mdp, state: MirrorState, step: float) -> Iterator[MirrorState]:
    """All iterates of policy mirror descent after the given one."""
    scalar("step", step, low=0.0, open_low=True)
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

    Raises
    ------
    ConvergenceError
        If the bound does not meet the tolerance in ``max_iterations``.
    InputError
        If the step is not positive or the start has no subgradient.
    """
    found: Optimum | None = None
    states = mirror_iterates(mdp, mirror_start(mdp, start_sa), step)
    for iteration, state in zip(range(max_iterations), states, strict=False):
        evaluation = evaluate(mdp, state.pi_sa)
        found = certified(mdp, evaluation.v_s, evaluation.q_sa, iteration + 1)
        goal = attainable(mdp, found.v_s) if tolerance is None else tolerance
        if (found.error <= goal).all():
            return found
    if found is None:
        raise InputError(f"max_iterations is {max_iterations}; it must be at least 1")
    goal = attainable(mdp, found.v_s) if tolerance is None else tolerance
    return require(found, goal, "mirror descent", "raise the step, max_iterations or the tolerance")
