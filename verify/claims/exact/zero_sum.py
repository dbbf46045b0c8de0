r"""Exact rationals for certificates about zero-sum games, both players with |p|^2 / 2 or none.

To each player the game is an MDP when the other's policy is fixed; that policy may hold polynomials.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from flint import fmpq

from verify.claims import exact
from verify.claims.exact import ExactMdp, Rationals


@dataclass(frozen=True)
class ExactZeroSum:
    """A small zero-sum game with rational data; tau weighs |p|^2 / 2 of both players.

    Attributes
    ----------
    P_sabt, r_sab, rho_s : arrays of rationals
    gamma, tau : rationals
    """

    P_sabt: Rationals
    r_sab: Rationals
    gamma: fmpq
    rho_s: Rationals
    tau: fmpq

    @classmethod
    def parse(cls, content: Mapping[str, Any], tau: object) -> "ExactZeroSum":
        """Read ``{"P": ..., "r": ..., "gamma": ..., "rho": ...}``; tau > 0, as Assumption 6 asks.

        Raises
        ------
        CertificateError
            If a row is no distribution, gamma is outside [0, 1), or tau is not positive.
        """
        game = cls(
            exact.fractions(content["P"]),
            exact.fractions(content["r"]),
            exact.fraction(content["gamma"]),
            exact.fractions(content["rho"]),
            exact.fraction(tau),
        )
        for row in (*game.P_sabt.reshape(-1, game.P_sabt.shape[-1]), game.rho_s):
            exact.require_distribution(row)
        exact.require(0 <= game.gamma < 1, f"gamma = {game.gamma} is outside [0, 1)")
        exact.require(game.tau > 0, "tau must be positive")
        exact.require(all(p > 0 for p in game.rho_s), "rho must be positive")
        return game

    def for_player_1(self, pi_sb: Rationals) -> ExactMdp:
        """Player 1's MDP; its value is V."""
        return self._mdp("sabt,sb->sat", "sab,sb->sa", pi_sb, 1)

    def for_player_2(self, pi_sa: Rationals) -> ExactMdp:
        """Player 2's MDP; its value is -V."""
        return self._mdp("sabt,sa->sbt", "sab,sa->sb", pi_sa, -1)

    def shared_value(self, first: Any, second: Any) -> tuple[Any, Any]:
        """V(rho), as a fraction, where each player has one policy for both states.

        Parameters
        ----------
        first, second : rationals or polynomials
            Each player's probability of the second of two actions.
        """
        n_states = len(self.rho_s)
        mdp = self.for_player_1(exact.shared(second, n_states))
        numerator_s, denominator = mdp.value_fractions(exact.shared(first, n_states))
        return exact.total(self.rho_s * numerator_s), denominator

    def require_points(self, points: Mapping[str, Any]) -> None:
        """Require recorded values of V(rho), in rows of equal ``t`` and columns of equal ``s``.

        Raises
        ------
        CertificateError
            If one of them is not the value.
        """
        rows = [exact.fraction(t) for t in points["t"]]
        columns = [exact.fraction(s) for s in points["s"]]
        for t, row in zip(rows, points["V"], strict=True):
            for s, recorded in zip(columns, row, strict=True):
                numerator, denominator = self.shared_value(t, s)
                exact.same(f"V at t = {t}, s = {s}", numerator / denominator, recorded)

    def _mdp(self, moves: str, rewards: str, other: Rationals, sign: int) -> ExactMdp:
        bonus_s = exact.quadratic(other)
        return ExactMdp(
            np.asarray(np.einsum(moves, self.P_sabt, other)),
            np.asarray(sign * np.einsum(rewards, self.r_sab, other) + self.tau * bonus_s[:, None]),
            self.gamma,
            self.rho_s,
            self.tau,
        )
