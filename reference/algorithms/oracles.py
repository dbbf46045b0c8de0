r"""Oracles: approximate solutions of a player's MDP, better with every outer iteration.

An oracle's state is one array, carried from one outer iteration to the next (the paper's single inner
step would go nowhere from a fresh start).  Per outer iteration it makes T inner steps::

    exact              policy iteration to the accuracy of float64; the state is the policy
    mirror descent     xi <- (xi + eta Q^pi) / (1 + eta tau),  pi = argmax_p <p, xi> - h(p)   (C.32)
    policy gradient    y <- Proj_Y( y + eta grad_y V^{pi_y}(rho) )                            (C.33)
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from reference.domains import point
from reference.evaluation import agree, evaluate, parameter_policy_gradient
from reference.optimality import MirrorState, mirror_start, mirror_step, policy_iteration
from reference.policies import PolicyMap
from reference.problems.mdp import Mdp
from reference.validation import Array, instance, numbers, policy, provides, scalar, shaped, whole


@runtime_checkable
class Oracle(Protocol):
    """Improves a policy in an MDP that changes a little between the calls."""

    def start(self, mdp: Mdp, pi_sa: Array) -> Array:
        """First state, at a given policy."""
        ...

    def improve(self, mdp: Mdp, state: Array) -> Array:
        """State after the steps of one outer iteration."""
        ...

    def policy(self, mdp: Mdp, state: Array) -> Array:
        """The policy of a state, shape (..., S, A)."""
        ...


def _finite(mdp: Mdp, state: Array) -> Array:
    """A dual point (..., S, A) of finite numbers, with the leading axes of the MDP."""
    instance("mdp", mdp, Mdp)
    state = numbers("state", state, "(state, action)", (mdp.n_states, mdp.n_actions))
    agree(mdp, state=state.shape[:-2])
    return state


@dataclass(frozen=True)
class Exact:
    """Policy iteration; raises where the optimal policy is not unique."""

    def start(self, mdp: Mdp, pi_sa: Array) -> Array:
        """The policy, from which the first policy iteration begins."""
        instance("mdp", mdp, Mdp)
        return policy("pi_sa", pi_sa, (mdp.n_states, mdp.n_actions))

    def improve(self, mdp: Mdp, state: Array) -> Array:
        """The optimal policy."""
        return policy_iteration(mdp, start_sa=self.policy(mdp, state)).unique_policy()

    def policy(self, mdp: Mdp, state: Array) -> Array:
        """The state itself, which must be a policy."""
        instance("mdp", mdp, Mdp)
        return policy("state", state, (mdp.n_states, mdp.n_actions))


@dataclass(frozen=True)
class MirrorDescent:
    """T steps of policy mirror descent (C.32); the state is the dual point xi.

    Parameters
    ----------
    step : float > 0
        The step eta.
    steps : int >= 1
        The number T.

    Raises
    ------
    InputError
        If a parameter is out of range.
    """

    step: float
    steps: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "step", scalar("step", self.step, low=0.0, open_low=True))
        object.__setattr__(self, "steps", whole("steps", self.steps, low=1))

    def start(self, mdp: Mdp, pi_sa: Array) -> Array:
        """A subgradient of h at the policy, which must have positive entries under an entropy."""
        instance("mdp", mdp, Mdp)
        return mirror_start(mdp, policy("pi_sa", pi_sa, (mdp.n_states, mdp.n_actions))).xi_sa

    def improve(self, mdp: Mdp, state: Array) -> Array:
        """T updates."""
        mirror = MirrorState(state, self.policy(mdp, state))
        for _ in range(self.steps):
            mirror = mirror_step(mdp, mirror, self.step)
        return mirror.xi_sa

    def policy(self, mdp: Mdp, state: Array) -> Array:
        """argmax_p <p, xi> - h(p)."""
        state = _finite(mdp, state)
        return mdp.regularizer.argmax(state, 1.0)


@dataclass(frozen=True)
class PolicyGradient:
    """T steps of projected policy gradient (C.33); the state is the parameter y.

    Parameters
    ----------
    policy_map : PolicyMap
    step : float > 0
        The step eta.
    steps : int >= 1
        The number T.

    Raises
    ------
    InputError
        If a parameter is out of range.
    """

    policy_map: PolicyMap
    step: float
    steps: int

    def __post_init__(self) -> None:
        provides("policy_map", self.policy_map, PolicyMap)
        object.__setattr__(self, "step", scalar("step", self.step, low=0.0, open_low=True))
        object.__setattr__(self, "steps", whole("steps", self.steps, low=1))

    def start(self, mdp: Mdp, pi_sa: Array) -> Array:
        """Parameters of the policy."""
        instance("mdp", mdp, Mdp)
        return self.policy_map.inverse(policy("pi_sa", pi_sa, (mdp.n_states, mdp.n_actions)))

    def improve(self, mdp: Mdp, state: Array) -> Array:
        """T updates."""
        state = self._parameters(mdp, state)
        for _ in range(self.steps):
            own = evaluate(mdp, self.policy_map(state))
            ascent = parameter_policy_gradient(own, self.policy_map, state)
            state = self.policy_map.domain.project(state + self.step * ascent)
        return state

    def policy(self, mdp: Mdp, state: Array) -> Array:
        """pi_y."""
        pi_sa = self.policy_map(self._parameters(mdp, state))
        return shaped("the policy", pi_sa, "(state, action)", (mdp.n_states, mdp.n_actions))

    def _parameters(self, mdp: Mdp, state: Array) -> Array:
        instance("mdp", mdp, Mdp)
        return point("state", state, self.policy_map.domain)
