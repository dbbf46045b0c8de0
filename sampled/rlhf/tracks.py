r"""What lanes of games did, step by step, with every frame stored once.

Index legend: n lane, h step, k place in a stack, i any selection of states.  What a network sees at
(n, h) is the stack of the last K frames of the same episode; before there are K, the first is repeated::

    stack_k(n, h) = frame(n, K - 1 + h - min(k, age(n, h))),     k = K - 1, ..., 0

with age the number of steps since the episode began.  So frames are kept once, as bytes, and stacks are
made by index where they are needed: a segment of L steps takes L + K - 1 frames instead of L K.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sampled.errors import InputError


@dataclass(frozen=True, eq=False)
class Cuts:
    """States in which episodes were truncated and reset in the same step, so that no frame shows them.

    Attributes
    ----------
    lane_i, step_i : (I,) int64
        The step that led there.
    stack_i : (I, K, *frame)
    """

    lane_i: Tensor
    step_i: Tensor
    stack_i: Tensor


@dataclass(frozen=True, eq=False)
class Track:
    """H steps of N lanes.

    Attributes
    ----------
    frame_nf : (N, K - 1 + H + 1, *frame)
        The state before step h is at index K - 1 + h.
    age_nh : (N, H + 1) int64
        Steps since the episode began.
    action_nh : (N, H) int64
    terminated_nh, truncated_nh : (N, H) bool
        Whether step h ended the episode, by the game's rules or by a limit.
    ghost_nh : (N, H) bool
        Whether step h was none: the lane was reset, its action ignored.
    true_nh : (N, H) float64
        The true reward, for labels, the oracle and records only.
    depth : int
        K.
    cuts : Cuts or None
    """

    frame_nf: Tensor
    age_nh: Tensor
    action_nh: Tensor
    terminated_nh: Tensor
    truncated_nh: Tensor
    ghost_nh: Tensor
    true_nh: Tensor
    depth: int
    cuts: Cuts | None = None

    @property
    def lanes(self) -> int:
        """N."""
        return self.action_nh.shape[0]

    @property
    def steps(self) -> int:
        """H."""
        return self.action_nh.shape[1]

    @property
    def over_nh(self) -> Tensor:
        """Whether step h ended the episode, (N, H) bool."""
        return self.terminated_nh | self.truncated_nh

    @property
    def alive_nh(self) -> Tensor:
        """Whether step h was taken in the game, (N, H) bool."""
        return ~self.ghost_nh

    @property
    def first_nh(self) -> Tensor:
        """Whether step h belongs to the episode in which its lane began, (N, H) bool."""
        ended = torch.cumsum(self.over_nh, 1) - self.over_nh.to(torch.int64)
        return (ended == 0) & self.alive_nh

    def stacks(self, lane_i: Tensor, step_i: Tensor) -> Tensor:
        """What a network sees in some states, (I, K, *frame)."""
        return _stacks(self.frame_nf, self.age_nh, self.depth, lane_i, step_i)

    def states(self) -> Tensor:
        """What a network sees before each of the H steps, lane after lane, (N H, K, *frame)."""
        lane_i, step_i = _grid(self.lanes, self.steps, self.frame_nf.device)
        return self.stacks(lane_i, step_i)

    def last(self) -> Tensor:
        """What a network sees after the last step, (N, K, *frame)."""
        lane_i = torch.arange(self.lanes, device=self.frame_nf.device)
        return self.stacks(lane_i, torch.full_like(lane_i, self.steps))

    def without_ghosts(self, steps: int) -> "Track":
        """Return the first steps of each lane that were none of ghosts.

        Parameters
        ----------
        steps : int
            At most as many as each lane has.

        Raises
        ------
        InputError
            If a lane has fewer.
        """
        alive_nh = self.alive_nh
        fewest = int(alive_nh.sum(1).min())
        if fewest < steps:
            raise InputError(f"a lane has {fewest} steps besides resets; {steps} were asked for")
        # Stable: steps in their order, ghosts behind them.
        order_nh = torch.argsort((~alive_nh).to(torch.int8), dim=1, stable=True)[:, :steps]
        before = torch.arange(self.depth - 1, device=order_nh.device).expand(self.lanes, -1)
        after = order_nh[:, -1:] + 1
        kept = torch.cat((order_nh, after), 1)
        frame_index = torch.cat((before, kept + self.depth - 1), 1)
        return Track(
            _along(self.frame_nf, frame_index),
            self.age_nh.gather(1, kept),
            self.action_nh.gather(1, order_nh),
            self.terminated_nh.gather(1, order_nh),
            self.truncated_nh.gather(1, order_nh),
            torch.zeros_like(order_nh, dtype=torch.bool),
            self.true_nh.gather(1, order_nh),
            self.depth,
        )

    def segments(self, start_n: Tensor, length: int, counted_nh: Tensor) -> "Segments":
        """Cut one segment of each lane.

        Parameters
        ----------
        start_n : (N,) int64
        length : int
            L.
        counted_nh : (N, H) bool
            The steps that count.
        """
        offset = torch.arange(length, device=start_n.device)
        step_nl = start_n[:, None] + offset
        wide = torch.arange(length + self.depth - 1, device=start_n.device)
        counted_nl = counted_nh.gather(1, step_nl)
        return Segments(
            _along(self.frame_nf, start_n[:, None] + wide),
            self.age_nh.gather(1, step_nl).clamp(max=self.depth - 1),
            self.action_nh.gather(1, step_nl),
            counted_nl,
            (self.true_nh.gather(1, step_nl) * counted_nl).sum(1),
            self.depth,
        )


@dataclass(frozen=True, eq=False)
class Segments:
    """Segments of L steps, as the buffer keeps them.

    Attributes
    ----------
    frame_nf : (N, K - 1 + L, *frame)
    age_nl : (N, L) int64
        Steps since the episode began, up to K - 1.
    action_nl : (N, L) int64
    counted_nl : (N, L) bool
        Whether a step counts; others are the padding behind an episode's end.
    return_n : (N,) float64
        Sum of the true rewards, for labels and records only.
    depth : int
        K.
    """

    frame_nf: Tensor
    age_nl: Tensor
    action_nl: Tensor
    counted_nl: Tensor
    return_n: Tensor
    depth: int

    @property
    def count(self) -> int:
        """N."""
        return self.action_nl.shape[0]

    @property
    def length(self) -> int:
        """L."""
        return self.action_nl.shape[1]

    def __getitem__(self, index: Tensor) -> "Segments":
        """Select segments by an index or mask."""
        return Segments(
            self.frame_nf[index],
            self.age_nl[index],
            self.action_nl[index],
            self.counted_nl[index],
            self.return_n[index],
            self.depth,
        )

    def states(self) -> Tensor:
        """What a network sees before each step, segment after segment, (N L, K, *frame)."""
        lane_i, step_i = _grid(self.count, self.length, self.frame_nf.device)
        return _stacks(self.frame_nf, self.age_nl, self.depth, lane_i, step_i)

    def actions(self) -> Tensor:
        """Actions in the order of :meth:`states`, (N L,)."""
        return self.action_nl.reshape(-1)

    def to(self, device: torch.device) -> "Segments":
        """Return a copy on a device."""
        moved = {
            name: getattr(self, name).to(device)
            for name in ("frame_nf", "age_nl", "action_nl", "counted_nl", "return_n")
        }
        return replace(self, **moved)


def _grid(rows: int, columns: int, device: torch.device) -> tuple[Tensor, Tensor]:
    row = torch.arange(rows, device=device).repeat_interleave(columns)
    return row, torch.arange(columns, device=device).repeat(rows)


def _stacks(frame_nf: Tensor, age_nh: Tensor, depth: int, lane_i: Tensor, step_i: Tensor) -> Tensor:
    k = torch.arange(depth - 1, -1, -1, device=lane_i.device)
    age_i = age_nh[lane_i, step_i]
    frame_ik = (depth - 1 + step_i)[:, None] - torch.minimum(k, age_i[:, None])
    return frame_nf[lane_i[:, None], frame_ik]


def _along(frame_nf: Tensor, index_nf: Tensor) -> Tensor:
    """Select frames of each lane."""
    lane = torch.arange(frame_nf.shape[0], device=frame_nf.device)[:, None]
    return frame_nf[lane, index_nf]
