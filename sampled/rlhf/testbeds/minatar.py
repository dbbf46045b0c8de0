"""MinAtar: five games on 10 x 10 cells, fast enough for a comparison on a CPU (Young and Tian 2019).

A frame is (C, 10, 10) bytes, zero or one, with C channels of the game; one frame is the whole state, or
nearly so, and stacks have depth 1.  Rewards are the game's own.  An episode is truncated after a number
of steps, since a good player's may never end.

Needs ``minatar``: ``pip install -c constraints.txt -e ".[rlhf]"``.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from sampled.errors import InputError
from sampled.rlhf.lanes import Snapshot
from sampled.rlhf.settings import MinAtar
from sampled.rlhf.testbeds.contract import (
    Copies,
    Testbed,
    generator_state,
    plain,
    put_generator_state,
    unplain,
)

GAMES = ("asterix", "breakout", "freeway", "seaquest", "space_invaders")


def _environment(settings: MinAtar) -> Any:
    if settings.game not in GAMES:
        raise InputError(f"game.game is {settings.game!r}; MinAtar has {', '.join(GAMES)}")
    try:
        from minatar import Environment  # type: ignore[import-untyped] # it has no types
    except ImportError:
        raise InputError(
            'the games of MinAtar are not installed: pip install -c constraints.txt -e ".[rlhf]", or '
            "pip install minatar"
        ) from None
    return Environment(settings.game, settings.sticky, settings.ramping)


class MinAtarCopy:
    """One copy of a game; use :func:`testbed`."""

    def __init__(self, settings: MinAtar) -> None:
        self._env = _environment(settings)
        self._limit = settings.max_steps
        minimal = self._env.minimal_action_set()
        self._actions = [int(a) for a in minimal] if settings.minimal_actions else list(range(6))
        self._elapsed = 0

    def seed(self, seed: int) -> None:
        """Seed the one generator of actions that stick and of the game."""
        self._env.seed(seed)

    def reset(self) -> npt.NDArray[np.uint8]:
        """Begin an episode."""
        self._env.reset()
        self._env.last_action = 0
        self._elapsed = 0
        return self._frame()

    def step(self, action: int) -> tuple[npt.NDArray[np.uint8], float, bool, bool]:
        """Act, and count."""
        reward, terminal = self._env.act(self._actions[action])
        self._elapsed += 1
        terminated = bool(terminal)
        return self._frame(), float(reward), terminated, not terminated and self._elapsed >= self._limit

    def _frame(self) -> npt.NDArray[np.uint8]:
        state: npt.NDArray[np.bool_] = self._env.state()
        return state.view(np.uint8).transpose(2, 0, 1)

    def snapshot(self) -> Snapshot:
        """All attributes of the game, and its generator, which both halves share."""
        game = {name: value for name, value in vars(self._env.env).items() if name != "random"}
        return {
            "game": plain(game),
            "last_action": int(self._env.last_action),
            "elapsed": self._elapsed,
            "generator": generator_state(self._env.random),
        }

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot."""
        vars(self._env.env).update(unplain(snapshot["game"]))
        self._env.last_action = snapshot["last_action"]
        self._elapsed = snapshot["elapsed"]
        self._env.seed(0)  # one generator for both halves
        put_generator_state(self._env.random, snapshot["generator"])


def testbed(settings: MinAtar) -> Testbed:
    """A MinAtar game.

    Raises
    ------
    InputError
        If MinAtar is not installed, or has no such game.
    """
    env = _environment(settings)
    height, width, channels = (int(n) for n in env.state_shape())
    actions = len(env.minimal_action_set()) if settings.minimal_actions else 6
    return Testbed(
        lambda lanes: Copies([MinAtarCopy(settings) for _ in range(lanes)]),
        (channels, height, width),
        1,
        1,
        actions,
    )
