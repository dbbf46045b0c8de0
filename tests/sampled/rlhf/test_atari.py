"""The whole pipeline on the real games, from warm-up to evaluation, with little of everything.

It is stopped in each phase, and goes on to the same bits.
"""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sampled.rlhf import records
from sampled.rlhf.run import run
from sampled.rlhf.settings import Atari, Method, Settings, Ties, as_derived, as_printed, preset
from tests.sampled.rlhf.test_experiment import same

WINDOW = {"seaquest": 90, "ms_pacman": 90, "beam_rider": 30}
"""Long enough for some pair to be decided under the untrained policy."""


def reduced(game: str) -> Settings:
    """The paper's settings but for their budgets: networks, segments and rates are as they are."""
    found = preset(f"paper_{game}")
    assert isinstance(found.game, Atari)
    return replace(
        found,
        game=replace(found.game, max_frames=480),
        run=replace(found.run, updates=5, log_every=1, evaluate_every=5, episodes=2, checkpoint_every=2),
        a2c=replace(found.a2c, workers=2),
        preferences=replace(
            found.preferences, initial_pairs=12, pairs_per_epoch=3, window=WINDOW[game], ties=Ties.HALF
        ),
        reward=replace(found.reward, warmup_epochs=2, epoch_every=2, micro_batch=4),
        pbrl=replace(found.pbrl, penalty_lanes=2, upper_batch=2),
    )


@pytest.mark.parametrize(
    ("game", "method"), [("ms_pacman", "derived"), ("seaquest", "printed"), ("beam_rider", "a2c")]
)
def test_the_pipeline(game: str, method: str, tmp_path: Path) -> None:
    settings = reduced(game)
    if method == "derived":
        settings = as_derived(settings)
    elif method == "printed":
        settings = as_printed(settings)
    else:
        settings = replace(settings, run=replace(settings.run, method=Method(method)))
    whole = run(settings, tmp_path / "whole")
    for ticks in (1, 4, 2) if whole.learned else (1, 2):
        answers = iter([False] * (ticks - 1) + [True])
        stopped = run(settings, tmp_path, stopping=answers.__next__)
        assert not stopped.finished
    finished = run(settings, tmp_path)
    assert finished.finished
    same(finished.snapshot(), whole.snapshot())
    metrics = [(folder / records.METRICS).read_bytes() for folder in (tmp_path, tmp_path / "whole")]
    assert metrics[0] == metrics[1]
    lines = [json.loads(line) for line in (tmp_path / records.METRICS).read_text().splitlines()]
    assert len(lines[-1]["returns"]) == 2
    assert lines[-1]["steps"] == 5 * 2 * 5
    if finished.learned:
        assert finished.model.epochs == 2 + 2
        kept = finished.buffer.pairs(torch.arange(len(finished.buffer)))
        assert kept.first.frame_nf.shape == (12 + 2 * 3, 25 + 3, 1, 84, 84)
        assert kept.first.frame_nf.dtype == torch.uint8
        assert finished.queries == 18
