"""Labels, places of segments, and the buffer."""

from dataclasses import replace
from math import exp
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sampled.errors import InputError
from sampled.rlhf.lanes import Lanes
from sampled.rlhf.preferences import Buffer, Pairs, histories, labels, pair_up, places, preference
from sampled.rlhf.settings import Boundary, Labels, Preferences, Ties
from sampled.rlhf.tracks import Track
from tests.sampled.rlhf.games import Clock, alternating, zeros
from tests.sampled.statistics import LEVEL, binomial_p_value

CPU = torch.device("cpu")
RETURN = Preferences(segment_length=2, window=6)
LOGISTIC = replace(RETURN, labels=Labels.BRADLEY_TERRY, temperature=0.5)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def real(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_labels_by_return() -> None:
    found = preference(real(3.0, -0.5, 0.0, 1e-10, 1e-8, -1e300), RETURN)
    assert found.tolist() == [1.0, 0.0, 0.5, 0.5, 1.0, 0.0]


def test_labels_are_of_unclipped_returns() -> None:
    """10 beats 1 + 1 + 1, which clipped rewards would have the other way around."""
    loud, quiet = [10.0, 0.0, 0.0], [1.0, 1.0, 1.0]
    track = _earning(torch.tensor([loud, quiet], dtype=torch.float64))
    settings = Preferences(segment_length=3, window=3)
    assert pair_up(track, torch.zeros(2, dtype=torch.int64), settings, 0).pairs.label_m.tolist() == [1.0]


def _earning(true_nh: Tensor) -> Track:
    lanes, steps = true_nh.shape
    track = Lanes(Clock([[99]] * lanes), 1, 0, CPU).play(zeros, steps)
    return replace(track, true_nh=true_nh)


def test_labels_are_of_undiscounted_returns() -> None:
    """1 late beats 0.99 early."""
    track = _earning(real(0.0, 0.0, 1.0, 0.99, 0.0, 0.0).view(2, 3))
    settings = Preferences(segment_length=3, window=3)
    assert pair_up(track, torch.zeros(2, dtype=torch.int64), settings, 0).pairs.label_m.tolist() == [1.0]


def test_bradley_terry_labels_follow_their_temperature() -> None:
    for temperature in (0.5, 2.0):
        chosen = replace(LOGISTIC, temperature=temperature)
        l_m = preference(real(1.0).expand(20_000), chosen)
        torch.testing.assert_close(l_m[0], real(1.0 / temperature).sigmoid()[0])
        drawn, kept = labels(l_m, chosen, generator())
        assert set(drawn.tolist()) == {0.0, 1.0}
        assert kept.all()
        assert binomial_p_value(int(drawn.sum()), 20_000, float(l_m[0])) > LEVEL


@pytest.mark.parametrize("ties", Ties)
def test_ties(ties: Ties) -> None:
    chosen = replace(RETURN, ties=ties)
    l_m = preference(torch.cat((real(0.0).expand(2000), real(1.0, -1.0))), chosen)
    drawn, kept = labels(l_m, chosen, generator())
    assert drawn[-2:].tolist() == [1.0, 0.0]
    assert kept[-2:].all()
    if ties is Ties.HALF:
        assert (drawn[:-2] == 0.5).all()
        assert kept.all()
    elif ties is Ties.COIN:
        assert kept.all()
        assert binomial_p_value(int(drawn[:-2].sum()), 2000, 0.5) > LEVEL
    else:
        assert not kept[:-2].any()


@pytest.mark.parametrize("chosen", [RETURN, LOGISTIC])
def test_noise_swaps_labels(chosen: Preferences) -> None:
    noisy = replace(chosen, noise=0.2)
    l_m = preference(real(50.0).expand(5000), noisy)
    drawn, _ = labels(l_m, noisy, generator())
    assert binomial_p_value(int((drawn == 0.0).sum()), 5000, 0.2) > LEVEL
    tied, _ = labels(real(0.5).expand(50), replace(RETURN, noise=0.2), generator())
    assert (tied == 0.5).all()


def test_the_same_generator_serves_all_rules() -> None:
    """Three numbers of each pair are drawn whatever the rule: what follows is the same."""
    after = set()
    for chosen in (RETURN, LOGISTIC, replace(RETURN, ties=Ties.COIN, noise=0.1)):
        g = generator()
        labels(preference(real(1.0, 0.0), chosen), chosen, g)
        after.add(float(torch.rand((), generator=g)))
    assert len(after) == 1


def test_returns_must_be_finite() -> None:
    with pytest.raises(InputError, match="a segment's true return is not finite"):
        preference(real(float("nan")), RETURN)


# Places.


def track_of(lengths: list[list[int]], steps: int) -> Track:
    return Lanes(Clock(lengths), 1, 0, CPU).play(zeros, steps)


def test_places_are_uniform() -> None:
    track = track_of([[3, 4]] * 4000, 6)
    for boundary in (Boundary.ACROSS, Boundary.PADDED):
        start = places(track, replace(RETURN, boundary=boundary), generator())
        counts = torch.bincount(start, minlength=5)
        assert counts.shape == (5,)
        assert all(binomial_p_value(int(c), 4000, 0.2) > LEVEL for c in counts)


def test_places_within_an_episode() -> None:
    """Episodes of 3 and 4 in 6 steps: pairs of steps begin at 0, 1, 3, 4, not at 2."""
    track = track_of([[3, 4]] * 4000, 6)
    start = places(track, replace(RETURN, boundary=Boundary.WITHIN), generator())
    counts = torch.bincount(start, minlength=5)
    assert counts[2] == 0
    assert all(binomial_p_value(int(counts[i]), 4000, 0.25) > LEVEL for i in (0, 1, 3, 4))
    segments = track.segments(start, 2, track.alive_nh)
    assert (segments.frame_nf[:, 1] - segments.frame_nf[:, 0] == 1).all()


@given(
    st.lists(st.lists(st.integers(1, 7), min_size=1, max_size=3), min_size=1, max_size=4),
    st.integers(1, 9),
    st.integers(1, 4),
    st.integers(0, 3),
)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_segments_within_an_episode_have_no_end_inside(
    lengths: list[list[int]], steps: int, length: int, seed: int
) -> None:
    track = track_of(lengths, max(steps, length))
    chosen = Preferences(segment_length=length, window=track.steps, boundary=Boundary.WITHIN)
    over = track.over_nh
    possible = [
        [not bool(over[n, h : h + length - 1].any()) for h in range(track.steps - length + 1)]
        for n in range(track.lanes)
    ]
    if all(any(row) for row in possible):
        start = places(track, chosen, generator(seed))
        assert all(possible[n][int(h)] for n, h in enumerate(start))
    else:
        with pytest.raises(InputError, match=f"no segment of {length} steps lies within an episode"):
            places(track, chosen, generator(seed))


def test_a_segment_longer_than_every_episode() -> None:
    """The longest run is that of the lanes that have none, also where the window ends before it does."""
    within = replace(RETURN, segment_length=5, boundary=Boundary.WITHIN)
    for lengths, steps, sentence in (
        ([[3, 4]], 9, "of 1 of 1 lanes .* was 4 there: shorten"),
        ([[3, 9]], 7, "of 1 of 1 lanes .* was 4 there: shorten"),
        ([[9], [4, 3], [2]], 8, "of 2 of 3 lanes .* was 4 there: shorten"),
    ):
        with pytest.raises(InputError, match=sentence):
            places(track_of(lengths, steps), within, generator())


def test_padding_counts_nothing() -> None:
    """The episode of 3 steps earns 1 each; a segment from step 1 has two of its four."""
    track = track_of([[3, 9], [9]], 6)
    start = torch.tensor([1, 1])
    padded = Preferences(segment_length=4, window=6, boundary=Boundary.PADDED)
    found = pair_up(track, start, padded, 0)
    assert found.pairs.first.counted_nl.tolist() == [[True, True, False, False]]
    assert found.pairs.first.return_n.tolist() == [2.0]
    assert found.pairs.second.return_n.tolist() == [4.0]
    assert found.scored_nh.tolist() == [[True] * 3 + [False] * 3, [True] * 5 + [False]]
    assert found.within_nh.tolist() == [
        [False, True, True, False, False, False],
        [False] + [True] * 4 + [False],
    ]
    across = pair_up(track, start, replace(padded, boundary=Boundary.ACROSS), 0)
    assert across.pairs.first.return_n.tolist() == [4.0]
    assert across.scored_nh.tolist() == [[True] * 5 + [False]] * 2


def test_labels_count_a_terminated_episode_as_a_loss_if_told_so() -> None:
    """Of the same return, the segment with the end is the worse one; a truncation is no such end."""
    track = track_of([[3, 9], [1, 5], [2, 2], [9]], 6)
    assert track.terminated_nh.nonzero().tolist() == [[0, 2], [1, 0], [2, 1], [2, 5]]
    assert track.truncated_nh.nonzero().tolist() == [[1, 5], [2, 3]]
    segments = Preferences(segment_length=3, window=6, end_penalty=0.25)
    found = pair_up(track, torch.tensor([1, 3, 1, 1]), segments, 0).pairs
    assert found.first.return_n.tolist() == found.second.return_n.tolist() == [3.0, 3.0]
    assert found.label_m.tolist() == [0.5, 0.5]  # one end each; a truncation, and nothing
    later = pair_up(track, torch.tensor([1, 3, 2, 1]), segments, 0).pairs
    assert later.label_m.tolist() == [0.0, 0.5]
    plain = pair_up(track, torch.tensor([1, 3, 2, 1]), replace(segments, end_penalty=0.0), 0).pairs
    assert plain.label_m.tolist() == [0.5, 0.5]
    logistic = replace(segments, labels=Labels.BRADLEY_TERRY, temperature=0.5)
    drawn = pair_up(track, torch.tensor([1, 3, 2, 1]), logistic, 0).pairs
    torch.testing.assert_close(drawn.label_m, real(1.0 / (1.0 + exp(0.5)), 0.5))
    # What lies behind an end does not count in a padded segment; the end itself does.
    padded = replace(segments, boundary=Boundary.PADDED, end_penalty=7.0)
    assert pair_up(track, torch.tensor([1, 0, 3, 1]), padded, 0).pairs.label_m.tolist() == [0.0, 0.0]


def test_histories_are_cut_labelled_and_selected() -> None:
    act, _ = alternating()
    track = Lanes(Clock([[9]] * 8), 2, 0, CPU).play(act, 6)
    found, kept = histories(track, RETURN, generator(), 5)
    assert found.pairs.count == 4
    assert found.version == 5
    assert kept.all()
    some = found[torch.tensor([2])]
    assert some.track.lanes == 2
    assert torch.equal(some.scored_nh, found.scored_nh[[2, 6]])
    assert torch.equal(some.pairs.second.frame_nf, found.pairs.second.frame_nf[[2]])
    assert torch.equal(
        some.track.states(), found.track.states().view(8, 6, 2, 1, 1, 1)[[2, 6]].flatten(0, 1)
    )


# The buffer.


def pairs(first: int, count: int) -> Pairs:
    """Pairs whose labels number them."""
    track = track_of([[9]] * (2 * count), 6)
    found = pair_up(track, torch.zeros(2 * count, dtype=torch.int64), RETURN, 0).pairs
    return replace(found, label_m=torch.arange(first, first + count, dtype=torch.float64))


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(1, 7))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_first_in_first_out(sizes: list[int], capacity: int) -> None:
    buffer = Buffer(capacity, 1, 0.0, generator())
    total = 0
    for size in sizes:
        buffer.add(pairs(total, size))
        total += size
    assert len(buffer) == min(total, capacity)
    assert sorted(buffer.labels().tolist()) == list(range(total - len(buffer), total))


def test_a_buffer_holds_what_was_added() -> None:
    buffer = Buffer(5, 1, 0.0, generator())
    given_pairs = pairs(0, 3)
    buffer.add(given_pairs)
    found = buffer.pairs(torch.tensor([2, 0]))
    assert found.label_m.tolist() == [2.0, 0.0]
    assert torch.equal(found.first.states(), given_pairs[torch.tensor([2, 0])].first.states())
    assert torch.equal(found.second.return_n, given_pairs.second.return_n[[2, 0]])
    assert buffer.times_mb[:3].tolist() == [[1]] * 3
    assert not buffer.held_mb.any()


def test_memory_is_that_of_frames_stored_once() -> None:
    """The number that the module's docstring states."""
    track = Lanes(Clock([[9]] * 4), 4, 0, CPU).play(zeros, 6)
    buffer = Buffer(11, 1, 0.0, generator())
    assert buffer.bytes == 0
    buffer.add(pair_up(track, torch.zeros(4, dtype=torch.int64), RETURN, 0).pairs)
    assert buffer.bytes == 11 * 2 * (2 + 4 - 1) * 1
    assert 3000 * 2 * (25 + 4 - 1) * 84 * 84 == 1_185_408_000
    assert 3000 * 2 * 25 * 4 * 84 * 84 == 4_233_600_000


def test_members_of_an_ensemble_have_their_own_resamples() -> None:
    buffer = Buffer(4000, 3, 0.25, generator())
    buffer.add(pairs(0, 2000))
    buffer.add(pairs(2000, 2000))
    times = buffer.times_mb.double()
    # Poisson with mean 1: the variance of a mean of 4000 is 1 / 4000.
    assert ((times.mean(0) - 1.0).abs() < 5.0 / 4000**0.5).all()
    assert not torch.equal(buffer.times_mb[:, 0], buffer.times_mb[:, 1])
    for b in range(3):
        assert binomial_p_value(int(buffer.held_mb[:, b].sum()), 4000, 0.25) > LEVEL


def test_a_snapshot_holds_no_empty_places(tmp_path: Path) -> None:
    """A file of 3 pairs is small, however many there is room for."""
    buffer = Buffer(100_000, 1, 0.0, generator())
    buffer.add(pairs(0, 3))
    torch.save(buffer.snapshot(), tmp_path / "snapshot")
    assert (tmp_path / "snapshot").stat().st_size < 20_000


def test_drawing() -> None:
    buffer = Buffer(7, 1, 0.0, generator())
    with pytest.raises(InputError, match="the buffer is empty"):
        buffer.draw(1, generator())
    with pytest.raises(InputError, match="the buffer is empty"):
        buffer.labels()
    assert buffer.decided() == 0
    buffer.add(pairs(0, 3))
    drawn = buffer.draw(3000, generator()).label_m
    assert all(binomial_p_value(int((drawn == k).sum()), 3000, 1 / 3) > LEVEL for k in range(3))


def test_decided_pairs() -> None:
    buffer = Buffer(7, 1, 0.0, generator())
    some = pairs(0, 3)
    buffer.add(replace(some, label_m=real(0.5, 1.0, 0.5)))
    assert buffer.decided() == 1


def test_a_buffer_goes_on_from_a_snapshot() -> None:
    first = Buffer(5, 2, 0.5, generator())
    first.add(pairs(0, 7))
    state = first.snapshot()
    second = Buffer(5, 2, 0.5, generator(9))
    second.restore(state)
    second._generator.set_state(first._generator.get_state())
    for buffer in (first, second):
        buffer.add(pairs(7, 2))
    index = torch.arange(5)
    assert torch.equal(first.pairs(index).label_m, second.pairs(index).label_m)
    assert torch.equal(first.pairs(index).first.frame_nf, second.pairs(index).first.frame_nf)
    assert torch.equal(first.times_mb, second.times_mb)
    assert torch.equal(first.held_mb, second.held_mb)
    empty = Buffer(5, 2, 0.5, generator())
    second.restore(empty.snapshot())
    assert len(second) == 0
