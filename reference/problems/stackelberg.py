r"""Stackelberg Markov games (Section 2.2, Lemma 18).

Leader and follower act at once.  With the leader's policy pi_x fixed, the follower faces the MDP

    r_x(s, b)   = sum_a pi_x(a|s) r_f(s, a, b)
    P_x(t|s, b) = sum_a pi_x(a|s) P(t|s, a, b)

and with B_x of that MDP, sum_k <w_k, B_x v_k> is linear in pi_x, so its gradient in pi_x is

    sum_k sum_b w_k(s,b) ( r_f(s,a,b) + gamma sum_t P(t|s,a,b) v_k(t) ).
"""

from dataclasses import dataclass

import numpy as np

from reference.contractions import joint_actions, leader_mixture, next_values
from reference.domains import Domain, located, member
from reference.errors import InputError
from reference.policies import PolicyMap
from reference.problems.mdp import Mdp, discount, temperature
from reference.regularizers import Regularizer, fitting
from reference.validation import (
    Array,
    distributions,
    probability_rows,
    provides,
    real_array,
    shaped,
    together,
    weighted,
)


@dataclass(frozen=True, eq=False)
class StackelbergGame:
    """A Stackelberg Markov game; as a parametric MDP it is the follower's.

    Parameters
    ----------
    P_sabt : (..., S, A, B, S)
        Transitions; a is the leader's action, b the follower's.
    r_leader_sab, r_follower_sab : (..., S, A, B)
    gamma : float in [0, 1)
    rho_s : (..., S)
    tau : float >= 0
        Strength of the follower's regulariser.
    regularizer : Regularizer
        The follower's.
    leader : PolicyMap
        x -> pi_x, with shape (S, A).
    tau_leader : float >= 0
        Strength of the leader's own regulariser; the paper's experiments use none.
    regularizer_leader : Regularizer

    Raises
    ------
    InputError
        As :class:`reference.problems.mdp.Mdp`; also if the leader's map has another shape.
    """

    P_sabt: Array
    r_leader_sab: Array
    r_follower_sab: Array
    gamma: float
    rho_s: Array
    tau: float
    regularizer: Regularizer
    leader: PolicyMap
    tau_leader: float
    regularizer_leader: Regularizer

    def __post_init__(self) -> None:
        P = real_array("P_sabt", self.P_sabt)
        if P.ndim < 4 or P.shape[-1] != P.shape[-4]:
            raise InputError(
                f"P_sabt has shape {P.shape}; its last axes are (state, leader's action, follower's "
                "action, next state), so the fourth and the first of them must be equal"
            )
        n_states, n_leader, n_follower = P.shape[-4:-1]
        if 0 in (n_states, n_leader, n_follower):
            raise InputError(f"P_sabt has shape {P.shape}; there must be a state and two actions")
        distributions("P_sabt", P)
        r_leader, r_follower = (
            shaped(name, real_array(name, getattr(self, name)), "(s, a, b)", P.shape[-4:-1])
            for name in ("r_leader_sab", "r_follower_sab")
        )
        rho = probability_rows("rho_s", self.rho_s, "(state,)", (n_states,))
        follower = fitting("regularizer", self.regularizer, n_states, n_follower)
        leader = fitting("regularizer_leader", self.regularizer_leader, n_states, n_leader)
        together(
            P_sabt=P.shape[:-4],
            r_leader_sab=r_leader.shape[:-3],
            r_follower_sab=r_follower.shape[:-3],
            rho_s=rho.shape[:-1],
            regularizer=follower,
            regularizer_leader=leader,
        )
        provides("leader", self.leader, PolicyMap)
        if self.leader.domain.shape != (n_states, n_leader):
            raise InputError(
                f"the leader's map takes x of shape {self.leader.domain.shape}; with these "
                f"transitions it must be (states, leader's actions) = {(n_states, n_leader)}"
            )
        object.__setattr__(self, "P_sabt", P)
        object.__setattr__(self, "r_leader_sab", r_leader)
        object.__setattr__(self, "r_follower_sab", r_follower)
        object.__setattr__(self, "rho_s", rho)
        object.__setattr__(self, "gamma", discount(self.gamma))
        object.__setattr__(self, "tau", temperature(self.tau))
        object.__setattr__(self, "tau_leader", temperature(self.tau_leader, "tau_leader"))

    @property
    def domain(self) -> Domain:
        """The set X, the leader's parameters."""
        return self.leader.domain

    @property
    def n_actions(self) -> tuple[int, int]:
        """Actions of the leader and of the follower."""
        return int(self.P_sabt.shape[-3]), int(self.P_sabt.shape[-2])

    def at(self, x: Array) -> Mdp:
        """Return the follower's MDP at the leader's policy pi_x."""
        pi_sa = self.leader(member("x", x, self.domain))
        return Mdp.unchecked(
            leader_mixture(self.P_sabt, pi_sa),
            np.einsum("...sab,...sa->...sb", self.r_follower_sab, pi_sa),
            self.gamma,
            self.rho_s,
            self.tau,
            self.regularizer,
        )

    def pullback(self, x: Array, w_ksa: Array, v_kt: Array) -> Array:
        """Gradient in x of sum_k <w_k, r_x + gamma P_x v_k>; here w's action axis is the follower's."""
        x, shape = located("x", x, self.domain), (self.P_sabt.shape[-1], self.n_actions[1])
        w_ksa, v_kt = weighted("w_ksa", w_ksa, v_kt, "(state, follower's action)", shape)
        next_ksj = next_values(joint_actions(self.P_sabt, trailing=1), v_kt)
        next_ksab = next_ksj.reshape(*next_ksj.shape[:-1], *self.n_actions)
        q_ksab = self.r_follower_sab[..., None, :, :, :] + self.gamma * next_ksab
        grad_sa = np.einsum("...ksb,...ksab->...sa", w_ksa, q_ksab, optimize=True)
        return self.leader.pullback(x, grad_sa)
