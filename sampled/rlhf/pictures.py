"""Compared segments as pictures: what a person would be shown."""

from math import isqrt

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sampled.errors import InputError
from sampled.rlhf.preferences import Pairs
from sampled.rlhf.tracks import Segments

Picture = npt.NDArray[np.uint8]


def image(frame: Tensor, states: int = 0) -> Picture:
    """A frame (C, height, width) as an image (height, width, 3) of bytes.

    One channel is shown in grey.  Several are masks, such as MinAtar's: each has a colour of its own,
    and the last one of a cell is seen.  The number of one of so many states is a bright cell on a dark
    board, row by row, as nearly square as their number allows: FrozenLake's own map.

    Raises
    ------
    InputError
        If frames are no images, and it is not said how many states there are.
    """
    if frame.ndim == 0 and states > 0:
        rows = max(n for n in range(1, isqrt(states) + 1) if states % n == 0)
        board = np.full((states, 3), 60, dtype=np.uint8)
        board[int(frame)] = (255, 176, 0)
        return board.reshape(rows, -1, 3)
    if frame.ndim != 3:
        raise InputError(f"frames of shape {tuple(frame.shape)} are no images: nothing can be shown")
    pixels = frame.cpu().numpy()
    if pixels.shape[0] == 1:
        return np.repeat(pixels[0][..., None], 3, axis=-1).astype(np.uint8)
    picture = np.zeros((*pixels.shape[1:], 3), dtype=np.uint8)
    for channel, mask in enumerate(pixels):
        picture[mask > 0] = _colour(channel, pixels.shape[0])
    return picture


def _colour(channel: int, channels: int) -> Picture:
    """Evenly spaced hues."""
    hue = 6.0 * channel / channels
    rgb = np.clip(np.abs((hue + np.array([0.0, 4.0, 2.0])) % 6.0 - 3.0) - 1.0, 0.0, 1.0)
    return (255.0 * rgb).round().astype(np.uint8)


def strip(segments: Segments, n: int, columns: int, states: int = 0) -> Picture:
    """Frames of one segment side by side, evenly spaced from its first step to its last that counts.

    Parameters
    ----------
    segments : Segments
    n : int
        Which one.
    columns : int >= 1
        How many frames.
    states : int
        Of a table, whose frames are numbers.

    Returns
    -------
    (height, columns * (width + 1) - 1, 3) uint8
        With a white line between frames.
    """
    last = max(int(segments.counted_nl[n].sum()) - 1, 0)
    steps = torch.linspace(0, last, columns).round().to(torch.int64).tolist()
    frames = [image(segments.frame_nf[n, segments.depth - 1 + step], states) for step in steps]
    line = np.full((frames[0].shape[0], 1, 3), 255, dtype=np.uint8)
    parts = [part for frame in frames for part in (line, frame)]
    return np.concatenate(parts[1:], axis=1)


def compared(pairs: Pairs, m: int, columns: int = 6, states: int = 0) -> tuple[Picture, Picture, str]:
    """Both segments of a pair as strips, and what its label says.

    Parameters
    ----------
    pairs : Pairs
    m : int
        Which one.
    columns : int
        Frames of each segment.
    states : int
        Of a table, whose frames are numbers.
    """
    l_0 = float(pairs.label_m[m])
    says = "neither" if l_0 == 0.5 else ("the first" if l_0 > 0.5 else "the second")
    first, second = (float(side.return_n[m]) for side in (pairs.first, pairs.second))
    text = f"preferred: {says} (true returns {first:g} and {second:g})"
    one, other = (strip(side, m, columns, states) for side in (pairs.first, pairs.second))
    return one, other, text
