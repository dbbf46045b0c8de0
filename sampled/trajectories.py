r"""A batch of trajectories as tensors, and tables of the problem read along them.

Index legend: p problem, n trajectory, h step, s state, j joint action (of all players), t next state::

    s_0 ~ rho_p,    a_h ~ pi_p(s_h),    s_{h+1} ~ P_p(s_h, a_h),        h = 0, ..., L_pn - 1

Rewards are no part of a trajectory: they are the expected rewards r(s, a) of a problem, so any number of
reward tables (true and learned, leader's and follower's) is read along the same trajectories by
:meth:`Trajectories.at_actions`, also log-probabilities and values; gradients flow back to the tables.
"""

from dataclasses import dataclass
from functools import cached_property
from math import prod

import torch
from torch import Tensor

from sampled.errors import InputError
from sampled.validation import one_device

INDEX = torch.int32
"""The dtype of recorded states and actions: half the memory and bandwidth of int64."""


@dataclass(frozen=True, eq=False)
class Trajectories:
    """Trajectories of many problems, some steps each, padded to one number of steps.

    Attributes
    ----------
    states_pnh : (P, N, H + 1) int32
        s_0, ..., s_H; the last is the state after the last step.
    actions_pnh : (P, N, H) int32
        Joint actions; with two players j = a B + b.
    lengths_pn : (P, N) int64
        L, the number of steps that count.  What stands at h >= L (states: h > L) is padding, drawn
        from the same law.
    terminal_ps : (P, S) bool
        Absorbing states without reward; the dynamics' own.
    n_actions : tuple of int
        Number of each player's actions.
    cut : bool
        Whether some lengths may be less than the steps of the tensors.

    Raises
    ------
    InputError
        If shapes, dtypes or devices do not fit each other.
    """

    states_pnh: Tensor
    actions_pnh: Tensor
    lengths_pn: Tensor
    terminal_ps: Tensor
    n_actions: tuple[int, ...]
    cut: bool = True

    def __post_init__(self) -> None:
        problems, n, steps = self.actions_pnh.shape
        fits = (
            self.states_pnh.shape == (problems, n, steps + 1)
            and self.lengths_pn.shape == (problems, n)
            and self.terminal_ps.shape[:1] == (problems,)
        )
        if not fits:
            raise InputError(
                f"states_pnh {tuple(self.states_pnh.shape)}, actions_pnh "
                f"{tuple(self.actions_pnh.shape)}, lengths_pn {tuple(self.lengths_pn.shape)} and "
                f"terminal_ps {tuple(self.terminal_ps.shape)} do not fit: they must be (P, N, H + 1), "
                "(P, N, H), (P, N) and (P, S)"
            )
        if (self.states_pnh.dtype, self.actions_pnh.dtype) != (INDEX, INDEX):
            raise InputError(
                f"states and actions have dtypes {self.states_pnh.dtype} and {self.actions_pnh.dtype}; "
                f"both must be {INDEX}"
            )
        parts = (self.states_pnh, self.actions_pnh, self.lengths_pn, self.terminal_ps)
        if any(part.device != self.actions_pnh.device for part in parts):
            names = ("states_pnh", "actions_pnh", "lengths_pn", "terminal_ps")
            one_device(**dict(zip(names, parts, strict=True)))

    @property
    def problems(self) -> int:
        """P."""
        return self.actions_pnh.shape[0]

    @property
    def n(self) -> int:
        """Trajectories N of each problem."""
        return self.actions_pnh.shape[1]

    @property
    def horizon(self) -> int:
        """Steps H of the tensors; no length exceeds it."""
        return self.actions_pnh.shape[2]

    @property
    def n_states(self) -> int:
        """S."""
        return self.terminal_ps.shape[1]

    @property
    def device(self) -> torch.device:
        """Device of all tensors."""
        return self.actions_pnh.device

    @cached_property
    def each_action_pnh(self) -> tuple[Tensor, ...]:
        """Each player's own actions, (P, N, H) int32 each."""
        rest, found = self.actions_pnh, []
        for count in self.n_actions[:0:-1]:
            quotient = rest.div(count, rounding_mode="floor")
            found.append(torch.sub(rest, quotient, alpha=count))
            rest = quotient
        return (rest, *found[::-1])

    @property
    def mask_pnh(self) -> Tensor:
        """Whether step h is one of the L, (P, N, H) bool."""
        return torch.arange(self.horizon, device=self.device) < self.lengths_pn.unsqueeze(-1)

    @property
    def alive_pnh(self) -> Tensor:
        """Whether step h is one of the L and leaves a state that is not terminal, (P, N, H) bool.

        A regularised value goes on collecting its regulariser in a terminal state, so estimators of
        it mask by ``mask_pnh``; this one is for the steps of an environment that ends there.
        """
        return self.mask_pnh & ~self.at_decisions(self.terminal_ps)

    @property
    def steps_p(self) -> Tensor:
        """Environment steps of each problem, (P,) int64: those that are alive."""
        return self.alive_pnh.sum((1, 2))

    @property
    def terminated_pn(self) -> Tensor:
        """Whether the state after the L steps is terminal, (P, N) bool."""
        at_end = self.at_states(self.terminal_ps).gather(-1, self.lengths_pn.unsqueeze(-1))
        return at_end.squeeze(-1)

    @property
    def truncated_pn(self) -> Tensor:
        """Whether the trajectory was cut off while it could go on, (P, N) bool."""
        return ~self.terminated_pn

    def counted(self, table_pnh: Tensor) -> Tensor:
        """The entries (P, N, H) of steps that are among the L, and zero for the others."""
        return self.mask_pnh * table_pnh if self.cut else table_pnh

    def at_states(self, table_ps: Tensor) -> Tensor:
        """Read a function of the state along the trajectories.

        Parameters
        ----------
        table_ps : (P, S)
            Of any dtype; differentiable.

        Returns
        -------
        (P, N, H + 1)
            Its last entry is at the state after the last step.

        Raises
        ------
        InputError
            If the table has another shape or device.
        """
        self._fits("table_ps", table_ps, (self.problems, self.n_states))
        return self._read(table_ps, self._rows_hm)

    def at_decisions(self, table_ps: Tensor) -> Tensor:
        """Read a function of the state where actions were chosen: all states but the last.

        Parameters
        ----------
        table_ps : (P, S)
            Of any dtype; differentiable.

        Returns
        -------
        (P, N, H)

        Raises
        ------
        InputError
            If the table has another shape or device.
        """
        self._fits("table_ps", table_ps, (self.problems, self.n_states))
        return self._read(table_ps, self._rows_hm[:-1])

    def at_own_actions(self, player: int, table_psa: Tensor) -> Tensor:
        """Read a function of state and one player's own action along the trajectories.

        Parameters
        ----------
        player : int
        table_psa : (P, S, A)
            Differentiable.

        Returns
        -------
        (P, N, H)

        Raises
        ------
        InputError
            If the table has another shape or device, or there is no such player.
        """
        if not 0 <= player < len(self.n_actions):
            raise InputError(f"player is {player!r}; there are {len(self.n_actions)}, counted from 0")
        n = self.n_actions[player]
        self._fits("table_psa", table_psa, (self.problems, self.n_states, n))
        return self._read(table_psa, self._own_rows_hm[player])

    def at_actions(self, table_psj: Tensor) -> Tensor:
        """Read a function of state and actions along the trajectories.

        Parameters
        ----------
        table_psj : (P, S, A) or (P, S, A, B)
            One axis per player, of length one where the table does not depend on that player's
            action: a leader's log-policy is ``log_pi_psa[..., None]``.  Differentiable.

        Returns
        -------
        (P, N, H)

        Raises
        ------
        InputError
            If the table has another shape or device.
        """
        table_psj = self._of_actions(table_psj)
        return self._read(table_psj, self._pairs(table_psj))

    def at_transitions(self, table_psjt: Tensor) -> Tensor:
        """Read a function of state, actions and next state along the trajectories.

        Parameters
        ----------
        table_psjt : (P, S, A, S) or (P, S, A, B, S)
            Such as log-probabilities of transitions that depend on a parameter.  Differentiable.

        Returns
        -------
        (P, N, H)

        Raises
        ------
        InputError
            If the table has another shape or device.
        """
        full = (self.problems, self.n_states, *self.n_actions, self.n_states)
        self._fits("table_psjt", table_psjt, full)
        after_hm = _stored(self.states_pnh[..., 1:])
        return self._read(table_psjt, (self._pairs(table_psjt) * self.n_states).add_(after_hm))

    def _of_actions(self, table_psj: Tensor) -> Tensor:
        """The table with axes of length one expanded, checked."""
        axes, full = table_psj.shape[2:], (self.problems, self.n_states, *self.n_actions)
        if len(axes) == len(self.n_actions) and all(
            got in (1, want) for got, want in zip(axes, self.n_actions, strict=True)
        ):
            table_psj = table_psj.expand(*table_psj.shape[:2], *self.n_actions)
        self._fits("table_psj", table_psj, full)
        return table_psj

    def _pairs(self, table: Tensor) -> Tensor:
        """Index of (problem, state, joint action) at each step, wide enough for the table."""
        if table.numel() <= torch.iinfo(INDEX).max:
            return self._pairs_hm
        row_hm = self._rows_hm[:-1].to(torch.int64)
        return torch.add(_stored(self.actions_pnh), row_hm, alpha=prod(self.n_actions))

    # Indices of rows in the order in which steps are stored, (H, P N); made when first needed.

    @cached_property
    def _rows_hm(self) -> Tensor:
        """Of (problem, state), (H + 1, P N)."""
        state_hm = _stored(self.states_pnh)
        if self.problems == 1:
            return state_hm
        last = self.problems * self.n_states
        base_p = torch.arange(0, last, self.n_states, dtype=INDEX, device=self.device)
        return (state_hm.view(-1, self.problems, self.n) + base_p.unsqueeze(-1)).flatten(1)

    @cached_property
    def _pairs_hm(self) -> Tensor:
        """Of (problem, state, joint action)."""
        actions_hm = _stored(self.actions_pnh)
        return torch.add(actions_hm, self._rows_hm[:-1], alpha=prod(self.n_actions))

    @cached_property
    def _own_rows_hm(self) -> tuple[Tensor, ...]:
        """Of (problem, state, own action), of each player."""
        if len(self.n_actions) == 1:
            return (self._pairs_hm,)
        row_hm = self._rows_hm[:-1]
        each = zip(self.each_action_pnh, self.n_actions, strict=True)
        return tuple(torch.add(_stored(own), row_hm, alpha=n) for own, n in each)

    def _read(self, table: Tensor, index_hm: Tensor) -> Tensor:
        """Entries of a table at its rows; (P, N, steps), in the order in which steps are stored."""
        found = table.reshape(-1).index_select(0, index_hm.reshape(-1))
        return found.view(-1, self.problems, self.n).permute(1, 2, 0)

    def _fits(self, name: str, table: Tensor, shape: tuple[int, ...]) -> None:
        if tuple(table.shape) != shape:
            raise InputError(
                f"{name} has shape {tuple(table.shape)}; its axes are (problem, state, each player's "
                f"action, next state) as far as it has them and must be {shape}: check their order"
            )
        if table.device != self.actions_pnh.device:
            one_device(**{name: table, "trajectories": self.actions_pnh})


def _stored(index_pnh: Tensor) -> Tensor:
    """(P, N, steps) as (steps, P N)."""
    return index_pnh.permute(2, 0, 1).flatten(1)
