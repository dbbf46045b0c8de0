"""How loud the penalty's gradient is beside the preferences': against formulas written out."""

from dataclasses import replace

import pytest
import torch

from sampled.rlhf import noise
from sampled.rlhf.settings import Settings, preset


def short() -> Settings:
    found = preset("tabular_random_mdp")
    return replace(
        found,
        a2c=replace(found.a2c, workers=4),
        preferences=replace(found.preferences, initial_pairs=64, pairs_per_epoch=16),
        reward=replace(found.reward, warmup_epochs=2, epoch_every=4, batch_size=16),
    )


def test_spread_is_that_of_vectors() -> None:
    """Mean (1, 2); deviations (-1, 0), (1, 0), (0, 0): 2 / (3 - 1)."""
    g = [torch.tensor(v) for v in ([0.0, 2.0], [2.0, 2.0], [1.0, 2.0])]
    mean, deviation = noise._spread(g)
    assert mean == pytest.approx(5.0**0.5)
    assert deviation == pytest.approx(1.0)


def test_sixteen_times_the_trajectories_quarter_the_penaltys_noise() -> None:
    """And leave that of the preferences as it is, so that lambda is four times as large."""
    settings = short()
    found = []
    for lanes in (32, 512):
        each = [
            noise.measure(
                replace(
                    settings,
                    run=replace(settings.run, seed=seed),
                    pbrl=replace(settings.pbrl, penalty_lanes=lanes),
                )
            )
            for seed in range(4)
        ]
        found.append(each)
    for few, many in zip(*found, strict=True):
        assert few.sigma_f == many.sigma_f
    ratio = sum(e.sigma_p for e in found[0]) / sum(e.sigma_p for e in found[1])
    # 16 times as many: a quarter; 28 degrees of freedom each, and many coordinates.
    assert 3.0 < ratio < 5.5


def test_the_weight_grows_with_the_preferences_noise_and_falls_with_the_penaltys() -> None:
    assert noise.Noise(1.0, 0.5, 3.0, 2.0).weight == 0.25
