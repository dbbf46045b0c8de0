r"""Hypergradient descent: implicit differentiation through the regularised solution.

With tau > 0 the lower level's solution is one smooth function of x, so what the penalties approach can
be descended itself::

    F(x)      = f(x, pi*(x)),     x_{k+1} = Proj_X( x_k - alpha grad F(x_k) )
    grad F(x) = grad_x f + d/dx sum_i <g_i, pi_i*(x)>,     g_i = grad of f in the entries of pi_i

Let D_i be the derivative of player i's maximiser argmax_p <p, q> - h_i(p) in q, symmetric, in each
state.  **One player** plays the maximiser at q* / tau, and Q* changes as Q^{pi*} at fixed pi* does
(the envelope theorem)::

    d/dx <g, pi*> = sum_sa w(s,a) grad_x Q^{pi*}(s,a),     w = D g / tau

**Two players** of a zero-sum game play the saddle points of the stage games M = r + gamma P v*::

    dpi_1 =  D_1 ( M dpi_2 + dM pi_2 ) / tau,     dpi_2 = -D_2 ( M' dpi_1 + dM' pi_1 ) / tau

in each state.  With the solution z of the transposed system, again in each state,

    z_1 + M D_2 z_2 / tau = g_1,     z_2 - M' D_1 z_1 / tau = g_2

the derivative is that of <w, M> with w(a,b) = ( (D_1 z_1)(a) pi_2(b) - pi_1(a) (D_2 z_2)(b) ) / tau.
v* changes as the value of (pi_1, pi_2) at fixed policies does, so with M' of their joint chain

    d/dx sum_i <g_i, pi_i*> = pullback of w + l pi_1 pi_2 at v*,     l = M' mu,
    mu(t) = gamma sum_sab w(s,a,b) P(t|s,a,b)

The system's determinant is that of I + M D_2 M' D_1 / tau^2, at least 1: it is never singular.
"""

from dataclasses import dataclass
from typing import Any, Generic

import numpy as np

from reference.algorithms.bilevel import Bilevel, ProblemT
from reference.algorithms.contract import Record, Schedule, State, scheduled
from reference.algorithms.players import LowerLevel, Problem
from reference.contractions import arrivals, joint_actions
from reference.equilibrium import argmax_derivative, nash_equilibrium
from reference.errors import InputError
from reference.evaluation import evaluate, evaluate_joint, q_gradient_x
from reference.optimality import policy_iteration
from reference.penalties.contract import Penalty
from reference.problems.mdp import Mdp
from reference.problems.zero_sum_game import ZeroSumGame
from reference.validation import Array, instance, numbers, provides, several


def solved(lower: LowerLevel, start_s: Array | None = None) -> tuple[tuple[Array, ...], Array]:
    """Policies that solve the lower level, and its values, to the accuracy of float64.

    Parameters
    ----------
    lower : Mdp or ZeroSumGame
        With tau > 0.
    start_s : (..., S), optional
        An estimate of the values, to start from.

    Returns
    -------
    policies : one (..., S, A) per player
    v_s : (..., S)

    Raises
    ------
    InputError
        If it is neither an MDP nor a game, or tau = 0.
    ConvergenceError
        As the solvers.
    """
    if not isinstance(lower, Mdp | ZeroSumGame):
        raise InputError(
            f"the lower level is {type(lower).__name__}; it must be an Mdp or a ZeroSumGame"
        )
    if lower.tau == 0.0:
        raise InputError(
            "tau is 0, where the solution need not be differentiable in x: use tau > 0, or a penalty"
        )
    if isinstance(lower, Mdp):
        best = policy_iteration(lower, start_s=start_s)
        return (best.pi_sa,), best.v_s
    pair = nash_equilibrium(lower, start_s=start_s)
    return (pair.pi_sa, pair.pi_sb), pair.v_s


def through_solution(
    problem: Problem, x: Array, policies: tuple[Array, ...], gradients: tuple[Array, ...]
) -> Array:
    """Gradient in x of sum_i <g_i, pi_i*(x)> at fixed g, shape of x.

    Parameters
    ----------
    problem : Problem
    x : (..., *problem.domain.shape)
    policies : one (..., S, A) per player
        The solution at x.
    gradients : one (..., S, A) per player
        The g_i.

    Raises
    ------
    InputError
        If there is not one policy and one gradient of the same shape per player, or x is outside its
        domain.
    """
    provides("problem", problem, Problem)
    policies = several("policies", policies, None, "give one policy per player")
    gradients = several("gradients", gradients, len(policies), "give one gradient per player")
    gradients = tuple(
        numbers(f"gradients[{i}]", g, "(state, action)", np.shape(pi)[-2:])
        for i, (g, pi) in enumerate(zip(gradients, policies, strict=True))
    )
    lower = problem.at(x)
    if isinstance(lower, Mdp):
        (pi_sa,) = several("policies", policies, 1, "give one: (pi_sa,)")
        own = evaluate(lower, pi_sa)
        w_sa = _applied(argmax_derivative(lower.regularizer, pi_sa), gradients[0]) / lower.tau
        family: Any = problem  # a problem whose member is an MDP is a parametric MDP
        return q_gradient_x(family, x, own, w_sa)
    pi_sa, pi_sb = several("policies", policies, 2, "give one per player: (pi_sa, pi_sb)")
    joint = evaluate_joint(lower, pi_sa, pi_sb)
    M_sab = np.asarray(joint.q_sab / lower.tau)
    D_1, D_2 = (
        argmax_derivative(h, pi)
        for h, pi in ((lower.regularizer_1, pi_sa), (lower.regularizer_2, pi_sb))
    )
    n_first = pi_sa.shape[-1]
    n = n_first + pi_sb.shape[-1]
    system = np.broadcast_to(np.eye(n), (*M_sab.shape[:-2], n, n)).copy()
    system[..., :n_first, n_first:] = M_sab @ D_2
    system[..., n_first:, :n_first] = -M_sab.mT @ D_1
    g = np.concatenate(gradients, axis=-1)
    z = np.asarray(np.linalg.solve(system, g[..., None])[..., 0], dtype=np.float64)
    first_sa, second_sb = _applied(D_1, z[..., :n_first]), _applied(D_2, z[..., n_first:])
    spread_sab = first_sa[..., None] * pi_sb[..., None, :] - pi_sa[..., None] * second_sb[..., None, :]
    w_sab = np.asarray(spread_sab / lower.tau)
    w_sj, P_sjt = joint_actions(w_sab, trailing=0), joint_actions(lower.P_sabt, trailing=1)
    later_s = joint.visits(lower.gamma * arrivals(P_sjt, w_sj))
    total_sab = w_sab + later_s[..., None, None] * joint.joint_sab
    return problem.pullback(x, total_sab[..., None, :, :, :], joint.v_s[..., None, :])


def _applied(matrix_sij: Array, g_sj: Array) -> Array:
    return np.asarray((matrix_sij @ g_sj[..., None])[..., 0])


def hypergradient(bilevel: Bilevel[ProblemT], x: Array, policies: tuple[Array, ...]) -> Array:
    """Gradient of F(x) = f(x, pi*(x)), shape of x.

    Parameters
    ----------
    bilevel : Bilevel
    x : (..., *domain.shape)
    policies : one (..., S, A) per player
        The solution of the lower level at x.

    Raises
    ------
    InputError
        If x is outside its domain, or the policies do not fit the problem.
    """
    instance("bilevel", bilevel, Bilevel)
    upper = bilevel.objective.evaluate(bilevel.problem, x, policies)
    return upper.grad_x + through_solution(bilevel.problem, x, policies, upper.grad_policies)


@dataclass(frozen=True, eq=False)
class Hypergradient(Generic[ProblemT]):
    """Projected descent on F(x) = f(x, pi*(x)); a state's y are the parameters of the solution at its x.

    Parameters
    ----------
    bilevel : Bilevel
        With tau > 0.
    penalty : Penalty
        By which records measure how far the policies are from a solution; it moves nobody.
    step_x : Schedule
        The step alpha.

    Raises
    ------
    InputError
        If a part is of another kind.
    """

    bilevel: Bilevel[ProblemT]
    penalty: Penalty[ProblemT]
    step_x: Schedule

    def __post_init__(self) -> None:
        instance("bilevel", self.bilevel, Bilevel)
        instance("penalty", self.penalty, Penalty)
        provides("step_x", self.step_x, Schedule)

    def start(self, x: Array) -> State:
        """First state, with the lower level solved.

        Raises
        ------
        InputError
            As :meth:`Bilevel.start`; also if tau = 0, or a solution has no parameters, as under a
            softmax whose probability underflows to zero.
        """
        x, _ = self.bilevel.start(x, None)
        return self._at(0, x, None)

    def step(self, state: State) -> State:
        """One update of x, and the solution at the new x.

        Raises
        ------
        InputError
            If the state belongs to another problem, or the next one is not finite.
        """
        instance("state", state, State)
        (v_s,) = several("state.oracle", state.oracle, 1, "use a state of this algorithm's start")
        alpha = scheduled("step_x", self.step_x, state.k)
        gradient = hypergradient(self.bilevel, state.x, self.bilevel.policies(state.y))
        x = self.bilevel.problem.domain.project(state.x - alpha * gradient)
        return self._at(state.k + 1, x, v_s)

    def record(self, state: State, following: State) -> Record:
        """Upper objective, exact penalty, which is zero up to rounding, and how far x has moved.

        Raises
        ------
        InputError
            As :meth:`Bilevel.record`.
        """
        instance("state", state, State)
        alpha = scheduled("step_x", self.step_x, state.k)
        return self.bilevel.record(self.penalty, state, following, alpha, None)

    def _at(self, k: int, x: Array, start_s: Array | None) -> State:
        policies, v_s = solved(self.bilevel.problem.at(x), start_s)
        maps = self.bilevel.policy_maps
        y = tuple(m.inverse(pi) for m, pi in zip(maps, policies, strict=True))
        return State(k, x, y, (v_s,))
