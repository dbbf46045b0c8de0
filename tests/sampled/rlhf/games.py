"""Small games written out, whose every step is known."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from gymnasium.vector import AutoresetMode

from sampled.rlhf.lanes import Snapshot
from sampled.rlhf.testbeds.contract import Testbed

Frame = npt.NDArray[np.uint8]


class Clock:
    """Lane n has episodes of the lengths given for it, in turn; frames are numbers that never recur.

    A frame is (1, 1, 1) bytes: the lane's count of frames shown, modulo 256.  The reward of a step is
    1 + the action, times 10 if ``loud``.  Every second episode is truncated, the others are terminated.
    """

    def __init__(
        self,
        lengths: Sequence[Sequence[int]],
        mode: AutoresetMode = AutoresetMode.SAME_STEP,
        *,
        loud: bool = False,
    ) -> None:
        self.num_envs = len(lengths)
        self.metadata: dict[str, Any] = {"autoreset_mode": mode}
        self.lengths, self.mode = [list(some) for some in lengths], mode
        self.scale = 10.0 if loud else 1.0
        self.shown = [0] * self.num_envs
        self.episode = [0] * self.num_envs
        self.elapsed = [0] * self.num_envs
        self.over = [False] * self.num_envs
        self.seen: list[npt.NDArray[np.int64]] = []

    def _frame(self, n: int) -> Frame:
        self.shown[n] += 1
        return np.full((1, 1, 1), self.shown[n] % 256, dtype=np.uint8)

    def reset(self, *, seed: int | None = None) -> tuple[Frame, dict[str, Any]]:
        del seed
        self.elapsed = [0] * self.num_envs
        self.over = [False] * self.num_envs
        return np.stack([self._frame(n) for n in range(self.num_envs)]), {}

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        self.seen.append(np.asarray(actions))
        frames, rewards, flags = [], [], []
        infos: dict[str, Any] = {}
        for n, action in enumerate(actions.tolist()):
            if self.over[n]:  # only in the next-step mode
                self._next(n)
                frames.append(self._frame(n))
                rewards.append(0.0)
                flags.append((False, False))
                continue
            self.elapsed[n] += 1
            frame = self._frame(n)
            length = self.lengths[n][self.episode[n] % len(self.lengths[n])]
            ends = self.elapsed[n] >= length
            limit = self.episode[n] % 2 == 1
            if ends and self.mode is AutoresetMode.SAME_STEP:
                infos.setdefault("final_obs", np.full(self.num_envs, None, dtype=object))[n] = frame
                self._next(n)
                frame = self._frame(n)
            elif ends:
                self.over[n] = True
            frames.append(frame)
            rewards.append((1.0 + action) * self.scale)
            flags.append((ends and not limit, ends and limit))
        terminated, truncated = np.array(flags).T
        return np.stack(frames), np.array(rewards), terminated, truncated, infos

    def _next(self, n: int) -> None:
        self.episode[n] += 1
        self.elapsed[n], self.over[n] = 0, False

    def snapshot(self) -> Snapshot:
        names = ("shown", "episode", "elapsed", "over")
        return {name: list(getattr(self, name)) for name in names}

    def restore(self, snapshot: Snapshot) -> None:
        for name, value in snapshot.items():
            setattr(self, name, list(value))


def clock_bed(lengths: Sequence[int], *, depth: int = 1, loud: bool = False) -> Testbed:
    return Testbed(lambda lanes: Clock([lengths] * lanes, loud=loud), (1, 1, 1), depth, 1, 2)


def zeros(stack: torch.Tensor) -> torch.Tensor:
    """The policy that always takes action 0."""
    return torch.zeros(stack.shape[0], dtype=torch.int64)


def alternating() -> Any:
    """A policy that takes 0, 1, 0, 1, ... in all lanes, and remembers what it saw."""
    seen: list[torch.Tensor] = []

    def act(stack: torch.Tensor) -> torch.Tensor:
        seen.append(stack.clone())
        return torch.full((stack.shape[0],), len(seen) % 2, dtype=torch.int64)

    return act, seen
