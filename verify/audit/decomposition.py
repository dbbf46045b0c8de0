r"""From the gradient that is wanted to the one that is estimated, one exact step at a time.

With T steps, a critic v and trace lambda, weights w_h and companions pi^ in place of the exact pi*, an
estimator's expectation differs from the exact gradient of a quantity by terms of these names::

    wanted                                         the exact gradient, at the exact companions
    + oracle bias         pi^ in place of pi*
    + unseen steps        scores and derivatives of steps h >= T left out, all earnings still counted
    + lost tail           what steps h < T earn from step T on left out          (without a critic)
    + critic bias         v and lambda in place of those earnings                (with a critic)
    + weights             w_h = 1 in place of gamma^h                            (undiscounted ones)
    + baseline bias       - sum_h w_h E[ b_h(s_h) grad log( pi(a_h|s_h) P(s_{h+1}|s_h, a_h) ) ]
    = declared                                     what the estimator claims to have as its expectation
    + implementation error                         what the audit is about: it must be zero
    = expectation,        and  + noise  =  what is observed

Every term down to ``declared`` is a difference of two gradients in closed form
(:mod:`reference.truncated`), each of a dynamic programme over the steps:  the unseen steps are left out
by T steps with the exact values of each walk as a critic.  The baseline's term is summed by itself,
step by step, though its expectation vanishes for every baseline that is decided before the action: a
baseline that is not, or gradients off the simplex, would show in it.  The terms telescope, so they add
up; only rounding is left.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from reference.contractions import policy_chain
from reference.evaluated import Evaluated
from reference.evaluation import evaluate, evaluate_joint
from reference.policies import SoftmaxPolicy
from reference.problems.incentive_design import IncentiveDesign
from reference.problems.mdp import Mdp, ParametricMdp
from reference.problems.reward_shaping import RewardShaping
from reference.problems.stackelberg import StackelbergGame
from reference.problems.zero_sum_game import ParametricGame, ZeroSumGame
from reference.regularizers import Quadratic
from reference.truncated import (
    FOREVER,
    Truncation,
    truncated_designer_loss,
    truncated_joint_value,
    truncated_leader_loss,
    truncated_original_loss,
    truncated_value,
)
from reference.validation import Array

Blocks = Mapping[str, Array]
Policies = tuple[Array, ...]

Cut = Callable[[Array], Truncation]
"""What of a walk is kept, given the exact values (S,) of the policy that it goes on with."""


@dataclass(frozen=True)
class Term:
    """One difference, per block.

    Attributes
    ----------
    name : str
    blocks : mapping of str to array
    """

    name: str
    blocks: Blocks


@dataclass(frozen=True)
class Decomposition:
    """All terms; ``declared`` is ``wanted`` plus their sum up to rounding.

    Attributes
    ----------
    wanted, declared : mapping of str to array
    terms : tuple of Term
    """

    wanted: Blocks
    declared: Blocks
    terms: tuple[Term, ...]


# Quantities as functions of what is kept of each walk.


def value(lower: ParametricMdp, x: Array, policies: Policies, _: Policies, cut: Cut) -> Evaluated:
    """V(rho) of one policy."""
    (pi_sa,) = policies
    return truncated_value(lower, x, pi_sa, cut(evaluate(lower.at(x), pi_sa).v_s))


def value_penalty(
    lower: ParametricMdp, x: Array, policies: Policies, companions: Policies, cut: Cut
) -> Evaluated:
    """The value penalty (3.2)."""
    best, own = (value(lower, x, one, (), cut) for one in (companions, policies))
    return Evaluated(
        best.value - own.value, best.grad_x - own.grad_x, tuple(-g for g in own.grad_policies)
    )


def bellman_penalty(
    lower: ParametricMdp, x: Array, policies: Policies, companions: Policies, cut: Cut
) -> Evaluated:
    """The Bellman penalty (3.5)."""
    (pi_sa,), (best_sa,) = policies, companions
    kept = cut(evaluate(lower.at(x), best_sa).v_s)
    best = truncated_value(lower, x, best_sa, kept)
    deviating = truncated_value(lower, x, best_sa, kept, first_sa=pi_sa)
    grad_x = best.grad_x - deviating.grad_x
    return Evaluated(best.value - deviating.value, grad_x, (-deviating.grad_policies[1],))


def nikaido_isoda(
    lower: ParametricGame, x: Array, policies: Policies, companions: Policies, cut: Cut
) -> Evaluated:
    """The Nikaido-Isoda function (5.6)."""
    game = lower.at(x)
    pairs = ((companions[0], policies[1]), (policies[0], companions[1]))
    first, second = (
        truncated_joint_value(lower, x, *pair, cut(evaluate_joint(game, *pair).v_s)) for pair in pairs
    )
    return Evaluated(
        first.value - second.value,
        first.grad_x - second.grad_x,
        (-second.grad_policies[0], first.grad_policies[1]),
    )


def leader_loss(game: StackelbergGame, x: Array, policies: Policies, _: Policies, cut: Cut) -> Evaluated:
    """Minus the leader's value (2.4)."""
    (pi_sb,) = policies
    pi_sa = game.leader(x)
    own_s = game.tau_leader * game.regularizer_leader.value(pi_sa)
    earned = _game(game.P_sabt, game.r_leader_sab - own_s[:, None, None], game.gamma, game.rho_s)
    return truncated_leader_loss(game, x, pi_sb, cut(evaluate_joint(earned, pi_sa, pi_sb).v_s))


def original_loss(
    problem: RewardShaping, x: Array, policies: Policies, _: Policies, cut: Cut
) -> Evaluated:
    """Minus the value in the original task (2.6)."""
    (pi_sa,) = policies
    return truncated_original_loss(problem, x, pi_sa, cut(evaluate(problem.original, pi_sa).v_s))


def designer_loss(
    problem: IncentiveDesign, x: Array, policies: Policies, _: Policies, cut: Cut
) -> Evaluated:
    """Minus the designer's value (5.5)."""
    game = problem.at(x)
    net_sab = problem.r_design_sab - problem.cost_s[:, None, None]
    earned = _game(problem.P_design_sabt, net_sab, game.gamma, game.rho_s)
    pi_sa, pi_sb = policies
    kept = cut(evaluate_joint(earned, pi_sa, pi_sb).v_s)
    return truncated_designer_loss(problem, x, pi_sa, pi_sb, kept)


def _game(P_sabt: Array, r_sab: Array, gamma: float, rho_s: Array) -> ZeroSumGame:
    return ZeroSumGame.unchecked(P_sabt, r_sab, gamma, rho_s, 0.0, Quadratic(), Quadratic())


# The terms.


def decompose(
    gradient: Callable[[Policies, Cut], Blocks],
    exact: Policies,
    used: Policies,
    target: Truncation,
    baseline: Blocks | None = None,
) -> Decomposition:
    """Split what a target differs by from the exact gradient.

    Parameters
    ----------
    gradient : callable
        From companions, and from what is kept of each walk, to the gradient per block.
    exact, used : tuple of arrays
        Exact companions and those at hand; the same if there are none.
    target : Truncation
    baseline : mapping of str to array, optional
        The baseline's term.
    """
    wanted = gradient(exact, lambda _: FOREVER)
    stages = [("oracle bias", gradient(used, lambda _: FOREVER))] if exact else []
    if target.steps is not None:
        seen = gradient(used, lambda v_s: Truncation(target.steps, critic_s=v_s))
        stages.append(("unseen steps", seen))
    discounted = replace(target, discounted=True)
    if target.steps is not None or target.critic_s is not None:
        name = "lost tail" if target.critic_s is None else "critic bias"
        stages.append((name, gradient(used, lambda _: discounted)))
    if not target.discounted:
        stages.append(("weights", gradient(used, lambda _: target)))
    terms, last = [], wanted
    for name, blocks in stages:
        terms.append(Term(name, {b: blocks[b] - last[b] for b in blocks}))
        last = blocks
    if baseline is not None:
        terms.append(Term("baseline bias", baseline))
        last = {b: last[b] + baseline[b] for b in last}
    return Decomposition(wanted, last, tuple(terms))


def baseline_bias(lower: ParametricMdp, x: Array, y: Array, rate: float, b_hs: Array) -> Blocks:
    r"""- sum_h q^h E[ b_h(s_h) grad log( pi(a_h|s_h) P(s_{h+1}|s_h, a_h) ) ], in x and in the logits.

    Parameters
    ----------
    lower : ParametricMdp
    x : (*lower.domain.shape,)
    y : (S, A)
        Logits.
    rate : float
        q P(L > h) / P(L > h - 1): gamma, for every estimator here.
    b_hs : (H, S)
        Baseline of each step, undiscounted.
    """
    mdp: Mdp = lower.at(x)
    policy = SoftmaxPolicy((mdp.n_states, mdp.n_actions))
    pi_sa = policy(y)
    P_st = policy_chain(mdp.P_sat, pi_sa)
    mass_s = mdp.rho_s
    in_pi, in_x = np.zeros_like(pi_sa), np.zeros_like(x)
    one_t, none_t = np.ones((1, mdp.n_states)), np.zeros((1, mdp.n_states))
    for b_s in b_hs:
        w_s1 = -(mass_s * b_s)[:, None]
        in_pi = in_pi + w_s1 * np.ones_like(pi_sa)
        # sum_t b(s) grad P(t|s,a): the kernel's part of the pullback at a constant, over gamma.
        if mdp.gamma:
            w_ksa = (w_s1 * pi_sa)[None]
            part = lower.pullback(x, w_ksa, one_t) - lower.pullback(x, w_ksa, none_t)
            in_x = in_x + part / mdp.gamma
        mass_s = rate * (mass_s @ P_st)
    return {"x": in_x, "y": policy.pullback(y, in_pi)}
