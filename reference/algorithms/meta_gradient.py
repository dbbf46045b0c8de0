r"""Meta-gradient (Yang et al. 2021), the baseline of Section 6.3, with one inner step.

x descends the upper objective *after* each player's next step, and the steps are differentiated
through.  With V_i the own value of player i::

    y_i' = Proj( y_i + beta grad_{y_i} V_i(x, y) )                   all players at once
    x'   = Proj( x - alpha d/dx f(x, y'(x)) )
    d/dx f(x, y'(x)) = grad_x f(x, y') + sum_i beta grad_x <u_i, grad_{y_i} V_i(x, y)>
    u_i  = grad_{y_i} f(x, y'), through the derivative of the projection

The mixed term needs no second derivative of V.  Let eta be the derivative of the policy along u_i at
y_i; then <u_i, grad_{y_i} V_i> is D, the derivative of V^pi(rho) along eta, in the MDP that the player
faces.  With its M = (I - gamma P_pi)^{-1}, d = M' rho and Q = r + gamma P V, the player's index dropped,

    D    = rho' M c,   c(s) = <eta(s), Q(s,.) - tau grad h_s(pi(s))>,   W = V + M c
    dD   = sum_s d(s) ( gamma <pi, dP M c> + <eta, dr + gamma dP V> )(s) + m' dV
    dV   = M <pi, dr + gamma dP V>,   m(t) = gamma sum_sa d(s) eta(a|s) P(t|s,a)

so grad_x D is the pullback of two weights (s, a) at two value vectors, with l = M' m::

    d pi                     at W
    d (eta - pi) + l pi      at V

The projection onto simplices is differentiable where no entry of y_i + beta grad V_i sits exactly at
the projection's threshold: there u_i is centred over the entries that stay positive.
"""

from dataclasses import dataclass
from typing import Generic

import numpy as np

from reference.algorithms.bilevel import Bilevel, ProblemT
from reference.algorithms.contract import Record, Schedule, State, scheduled
from reference.algorithms.players import own_evaluations, pulled
from reference.contractions import arrivals
from reference.domains import Domain, Euclidean, Simplices, member, point
from reference.errors import InputError
from reference.evaluation import PolicyEvaluation, policy_gradient
from reference.penalties.contract import Penalty
from reference.policies import DirectPolicy, PolicyMap, SoftmaxPolicy
from reference.validation import Array, instance, numbers, provides, scalar, together


def pushforward(policy_map: PolicyMap, y: Array, u: Array) -> Array:
    """Derivative of the policy along u.

    The Jacobians of the direct and of the softmax policy are symmetric, so it is the pullback.

    Raises
    ------
    InputError
        If the policy map is another one, or an array has another shape than its parameters.
    """
    if not isinstance(policy_map, DirectPolicy | SoftmaxPolicy):
        raise InputError(
            f"the meta-gradient differentiates DirectPolicy and SoftmaxPolicy, not "
            f"{type(policy_map).__name__}: its Jacobian need not be symmetric"
        )
    y, u = point("y", y, policy_map.domain), point("u", u, policy_map.domain)
    return policy_map.pullback(y, u)


def through_projection(domain: Domain, projected: Array, u: Array) -> Array:
    """Apply the derivative of a projection, which is symmetric, given the projected point.

    Raises
    ------
    InputError
        If the domain is neither a Euclidean space nor a product of simplices, or an array has another
        shape than its points.
    """
    provides("domain", domain, Domain)
    u = point("u", u, domain)
    if isinstance(domain, Euclidean):
        return u
    if not isinstance(domain, Simplices):
        raise InputError(
            f"the projection onto {type(domain).__name__} is not differentiated here: parameters of "
            "policies live in a Euclidean space or in simplices"
        )
    projected = member("projected", projected, domain)
    inside = projected > 0.0
    mean = np.where(inside, u, 0.0).sum(axis=-1, keepdims=True) / inside.sum(axis=-1, keepdims=True)
    return np.where(inside, u - mean, 0.0)


def derivative_terms(own: PolicyEvaluation, eta_sa: Array) -> tuple[Array, Array]:
    """Weights (..., 2, S, A) and values (..., 2, S) whose pullback is grad_x of <grad_pi V, eta>.

    Parameters
    ----------
    own : PolicyEvaluation
    eta_sa : (..., S, A)
        The direction eta in which the policy moves.

    Raises
    ------
    InputError
        If eta has another shape than the policy.
    """
    instance("own", own, PolicyEvaluation)
    eta_sa = numbers("eta_sa", eta_sa, "(state, action)", own.pi_sa.shape[-2:])
    together(eta_sa=eta_sa.shape[:-2], evaluation=own.v_s.shape[:-1])
    mdp, pi_sa = own.mdp, own.pi_sa
    # Where a softmax underflows to zero, the entropy's gradient is infinite and eta zero.
    gradient_sa = np.where(pi_sa > 0.0, mdp.regularizer.gradient(pi_sa), 0.0)
    moved_s = own.chain.solve((eta_sa * (own.q_sa - mdp.tau * gradient_sa)).sum(axis=-1))
    visits_s = own.visits_s[..., None]
    arrivals_s = mdp.gamma * arrivals(mdp.P_sat, visits_s * eta_sa)
    later_s = own.visits(arrivals_s)[..., None]
    w_ksa = np.stack([visits_s * pi_sa, visits_s * (eta_sa - pi_sa) + later_s * pi_sa], axis=-3)
    return w_ksa, np.stack([own.v_s + moved_s, own.v_s], axis=-2)


def look_ahead(
    bilevel: Bilevel[ProblemT], x: Array, y: tuple[Array, ...], beta: float
) -> tuple[Array, tuple[Array, ...]]:
    """Total derivative of f(x, y'(x)) in x, and y'.

    Parameters
    ----------
    bilevel : Bilevel
    x : (..., *domain.shape)
    y : one array of parameters per player
    beta : float
        The inner step.

    Raises
    ------
    InputError
        If a policy is parameterised by something else than DirectPolicy or SoftmaxPolicy, x is outside
        its domain, y has not one array per player, or the step is not positive.
    NotDifferentiableError
        If an entropy meets a zero of a directly parameterised policy.
    """
    instance("bilevel", bilevel, Bilevel)
    beta = scalar("beta", beta, low=0.0, open_low=True)
    policies = bilevel.policies(y)
    own = own_evaluations(bilevel.problem.at(x), policies)
    ascent = bilevel.pulled_to_y(y, tuple(policy_gradient(e) for e in own))
    ahead = bilevel.projected_y(tuple(part + beta * g for part, g in zip(y, ascent, strict=True)))
    upper = bilevel.evaluate(x, ahead)
    grad_ahead = bilevel.pulled_to_y(ahead, upper.grad_policies)
    terms = tuple(
        derivative_terms(e, pushforward(m, part, through_projection(m.domain, next_part, u)))
        for e, m, part, next_part, u in zip(own, bilevel.policy_maps, y, ahead, grad_ahead, strict=True)
    )
    return upper.grad_x + beta * pulled(bilevel.problem, x, policies, terms), ahead


@dataclass(frozen=True, eq=False)
class MetaGradient(Generic[ProblemT]):
    """Meta-gradient with one inner step.

    Parameters
    ----------
    bilevel : Bilevel
    penalty : Penalty
        By which records measure how far the players are from a solution; it moves nobody.
    step_x : Schedule
        The step alpha.
    step_y : Schedule
        The inner step beta.

    Raises
    ------
    InputError
        If a part is of another kind.
    """

    bilevel: Bilevel[ProblemT]
    penalty: Penalty[ProblemT]
    step_x: Schedule
    step_y: Schedule

    def __post_init__(self) -> None:
        instance("bilevel", self.bilevel, Bilevel)
        instance("penalty", self.penalty, Penalty)
        provides("step_x", self.step_x, Schedule)
        provides("step_y", self.step_y, Schedule)

    def start(self, x: Array, y: tuple[Array, ...] | None = None) -> State:
        """First state; the policies begin uniform if not given.

        Raises
        ------
        InputError
            As :meth:`Bilevel.start`.
        """
        return State(0, *self.bilevel.start(x, y))

    def step(self, state: State) -> State:
        """One inner step of the players, and one step of x through it.

        Raises
        ------
        InputError
            If the state belongs to another problem, or the next one is not finite.
        NotDifferentiableError
            If an entropy meets a zero of a directly parameterised policy.
        """
        instance("state", state, State)
        beta = scheduled("step_y", self.step_y, state.k)
        alpha = scheduled("step_x", self.step_x, state.k)
        gradient, ahead = look_ahead(self.bilevel, state.x, state.y, beta)
        x = self.bilevel.problem.domain.project(state.x - alpha * gradient)
        return State(state.k + 1, x, ahead)

    def record(self, state: State, following: State) -> Record:
        """Upper objective, exact penalty, and how far all have moved over their steps.

        Raises
        ------
        InputError
            As :meth:`Bilevel.record`.
        """
        instance("state", state, State)
        alpha = scheduled("step_x", self.step_x, state.k)
        beta = scheduled("step_y", self.step_y, state.k)
        return self.bilevel.record(self.penalty, state, following, alpha, beta)
