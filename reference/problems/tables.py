r"""MDPs from tables that others made: NumPy pairs (P, R) and Gymnasium's tabular environments.

A reward may be known per state, per action or per transition; an MDP needs its expectation::

    (S,)       r(s, a) = R(s)                       the state that is left
    (S, A)     r(s, a) = R(s, a)
    (S, A, S)  r(s, a) = sum_t P(t|s,a) R(s, a, t)

An environment's episode ends with a *terminated* transition, after which nothing is earned.  An MDP
goes on for ever, so such a transition leads to an absorbing state with zero reward:

    - a state that is entered by terminated transitions only becomes absorbing itself, and what the
      table says about leaving it is ignored, since no episode ever does;
    - if a state is entered both ways, the terminated transitions into it lead to one extra absorbing
      state, the last, instead.

Truncation by a time limit is no part of the table, and no part of the MDP.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from reference.errors import InputError
from reference.problems.mdp import Mdp
from reference.regularizers import Regularizer
from reference.validation import Array, distributions, instance, real_array, scalar, shaped

if TYPE_CHECKING:
    import gymnasium

    Environment = gymnasium.Env[Any, Any]

Transition = tuple[float, int, float, bool]
"""Probability, next state, reward, terminated."""


class Layout(Enum):
    """Order of the axes of a transition tensor; the value permutes them to (s, a, t)."""

    STATE_ACTION_NEXT = (0, 1, 2)
    ACTION_STATE_NEXT = (1, 0, 2)
    """The order of MDPtoolbox."""


def from_arrays(
    P: npt.ArrayLike,
    R: npt.ArrayLike,
    *,
    layout: Layout,
    gamma: float,
    rho_s: npt.ArrayLike,
    tau: float,
    regularizer: Regularizer,
) -> Mdp:
    """Build an MDP from a pair (P, R).

    Parameters
    ----------
    P : (S, A, S) or (A, S, S), as ``layout`` says
    R : (S,), (S, A) or the shape of P
        Reward of the state that is left, of the action, or of the transition; the last in the
        layout of P.
    layout : Layout
        There is no default: with S = A the two orders look alike.

    Raises
    ------
    InputError
        If R has none of the shapes, or :class:`Mdp` refuses the arrays.
    """
    if not isinstance(layout, Layout):
        raise InputError(f"layout is {layout!r}; it must be one of {', '.join(map(str, Layout))}")
    P_given, R_given = real_array("P", P), real_array("R", R)
    if P_given.ndim != 3:
        raise InputError(f"P has shape {P_given.shape}; it must have the three axes of {layout}")
    P_sat = distributions("P", P_given).transpose(layout.value)
    n_states, n_actions, n_next = P_sat.shape
    if n_next != n_states:
        raise InputError(
            f"P has shape {P_given.shape}, which in {layout} gives {n_states} states and {n_next} next "
            "states: check the layout"
        )
    if R_given.shape == (n_states,):
        r_sa = np.repeat(R_given[:, None], n_actions, axis=1)
    elif R_given.shape == (n_states, n_actions):
        r_sa = R_given
    elif R_given.shape == P_given.shape:
        r_sa = (P_sat * R_given.transpose(layout.value)).sum(axis=-1)
    else:
        raise InputError(
            f"R has shape {R_given.shape}; with P of shape {P_given.shape} in {layout} it must be "
            f"{(n_states,)}, {(n_states, n_actions)} or {P_given.shape}: check the order of its axes"
        )
    return Mdp(P_sat, r_sa, gamma, real_array("rho_s", rho_s), tau, regularizer)


def spread_start(mdp: Mdp, share: float = 1.0) -> Mdp:
    """Mix the start distribution with the uniform one, for penalties, which need every state.

    Parameters
    ----------
    mdp : Mdp
    share : float in (0, 1]
        Weight of the uniform distribution.

    Raises
    ------
    InputError
        If the share is outside.
    """
    instance("mdp", mdp, Mdp)
    share = scalar("share", share, low=0.0, high=1.0, open_low=True, remedy="1 is uniform")
    return replace(mdp, rho_s=(1.0 - share) * mdp.rho_s + share / mdp.n_states)


def from_gymnasium(
    environment: "Environment | str",
    *,
    gamma: float,
    tau: float,
    regularizer: Regularizer,
    rho_s: npt.ArrayLike | None = None,
) -> Mdp:
    """Build the MDP of a tabular Gymnasium environment: FrozenLake, CliffWalking, Taxi and the like.

    Parameters
    ----------
    environment : environment or its id
        ``"Taxi-v4"``, or ``gymnasium.make("FrozenLake-v1", map_name="8x8", is_slippery=False)`` for
        options.  Wrappers are looked through: the table is that of ``environment.unwrapped``.
    rho_s : (S,), optional
        Start distribution; the environment's own if not given.  That one usually has zeros, which
        penalties refuse: see :func:`spread_start`.

    Returns
    -------
    Mdp
        Its states are the environment's, with one more at the end if some state is entered both
        with and without termination (as in Taxi).  Duplicated next states are summed; rows are not
        normalised, so they may miss 1 by their rounding.

    Raises
    ------
    InputError
        If the id is unknown, or the environment has no table of transitions, an incomplete or
        inconsistent one, or one that does not describe it.
    """
    env = _environment(environment)
    table, start_s = _table(env)
    P_sat, r_sa = _chain(table, _entered_both_ways(table, np.flatnonzero(start_s)))
    n_extra = P_sat.shape[0] - len(table)
    if rho_s is None and not start_s.size:
        raise InputError(f"{env} has no initial_state_distrib: give rho_s")
    rho = np.pad(start_s, (0, n_extra)) if rho_s is None else real_array("rho_s", rho_s)
    return Mdp(P_sat, r_sa, gamma, rho, tau, regularizer)


def _environment(environment: "Environment | str") -> Any:
    import gymnasium

    if isinstance(environment, gymnasium.Env):
        return environment.unwrapped
    if not isinstance(environment, str):
        raise InputError(
            f"environment is {type(environment).__name__}; give a Gymnasium environment or its id"
        )
    try:
        return gymnasium.make(environment).unwrapped
    except (gymnasium.error.Error, ImportError) as error:
        raise InputError(
            f"environment {environment!r} cannot be made ({error}): look for its id in "
            "gymnasium.registry, or pass the environment itself"
        ) from error


def _table(env: Any) -> tuple[list[list[list[Transition]]], Array]:
    """Return the transitions of every state and action, checked, and the start distribution."""
    table = getattr(env, "P", None)
    if not isinstance(table, Mapping | Sequence) or not len(table):
        raise InputError(
            f"{env} has no table of transitions P: only tabular environments are MDPs with known "
            "transitions; tabulate it and use from_arrays"
        )
    if getattr(env, "fickle_passenger", False):
        raise InputError(
            f"{env} has a fickle passenger, which its table of transitions leaves out: make it with "
            "fickle_passenger=False"
        )
    try:
        rows = [[list(table[s][a]) for a in range(len(table[0]))] for s in range(len(table))]
        complete = all(len(table[s]) == len(rows[0]) for s in range(len(table)))
        transitions = [
            [[(float(p), int(t), float(r), bool(end)) for p, t, r, end in row] for row in actions]
            for actions in rows
        ]
    except (LookupError, TypeError, ValueError) as error:
        raise InputError(
            f"{env}.P is not a table P[s][a] = [(p, t, r, terminated), ...] over states and actions "
            f"0, 1, 2, ...: {error!r}; tabulate the environment and use from_arrays"
        ) from error
    n_states = len(transitions)
    outside = [
        t for actions in transitions for row in actions for _, t, _, _ in row if not 0 <= t < n_states
    ]
    if not complete or outside:
        raise InputError(
            f"{env}.P has states with different actions, or next states outside 0, ..., "
            f"{n_states - 1}: tabulate the environment and use from_arrays"
        )
    start_s = real_array("initial_state_distrib", getattr(env, "initial_state_distrib", ()))
    if start_s.size:
        shaped("initial_state_distrib", start_s, "(state,)", (n_states,))
    return transitions, start_s


def _entered_both_ways(
    table: list[list[list[Transition]]], starts: npt.NDArray[np.intp]
) -> dict[int, bool]:
    """Of each state entered by a terminated transition, whether one can also be in it and go on.

    The rows of states of the first kind count for nothing, so the second kind is the smallest set
    that is closed under: entered without termination, or started in, from a state that goes on.
    """
    every = [
        (s, t, end)
        for s, actions in enumerate(table)
        for row in actions
        for p, t, _, end in row
        if p > 0.0
    ]
    terminal = {t for _, t, end in every if end}
    going_on = {int(s) for s in starts} | (set(range(len(table))) - terminal)
    while True:
        entered = {t for s, t, end in every if s in going_on and not end}
        if entered <= going_on:
            return {t: t in going_on for t in terminal}
        going_on |= entered


def _chain(table: list[list[list[Transition]]], terminal: dict[int, bool]) -> tuple[Array, Array]:
    """Transitions and expected rewards, with the terminal states made absorbing."""
    n_states, n_actions = len(table), len(table[0])
    n_total = n_states + any(terminal.values())
    P_sat = np.zeros((n_total, n_actions, n_total))
    r_sa = np.zeros((n_total, n_actions))
    absorbing = {t for t, both in terminal.items() if not both} | set(range(n_states, n_total))
    for s in range(n_total):
        for a in range(n_actions):
            if s in absorbing:
                P_sat[s, a, s] = 1.0
                continue
            for p, t, r, end in table[s][a]:
                P_sat[s, a, n_states if end and terminal.get(t, False) else t] += p
                r_sa[s, a] += p * r
    return P_sat, r_sa
