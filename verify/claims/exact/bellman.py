r"""Exact rationals for certificates about the Bellman penalty (3.5)-(3.7).

Two settings are simple enough to be exact: one policy shared by two states, whose next states are drawn
without regard to state and action, so that values are quadratic in the shared probability; and one
state with two actions at gamma = 0, where the best row is known in closed form.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from flint import fmpq

from verify.claims import exact
from verify.claims.exact import ExactMdp, Rationals


def shared(t: fmpq) -> Rationals:
    """The policy (1 - t, t) in each of two states."""
    return np.array([[1 - t, t], [1 - t, t]])


def quadratic(function: Callable[[fmpq], fmpq]) -> tuple[fmpq, fmpq, fmpq]:
    """(a, b, c) with f(t) = a t^2 + b t + c on [0, 1], which is checked at further points.

    Raises
    ------
    CertificateError
        If it is not quadratic at the points tried.
    """
    half = fmpq(1, 2)
    c, middle, end = function(fmpq(0)), function(half), function(fmpq(1))
    a = 2 * (end - 2 * middle + c)
    b = end - c - a
    for t in (fmpq(1, 3), fmpq(4, 5)):
        exact.require(function(t) == a * t * t + b * t + c, f"the function is not quadratic at {t}")
    return a, b, c


@dataclass(frozen=True)
class SharedPolicies:
    """The class of policies (1 - t, t) shared by two states, with rewards affine in x.

    Attributes
    ----------
    content : certificate
    slope_sa : (2, 2) of rationals
        Derivative of the reward in x.
    """

    content: Mapping[str, Any]
    slope_sa: Rationals

    @classmethod
    def parse(cls, content: Mapping[str, Any]) -> "SharedPolicies":
        """Read ``{"mdp": ..., "reward_slope": ..., "tau": ...}`` and check Assumption 2.

        Raises
        ------
        CertificateError
            If tau is not positive or a transition has probability zero.
        """
        found = cls(content, exact.fractions(content["reward_slope"]))
        mdp = found.at(fmpq(0))
        exact.require(mdp.tau > 0, "tau must be positive")
        exact.require(all(p > 0 for p in mdp.P_sat.flat), "a transition has probability zero")
        exact.require(all(p > 0 for p in mdp.rho_s), "rho has a zero")
        rows = {tuple(str(p) for p in row) for row in mdp.P_sat.reshape(-1, 2)}
        exact.require(len(rows) == 1, "the next state depends on state or action")
        return found

    def at(self, x: fmpq) -> ExactMdp:
        """The MDP at x."""
        mdp = ExactMdp.parse(self.content["mdp"], self.content["tau"])
        return ExactMdp(mdp.P_sat, mdp.r_sa + x * self.slope_sa, mdp.gamma, mdp.rho_s, mdp.tau)

    def best_is_zero(self, x: fmpq) -> None:
        """Require that t = 0 is the only optimal policy in both states at x."""
        mdp = self.at(x)
        for s in (0, 1):

            def lead(t: fmpq, s: int = s) -> fmpq:
                values: fmpq = mdp.values(shared(fmpq(0)))[s] - mdp.values(shared(t))[s]
                return values

            a, b, c = quadratic(lead)
            # lead(t) = t (a t + b), positive on (0, 1] if the bracket is at both ends.
            exact.require(c == 0 and b >= 0 and a + b > 0, f"t = 0 is not best in state {s} at {x}")

    def bellman(self, x: fmpq, t: fmpq) -> fmpq:
        """g(x, y) of (3.6) at the shared policy t, with the action values of t = 0."""
        mdp = self.at(x)
        y_sa = shared(t)
        q_sa = mdp.action_values(shared(fmpq(0)))
        charge_s = mdp.tau * (y_sa * y_sa).sum(axis=1) / 2
        return exact.total(mdp.rho_s * (charge_s - (y_sa * q_sa).sum(axis=1)))

    def smallest_is_one(self, x: fmpq) -> None:
        """Require that g(x, .) is smallest at t = 1 alone: g(t) - g(1) = (1 - t)(...) > 0 before."""
        a, b, _ = quadratic(lambda t: self.bellman(x, t))
        # g(t) - g(1) = -(1 - t) (a (1 + t) + b), and the bracket is affine in t.
        exact.require(a + b < 0 and 2 * a + b < 0, f"g is not smallest at t = 1 for x = {x}")

    def slope_of_v(self, reach: fmpq) -> fmpq:
        """Slope of v(x) = min g(x, .) at 0, where v(x) = g(x, 1) is affine for |x| <= reach.

        The conditions for both optima are affine in x, so the ends of the interval decide.
        """
        for x in (-reach, fmpq(0), reach):
            self.best_is_zero(x)
            self.smallest_is_one(x)
        ends = [self.bellman(x, fmpq(1)) for x in (-reach, fmpq(0), reach)]
        exact.require(ends[0] + ends[2] == 2 * ends[1], "v is not affine")
        slope: fmpq = (ends[2] - ends[0]) / (2 * reach)
        return slope


def best_of_two(r_a: Rationals, tau: fmpq) -> fmpq:
    """max <p, r> - tau |p|^2 / 2 over distributions of two actions."""
    if tau == 0:
        top: fmpq = max(r_a)
        return top
    first = (1 + (r_a[0] - r_a[1]) / tau) / 2
    first = min(max(first, fmpq(0)), fmpq(1))
    return net(np.array([first, 1 - first]), r_a, tau)


def net(p_a: Rationals, r_a: Rationals, tau: fmpq) -> fmpq:
    """<p, r> - tau |p|^2 / 2."""
    found: fmpq = exact.total(p_a * r_a) - tau * exact.total(p_a * p_a) / 2
    return found


def one_sided_slope(function: Callable[[fmpq], fmpq], side: int, reach: fmpq) -> fmpq:
    """Derivative at 0 from one side of a function that is quadratic there up to ``reach``."""
    _, b, _ = quadratic(lambda t: function(side * reach * t))
    slope: fmpq = b / (side * reach)
    return slope
