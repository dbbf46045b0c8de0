"""What a testbed provides, and many copies of one game in this process."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from gymnasium.vector import AutoresetMode

from sampled.rlhf.lanes import Game, Snapshot

Frame = npt.NDArray[Any]


@dataclass(frozen=True)
class Testbed:
    """A game, as often as it is wanted.

    Attributes
    ----------
    make : callable
        Number of lanes -> Game.
    frame : tuple of int
        Shape of a frame; () for a numbered state.
    depth : int
        Frames in a stack.
    states, actions : int
        How many; there is one state where frames are images.
    """

    __test__ = False  # no class of tests, whatever its name

    make: Callable[[int], Game]
    frame: tuple[int, ...]
    depth: int
    states: int
    actions: int


class Copy(Protocol):
    """One copy of a game."""

    def seed(self, seed: int) -> None:
        """Seed its generators; a reset follows."""
        ...

    def reset(self) -> Frame:
        """Begin an episode."""
        ...

    def step(self, action: int) -> tuple[Frame, float, bool, bool]:
        """Frame, true reward, whether terminated, whether truncated."""
        ...

    def snapshot(self) -> Snapshot:
        """Everything that what follows depends on."""
        ...

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot."""
        ...


class Copies:
    """Many copies, stepped one after the other; one whose episode ends is reset in the same step.

    Parameters
    ----------
    copies : sequence of Copy
    """

    def __init__(self, copies: Sequence[Copy]) -> None:
        self.copies = list(copies)
        self.num_envs = len(self.copies)
        self.metadata: dict[str, Any] = {"autoreset_mode": AutoresetMode.SAME_STEP}

    def reset(self, *, seed: int | None = None) -> tuple[Frame, dict[str, Any]]:
        """Begin an episode in each copy; each has its own generator."""
        if seed is not None:
            words = np.random.SeedSequence(seed).generate_state(self.num_envs)
            for copy, word in zip(self.copies, words.tolist(), strict=True):
                copy.seed(word)
        return np.stack([copy.reset() for copy in self.copies]), {}

    def step(self, actions: Frame) -> tuple[Frame, Frame, Frame, Frame, dict[str, Any]]:
        """Take a step in each copy."""
        frames: list[Frame] = []
        reward_n = np.empty(self.num_envs)
        over_n = np.zeros((2, self.num_envs), dtype=np.bool_)
        infos: dict[str, Any] = {}
        for n, (copy, action) in enumerate(zip(self.copies, actions.tolist(), strict=True)):
            frame, reward_n[n], terminated, truncated = copy.step(action)
            if terminated or truncated:
                over_n[:, n] = terminated, truncated
                infos.setdefault("final_obs", np.full(self.num_envs, None, dtype=object))[n] = frame
                frame = copy.reset()
            frames.append(frame)
        return np.stack(frames), reward_n, over_n[0], over_n[1], infos

    def snapshot(self) -> Snapshot:
        """Snapshots of all."""
        return {"copies": [copy.snapshot() for copy in self.copies]}

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot of as many copies."""
        for copy, state in zip(self.copies, snapshot["copies"], strict=True):
            copy.restore(state)


def generator_state(generator: np.random.RandomState) -> Snapshot:
    """State of a legacy generator of NumPy, as plain values."""
    name, key, position, has_gauss, cached = generator.get_state(legacy=True)
    words = torch.from_numpy(np.asarray(key).astype(np.int64))
    return {
        "name": str(name),
        "key": words,
        "position": int(position),
        "has_gauss": int(has_gauss),
        "cached": float(cached),
    }


def put_generator_state(generator: np.random.RandomState, state: Snapshot) -> None:
    """Put a state of :func:`generator_state` back."""
    key = state["key"].numpy().astype(np.uint32)
    generator.set_state((state["name"], key, state["position"], state["has_gauss"], state["cached"]))


def plain(value: Any) -> Any:
    """Arrays as tensors and NumPy's numbers as Python's, through lists, tuples and dictionaries.

    Raises
    ------
    TypeError
        If there is something else, which a checkpoint could not load without executing code.
    """
    if isinstance(value, np.ndarray):
        return {"array": torch.from_numpy(np.ascontiguousarray(value).copy())}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, list):
        return [plain(v) for v in value]
    if isinstance(value, tuple):
        return {"tuple": [plain(v) for v in value]}
    if isinstance(value, dict):
        return {"items": [[plain(k), plain(v)] for k, v in value.items()]}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"a game's state holds a {type(value).__name__}, which is no plain value")


def unplain(value: Any) -> Any:
    """Undo :func:`plain`; arrays are new."""
    if isinstance(value, list):
        return [unplain(v) for v in value]
    if isinstance(value, dict):
        ((kind, held),) = value.items()
        if kind == "array":
            return held.numpy().copy()
        if kind == "tuple":
            return tuple(unplain(v) for v in held)
        return {unplain(k): unplain(v) for k, v in held}
    return value
