r"""Small MDPs with rational data, and the quadratic regulariser or none.

Shares nothing with :mod:`reference`.  With P_pi, c_pi = <pi, r> - tau |pi|^2 / 2 per state::

    V = (I - gamma P_pi)^{-1} c_pi,   Q = r + gamma P V,   d' = (1 - gamma) rho' (I - gamma P_pi)^{-1}
    grad_pi V(rho) = d(s) (Q(s,.) - tau pi(s)) / (1 - gamma)

The last is itself held to exact derivatives by dual numbers in the tests.

A policy may also hold polynomials, which stand for all policies of a family at once; then values are
fractions of polynomials (Cramer).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from flint import fmpq

from verify.claims.contract import CertificateError
from verify.claims.exact.polynomials import determinant
from verify.claims.exact.rationals import (
    Rationals,
    filled,
    fraction,
    fractions,
    identity,
    require,
    require_distribution,
    same,
    total,
)
from verify.oracles.arithmetic import eliminate


@dataclass(frozen=True)
class ExactMdp:
    """A small MDP with rational data; tau weighs |p|^2 / 2.

    Attributes
    ----------
    P_sat, r_sa, rho_s : arrays of rationals
    gamma, tau : rationals
    """

    P_sat: Rationals
    r_sa: Rationals
    gamma: fmpq
    rho_s: Rationals
    tau: fmpq

    @classmethod
    def parse(cls, content: Mapping[str, Any], tau: object = 0) -> "ExactMdp":
        """Read ``{"P": ..., "r": ..., "gamma": ..., "rho": ...}`` and check that it is an MDP.

        Raises
        ------
        CertificateError
            If a row is no distribution or gamma is outside [0, 1).
        """
        mdp = cls(
            fractions(content["P"]),
            fractions(content["r"]),
            fraction(content["gamma"]),
            fractions(content["rho"]),
            fraction(tau),
        )
        for row in (*mdp.P_sat.reshape(-1, mdp.P_sat.shape[-1]), mdp.rho_s):
            require_distribution(row)
        require(0 <= mdp.gamma < 1, f"gamma = {mdp.gamma} is outside [0, 1)")
        return mdp

    def chain(self, pi_sa: Rationals) -> Rationals:
        """P_pi."""
        return np.asarray(np.einsum("sa,sat->st", pi_sa, self.P_sat))

    def values(self, pi_sa: Rationals) -> Rationals:
        """V^pi."""
        c_s = self.one_step(pi_sa)
        return np.asarray(eliminate(identity(len(c_s)) - self.gamma * self.chain(pi_sa), c_s))

    def one_step(self, pi_sa: Rationals) -> Rationals:
        """c_pi."""
        return np.asarray((pi_sa * self.r_sa).sum(axis=1) - self.tau * quadratic(pi_sa))

    def value_fractions(self, pi_sa: Rationals) -> tuple[Rationals, Any]:
        """V^pi as numerators over one positive denominator, for policies that may hold polynomials."""
        c_s = self.one_step(pi_sa)
        system_st = identity(len(c_s)) - self.gamma * self.chain(pi_sa)
        numerators = []
        for state in range(len(c_s)):
            replaced_st = system_st.copy()
            replaced_st[:, state] = c_s
            numerators.append(determinant(replaced_st))
        return filled(numerators, (len(c_s),)), determinant(system_st)

    def start_value(self, pi_sa: Rationals) -> fmpq:
        """V^pi(rho)."""
        return total(self.rho_s * self.values(pi_sa))

    def action_values(self, pi_sa: Rationals) -> Rationals:
        """Q^pi."""
        next_sa = np.einsum("sat,t->sa", self.P_sat, self.values(pi_sa))
        return np.asarray(self.r_sa + self.gamma * next_sa)

    def visits(self, pi_sa: Rationals) -> Rationals:
        """Expected discounted visits from rho: the occupancy over 1 - gamma."""
        n = len(self.rho_s)
        return np.asarray(eliminate((identity(n) - self.gamma * self.chain(pi_sa)).T.copy(), self.rho_s))

    def policy_gradient(self, pi_sa: Rationals) -> Rationals:
        """grad_pi V(rho)."""
        slope_sa = self.action_values(pi_sa) - self.tau * pi_sa
        return np.asarray(self.visits(pi_sa)[:, None] * slope_sa)

    def dominance(self, pi_sa: Rationals) -> fmpq:
        """max over all policies of <grad_pi V(rho), pi' - pi>: a vertex in each state."""
        gradient = self.policy_gradient(pi_sa)
        return total(np.array([max(row) for row in gradient])) - total(gradient * pi_sa)

    def require_optimal(self, pi_sa: Rationals) -> None:
        """Require that a policy is optimal: greedy for its own Q, by the variational inequality.

        Raises
        ------
        CertificateError
            If a policy exists that gains on it to first order in a state.
        """
        slope_sa = self.action_values(pi_sa) - self.tau * pi_sa
        for slope_a, pi_a in zip(slope_sa, pi_sa, strict=True):
            require(max(slope_a) == total(slope_a * pi_a), f"{list(pi_a)} is not optimal")

    def bellman_penalty(self, pi_sa: Rationals, optimal_sa: Rationals) -> fmpq:
        """p(pi) of (3.5), given an optimal policy, which is checked."""
        self.require_optimal(optimal_sa)
        q_sa = self.action_values(optimal_sa)
        gap_sa = (optimal_sa - pi_sa) * q_sa
        lost_s = gap_sa.sum(axis=1) - self.tau * (quadratic(optimal_sa) - quadratic(pi_sa))
        return total(self.rho_s * lost_s)

    def best_deterministic(self) -> Rationals:
        """An optimal deterministic policy at tau = 0, recognised by the optimality equation."""
        require(self.tau == 0, "a regularised MDP need not have a deterministic optimum")
        n_states, n_actions = self.r_sa.shape
        for choice in product(range(n_actions), repeat=n_states):
            pi_sa = deterministic(choice, n_actions)
            best_s = [max(row) for row in self.action_values(pi_sa)]
            if all(v == b for v, b in zip(self.values(pi_sa), best_s, strict=True)):
                return pi_sa
        raise CertificateError("no deterministic policy is optimal")


def policy(nested: object) -> Rationals:
    """Parse a policy.

    Raises
    ------
    CertificateError
        If a row is no distribution.
    """
    pi_sa = fractions(nested)
    require(pi_sa.ndim == 2, "a policy has one row per state")
    for row in pi_sa:
        require_distribution(row)
    return pi_sa


def quadratic(pi_sa: Rationals) -> Rationals:
    """|p|^2 / 2 in each state."""
    return np.asarray((pi_sa * pi_sa).sum(axis=1) * fmpq(1, 2))


def shared(t: Any, n_states: int) -> Rationals:
    """The policy that takes the second of two actions with probability t in every state."""
    return filled([1 - t, t] * n_states, (n_states, 2))


def deterministic(choice: Sequence[int], n_actions: int) -> Rationals:
    """The policy that takes the given action in each state."""
    return fractions(np.eye(n_actions, dtype=int)[list(choice)].tolist())


def gap_at_a_stuck_end(mdp: ExactMdp, slope: object) -> fmpq:
    """V(rho) at t = 1 less that at t = 0, on policies (1 - t, t) shared by all states.

    V descends from t = 0, with the recorded slope: no direction in the class ascends there.

    Raises
    ------
    CertificateError
        If it does not.
    """
    start, end = (shared(fraction(t), len(mdp.rho_s)) for t in (0, 1))
    gradient_sa = mdp.policy_gradient(start)
    found = total(gradient_sa[:, 1]) - total(gradient_sa[:, 0])
    same("the slope of V along the class", found, slope)
    require(found < 0, f"V does not descend from t = 0: its slope is {found}")
    return mdp.start_value(end) - mdp.start_value(start)
