"""Lanes and tracks: stacks by index, episodes told apart, ghosts, and resumption."""

import pytest
import torch
from gymnasium.vector import AutoresetMode
from torch import Tensor

from sampled.errors import InputError
from sampled.rlhf.lanes import Lanes
from sampled.rlhf.tracks import Track
from tests.sampled.rlhf.games import Clock, alternating, zeros

CPU = torch.device("cpu")
LENGTHS = [[3, 2, 5], [1, 4], [9, 2, 1, 1]]
MODES = [AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP]


def numbers(stacks: Tensor) -> list[list[int]]:
    found: list[list[int]] = stacks.flatten(1).tolist()
    return found


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("depth", [1, 2, 4])
def test_stacks_by_index_are_those_that_the_policy_saw(mode: AutoresetMode, depth: int) -> None:
    """Over several calls; a stack never reaches into the episode before."""
    lanes = Lanes(Clock(LENGTHS, mode), depth, 0, CPU)
    act, seen = alternating()
    for steps in (4, 7, 1, 6):
        before = len(seen)
        track = lanes.play(act, steps)
        shown = torch.stack(seen[before:], 1).flatten(0, 1)
        assert torch.equal(track.states(), shown)
    assert numbers(seen[0]) == [[1] * depth] * 3


@pytest.mark.parametrize("depth", [1, 3])
def test_stacks_repeat_the_first_frame_of_an_episode(depth: int) -> None:
    lanes = Lanes(Clock([[3, 9]]), depth, 0, CPU)
    track = lanes.play(zeros, 5)
    # Frames 1 2 3 (4: last of the first episode, only in infos) 5 6 7.
    firsts, last = {1: [1, 1, 1], 3: [1, 1, 1]}, numbers(track.states())
    wanted = [[1, 1, 1], [1, 1, 2], [1, 2, 3], [5, 5, 5], [5, 5, 6]]
    assert last == [row[3 - depth :] for row in wanted]
    assert numbers(track.last()) == [[5, 6, 7][3 - depth :]]
    assert firsts[depth][0] == 1


def test_both_ways_of_resetting_tell_the_same_story() -> None:
    """Without ghosts, actions, rewards, ends and ages agree."""
    tracks = []
    for mode in MODES:
        lanes = Lanes(Clock(LENGTHS, mode), 2, 0, CPU)
        tracks.append(lanes.play(zeros, 24).without_ghosts(12))
    same, later = tracks
    for name in ("action_nh", "terminated_nh", "truncated_nh", "true_nh", "ghost_nh"):
        assert torch.equal(getattr(same, name), getattr(later, name)), name
    assert torch.equal(same.age_nh[:, :-1], later.age_nh[:, :-1])
    assert not same.ghost_nh.any()


def test_ghosts_are_no_steps() -> None:
    game = Clock([[2, 3]], AutoresetMode.NEXT_STEP)
    lanes = Lanes(game, 1, 0, CPU)
    track = lanes.play(zeros, 8)
    assert track.ghost_nh.tolist() == [[False, False, True, False, False, False, True, False]]
    assert track.terminated_nh.tolist() == [[False, True, *[False] * 6]]
    assert track.truncated_nh.tolist() == [[*[False] * 5, True, False, False]]
    assert lanes.steps_taken == 6
    assert lanes.finished == [2.0, 3.0]
    assert track.true_nh.sum() == 6.0
    assert track.age_nh.tolist() == [[0, 1, 2, 0, 1, 2, 3, 0, 1]]
    kept = track.without_ghosts(6)
    assert kept.age_nh.tolist() == [[0, 1, 0, 1, 2, 0, 1]]
    assert numbers(kept.states()) == [[1], [2], [4], [5], [6], [8]]
    with pytest.raises(InputError, match="a lane has 6 steps besides resets; 7 were asked for"):
        track.without_ghosts(7)


def test_cuts_hold_the_states_that_no_frame_shows() -> None:
    lanes = Lanes(Clock([[2, 3], [4, 1]]), 2, 0, CPU)
    track = lanes.play(zeros, 6)
    cuts = track.cuts
    assert cuts is not None
    # Lane 0: frames 1 2 | 3 in infos; 4 5 6 | 7 in infos: truncated by step 4.
    # Lane 1: frames 1 2 3 4 | 5 in infos; 6 | 7 in infos: truncated by step 4.
    assert list(zip(cuts.lane_i.tolist(), cuts.step_i.tolist(), strict=True)) == [(0, 4), (1, 4)]
    assert numbers(cuts.stack_i) == [[6, 7], [6, 7]]


def test_the_first_episode_of_a_track() -> None:
    track = Lanes(Clock([[2, 3], [9]]), 1, 0, CPU).play(zeros, 4)
    assert track.first_nh.tolist() == [[True, True, False, False], [True] * 4]
    later = Lanes(Clock([[2, 3]], AutoresetMode.NEXT_STEP), 1, 0, CPU).play(zeros, 4)
    assert later.first_nh.tolist() == [[True, True, False, False]]


@pytest.mark.parametrize("mode", MODES)
def test_lanes_go_on_from_a_snapshot(mode: AutoresetMode) -> None:
    lanes = Lanes(Clock(LENGTHS, mode), 3, 0, CPU)
    lanes.play(zeros, 5)
    state = lanes.snapshot()
    wanted = lanes.play(zeros, 9)
    other = Lanes(Clock(LENGTHS, mode), 3, 1, CPU)
    other.play(zeros, 2)
    other.restore(state)
    got = other.play(zeros, 9)
    for name in vars(wanted):
        if isinstance(getattr(wanted, name), Tensor):
            assert torch.equal(getattr(got, name), getattr(wanted, name)), name
    assert (other.steps_taken, other.finished) == (lanes.steps_taken, lanes.finished)


def test_a_reset_begins_episodes_and_keeps_count() -> None:
    lanes = Lanes(Clock([[9]]), 2, 0, CPU)
    lanes.play(zeros, 4)
    lanes.reset()
    track = lanes.play(zeros, 2)
    assert track.age_nh.tolist() == [[0, 1, 2]]
    assert numbers(track.states()) == [[6, 6], [6, 7]]
    assert lanes.steps_taken == 6


def test_segments_keep_each_frame_once() -> None:
    lanes = Lanes(Clock([[3, 9], [9]]), 4, 0, CPU)
    track = lanes.play(zeros, 10)
    segments = track.segments(torch.tensor([1, 4]), 5, track.alive_nh)
    assert segments.frame_nf.shape[:2] == (2, 5 + 4 - 1)
    index = [(0, h) for h in range(1, 6)] + [(1, h) for h in range(4, 9)]
    lane_i, step_i = torch.tensor(index).T
    assert torch.equal(segments.states(), track.stacks(lane_i, step_i))
    assert torch.equal(segments.return_n, torch.tensor([5.0, 5.0], dtype=torch.float64))
    assert segments.length == 5
    assert torch.equal(segments[torch.tensor([1])].states(), track.stacks(lane_i[5:], step_i[5:]))


def test_other_ways_of_resetting_are_refused() -> None:
    game = Clock([[3]])
    game.metadata = {"autoreset_mode": AutoresetMode.DISABLED}
    with pytest.raises(InputError, match="it must be NEXT_STEP or SAME_STEP"):
        Lanes(game, 1, 0, CPU)


def test_tracks_have_the_shapes_that_they_say() -> None:
    track: Track = Lanes(Clock(LENGTHS), 2, 0, CPU).play(zeros, 4)
    assert (track.lanes, track.steps, track.depth) == (3, 4, 2)
    assert track.frame_nf.shape == (3, 6, 1, 1, 1)
    assert track.age_nh.shape == (3, 5)
