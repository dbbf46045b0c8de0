r"""Truncated walks by their definition, over any arithmetic: what estimates from trajectories aim at.

A walk starts from rho; its first step may have a policy and earnings of its own::

    J_T = E[ sum_{h < T} w_h c_h + w_T v(s_T) ],   w_h = gamma^h or 1,       J = E sum_h gamma^h c_h

A target with a trace lambda < 1, or with weights that are not discounted, is no function's gradient.  It
is that of G at the point itself, with all that carries a 0 held at that point::

    G = sum_{h < T} w_h E_0[ sum_j pi(j|s_h) ( c(s_h, j) + gamma sum_t P(t|s_h, j) z_h0(t) ) ]
    z_h = (1 - lambda) v + lambda v_{h+1},     v_h = pi ( c + gamma P z_h ),     v_T = v
"""

from dataclasses import dataclass
from typing import Protocol

from verify.oracles import definitions as primitive
from verify.oracles.arithmetic import Arithmetic, Floats, Native


@dataclass(frozen=True, eq=False)
class Walk:
    """Law and earnings of a walk, in the numbers of some arithmetic.

    Attributes
    ----------
    P_sjt, rho_s : (S, J, S) and (S,)
    gamma : number
    first, later : (policy (S, J), earnings (S, J)) of the first step and of later ones
    """

    P_sjt: Native
    rho_s: Native
    gamma: Native
    first: tuple[Native, Native]
    later: tuple[Native, Native]

    def step(self, h: int) -> tuple[Native, Native]:
        """Policy and earnings of step h."""
        return self.later if h else self.first


class Target(Protocol):
    """What is aimed at: T steps, or infinitely many, weights, trace and critic."""

    @property
    def steps(self) -> int | None:
        """T; None if infinite."""
        ...

    @property
    def discounted(self) -> bool:
        """Whether w_h is gamma^h, or else 1."""
        ...

    @property
    def trace(self) -> float:
        """lambda."""
        ...

    @property
    def critic_s(self) -> Floats | None:
        """v."""
        ...


# Walks of problems.


def single(number: Arithmetic, m: primitive.Model, pi_sa: Native, first_sa: Native) -> Walk:
    """A policy in a regularised MDP, after a first step by another one."""

    def step(own_sa: Native) -> tuple[Native, Native]:
        return own_sa, m.r_sa - primitive.charge(number, m, own_sa)[:, None]

    return Walk(m.P_sat, m.rho_s, m.gamma, step(first_sa), step(pi_sa))


def joint(number: Arithmetic, g: primitive.GameModel, pi_sa: Native, pi_sb: Native) -> Walk:
    """A pair of policies in a regularised zero-sum game, as player 1 sees it."""
    bonus_s = g.tau * (
        primitive.bonus(number, g.regularizer_2, pi_sb) - primitive.bonus(number, g.regularizer_1, pi_sa)
    )
    return pair(number, g.P_sabt, g.r_sab, g.gamma, g.rho_s, (pi_sa, pi_sb), bonus_s)


def pair(
    number: Arithmetic,
    P_sabt: Native,
    r_sab: Native,
    gamma: Native,
    rho_s: Native,
    policies: tuple[Native, Native],
    bonus_s: Native,
) -> Walk:
    """Two players who choose independently, with one reward and a bonus of the state."""
    n_states = len(rho_s)
    joint_sj = number.einsum("sa,sb->sab", *policies).reshape(n_states, -1)
    step = joint_sj, r_sab.reshape(n_states, -1) + bonus_s[:, None]
    return Walk(P_sabt.reshape(n_states, -1, n_states), rho_s, gamma, step, step)


# Their values.


def value(number: Arithmetic, walk: Walk, aim: Target) -> Native:
    """J_T, or J without end."""
    mu_s, weight, total = walk.rho_s, number.lift(1.0), number.lift(0.0)
    for h in range(1 if aim.steps is None else aim.steps):
        pi_sj, c_sj = walk.step(h)
        total = total + weight * (mu_s * (pi_sj * c_sj).sum(-1)).sum(-1)
        mu_s = number.einsum("s,sj,sjt->t", mu_s, pi_sj, walk.P_sjt)
        weight = weight * walk.gamma if aim.discounted else weight
    if aim.steps is None:
        pi_sj, c_sj = walk.later
        P_st = number.einsum("sj,sjt->st", pi_sj, walk.P_sjt)
        after_s = number.solve(P_st, walk.gamma, (pi_sj * c_sj).sum(-1))
        return total + weight * (mu_s * after_s).sum(-1)
    return total if aim.critic_s is None else total + weight * (mu_s * number.lift(aim.critic_s)).sum(-1)


def aimed(number: Arithmetic, walk: Walk, fixed: Walk, aim: Target) -> Native:
    """G; ``fixed`` is the same walk at the point where it is differentiated."""
    if aim.steps is None or aim.critic_s is None:
        raise ValueError("only a target with steps and a critic differs from the value's gradient")
    v_s, trace = number.lift(aim.critic_s), number.lift(aim.trace)
    rest = number.lift(1.0) - trace
    ahead, follow_s = [], v_s
    for h in reversed(range(aim.steps)):
        ahead.append(rest * v_s + trace * follow_s)
        follow_s = _backed_up(number, fixed, h, ahead[-1])
    mu_s, weight, total = fixed.rho_s, number.lift(1.0), number.lift(0.0)
    for h, z_t in enumerate(reversed(ahead)):
        total = total + weight * (mu_s * _backed_up(number, walk, h, z_t)).sum(-1)
        mu_s = number.einsum("s,sj,sjt->t", mu_s, fixed.step(h)[0], fixed.P_sjt)
        weight = weight * fixed.gamma if aim.discounted else weight
    return total


def _backed_up(number: Arithmetic, walk: Walk, h: int, z_t: Native) -> Native:
    """E[ c_h + gamma z(s_{h+1}) | s_h = s ]."""
    pi_sj, c_sj = walk.step(h)
    return (pi_sj * (c_sj + walk.gamma * number.einsum("sjt,t->sj", walk.P_sjt, z_t))).sum(-1)
