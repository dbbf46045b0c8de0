"""Pictures of compared segments."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sampled.errors import InputError
from sampled.rlhf.lanes import Lanes
from sampled.rlhf.pictures import compared, image, strip
from sampled.rlhf.preferences import pair_up
from sampled.rlhf.settings import Boundary, Preferences
from tests.sampled.rlhf.games import Clock, zeros

CPU = torch.device("cpu")


def test_grey_frames() -> None:
    frame = torch.arange(6, dtype=torch.uint8).view(1, 2, 3)
    found = image(frame)
    assert found.shape == (2, 3, 3)
    assert (found == frame[0].numpy()[..., None]).all()


def test_channels_have_colours_of_their_own() -> None:
    frame = torch.zeros((4, 2, 2), dtype=torch.uint8)
    for channel in range(4):
        frame[channel].view(-1)[channel] = 1
    colours = {tuple(colour) for colour in image(frame).reshape(-1, 3).tolist()}
    assert len(colours) == 4
    assert image(torch.zeros((4, 2, 2), dtype=torch.uint8)).max() == 0


def test_strips_show_steps_that_count() -> None:
    track = Lanes(Clock([[3, 9], [9]]), 2, 0, CPU).play(zeros, 6)
    settings = Preferences(segment_length=5, window=6, boundary=Boundary.PADDED)
    pairs = pair_up(track, torch.tensor([0, 1]), settings, 0).pairs
    first, second, text = compared(pairs, 0, 3)
    assert first.shape == second.shape == (1, 5, 3)
    assert first[0, ::2, 0].tolist() == [1, 2, 3]
    assert second[0, ::2, 0].tolist() == [2, 4, 6]
    assert (first[0, 1::2] == 255).all()
    assert text == "preferred: the second (true returns 3 and 5)"
    tied = replace(pairs, label_m=torch.tensor([0.5]))
    assert compared(tied, 0)[2].startswith("preferred: neither")
    np.testing.assert_array_equal(strip(pairs.first, 0, 3), first)


def test_a_state_is_a_cell_of_a_board() -> None:
    """Of the lake, its place on the map."""
    for states, shape in ((16, (4, 4, 3)), (10, (2, 5, 3)), (7, (1, 7, 3))):
        for state in range(states):
            found = image(torch.tensor(state), states)
            assert found.shape == shape
            (lit,) = np.flatnonzero(found[..., 0].reshape(-1) == 255)
            assert lit == state


def test_numbers_are_no_images() -> None:
    with pytest.raises(InputError, match=r"frames of shape \(\) are no images"):
        image(torch.tensor(3))
