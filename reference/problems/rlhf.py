r"""Reinforcement learning from human feedback (Section 2.2, (2.5)).

The lower level is an MDP whose reward r_x is learned.  The upper level compares two segments
d = (s_0, a_0, ..., s_{L-1}, a_{L-1}) that the policy itself generates, independently; the segments
begin ``delay`` steps after a start from rho.  With R the undiscounted sum of the true reward along a
segment, a label rule gives the probability l_0 that d_0 is preferred:

    by return        l_0 = 1 if R_0 > R_1, 0 if R_0 < R_1, and the stated share if they tie
    Bradley-Terry    l_0 = 1 / (1 + exp((R_1 - R_0) / temperature))

and r_x predicts P(d_0 > d_1 | r_x) = 1 / (1 + exp(sum_{d_1} r_x - sum_{d_0} r_x)).
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from scipy.special import expit

from reference.domains import Domain, some_point
from reference.errors import InputError
from reference.problems.mdp import Mdp, ParametricMdp
from reference.validation import (
    Array,
    provides,
    real_array,
    reals,
    scalar,
    shaped,
    together,
    whole,
)


@runtime_checkable
class LabelRule(Protocol):
    """Probability that the first of two segments is preferred, from the difference of true returns."""

    def __call__(self, return_difference: Array) -> Array:
        """l_0 as a function of R_0 - R_1, elementwise; l_0(-d) = 1 - l_0(d)."""
        ...


@dataclass(frozen=True)
class LabelByReturn:
    """The segment with the higher true return is preferred; a tie gives each label one half.

    Parameters
    ----------
    tolerance : float >= 0
        Returns this close count as tied: sums of the same rewards in another order differ by
        rounding.
    """

    tolerance: float = 1e-9

    def __post_init__(self) -> None:
        object.__setattr__(self, "tolerance", scalar("tolerance", self.tolerance, low=0.0))

    def __call__(self, return_difference: Array) -> Array:
        """0, 1/2 or 1."""
        return_difference = reals("return_difference", return_difference)
        tied = np.abs(return_difference) <= self.tolerance
        return np.where(tied, 0.5, (return_difference > 0.0).astype(np.float64))


@dataclass(frozen=True)
class BradleyTerryLabels:
    """Labels drawn by a logistic model of the true returns.

    Parameters
    ----------
    temperature : float > 0
        Small values approach labels by return; large ones approach coin tosses.
    """

    temperature: float = 1.0

    def __post_init__(self) -> None:
        temperature = scalar("temperature", self.temperature, low=0.0, open_low=True)
        object.__setattr__(self, "temperature", temperature)

    def __call__(self, return_difference: Array) -> Array:
        """sigmoid((R_0 - R_1) / temperature)."""
        return_difference = reals("return_difference", return_difference)
        return np.asarray(expit(return_difference / self.temperature))


@dataclass(frozen=True, eq=False)
class Rlhf:
    """A preference problem; as a parametric MDP it is the one with the learned reward.

    Parameters
    ----------
    lower : ParametricMdp
        M_tau(x); only its reward may depend on x.
    r_true_sa : (..., S, A)
        The reward by which segments are labelled.
    segment_length : int >= 1
        Number of state-action pairs in a segment.
    labels : LabelRule
    delay : int >= 0
        Steps between the start from rho and the first pair of a segment.

    Raises
    ------
    InputError
        If a length is not a whole number in its range, the true reward is not finite or does not
        fit the lower level, or the lower level's transitions differ between two points of X.
    """

    lower: ParametricMdp
    r_true_sa: Array
    segment_length: int
    labels: LabelRule
    delay: int = 0

    def __post_init__(self) -> None:
        provides("lower", self.lower, ParametricMdp)
        provides("labels", self.labels, LabelRule)
        mdp = self.lower.at(some_point(self.domain))
        r = real_array("r_true_sa", self.r_true_sa)
        shaped("r_true_sa", r, "(state, action)", (mdp.n_states, mdp.n_actions))
        together(r_true_sa=r.shape[:-2], P_sat=mdp.P_sat.shape[:-3])
        if not np.array_equal(mdp.P_sat, self.lower.at(some_point(self.domain, 1.0)).P_sat):
            raise InputError(
                "the lower level's transitions depend on x; in preference learning only the reward is "
                "learned: use a FixedKernel"
            )
        object.__setattr__(self, "r_true_sa", r)
        length = whole("segment_length", self.segment_length, low=1)
        object.__setattr__(self, "segment_length", length)
        object.__setattr__(self, "delay", whole("delay", self.delay, low=0))

    @property
    def domain(self) -> Domain:
        """The set X, the reward's parameters."""
        return self.lower.domain

    def at(self, x: Array) -> Mdp:
        """Return the MDP with the reward r_x."""
        return self.lower.at(x)

    def pullback(self, x: Array, w_ksa: Array, v_kt: Array) -> Array:
        """Pullback of the lower level."""
        return self.lower.pullback(x, w_ksa, v_kt)
