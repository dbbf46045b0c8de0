r"""Pairs of segments, their labels, and the buffer that keeps them.

Segments are cut from tracks of W steps of one policy, at a place drawn uniformly among the W - L + 1;
what happens where an episode ends is a choice, see :class:`~sampled.rlhf.settings.Boundary`.  If the
place is drawn without regard to what happened, the probability of a segment with its history is that of
the policy's actions times a constant; under 'within' the choice depends on where episodes end, and is
not scored.

Labels come from the sums R of *true* rewards, unclipped and undiscounted: l_0 = 1 if R_0 > R_1, 0 if
R_0 < R_1, and the tie rule's where |R_0 - R_1| is within the tolerance; or drawn with the probability
1 / (1 + exp((R_1 - R_0) / temperature)).  If there is a penalty, it is subtracted from R for each
episode that was terminated in the segment.  Noise then swaps a label that is not 1/2 with its
probability.

Memory of the buffer, in bytes per frame of F pixels: capacity x 2 x (L + K - 1) x F; for 3000 pairs of
25 steps of 84 x 84 that is 3000 x 2 x 28 x 7056 = 1.19 GB, against 4.23 GB if each stack were kept.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from sampled.errors import InputError
from sampled.labels import BradleyTerryLabels, LabelByReturn
from sampled.rlhf.lanes import Snapshot
from sampled.rlhf.settings import Boundary, Labels, Preferences, Ties
from sampled.rlhf.tracks import Segments, Track


@dataclass(frozen=True, eq=False)
class Pairs:
    """Labelled pairs.

    Attributes
    ----------
    first, second : Segments
        Of M each.
    label_m : (M,) float
        l_0, the probability or verdict that the first is preferred.
    """

    first: Segments
    second: Segments
    label_m: Tensor

    @property
    def count(self) -> int:
        """M."""
        return self.label_m.shape[0]

    def __getitem__(self, index: Tensor) -> "Pairs":
        """Select pairs by an index or mask."""
        return Pairs(self.first[index], self.second[index], self.label_m[index])

    def to(self, device: torch.device) -> "Pairs":
        """Return a copy on a device."""
        return Pairs(self.first.to(device), self.second.to(device), self.label_m.to(device))


@dataclass(frozen=True, eq=False)
class Histories:
    """Pairs with all that led to them: the first half of the lanes made the first segments.

    Attributes
    ----------
    pairs : Pairs
    track : Track
        Of 2 M lanes, without ghosts.
    scored_nh : (2 M, W) bool
        The steps from the start of the track to the end of the segment in which the policy acted.
    within_nh : (2 M, W) bool
        Those among them that are in the segment.
    version : int
        Updates of the policy before it acted.
    """

    pairs: Pairs
    track: Track
    scored_nh: Tensor
    within_nh: Tensor
    version: int

    def __getitem__(self, index: Tensor) -> "Histories":
        """Select pairs by an index."""
        both = torch.cat((index, index + self.pairs.count))
        track = self.track
        chosen = Track(
            track.frame_nf[both],
            track.age_nh[both],
            track.action_nh[both],
            track.terminated_nh[both],
            track.truncated_nh[both],
            track.ghost_nh[both],
            track.true_nh[both],
            track.depth,
        )
        return Histories(
            self.pairs[index], chosen, self.scored_nh[both], self.within_nh[both], self.version
        )


def preference(return_difference: Tensor, settings: Preferences) -> Tensor:
    """l_0 as a function of R_0 - R_1, before anything is drawn: 0, 1/2, 1, or a probability.

    Raises
    ------
    InputError
        If a difference is not finite.
    """
    if not torch.isfinite(return_difference).all():
        raise InputError("a segment's true return is not finite: the game's rewards must be")
    if settings.labels is Labels.RETURN:
        return LabelByReturn(settings.tie_tolerance)(return_difference)
    return BradleyTerryLabels(settings.temperature)(return_difference)


def labels(l_m: Tensor, settings: Preferences, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw labels.

    Parameters
    ----------
    l_m : (M,) float64
        Of :func:`preference`.
    settings : Preferences
    generator : torch.Generator
        Draws ties, Bradley-Terry labels and noise: three numbers of each pair, used or not.

    Returns
    -------
    label_m : (M,) float64
    kept_m : (M,) bool
        False for ties that are dropped.
    """
    u_mk = torch.rand((l_m.shape[0], 3), generator=generator, dtype=torch.float64).to(l_m.device)
    kept_m = torch.ones_like(l_m, dtype=torch.bool)
    if settings.labels is Labels.BRADLEY_TERRY:
        l_m = (u_mk[:, 0] < l_m).to(torch.float64)
    else:
        tied_m = l_m == 0.5
        if settings.ties is Ties.COIN:
            l_m = torch.where(tied_m, (u_mk[:, 1] < 0.5).to(torch.float64), l_m)
        elif settings.ties is Ties.DROP:
            kept_m = ~tied_m
    return torch.where(u_mk[:, 2] < settings.noise, 1.0 - l_m, l_m), kept_m


def places(track: Track, settings: Preferences, generator: torch.Generator) -> Tensor:
    """Draw where each lane's segment begins, (N,) int64.

    Raises
    ------
    InputError
        If no segment of a lane is within an episode, where it has to be.
    """
    length, lanes = settings.segment_length, track.lanes
    u_n = torch.rand(lanes, generator=generator, dtype=torch.float64).to(track.age_nh.device)
    free = track.steps - length + 1
    if settings.boundary is not Boundary.WITHIN:
        return (u_n * free).to(torch.int64)
    # Steps h, ..., h + L - 1 are of one episode if none but the last one ends it.
    ends_nh = torch.cumsum(track.over_nh.to(torch.int64), 1)
    before_nh = torch.cat((torch.zeros_like(ends_nh[:, :1]), ends_nh), 1)
    inside_nh = before_nh[:, length - 1 : length - 1 + free] == before_nh[:, :free]
    count_n = inside_nh.sum(1)
    none_n = count_n == 0
    if none_n.any():
        longest = max(_longest(over_h) for over_h in track.over_nh[none_n].tolist())
        raise InputError(
            f"no segment of {length} steps lies within an episode of {int(none_n.sum())} of {lanes} "
            f"lanes in a window of {track.steps} steps; the longest run of steps in one episode was "
            f"{longest} there: shorten preferences.segment_length, widen preferences.window, or use "
            "boundary 'across' or 'padded'"
        )
    rank_n = (u_n * count_n).to(torch.int64)
    return ((torch.cumsum(inside_nh.to(torch.int64), 1) <= rank_n[:, None]).sum(1)).to(torch.int64)


def _longest(over_h: list[bool]) -> int:
    """Steps of the longest episode in a lane, or of what is seen of it."""
    longest = run = 0
    for over in over_h:
        run += 1
        longest, run = max(longest, run), 0 if over else run
    return longest


def pair_up(track: Track, start_n: Tensor, settings: Preferences, version: int) -> Histories:
    """Cut a segment of each lane, and pair the first half of the lanes with the second.

    Parameters
    ----------
    track : Track
        Of 2 M lanes, without ghosts.
    start_n : (2 M,) int64
    settings : Preferences
    version : int
        Updates of the policy before it acted.

    Returns
    -------
    Histories
        With :func:`preference` as labels: nothing is drawn.
    """
    alive_nh = track.first_nh if settings.boundary is Boundary.PADDED else track.alive_nh
    segments = track.segments(start_n, settings.segment_length, alive_nh)
    lane = torch.arange(track.lanes, device=start_n.device)
    half = track.lanes // 2
    first, second = segments[lane[:half]], segments[lane[half : 2 * half]]
    step = torch.arange(track.steps, device=start_n.device)
    scored_nh = alive_nh & (step < start_n[:, None] + settings.segment_length)
    within_nh = scored_nh & (step >= start_n[:, None])
    ends_n = (within_nh & track.terminated_nh).sum(1)[: 2 * half]
    worse_m = settings.end_penalty * (ends_n[:half] - ends_n[half:]).to(torch.float64)
    l_m = preference(first.return_n - second.return_n - worse_m, settings)
    return Histories(Pairs(first, second, l_m), track, scored_nh, within_nh, version)


def histories(
    track: Track, settings: Preferences, generator: torch.Generator, version: int
) -> tuple[Histories, Tensor]:
    """Cut segments at random, pair them, and label the pairs.

    Parameters
    ----------
    track : Track
        Of 2 M lanes, without ghosts.
    settings : Preferences
    generator : torch.Generator
        On the CPU.
    version : int
        Updates of the policy before it acted.

    Returns
    -------
    histories : Histories
        Of all M pairs.
    kept_m : (M,) bool
        False for ties that are dropped.
    """
    found = pair_up(track, places(track, settings, generator), settings, version)
    label_m, kept_m = labels(found.pairs.label_m, settings, generator)
    return replace(found, pairs=replace(found.pairs, label_m=label_m)), kept_m


class Buffer:
    """The last pairs, first in, first out.

    With each pair it keeps how often each member of an ensemble has it in its resample of the data
    (1 of a single member, Poisson with mean 1 of several: Oza 2005), and whether it is held out from
    that member.

    Parameters
    ----------
    capacity : int
    members : int
    validation : float
        Share of pairs that are held out, of each member's own choice.
    generator : torch.Generator
        On the CPU.
    """

    def __init__(
        self, capacity: int, members: int, validation: float, generator: torch.Generator
    ) -> None:
        self.capacity, self.members, self.validation = capacity, members, validation
        self._generator = generator
        self.added = 0
        self._pairs: Pairs | None = None
        self.times_mb = torch.zeros((capacity, members), dtype=torch.int64)
        self.held_mb = torch.zeros((capacity, members), dtype=torch.bool)

    def __len__(self) -> int:
        """Pairs in it."""
        return min(self.added, self.capacity)

    @property
    def bytes(self) -> int:
        """Memory of the frames when it is full; 0 before the first pair."""
        if self._pairs is None:
            return 0
        frames = self._pairs.first.frame_nf
        return 2 * frames.numel() * frames.element_size()

    def add(self, pairs: Pairs) -> None:
        """Add pairs in their order; the oldest ones make room."""
        if self._pairs is None:
            self._pairs = _room(pairs, self.capacity)
        shape = (pairs.count, self.members)
        times = torch.ones(shape)
        if self.members > 1:
            times = torch.poisson(times, generator=self._generator)
        held = torch.rand(shape, generator=self._generator) < self.validation
        # Of more pairs than there is room for, the last ones stay.
        stay = torch.arange(max(pairs.count - self.capacity, 0), pairs.count)
        place = (self.added + stay) % self.capacity
        _put(self._pairs, place, pairs[stay])
        self.times_mb[place], self.held_mb[place] = times[stay].to(torch.int64), held[stay]
        self.added += pairs.count

    def pairs(self, index: Tensor) -> Pairs:
        """Select pairs by their place, oldest last overwritten first; on the CPU.

        Raises
        ------
        InputError
            If the buffer is empty.
        """
        return self._kept()[index]

    def labels(self) -> Tensor:
        """All labels, (len,)."""
        return self._kept().label_m[: len(self)]

    def decided(self) -> int:
        """Pairs whose label is not one half."""
        return 0 if self._pairs is None else int((self.labels() != 0.5).sum())

    def draw(self, count: int, generator: torch.Generator) -> Pairs:
        """Draw pairs uniformly with replacement."""
        self._kept()
        return self.pairs(torch.randint(len(self), (count,), generator=generator))

    def _kept(self) -> Pairs:
        if self._pairs is None:
            raise InputError("the buffer is empty: add pairs before any are asked for")
        return self._pairs

    def snapshot(self) -> Snapshot:
        """Pairs and counters, without the empty places.

        Of a full buffer the pairs are not copied: write them before others are added.
        """
        if self._pairs is None:
            return {"added": 0}
        n, full = len(self), len(self) == self.capacity

        def kept(tensor: Tensor) -> Tensor:
            # A slice would be written with all that it is a slice of.
            return tensor if full else tensor[:n].clone()

        parts = {
            f"{side}.{name}": kept(getattr(getattr(self._pairs, side), name))
            for side in ("first", "second")
            for name in _PARTS
        }
        return {
            "added": self.added,
            "label": kept(self._pairs.label_m),
            "depth": self._pairs.first.depth,
            "times": kept(self.times_mb),
            "held": kept(self.held_mb),
            **parts,
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Go on from a snapshot."""
        self.added = snapshot["added"]
        self._pairs = None
        if self.added == 0:
            return
        sides = [
            Segments(**{name: snapshot[f"{side}.{name}"] for name in _PARTS}, depth=snapshot["depth"])
            for side in ("first", "second")
        ]
        pairs = Pairs(sides[0], sides[1], snapshot["label"])
        self._pairs = _room(pairs, self.capacity)
        _put(self._pairs, torch.arange(pairs.count), pairs)
        self.times_mb[: pairs.count], self.held_mb[: pairs.count] = snapshot["times"], snapshot["held"]


_PARTS = ("frame_nf", "age_nl", "action_nl", "counted_nl", "return_n")


def _room(like: Pairs, capacity: int) -> Pairs:
    def empty(tensor: Tensor) -> Tensor:
        return torch.empty((capacity, *tensor.shape[1:]), dtype=tensor.dtype)

    def side(segments: Segments) -> Segments:
        rooms = {name: empty(getattr(segments, name)) for name in _PARTS}
        return Segments(**rooms, depth=segments.depth)

    return Pairs(side(like.first), side(like.second), empty(like.label_m))


def _put(room: Pairs, place: Tensor, pairs: Pairs) -> None:
    room.label_m[place] = pairs.label_m
    for into, given in ((room.first, pairs.first), (room.second, pairs.second)):
        for name in _PARTS:
            getattr(into, name)[place] = getattr(given, name)
