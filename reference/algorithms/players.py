r"""The lower level as each of its players sees it.

In a parametric MDP the only player faces that MDP.  In a zero-sum game each player faces the MDP that
the other's policy leaves (see :mod:`reference.problems.zero_sum_game`): player 2 maximises -V.  Their
backup operators, of which gradients in x are pullbacks, are those of the game::

    <w, B_1 v> = <w pi_2,  B v> + const        <w, B_2 v> = -<w pi_1, B (-v)> + const
"""

from typing import Protocol, runtime_checkable

import numpy as np

from reference.domains import Domain
from reference.evaluation import PolicyEvaluation, evaluate
from reference.problems.mdp import Mdp
from reference.problems.zero_sum_game import ZeroSumGame
from reference.validation import Array

LowerLevel = Mdp | ZeroSumGame


@runtime_checkable
class Problem(Protocol):
    """A bilevel problem's lower level: a parametric MDP or a parametric game."""

    @property
    def domain(self) -> Domain:
        """The set X."""
        ...

    def at(self, x: Array) -> LowerLevel:
        """Return the lower level at x."""
        ...

    def pullback(self, x: Array, w: Array, v: Array, /) -> Array:
        """Gradient in x of sum_k <w_k, r_x + gamma P_x v_k>."""
        ...


def sizes(lower: LowerLevel) -> tuple[tuple[int, int], ...]:
    """(states, actions) of each player's policy."""
    if isinstance(lower, Mdp):
        return ((lower.n_states, lower.n_actions),)
    n_first, n_second = lower.n_actions
    return (lower.n_states, n_first), (lower.n_states, n_second)


def views(lower: LowerLevel, policies: tuple[Array, ...]) -> tuple[Mdp, ...]:
    """Return the MDP that each player faces when the others keep their policies."""
    if isinstance(lower, Mdp):
        return (lower,)
    pi_sa, pi_sb = policies
    return lower.for_player_1(pi_sb), lower.for_player_2(pi_sa)


def own_evaluations(lower: LowerLevel, policies: tuple[Array, ...]) -> tuple[PolicyEvaluation, ...]:
    """Evaluate each player's policy in the MDP that it faces: its own value and action values."""
    mdps = views(lower, policies)
    return tuple(evaluate(mdp, pi) for mdp, pi in zip(mdps, policies, strict=True))


def pulled(
    problem: Problem, x: Array, policies: tuple[Array, ...], terms: tuple[tuple[Array, Array], ...]
) -> Array:
    """Pull back one (w_ksa, v_kt) per player, given in terms of that player's own MDP."""
    if len(policies) == 1:
        ((w_ksa, v_kt),) = terms
        return problem.pullback(x, w_ksa, v_kt)
    (w_ksa, v_kt), (w_ksb, u_kt) = terms
    pi_sa, pi_sb = policies
    first = w_ksa[..., :, None] * pi_sb[..., None, :, None, :]
    second = -w_ksb[..., None, :] * pi_sa[..., None, :, :, None]
    w_ksab = np.concatenate([first, second], axis=-4)
    return problem.pullback(x, w_ksab, np.concatenate([v_kt, -u_kt], axis=-2))
