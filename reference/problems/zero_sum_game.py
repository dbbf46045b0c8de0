r"""Two-player zero-sum Markov games, the lower level of Section 5.

Player 1 chooses a and maximises, player 2 chooses b and minimises (5.1)::

    V(s) = E sum_n gamma^n ( r(s_n, a_n, b_n) - tau h1(pi_1(s_n)) + tau h2(pi_2(s_n)) )

To each player, with the other's policy fixed, the game is an MDP::

    player 1   r_1(s,a) =  sum_b pi_2(b|s) r(s,a,b) + tau h2(pi_2(s)),  regularised by -tau h1
    player 2   r_2(s,b) = -sum_a pi_1(a|s) r(s,a,b) + tau h1(pi_1(s)),  regularised by -tau h2

with value V for player 1 and -V for player 2.  The two may have different numbers of actions.
"""

from dataclasses import dataclass
from typing import Protocol, Self, runtime_checkable

import numpy as np

from reference.contractions import follower_mixture, leader_mixture
from reference.domains import Domain, located, member, some_point
from reference.errors import InputError
from reference.policies import SmoothMap
from reference.problems.mdp import Mdp, discount, temperature
from reference.problems.parametrizations import Kernel
from reference.regularizers import Regularizer, fitting
from reference.validation import (
    Array,
    distributions,
    policy,
    probability_rows,
    provides,
    real_array,
    reals,
    shaped,
    together,
    weighted,
)


@dataclass(frozen=True, eq=False)
class ZeroSumGame:
    """One regularised zero-sum Markov game.

    Parameters
    ----------
    P_sabt : (..., S, A, B, S)
    r_sab : (..., S, A, B)
        Player 1's reward; player 2's is its negative.
    gamma : float in [0, 1)
    rho_s : (..., S)
    tau : float >= 0
    regularizer_1, regularizer_2 : Regularizer
        h1 over player 1's actions, h2 over player 2's.

    Raises
    ------
    InputError
        As :class:`reference.problems.mdp.Mdp`.
    """

    P_sabt: Array
    r_sab: Array
    gamma: float
    rho_s: Array
    tau: float
    regularizer_1: Regularizer
    regularizer_2: Regularizer

    def __post_init__(self) -> None:
        P = real_array("P_sabt", self.P_sabt)
        if P.ndim < 4 or P.shape[-1] != P.shape[-4]:
            raise InputError(
                f"P_sabt has shape {P.shape}; its last axes are (state, action 1, action 2, next "
                "state), so the fourth and the first of them must be equal: check their order"
            )
        n_states, n_first, n_second = P.shape[-4:-1]
        if 0 in (n_states, n_first, n_second):
            raise InputError(f"P_sabt has shape {P.shape}; there must be a state and two actions")
        distributions("P_sabt", P)
        r = shaped("r_sab", real_array("r_sab", self.r_sab), "(s, a, b)", P.shape[-4:-1])
        rho = probability_rows("rho_s", self.rho_s, "(state,)", P.shape[-1:])
        together(
            P_sabt=P.shape[:-4],
            r_sab=r.shape[:-3],
            rho_s=rho.shape[:-1],
            regularizer_1=fitting("regularizer_1", self.regularizer_1, n_states, n_first),
            regularizer_2=fitting("regularizer_2", self.regularizer_2, n_states, n_second),
        )
        object.__setattr__(self, "P_sabt", P)
        object.__setattr__(self, "r_sab", r)
        object.__setattr__(self, "rho_s", rho)
        object.__setattr__(self, "gamma", discount(self.gamma))
        object.__setattr__(self, "tau", temperature(self.tau))

    @classmethod
    def unchecked(
        cls,
        P_sabt: Array,
        r_sab: Array,
        gamma: float,
        rho_s: Array,
        tau: float,
        regularizer_1: Regularizer,
        regularizer_2: Regularizer,
    ) -> Self:
        """Assemble a game from parts that are valid by construction, without copies or checks."""
        game = object.__new__(cls)
        for name, value in (
            ("P_sabt", P_sabt),
            ("r_sab", r_sab),
            ("gamma", gamma),
            ("rho_s", rho_s),
            ("tau", tau),
            ("regularizer_1", regularizer_1),
            ("regularizer_2", regularizer_2),
        ):
            object.__setattr__(game, name, value)
        return game

    @property
    def n_states(self) -> int:
        """S."""
        return int(self.P_sabt.shape[-1])

    @property
    def n_actions(self) -> tuple[int, int]:
        """Actions of player 1 and of player 2."""
        return int(self.P_sabt.shape[-3]), int(self.P_sabt.shape[-2])

    def for_player_1(self, pi_sb: Array) -> Mdp:
        """Player 1's MDP when player 2 plays ``pi_sb`` (..., S, B).

        Raises
        ------
        InputError
            If it is not a policy of that shape.
        """
        pi_sb = policy("pi_sb", pi_sb, (self.n_states, self.n_actions[1]))
        return Mdp.unchecked(
            follower_mixture(self.P_sabt, pi_sb),
            np.einsum("...sab,...sb->...sa", self.r_sab, pi_sb)
            + self.tau * self.regularizer_2.value(pi_sb)[..., None],
            self.gamma,
            self.rho_s,
            self.tau,
            self.regularizer_1,
        )

    def for_player_2(self, pi_sa: Array) -> Mdp:
        """Player 2's MDP when player 1 plays ``pi_sa`` (..., S, A); its value is -V.

        Raises
        ------
        InputError
            If it is not a policy of that shape.
        """
        pi_sa = policy("pi_sa", pi_sa, (self.n_states, self.n_actions[0]))
        return Mdp.unchecked(
            leader_mixture(self.P_sabt, pi_sa),
            -np.einsum("...sab,...sa->...sb", self.r_sab, pi_sa)
            + self.tau * self.regularizer_1.value(pi_sa)[..., None],
            self.gamma,
            self.rho_s,
            self.tau,
            self.regularizer_2,
        )


@runtime_checkable
class ParametricGame(Protocol):
    """A zero-sum game for each x of a domain, and the pullback of its backup operator."""

    @property
    def domain(self) -> Domain:
        """The set X."""
        ...

    def at(self, x: Array) -> ZeroSumGame:
        """Return the game at x; raises :class:`InputError` if x is outside the domain."""
        ...

    def pullback(self, x: Array, w_ksab: Array, v_kt: Array) -> Array:
        """Gradient in x of sum_k <w_k, r_x + gamma P_x v_k> over (s, a, b).

        Raises
        ------
        InputError
            If the weights or values have other axes, or an entry that is not finite.
        """
        ...


@dataclass(frozen=True, eq=False)
class GameFamily:
    """A parametric zero-sum game from a reward map (s, a, b) and a kernel that share x.

    The kernel sees the two actions as one axis: its P_sat has A * B columns, b running faster.

    Raises
    ------
    InputError
        If reward and kernel have different domains' shapes or numbers of actions, or
        :class:`ZeroSumGame` refuses what they give at one point of the domain.
    """

    reward: SmoothMap
    kernel: Kernel
    gamma: float
    rho_s: Array
    tau: float
    regularizer_1: Regularizer
    regularizer_2: Regularizer

    def __post_init__(self) -> None:
        provides("reward", self.reward, SmoothMap)
        provides("kernel", self.kernel, Kernel)
        kernel_domain = self.kernel.domain
        if kernel_domain is not None and kernel_domain.shape != self.reward.domain.shape:
            raise InputError(
                f"the reward takes x of shape {self.reward.domain.shape} and the kernel of shape "
                f"{kernel_domain.shape}: give both the same x"
            )
        object.__setattr__(self, "gamma", discount(self.gamma))
        object.__setattr__(self, "tau", temperature(self.tau))
        object.__setattr__(self, "rho_s", real_array("rho_s", self.rho_s))
        game = self.at(some_point(self.domain))
        # Once, with every check: the members at other points have parts of the same kinds.
        ZeroSumGame(
            game.P_sabt,
            game.r_sab,
            self.gamma,
            self.rho_s,
            self.tau,
            self.regularizer_1,
            self.regularizer_2,
        )

    @property
    def domain(self) -> Domain:
        """The set X, the reward's."""
        return self.reward.domain

    def at(self, x: Array) -> ZeroSumGame:
        """Return the game at x; its transitions are not read again, since a kernel answers for them."""
        x = member("x", x, self.domain)
        r_sab = real_array("r_sab", self.reward(x))
        P = self.kernel(x)
        if r_sab.ndim < 3:
            raise InputError(
                f"the reward has shape {r_sab.shape}; a game's needs axes (state, action 1, action 2)"
            )
        joint = r_sab.shape[-2] * r_sab.shape[-1]
        if P.shape[-2] != joint:
            raise InputError(
                f"the kernel has {P.shape[-2]} joint actions and the reward {r_sab.shape[-2]} x "
                f"{r_sab.shape[-1]} = {joint}: index the kernel's actions by a * B + b"
            )
        return ZeroSumGame.unchecked(
            P.reshape(*P.shape[:-2], *r_sab.shape[-2:], P.shape[-1]),
            r_sab,
            self.gamma,
            self.rho_s,
            self.tau,
            self.regularizer_1,
            self.regularizer_2,
        )

    def pullback(self, x: Array, w_ksab: Array, v_kt: Array) -> Array:
        """Reward part of the summed weights, plus gamma times the kernel part."""
        x, w_ksab = located("x", x, self.domain), reals("w_ksab", w_ksab)
        if w_ksab.ndim < 4:
            raise InputError(f"w_ksab has shape {w_ksab.shape}; its last axes are (k, s, a, b)")
        w_ksab, v_kt = weighted("w_ksab", w_ksab, v_kt, "(s, a, b)", w_ksab.shape[-3:])
        from_reward = self.reward.pullback(x, w_ksab.sum(axis=-4))
        joint = w_ksab.reshape(*w_ksab.shape[:-2], -1)
        from_kernel = self.kernel.pullback(x, joint, v_kt)
        return from_reward if from_kernel is None else from_reward + self.gamma * from_kernel
