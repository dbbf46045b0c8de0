r"""Any tabular problem as a Gymnasium environment, and many copies of it as a vector environment.

    obs s_h,   action a_h or (a_h, b_h),   reward r(s_h, a_h, ...),   next obs ~ P(s_h, a_h, ...)

An episode is *terminated* when it enters a terminal state, absorbing and without reward, after which
nothing can be earned; it is *truncated* by a limit of steps only.  The reward is the expected reward
of the problem, without regularisers: an agent that maximises entropy adds its own.

A single-agent problem at a given x is ``tensors(problem.at(x))``; for a Stackelberg game that is the
follower's MDP with the leader's policy mixed in.  Players who move together are one agent with an action
for each: :class:`TabularEnv` then takes arrays of actions and reports the other players' rewards in
``info``.

Random numbers come from ``np_random`` alone, which ``reset(seed=...)`` seeds.
"""

from collections.abc import Mapping
from math import prod
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
import torch
from gymnasium.spaces import Discrete, MultiDiscrete
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from torch import Tensor

from sampled.errors import InputError
from sampled.laws import BITS, InverseCdf
from sampled.simulator import Dynamics
from sampled.validation import finite, floating, shaped, whole

Whole = npt.NDArray[np.int64]
Real = npt.NDArray[np.float64]
Truth = npt.NDArray[np.bool_]
Action = int | np.integer[Any] | npt.NDArray[np.integer[Any]]


def _table(name: str, table_psa: Tensor, dynamics: Dynamics) -> Real:
    """One problem's reward as a flat array over pairs s J + j."""
    shape = (1, dynamics.n_states, *dynamics.n_actions)
    shaped(name, floating(name, table_psa), "(problem, state, actions)", shape)
    values: Real = finite(name, table_psa).detach().cpu().to(torch.float64).numpy().reshape(-1)
    return values


def _one_problem(dynamics: Dynamics) -> None:
    if dynamics.problems != 1:
        raise InputError(
            f"the dynamics are of {dynamics.problems} problems; an environment is one problem: convert "
            "that one by itself"
        )


def _action_space(n_actions: tuple[int, ...]) -> Discrete | MultiDiscrete:
    return Discrete(n_actions[0]) if len(n_actions) == 1 else MultiDiscrete(list(n_actions))


class TabularEnv(gymnasium.Env[np.int64, Action]):
    """One problem as an environment.

    It never truncates: give it a limit of steps by ``gymnasium.wrappers.TimeLimit``.

    Parameters
    ----------
    dynamics : Dynamics
        Of one problem; its terminal states end an episode.
    reward_psa : (1, S, A) or (1, S, A, B)
    others : mapping of names to rewards of the same shape, optional
        Reported in ``info`` at each step.

    Raises
    ------
    InputError
        If there is more than one problem, or a reward has another shape or is not finite.
    """

    def __init__(
        self, dynamics: Dynamics, reward_psa: Tensor, *, others: Mapping[str, Tensor] | None = None
    ) -> None:
        _one_problem(dynamics)
        self.metadata = {"render_modes": []}
        self.observation_space = Discrete(dynamics.n_states)
        self.action_space = _action_space(dynamics.n_actions)
        self._n_actions = dynamics.n_actions
        self._joint = prod(dynamics.n_actions)
        self._start_s = InverseCdf.of(dynamics.rho_ps).cumulative_rk.cpu().numpy()[0]
        self._kernel_it = InverseCdf.of(dynamics.P_psjt).cumulative_rk.cpu().numpy()
        self._terminal_s = dynamics.terminal_ps[0].cpu().numpy()
        self._reward_i = _table("reward_psa", reward_psa, dynamics)
        self._others = {name: _table(name, r, dynamics) for name, r in (others or {}).items()}
        self._state: int | None = None

    def _word(self) -> np.int64:
        return self.np_random.integers(1 << BITS)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.int64, dict[str, Any]]:
        """Draw a start; ``options`` are none of this environment's."""
        super().reset(seed=seed, options=options)
        state = np.searchsorted(self._start_s, self._word(), side="right")
        self._state = int(state)
        return np.int64(state), {}

    def step(self, action: Action) -> tuple[np.int64, float, bool, bool, dict[str, Any]]:
        """Take a step.

        Raises
        ------
        InputError
            If the action is none of the space's, or there was no reset.
        """
        if self._state is None:
            raise InputError("the environment was stepped before it was reset: call reset() first")
        if len(self._n_actions) == 1 and isinstance(action, int | np.integer):
            joint = int(action)
            if not 0 <= joint < self._joint:
                raise InputError(f"action is {action}; it must be in {self.action_space}")
        else:
            joint = _joint_action(action, self._n_actions, ())
        i = self._state * self._joint + joint
        state = np.searchsorted(self._kernel_it[i], self._word(), side="right")
        self._state = int(state)
        info = {name: float(reward_i[i]) for name, reward_i in self._others.items()}
        reward, terminated = float(self._reward_i[i]), bool(self._terminal_s[state])
        return np.int64(state), reward, terminated, False, info


def _joint_action(action: Action, n_actions: tuple[int, ...], lead: tuple[int, ...]) -> Any:
    """Joint actions (*lead,) of each player's own (*lead, players), or (*lead,) of a single one."""
    own = np.asarray(action)
    players = () if len(n_actions) == 1 else (len(n_actions),)
    if own.shape != (*lead, *players) or own.dtype.kind not in "iu":
        raise InputError(
            f"action has shape {own.shape} and dtype {own.dtype}; it must be whole numbers of shape "
            f"{(*lead, *players)}"
        )
    columns = np.moveaxis(own, -1, 0) if players else own[None]
    if any(((own_i < 0) | (own_i >= n)).any() for own_i, n in zip(columns, n_actions, strict=True)):
        raise InputError(
            f"action is {action}; each player's must be in 0, ..., n - 1 with n of {n_actions}"
        )
    joint = np.zeros(lead, dtype=np.int64)
    for own_i, n in zip(columns, n_actions, strict=True):
        joint = joint * n + own_i
    return joint


class TabularVectorEnv(VectorEnv[Whole, npt.NDArray[np.integer[Any]], Any]):
    """Many independent copies of one problem, advanced together.

    Parameters
    ----------
    dynamics, reward_psa, others
        As :class:`TabularEnv`.
    num_envs : int >= 1
    max_steps : int >= 1, optional
        Steps after which an episode is truncated; vector environments have no wrapper for that.
    autoreset_mode : AutoresetMode
        Next step (Gymnasium's default) or same step.

    Raises
    ------
    InputError
        As :class:`TabularEnv`; if a number is out of range, or automatic resets are disabled.
    """

    def __init__(
        self,
        dynamics: Dynamics,
        reward_psa: Tensor,
        num_envs: int,
        *,
        others: Mapping[str, Tensor] | None = None,
        max_steps: int | None = None,
        autoreset_mode: AutoresetMode = AutoresetMode.NEXT_STEP,
    ) -> None:
        _one_problem(dynamics)
        if autoreset_mode not in (AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP):
            raise InputError(f"autoreset_mode is {autoreset_mode}; it must be NEXT_STEP or SAME_STEP")
        self.metadata = {"render_modes": [], "autoreset_mode": autoreset_mode}
        self.num_envs = whole("num_envs", num_envs, low=1)
        self.single_observation_space = Discrete(dynamics.n_states)
        self.single_action_space = _action_space(dynamics.n_actions)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._dynamics = dynamics
        self._joint = prod(dynamics.n_actions)
        self._terminal_s = dynamics.terminal_ps[0].cpu().numpy()
        self._reward_i = _table("reward_psa", reward_psa, dynamics)
        self._others = {name: _table(name, r, dynamics) for name, r in (others or {}).items()}
        self._limit = None if max_steps is None else whole("max_steps", max_steps, low=1)
        self._same_step = autoreset_mode is AutoresetMode.SAME_STEP
        self._state_n: Whole | None = None
        self._elapsed_n = np.zeros(num_envs, dtype=np.int64)
        self._over_n = np.zeros(num_envs, dtype=np.bool_)

    def _draw(self, row_n: Whole | None, count: int) -> Whole:
        """Next states of rows, or starts."""
        word = self.np_random.integers(1 << BITS, size=count)
        sampler = self._dynamics.start if row_n is None else self._dynamics.kernel
        rows = np.zeros(count, dtype=np.int64) if row_n is None else row_n
        device = self._dynamics.device
        drawn = sampler.draw(torch.from_numpy(rows).to(device), torch.from_numpy(word).to(device))
        states: Whole = drawn.cpu().numpy()
        return states

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Whole, dict[str, Any]]:
        """Draw a start for each copy."""
        super().reset(seed=seed, options=options)
        self._state_n = self._draw(None, self.num_envs)
        self._elapsed_n[:], self._over_n[:] = 0, False
        return self._state_n.copy(), {}

    def step(
        self, actions: npt.NDArray[np.integer[Any]]
    ) -> tuple[Whole, Real, Truth, Truth, dict[str, Any]]:
        """Take a step in each copy; one that is over is reset instead, as the mode says.

        Raises
        ------
        InputError
            If an action is none of the space's, or there was no reset.
        """
        if self._state_n is None:
            raise InputError("the environment was stepped before it was reset: call reset() first")
        joint_n = _joint_action(actions, self._dynamics.n_actions, (self.num_envs,))
        row_n = self._state_n * self._joint + joint_n
        state_n, self._elapsed_n = self._draw(row_n, self.num_envs), self._elapsed_n + 1
        infos: dict[str, Any] = {name: reward_i[row_n] for name, reward_i in self._others.items()}
        reward_n, begins_n = self._reward_i[row_n], self._over_n
        if begins_n.any():  # only in the next-step mode
            self._restart(state_n, begins_n)
            for values in (reward_n, *infos.values()):
                values[begins_n] = 0.0
        terminated_n = self._terminal_s[state_n] & ~begins_n
        truncated_n = (
            np.zeros_like(terminated_n) if self._limit is None else self._elapsed_n >= self._limit
        )
        over_n = terminated_n | truncated_n
        reset_n = begins_n
        final: dict[str, Any] = {}
        if self._same_step and over_n.any():
            reset_n = over_n
            final = _final(state_n, infos, over_n)
            self._restart(state_n, over_n)
        infos |= {f"_{name}": ~reset_n for name in infos} | final
        self._state_n = state_n
        self._over_n = np.zeros_like(over_n) if self._same_step else over_n
        return state_n.copy(), reward_n, terminated_n, truncated_n, infos

    def snapshot(self) -> dict[str, Any]:
        """Everything that what follows depends on, as tensors and numbers: states and generator.

        Raises
        ------
        InputError
            If there was no reset.
        """
        if self._state_n is None:
            raise InputError("the environment has no state before it was reset: call reset() first")
        return {
            "state": torch.from_numpy(self._state_n.copy()),
            "elapsed": torch.from_numpy(self._elapsed_n.copy()),
            "over": torch.from_numpy(self._over_n.copy()),
            "generator": self.np_random.bit_generator.state,
        }

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Go on from a snapshot of an environment of as many copies of the same problem."""
        self._state_n = snapshot["state"].numpy().copy()
        self._elapsed_n = snapshot["elapsed"].numpy().copy()
        self._over_n = snapshot["over"].numpy().copy()
        self.np_random.bit_generator.state = snapshot["generator"]

    def _restart(self, state_n: Whole, begins_n: Truth) -> None:
        state_n[begins_n] = self._draw(None, int(begins_n.sum()))
        self._elapsed_n[begins_n] = 0


def _final(state_n: Whole, infos: dict[str, Any], over_n: Truth) -> dict[str, Any]:
    """What Gymnasium reports in ``infos`` of episodes that are over and were reset in the same step."""
    obs_n = np.full(over_n.shape, None, dtype=object)
    obs_n[over_n] = state_n[over_n]
    last: dict[str, Any] = {}
    for name, value_n in infos.items():
        last |= {name: np.where(over_n, value_n, 0.0), f"_{name}": over_n}
        value_n[over_n] = 0.0
    return {"final_obs": obs_n, "_final_obs": over_n, "final_info": last, "_final_info": over_n}
