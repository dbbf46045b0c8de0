r"""The lower level as each of its players sees it.

In a parametric MDP the only player faces that MDP.  In a zero-sum game each player faces the MDP that
the other's policy leaves (see :mod:`reference.problems.zero_sum_game`): player 2 maximises -V.  Their
backup operators, of which gradients in x are pullbacks, are those of the game::

    <w, B_1 v> = <w pi_2,  B v> + const        <w, B_2 v> = -<w pi_1, B (-v)> + const
"""

from typing import Protocol, runtime_checkable

import numpy as np

from reference.domains import Domain, member
from reference.errors import InputError
from reference.evaluation import PolicyEvaluation, agree, evaluate
from reference.problems.mdp import Mdp
from reference.problems.zero_sum_game import ZeroSumGame
from reference.validation import Array, numbers, policy, provides, several, together

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
    """(states, actions) of each player's policy.

    Raises
    ------
    InputError
        If it is neither an MDP nor a zero-sum game.
    """
    if isinstance(lower, Mdp):
        return ((lower.n_states, lower.n_actions),)
    if not isinstance(lower, ZeroSumGame):
        raise InputError(
            f"the lower level is {type(lower).__name__}; it must be an Mdp or a ZeroSumGame: pass "
            "problem.at(x)"
        )
    n_first, n_second = lower.n_actions
    return (lower.n_states, n_first), (lower.n_states, n_second)


def views(lower: LowerLevel, policies: tuple[Array, ...]) -> tuple[Mdp, ...]:
    """Return the MDP that each player faces when the others keep their policies.

    Raises
    ------
    InputError
        If there is not one policy of the right shape per player.
    """
    shapes = sizes(lower)
    policies = several("policies", policies, len(shapes), "give one policy per player")
    checked = [
        policy(f"policies[{i}]", pi, shape)
        for i, (pi, shape) in enumerate(zip(policies, shapes, strict=True))
    ]
    agree(lower, **{f"policies[{i}]": pi.shape[:-2] for i, pi in enumerate(checked)})
    if isinstance(lower, Mdp):
        return (lower,)
    pi_sa, pi_sb = checked
    return lower.for_player_1(pi_sb), lower.for_player_2(pi_sa)


def own_evaluations(lower: LowerLevel, policies: tuple[Array, ...]) -> tuple[PolicyEvaluation, ...]:
    """Evaluate each player's policy in the MDP that it faces: its own value and action values.

    Raises
    ------
    InputError
        If there is not one policy of the right shape per player.
    """
    mdps = views(lower, policies)
    return tuple(evaluate(mdp, pi) for mdp, pi in zip(mdps, policies, strict=True))


def pulled(
    problem: Problem, x: Array, policies: tuple[Array, ...], terms: tuple[tuple[Array, Array], ...]
) -> Array:
    """Pull back one (w_ksa, v_kt) per player, given in terms of that player's own MDP.

    Raises
    ------
    InputError
        If there is not one policy and one pair per player, or their shapes differ.
    """
    provides("problem", problem, Problem)
    x = member("x", x, problem.domain)
    checked = _terms(policies, terms)
    if len(policies) == 1:
        ((w_ksa, v_kt),) = checked
        return problem.pullback(x, w_ksa, v_kt)
    (w_ksa, v_kt), (w_ksb, u_kt) = checked
    pi_sa, pi_sb = policies
    first = w_ksa[..., :, None] * pi_sb[..., None, :, None, :]
    second = -w_ksb[..., None, :] * pi_sa[..., None, :, :, None]
    w_ksab = np.concatenate([first, second], axis=-4)
    return problem.pullback(x, w_ksab, np.concatenate([v_kt, -u_kt], axis=-2))


def _terms(
    policies: tuple[Array, ...], terms: tuple[tuple[Array, Array], ...]
) -> list[tuple[Array, Array]]:
    policies = several("policies", policies, None, "give one policy per player")
    if len(policies) not in (1, 2):
        raise InputError(f"policies has the length {len(policies)}; give one policy per player: 1 or 2")
    checked = []
    pairs = several("terms", terms, len(policies), "give one pair (w_ksa, v_kt) per player")
    for i, (pi, pair) in enumerate(zip(policies, pairs, strict=True)):
        w, v = several(f"terms[{i}]", pair, 2, "give a pair (w_ksa, v_kt)")
        shape = np.shape(pi)
        if len(shape) < 2:
            raise InputError(f"policies[{i}] has shape {shape}; its axes are (state, action): check it")
        w_ksa = numbers(f"terms[{i}][0]", w, "(state, action)", shape[-2:])
        v_kt = numbers(f"terms[{i}][1]", v, "(list, state)", (*w_ksa.shape[-3:-2], shape[-2]))
        together(w_ksa=w_ksa.shape[:-3], v_kt=v_kt.shape[:-2], policy=shape[:-2])
        checked.append((w_ksa, v_kt))
    return checked
