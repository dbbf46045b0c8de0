r"""Markov decision processes M_tau(x), with rewards and transitions that depend on x.

One MDP (Section 2.1) is rewards r(s,a), transitions P(t|s,a), a discount gamma, a start distribution
rho and a regulariser tau h.  A *parametric* MDP yields one for each x and pulls gradients back to x.
All of the paper's gradients in x are contractions of the derivative of the backup operator

    (B_x v)(s, a) = r_x(s, a) + gamma sum_t P_x(t|s,a) v(t)

with weights w(s, a) at value vectors v, so one method is enough:

    pullback(x, w_ksa, v_kt) = gradient in x of  sum_k sum_sa w_k(s,a) (B_x v_k)(s,a).
"""

from dataclasses import dataclass
from typing import Protocol, Self, runtime_checkable

import numpy as np

from reference.domains import Domain, located, member, some_point
from reference.errors import InputError
from reference.policies import SmoothMap
from reference.problems.parametrizations import Kernel
from reference.regularizers import Regularizer, fitting
from reference.validation import (
    Array,
    distributions,
    probability_rows,
    provides,
    real_array,
    reals,
    scalar,
    shaped,
    together,
    weighted,
)


@dataclass(frozen=True, eq=False)
class Mdp:
    """One regularised Markov decision process.

    Parameters
    ----------
    P_sat : (..., S, A, S)
        P_sat[s, a, t] is the probability of moving to t after action a in s.
    r_sa : (..., S, A)
        Expected reward.
    gamma : float in [0, 1)
    rho_s : (..., S)
        Start distribution.  Zeros are allowed here; the penalties refuse them.
    tau : float >= 0
        Strength of the regulariser.
    regularizer : Regularizer

    Raises
    ------
    InputError
        If an array has the wrong shape or dtype, a non-finite entry, or rows that are not
        distributions; if gamma or tau is out of range; if the regulariser is for another number of
        states or actions, or the batch axes do not agree.  The message names the entry.
    """

    P_sat: Array
    r_sa: Array
    gamma: float
    rho_s: Array
    tau: float
    regularizer: Regularizer

    def __post_init__(self) -> None:
        P = real_array("P_sat", self.P_sat)
        if P.ndim < 3 or P.shape[-1] != P.shape[-3]:
            raise InputError(
                f"P_sat has shape {P.shape}; its last axes are (state, action, next state), so the "
                "third and the first of them must be equal: check the order of the axes"
            )
        n_states, n_actions = P.shape[-3:-1]
        if n_states == 0 or n_actions == 0:
            raise InputError(f"P_sat has shape {P.shape}; there must be a state and an action")
        distributions("P_sat", P)
        r = shaped("r_sa", real_array("r_sa", self.r_sa), "(state, action)", (n_states, n_actions))
        rho = probability_rows("rho_s", self.rho_s, "(state,)", (n_states,))
        together(
            P_sat=P.shape[:-3],
            r_sa=r.shape[:-2],
            rho_s=rho.shape[:-1],
            regularizer=fitting("regularizer", self.regularizer, n_states, n_actions),
        )
        object.__setattr__(self, "P_sat", P)
        object.__setattr__(self, "r_sa", r)
        object.__setattr__(self, "rho_s", rho)
        object.__setattr__(self, "gamma", discount(self.gamma))
        object.__setattr__(self, "tau", temperature(self.tau))

    @classmethod
    def unchecked(
        cls,
        P_sat: Array,
        r_sa: Array,
        gamma: float,
        rho_s: Array,
        tau: float,
        regularizer: Regularizer,
    ) -> Self:
        """Assemble an MDP from parts that are valid by construction, without copies or checks.

        For mixtures of checked kernels by checked policies, as in the Stackelberg game; a check
        would read the transition tensor three more times.
        """
        mdp = object.__new__(cls)
        for name, value in (
            ("P_sat", P_sat),
            ("r_sa", r_sa),
            ("gamma", gamma),
            ("rho_s", rho_s),
            ("tau", tau),
            ("regularizer", regularizer),
        ):
            object.__setattr__(mdp, name, value)
        return mdp

    @property
    def n_states(self) -> int:
        """S."""
        return int(self.P_sat.shape[-3])

    @property
    def n_actions(self) -> int:
        """A."""
        return int(self.P_sat.shape[-2])

    @property
    def reward_bound(self) -> float:
        """Largest one-step reward with regularisation, in absolute value."""
        return float(np.abs(self.r_sa).max()) + self.tau * self.regularizer.bound(self.n_actions)


def discount(gamma: float) -> float:
    """Check gamma in [0, 1)."""
    return scalar(
        "gamma",
        gamma,
        low=0.0,
        high=1.0,
        open_high=True,
        remedy="the values of an undiscounted problem need not exist",
    )


def temperature(tau: float, name: str = "tau") -> float:
    """Check tau >= 0."""
    return scalar(name, tau, low=0.0, remedy="a negative tau rewards the regulariser")


@runtime_checkable
class ParametricMdp(Protocol):
    """M_tau(x): an MDP for each x of a domain, and the pullback of its backup operator."""

    @property
    def domain(self) -> Domain:
        """The set X."""
        ...

    def at(self, x: Array) -> Mdp:
        """Return the MDP at x; raises :class:`InputError` if x is outside the domain."""
        ...

    def pullback(self, x: Array, w_ksa: Array, v_kt: Array) -> Array:
        """Gradient in x of sum_k <w_k, r_x + gamma P_x v_k>.

        Parameters
        ----------
        x : (..., *domain.shape)
        w_ksa : (..., K, S, A)
            Weights, of any sign.
        v_kt : (..., K, S)
            Value vectors at the next state.

        Raises
        ------
        InputError
            If an array has other axes, or an entry that is not finite.
        """
        ...


@dataclass(frozen=True, eq=False)
class MdpFamily:
    """A parametric MDP from a reward map and a kernel that share x.

    Raises
    ------
    InputError
        If reward and kernel have different domains' shapes, or :class:`Mdp` refuses what they give
        at one point of the domain.
    """

    reward: SmoothMap
    kernel: Kernel
    gamma: float
    rho_s: Array
    tau: float
    regularizer: Regularizer

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
        x = some_point(self.domain)
        Mdp(self.kernel(x), self.reward(x), self.gamma, self.rho_s, self.tau, self.regularizer)

    @property
    def domain(self) -> Domain:
        """The set X, the reward's."""
        return self.reward.domain

    def at(self, x: Array) -> Mdp:
        """Return the MDP at x; its transitions are not read again, since a kernel answers for them."""
        x = member("x", x, self.domain)
        P, r = self.kernel(x), real_array("r_sa", self.reward(x))
        shaped("r_sa", r, "(state, action)", P.shape[-3:-1])
        return Mdp.unchecked(P, r, self.gamma, self.rho_s, self.tau, self.regularizer)

    def pullback(self, x: Array, w_ksa: Array, v_kt: Array) -> Array:
        """Reward part of the summed weights, plus gamma times the kernel part."""
        x, w_ksa = located("x", x, self.domain), reals("w_ksa", w_ksa)
        if w_ksa.ndim < 3:
            raise InputError(f"w_ksa has shape {w_ksa.shape}; its last axes are (k, s, a)")
        w_ksa, v_kt = weighted("w_ksa", w_ksa, v_kt, "(s, a)", w_ksa.shape[-2:])
        from_reward = self.reward.pullback(x, w_ksa.sum(axis=-3))
        from_kernel = self.kernel.pullback(x, w_ksa, v_kt)
        return from_reward if from_kernel is None else from_reward + self.gamma * from_kernel
