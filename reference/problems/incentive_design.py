r"""Incentive design (5.5): a designer pays two players of a zero-sum game for what it wants.

The designer sees the players' joint policy run under its own transitions P_id, earns r_id and bears
a cost c of the state::

    f(pi) = -E_{pi, P_id} sum_n gamma^n ( r_id(s_n, a_n, b_n) - c(s_n) )

The paper prints the cost outside of the discount, where the sum diverges unless c vanishes; here it
is discounted with the reward.
"""

from dataclasses import dataclass

from reference.domains import Domain, some_point
from reference.problems.zero_sum_game import ParametricGame, ZeroSumGame
from reference.validation import Array, distributions, provides, real_array, shaped, together


@dataclass(frozen=True, eq=False)
class IncentiveDesign:
    """An incentive problem; as a parametric game it is the players'.

    Parameters
    ----------
    game : ParametricGame
        The players' game, whose reward depends on x.
    P_design_sabt : (..., S, A, B, S)
        The designer's transitions.
    r_design_sab : (..., S, A, B)
    cost_s : (..., S)

    Raises
    ------
    InputError
        If the arrays do not fit the players' game, or a row of transitions is not a distribution.
    """

    game: ParametricGame
    P_design_sabt: Array
    r_design_sab: Array
    cost_s: Array

    def __post_init__(self) -> None:
        provides("game", self.game, ParametricGame)
        game = self.game.at(some_point(self.domain))
        n_states, (n_first, n_second) = game.n_states, game.n_actions
        P = real_array("P_design_sabt", self.P_design_sabt)
        r = real_array("r_design_sab", self.r_design_sab)
        cost = real_array("cost_s", self.cost_s)
        shaped("P_design_sabt", P, "(s, a, b, t)", (n_states, n_first, n_second, n_states))
        shaped("r_design_sab", r, "(s, a, b)", (n_states, n_first, n_second))
        shaped("cost_s", cost, "(s,)", (n_states,))
        together(
            game=game.P_sabt.shape[:-4],
            P_design_sabt=P.shape[:-4],
            r_design_sab=r.shape[:-3],
            cost_s=cost.shape[:-1],
        )
        object.__setattr__(self, "P_design_sabt", distributions("P_design_sabt", P))
        object.__setattr__(self, "r_design_sab", r)
        object.__setattr__(self, "cost_s", cost)

    @property
    def domain(self) -> Domain:
        """The set X, the incentive's parameters."""
        return self.game.domain

    def at(self, x: Array) -> ZeroSumGame:
        """Return the players' game at x."""
        return self.game.at(x)

    def pullback(self, x: Array, w_ksab: Array, v_kt: Array) -> Array:
        """Pullback of the players' game."""
        return self.game.pullback(x, w_ksab, v_kt)
