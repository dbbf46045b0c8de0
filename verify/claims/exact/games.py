r"""Exact rationals for certificates about Stackelberg games, with the quadratic regulariser or none.

The leader's policy in certificates is affine in a number x: pi_x = pi_0 + x slope, so its derivative is
``slope``, exactly.  At gamma = 0 values are affine in pi_x, and slopes in x are exact differences.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from flint import fmpq

from verify.claims import exact
from verify.claims.exact import ExactMdp, Rationals
from verify.oracles.arithmetic import eliminate


@dataclass(frozen=True)
class ExactGame:
    """What the follower sees of a Stackelberg game with rational data.

    Attributes
    ----------
    P_sabt, r_sab, rho_s : arrays of rationals
        a is the leader's action; the reward is the follower's.
    gamma, tau : rationals
        tau weighs |p|^2 / 2 of the follower's policy.
    """

    P_sabt: Rationals
    r_sab: Rationals
    gamma: fmpq
    rho_s: Rationals
    tau: fmpq

    @classmethod
    def parse(cls, content: Mapping[str, Any]) -> "ExactGame":
        """Read ``{"P": ..., "r_follower": ..., "gamma": ..., "rho": ..., "tau": ...}``.

        Raises
        ------
        CertificateError
            If a row is no distribution or gamma is outside [0, 1).
        """
        game = cls(
            exact.fractions(content["P"]),
            exact.fractions(content["r_follower"]),
            exact.fraction(content["gamma"]),
            exact.fractions(content["rho"]),
            exact.fraction(content["tau"]),
        )
        for row in (*game.P_sabt.reshape(-1, game.P_sabt.shape[-1]), game.rho_s):
            exact.require(
                all(p >= 0 for p in row) and exact.total(row) == 1, f"{list(row)} is no distribution"
            )
        exact.require(0 <= game.gamma < 1, f"gamma = {game.gamma} is outside [0, 1)")
        return game

    def follower_mdp(self, leader_sa: Rationals) -> ExactMdp:
        """The follower's MDP at a policy of the leader."""
        return ExactMdp(
            np.asarray(np.einsum("sa,sabt->sbt", leader_sa, self.P_sabt)),
            np.asarray(np.einsum("sa,sab->sb", leader_sa, self.r_sab)),
            self.gamma,
            self.rho_s,
            self.tau,
        )

    def chain(self, leader_sa: Rationals, follower_sb: Rationals) -> Rationals:
        """Transitions under both policies."""
        return np.asarray(np.einsum("sa,sb,sabt->st", leader_sa, follower_sb, self.P_sabt))

    def values(self, leader_sa: Rationals, follower_sb: Rationals) -> Rationals:
        """V_f, from both players' chain and rewards."""
        c_s = np.einsum("sa,sb,sab->s", leader_sa, follower_sb, self.r_sab)
        c_s = c_s - self.tau * (follower_sb * follower_sb).sum(axis=1) / 2
        chain_st = self.chain(leader_sa, follower_sb)
        return np.asarray(eliminate(exact.identity(len(c_s)) - self.gamma * chain_st, c_s))

    def action_values(self, leader_sa: Rationals, follower_sb: Rationals) -> Rationals:
        """Q_f(s, a, b)."""
        v_s = self.values(leader_sa, follower_sb)
        return np.asarray(self.r_sab + self.gamma * np.einsum("sabt,t->sab", self.P_sabt, v_s))

    def score_sum(
        self, leader_sa: Rationals, slope_sa: Rationals, follower_sb: Rationals, start_s: Rationals
    ) -> fmpq:
        """E[sum_t gamma^t (Q_f - tau h)(s_t, a_t, b_t) d log pi_x(a_t|s_t) | start], as printed.

        Actions that the leader never takes are never drawn.
        """
        chain_st = self.chain(leader_sa, follower_sb)
        system = (exact.identity(len(start_s)) - self.gamma * chain_st).T.copy()
        visits_s = eliminate(system, start_s)
        q_sab = self.action_values(leader_sa, follower_sb)
        h_s = (follower_sb * follower_sb).sum(axis=1) / 2
        added = fmpq(0)
        for (s, a, b), q in np.ndenumerate(q_sab):
            if leader_sa[s, a] > 0:
                score = slope_sa[s, a] / leader_sa[s, a]
                drawn = visits_s[s] * leader_sa[s, a] * follower_sb[s, b]
                added += drawn * (q - self.tau * h_s[s]) * score
        return added


@dataclass(frozen=True)
class AffineLeader:
    """pi_x = pi_0 + x slope for x in an interval [low, high].

    Attributes
    ----------
    at_zero_sa, slope_sa : arrays of rationals
    low, high : rationals
    """

    at_zero_sa: Rationals
    slope_sa: Rationals
    low: fmpq
    high: fmpq

    @classmethod
    def parse(cls, content: Mapping[str, Any]) -> "AffineLeader":
        """Read ``{"at_zero": ..., "slope": ..., "interval": [low, high]}``.

        Raises
        ------
        CertificateError
            If the map leaves the simplices at an end of the interval.
        """
        low, high = (exact.fraction(end) for end in content["interval"])
        leader = cls(exact.fractions(content["at_zero"]), exact.fractions(content["slope"]), low, high)
        for x in (low, high):
            for row in leader(x):
                exact.require(
                    all(p >= 0 for p in row) and exact.total(row) == 1,
                    f"pi_x has the row {list(row)} at x = {x}, which is no distribution",
                )
        return leader

    def __call__(self, x: fmpq) -> Rationals:
        """pi_x."""
        return np.asarray(self.at_zero_sa + x * self.slope_sa)


def affine_slope(function: Callable[[fmpq], fmpq], low: fmpq, high: fmpq) -> fmpq:
    """Slope of a function that is affine on [low, high], which is checked in between.

    Raises
    ------
    CertificateError
        If it is not affine at the points tried.
    """
    found: fmpq = (function(high) - function(low)) / (high - low)
    for share in (fmpq(1, 4), fmpq(1, 2), fmpq(5, 7)):
        x = low + share * (high - low)
        exact.require(
            function(x) == function(low) + found * (x - low), f"the function is not affine at {x}"
        )
    return found
