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
from typing import Protocol

import numpy as np
from scipy.special import expit

from reference.domains import Domain
from reference.errors import InputError
from reference.problems.mdp import Mdp, ParametricMdp
from reference.validation import Array, real_array, scalar


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
        scalar("tolerance", self.tolerance, low=0.0)

    def __call__(self, return_difference: Array) -> Array:
        """0, 1/2 or 1."""
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
        scalar("temperature", self.temperature, low=0.0, open_low=True)

    def __call__(self, return_difference: Array) -> Array:
        """sigmoid((R_0 - R_1) / temperature)."""
        return np.asarray(expit(return_difference / self.temperature))


@dataclass(frozen=True, eq=False)
class Rlhf:
    """A preference problem; as a parametric MDP it is the one with the learned reward.

    Parameters
    ----------
    lower : ParametricMdp
        M_tau(x); only its reward may depend on x.
    r_true_sa : (S, A)
        The reward by which segments are labelled.
    segment_length : int >= 1
        Number of state-action pairs in a segment.
    labels : LabelRule
    delay : int >= 0
        Steps between the start from rho and the first pair of a segment.

    Raises
    ------
    InputError
        If a length is not a whole number in its range, or the reward is not finite.
    """

    lower: ParametricMdp
    r_true_sa: Array
    segment_length: int
    labels: LabelRule
    delay: int = 0

    def __post_init__(self) -> None:
        r = real_array("r_true_sa", self.r_true_sa)
        if r.ndim != 2:
            raise InputError(f"r_true_sa has shape {r.shape}; it must have axes (state, action)")
        object.__setattr__(self, "r_true_sa", r)
        for name, low in (("segment_length", 1), ("delay", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < low:
                raise InputError(f"{name} is {value!r}; it must be a whole number >= {low}")

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
