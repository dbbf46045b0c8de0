r"""Many copies of a game that go on from call to call, with their episodes told apart.

A Gymnasium vector environment resets a lane by itself when its episode ends, in one of two ways:

* *next step*: the last state is shown; the next action is ignored, and the lane is reset instead.  That
  step is none of any episode: a ghost, to be masked.
* *same step*: the first state of the next episode is shown at once, and the last one in ``infos``.

Both become a :class:`~sampled.rlhf.tracks.Track`, in which a state after a step is where its value is
to be taken, and no ghost counts.
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from torch import Tensor

from sampled.errors import InputError
from sampled.rlhf.tracks import Cuts, Track

Policy = Callable[[Tensor], Tensor]
"""Actions (N,) int64 for stacks (N, K, *frame)."""

Snapshot = dict[str, Any]
"""Tensors, numbers, strings, None, and lists and dictionaries of them: loaded without executing code."""


@runtime_checkable
class Game(Protocol):
    """A vector environment of Gymnasium, whose state can be taken and put back."""

    num_envs: int
    metadata: dict[str, Any]

    def reset(self, *, seed: int | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode in each lane."""
        ...

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Take a step in each lane."""
        ...

    def snapshot(self) -> Snapshot:
        """Everything that what follows depends on, generators included."""
        ...

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot."""
        ...


class Lanes:
    """A game's lanes between calls.

    Parameters
    ----------
    game : Game
    depth : int
        Frames in a stack.
    seed : int
    device : torch.device
        Where tracks are wanted.

    Raises
    ------
    InputError
        If the game resets its lanes in neither way.
    """

    def __init__(self, game: Game, depth: int, seed: int, device: torch.device) -> None:
        mode = game.metadata.get("autoreset_mode")
        if mode not in (AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP):
            raise InputError(
                f"the vector environment's autoreset_mode is {mode}; it must be NEXT_STEP or SAME_STEP"
            )
        self.game, self.depth, self.device = game, depth, device
        self.same_step = mode is AutoresetMode.SAME_STEP
        self._begin(game.reset(seed=seed)[0])

    def _begin(self, obs: Any) -> None:
        frame_n = torch.as_tensor(np.asarray(obs))
        self.recent_nk = frame_n[:, None].repeat(1, self.depth, *[1] * (frame_n.ndim - 1))
        lanes = frame_n.shape[0]
        self.age_n = torch.zeros(lanes, dtype=torch.int64)
        self.over_n = torch.zeros(lanes, dtype=torch.bool)
        self.earned_n = torch.zeros(lanes, dtype=torch.float64)
        self.steps_taken = 0
        self.finished: list[float] = []

    def reset(self) -> None:
        """Begin an episode in each lane; generators go on."""
        taken, finished = self.steps_taken, self.finished
        self._begin(self.game.reset()[0])
        self.steps_taken, self.finished = taken, finished

    @property
    def count(self) -> int:
        """N."""
        return self.recent_nk.shape[0]

    def play(self, policy: Policy, steps: int) -> Track:
        """Take steps in all lanes.

        ``steps_taken`` counts those that were none of ghosts, and ``finished`` collects true returns of
        the episodes that ended, for records.

        Parameters
        ----------
        policy : callable
        steps : int
            H.
        """
        lanes, K = self.count, self.depth
        frame = self.recent_nk.shape[2:]
        frame_nf = torch.empty((lanes, K + steps, *frame), dtype=self.recent_nk.dtype)
        frame_nf[:, :K] = self.recent_nk
        age_nh = torch.empty((lanes, steps + 1), dtype=torch.int64)
        age_nh[:, 0] = self.age_n
        action_nh = torch.empty((lanes, steps), dtype=torch.int64)
        flag_hn = {name: torch.empty((steps, lanes), dtype=torch.bool) for name in _FLAGS}
        true_nh = torch.empty((lanes, steps), dtype=torch.float64)
        cuts: list[tuple[int, Tensor, Tensor]] = []
        lane_n = torch.arange(lanes)
        k = torch.arange(K - 1, -1, -1)
        for h in range(steps):
            stack = frame_nf[lane_n[:, None], K - 1 + h - torch.minimum(k, self.age_n[:, None])]
            action_n = policy(stack.to(self.device)).cpu()
            action_nh[:, h] = action_n
            obs, reward, terminated, truncated, infos = self.game.step(action_n.numpy())
            ghost_n = self.over_n
            ended_n = torch.as_tensor(np.asarray(terminated)) & ~ghost_n
            limit_n = torch.as_tensor(np.asarray(truncated)) & ~ghost_n & ~ended_n
            over_n = ended_n | limit_n
            true_n = torch.as_tensor(np.asarray(reward, dtype=np.float64))
            for name, flag_n in zip(_FLAGS, (ended_n, limit_n, ghost_n), strict=True):
                flag_hn[name][h] = flag_n
            true_nh[:, h] = true_n.where(~ghost_n, 0.0)
            frame_nf[:, K + h] = torch.as_tensor(np.asarray(obs))
            self._record(true_nh[:, h], over_n, ghost_n)
            if self.same_step:
                if limit_n.any():
                    cuts.append((h, limit_n.nonzero()[:, 0], _final(stack, infos, limit_n)))
                begins_n, self.over_n = over_n, torch.zeros_like(over_n)
            else:
                begins_n, self.over_n = ghost_n, over_n
            self.age_n = torch.where(begins_n, 0, self.age_n + 1)
            age_nh[:, h + 1] = self.age_n
        self.recent_nk = frame_nf[:, -K:].clone()
        terminated_nh, truncated_nh, ghost_nh = (
            flag_hn[name].T.contiguous().to(self.device) for name in _FLAGS
        )
        return Track(
            frame_nf.to(self.device),
            age_nh.to(self.device),
            action_nh.to(self.device),
            terminated_nh,
            truncated_nh,
            ghost_nh,
            true_nh.to(self.device),
            K,
            self._cuts(cuts),
        )

    def _record(self, true_n: Tensor, over_n: Tensor, ghost_n: Tensor) -> None:
        self.steps_taken += int((~ghost_n).sum())
        self.earned_n += true_n
        self.finished += self.earned_n[over_n].tolist()
        self.earned_n[over_n] = 0.0

    def _cuts(self, cuts: list[tuple[int, Tensor, Tensor]]) -> Cuts | None:
        if not cuts:
            return None
        steps = torch.cat([torch.full_like(lane_i, h) for h, lane_i, _ in cuts])
        lanes = torch.cat([lane_i for _, lane_i, _ in cuts])
        stacks = torch.cat([stack_i for _, _, stack_i in cuts])
        return Cuts(lanes.to(self.device), steps.to(self.device), stacks.to(self.device))

    def snapshot(self) -> Snapshot:
        """Everything that what follows depends on."""
        own = {name: deepcopy(getattr(self, name)) for name in (*_STATE, "finished")}
        return {"own": own, "game": self.game.snapshot()}

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Go on from a snapshot."""
        for name in (*_STATE, "finished"):
            setattr(self, name, deepcopy(snapshot["own"][name]))
        self.game.restore(snapshot["game"])


_FLAGS = ("terminated", "truncated", "ghost")
_STATE = ("recent_nk", "age_n", "over_n", "earned_n", "steps_taken")


def _final(stack: Tensor, infos: Mapping[str, Any], limit_n: Tensor) -> Tensor:
    """Stacks of the states in which truncated episodes ended, (I, K, *frame)."""
    lane_i = limit_n.nonzero()[:, 0]
    last = np.stack([np.asarray(infos["final_obs"][int(lane)]) for lane in lane_i])
    last_i = torch.as_tensor(last, dtype=stack.dtype)
    # The stack moves on by one frame; the first state's frame filled it up, and still does.
    return (
        torch.cat((stack[lane_i][:, 1:], last_i[:, None]), 1) if stack.shape[1] > 1 else last_i[:, None]
    )
