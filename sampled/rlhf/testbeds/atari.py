"""The Arcade Learning Environment, with the preprocessing of Mnih et al. (2016).

A step repeats an action for some frames; its frame is the larger of the last two screens in each pixel,
grey, averaged down to 84 x 84, unless the settings say otherwise; the score can be made black.  Rewards
are the sums of the game's own: neither clipped nor scaled.  In each frame the last action is repeated
with a probability, as by the emulator itself, whose states do not hold that action: so it is done here.
Each copy is an emulator of its own in this process, whose state, generators included, can be taken and
put back.

Needs ``ale-py`` and ``opencv-python-headless``, whose wheels carry the ROMs: ``pip install
".[rlhf]"``.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from sampled.errors import InputError
from sampled.rlhf.lanes import Snapshot
from sampled.rlhf.settings import Atari, Downsampling
from sampled.rlhf.testbeds.contract import Copies, Testbed

Bytes = npt.NDArray[np.uint8]

NO_OP, FIRE = 0, 1
"""Codes of the emulator's actions."""

Box = tuple[slice, slice]

SCORES: Mapping[str, tuple[Box, ...]] = {
    "seaquest": ((slice(8, 18), slice(0, 160)),),
    "beam_rider": ((slice(9, 19), slice(0, 160)), (slice(31, 41), slice(0, 64))),
    "ms_pacman": ((slice(186, 195), slice(0, 160)),),
}
"""Rows and columns of the screen that tell the score, and in beam_rider the number of enemies."""


def _modules() -> tuple[Any, Any]:
    try:
        import ale_py
        import cv2
    except ImportError as error:
        raise InputError(
            f"{error.name} is not installed, which Atari games need: "
            'pip install -c constraints.txt -e ".[rlhf]", or '
            "pip install ale-py opencv-python-headless"
        ) from None
    return ale_py, cv2


def _rom(game: str) -> Any:
    from ale_py import roms

    if game not in roms.get_all_rom_ids():
        raise InputError(
            f"game.game is {game!r}; the emulator has no such game. Names are in small letters with "
            "underscores, such as seaquest, beam_rider and ms_pacman"
        )
    return roms.get_rom_path(game)


def _hidden(settings: Atari) -> tuple[Box, ...]:
    if not settings.hide_score:
        return ()
    if settings.game not in SCORES:
        raise InputError(
            f"game.hide_score is true, and where {settings.game!r} shows its score is known of "
            f"{', '.join(sorted(SCORES))} only: set it to false"
        )
    return SCORES[settings.game]


class AtariCopy:
    """One emulator; use :func:`testbed`."""

    def __init__(self, settings: Atari) -> None:
        self._settings = settings
        self._ale_py, self._cv2 = _modules()
        self._rom = _rom(settings.game)
        self._hidden = _hidden(settings)
        self._ale: Any = None  # loading a game takes a while: not before there is a seed

    def _begin(self, seed: int) -> None:
        s = self._settings
        self._ale_py.ALEInterface.setLoggerMode(self._ale_py.LoggerMode.Error)
        self._ale = self._ale_py.ALEInterface()
        self._ale.setInt("random_seed", seed % (1 << 31))
        self._ale.setFloat("repeat_action_probability", 0.0)  # see _act
        self._ale.setInt("max_num_frames_per_episode", s.max_frames)
        self._ale.loadROM(self._rom)
        every = self._ale.getLegalActionSet() if s.full_actions else self._ale.getMinimalActionSet()
        self.actions = [int(action.value) for action in every]
        self._generator = np.random.default_rng(seed)
        self._last = NO_OP
        height, width = self._ale.getScreenDims()
        self._screens = np.zeros((2, height, width), dtype=np.uint8)
        self._lives = 0

    def seed(self, seed: int) -> None:
        """Seed sticky actions and the number of idle frames."""
        self._begin(seed)

    def reset(self) -> Bytes:
        """Begin an episode, idle for up to ``no_ops`` frames."""
        s = self._settings
        if self._ale is None:
            self._begin(0)
        if not (s.life_ends_episode and self._lives > 0 and not self._ale.game_over()):
            self._anew()
            idle = int(self._generator.integers(s.no_ops + 1)) if s.no_ops else 0
            for _ in range(idle):
                self._prepare(NO_OP)
        if s.fire_reset and FIRE in self.actions:
            self._prepare(FIRE)
        self._lives = self._ale.lives()
        self._ale.getScreenGrayscale(self._screens[1])
        self._screens[0] = self._screens[1]
        return self._frame()

    def _anew(self) -> None:
        self._ale.reset_game()
        self._last = NO_OP

    def _prepare(self, code: int) -> None:
        self._act(code)
        if self._ale.game_over():
            self._anew()

    def _act(self, code: int) -> int:
        """Act for a frame, or repeat what was done in the last one; the reward."""
        if self._generator.random() >= self._settings.sticky:
            self._last = code
        return int(self._ale.act(self._last))

    def step(self, action: int) -> tuple[Bytes, float, bool, bool]:
        """Repeat an action, and look at the last two screens."""
        s, ale = self._settings, self._ale
        code, reward = self.actions[action], 0
        for i in range(s.frame_skip):
            reward += self._act(code)
            if i >= s.frame_skip - 2:
                ale.getScreenGrayscale(self._screens[s.frame_skip - 1 - i])
            if ale.game_over():
                break
        if s.frame_skip == 1 or not s.max_pool:  # there is one screen to look at
            ale.getScreenGrayscale(self._screens[0])
            self._screens[1] = self._screens[0]
        lost = s.life_ends_episode and ale.lives() < self._lives
        self._lives = ale.lives()
        terminated = bool(ale.game_over(with_truncation=False)) or lost
        truncated = bool(ale.game_truncated()) and not terminated
        return self._frame(), float(reward), terminated, truncated

    def _frame(self) -> Bytes:
        s, cv2 = self._settings, self._cv2
        pixels = np.maximum(self._screens[0], self._screens[1])
        for box in self._hidden:
            pixels[box] = 0
        how = cv2.INTER_AREA if s.downsampling is Downsampling.AREA else cv2.INTER_LINEAR
        small: Bytes = cv2.resize(pixels, (s.size, s.size), interpolation=how)
        return small[None]

    def snapshot(self) -> Snapshot:
        """Emulator and generators, screens, lives and the last action."""
        state = self._ale.cloneState(include_rng=True).serialize()
        return {
            "emulator": torch.frombuffer(bytearray(state), dtype=torch.uint8),
            "screens": torch.from_numpy(self._screens.copy()),
            "lives": int(self._lives),
            "last_action": self._last,
            "generator": self._generator.bit_generator.state,
        }

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot."""
        if self._ale is None:
            self._begin(0)
        state = self._ale_py.ALEState(snapshot["emulator"].numpy().tobytes())
        self._ale.restoreState(state)
        self._screens = snapshot["screens"].numpy().copy()
        self._lives, self._last = snapshot["lives"], snapshot["last_action"]
        self._generator.bit_generator.state = snapshot["generator"]


def testbed(settings: Atari) -> Testbed:
    """An Atari game.

    Raises
    ------
    InputError
        If the emulator is not installed, or has no such game, or its score is to be hidden and it is
        not known where.
    """
    some = AtariCopy(settings)
    some.seed(0)
    actions = len(some.actions)
    size = settings.size
    return Testbed(
        lambda lanes: Copies([AtariCopy(settings) for _ in range(lanes)]),
        (1, size, size),
        settings.stack,
        1,
        actions,
    )
