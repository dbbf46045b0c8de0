"""Speed of RLHF: environment steps per second and core, where the time goes, and the warm-up's layouts.

    python benchmarks/rlhf.py minatar [--games breakout ...] [--updates K]
    python benchmarks/rlhf.py atari [--game seaquest] [--updates K]
    python benchmarks/rlhf.py warmup [--pairs M]

All times are CPU times of one thread, so that other programs on the machine count little; parts and
whole are measured in one run, in turn.

- ``minatar``: policy steps per second of A2C on the true reward, of DRLHF, and of PBRL in both readings,
  the reward epochs included at the rate at which the settings have them.
- ``atari``: one update of DRLHF against the emulation alone and the networks alone, for the same steps.
- ``warmup``: microseconds per state, forwards and backwards, of E.2's predictor: both memory layouts and
  several micro-batches.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import torch

from sampled.rlhf.experiment import Experiment
from sampled.rlhf.networks import RewardNetwork, reward_network
from sampled.rlhf.preferences import pair_up
from sampled.rlhf.rewards import preference_losses, segment_sums
from sampled.rlhf.settings import (
    Atari,
    Method,
    Networks,
    Settings,
    as_derived,
    as_printed,
    preset,
)

METHODS: dict[str, Callable[[Settings], Settings]] = {
    "A2C": lambda s: replace(s, run=replace(s.run, method=Method.A2C)),
    "DRLHF": lambda s: replace(s, run=replace(s.run, method=Method.DRLHF)),
    "PBRL as printed": as_printed,
    "PBRL as derived": as_derived,
}


def seconds(work: Callable[[], object]) -> float:
    """CPU time of a call."""
    began = time.process_time()
    work()
    return time.process_time() - began


def short(settings: Settings) -> Settings:
    """With few pairs at first, so that training is reached soon; their number is no part of a step."""
    few = replace(settings.preferences, initial_pairs=64, pairs_per_epoch=16)
    return replace(settings, preferences=few, reward=replace(settings.reward, warmup_epochs=1))


def minatar(games: list[str], updates: int) -> None:
    """Steps per second of the four methods."""
    for game in games:
        for name, method in METHODS.items():
            settings = short(method(preset(f"minatar_{game}")))
            experiment = Experiment(settings)
            while experiment.progress.phase != "training":
                experiment.tick()
            experiment.update()
            before = experiment.lanes.steps_taken
            spent = seconds(lambda e=experiment: [e.update() for _ in range(updates)])  # type: ignore[misc] # e is an Experiment
            rate = (experiment.lanes.steps_taken - before) / spent
            print(f"{game:15} {name:16} {rate:8.0f} policy steps/s")


def atari(game: str, updates: int) -> None:
    """An update against its parts."""
    found = preset(f"paper_{game}")
    settings = METHODS["DRLHF"](short(found))
    settings = replace(settings, reward=replace(settings.reward, epoch_every=10**9))
    experiment = Experiment(settings)
    a2c = settings.a2c
    track = experiment.lanes.play(experiment.agent.sampler(experiment.streams["act"]), a2c.steps)
    codes = track.action_nh.numpy()

    def emulate() -> None:
        for h in range(a2c.steps):
            experiment.lanes.game.step(codes[:, h])

    def networks() -> None:
        for h in range(a2c.steps):
            stack = track.stacks(torch.arange(a2c.workers), torch.full((a2c.workers,), h))
            experiment.agent.sampler(experiment.streams["act"])(stack)
        experiment.agent.update(track, experiment.model.of_track(track))

    def together() -> None:
        experiment._step(experiment.agent, experiment.lanes, experiment.streams["act"], None)

    parts = {"emulation": emulate, "networks": networks, "together": together}
    times: dict[str, list[float]] = {name: [] for name in parts}
    for _ in range(updates):
        for name, work in parts.items():
            times[name].append(seconds(work))
    middle = {name: statistics.median(some) for name, some in times.items()}
    steps = a2c.workers * a2c.steps
    for name, spent in middle.items():
        print(f"{game} {name:10} {1e3 * spent:7.1f} ms an update, {steps / spent:6.0f} steps/s")
    ratio = middle["together"] / (middle["emulation"] + middle["networks"])
    print(f"together / sum of both: {ratio:.2f}")


def warmup(count: int) -> None:
    """Layouts and micro-batches of E.2's predictor."""
    found = preset("paper_seaquest")
    assert isinstance(found.game, Atari)
    few = replace(found.preferences, pairs_per_epoch=count, window=found.preferences.segment_length)
    experiment = Experiment(METHODS["DRLHF"](replace(found, preferences=few)))
    track = experiment.collector.play(
        experiment.agent.sampler(experiment.streams["collect"]), few.window
    )
    pairs = pair_up(track, torch.zeros(2 * count, dtype=torch.int64), few, 0).pairs
    states = 2 * count * few.segment_length
    drop = torch.Generator().manual_seed(0)
    for last in (False, True):
        networks = Networks(channels_last=last)
        g = torch.Generator().manual_seed(0)
        outcomes = (1, experiment.bed.actions)
        network = reward_network(networks, experiment.bed.frame, experiment.bed.depth, outcomes, 0.5, g)
        for micro in (1, 4, 16, 64):
            if micro > count:
                continue

            def epoch(network: RewardNetwork = network, micro: int = micro) -> None:
                for part in torch.split(torch.arange(count), micro):
                    some = pairs[part]
                    sums = []
                    for side in (some.first, some.second):
                        r = network(side.states(), drop).gather(1, side.actions()[:, None])[:, 0]
                        sums.append(segment_sums(r, side))
                    loss = preference_losses(sums[0] - sums[1], some.label_m).sum()
                    torch.autograd.backward(loss)

            epoch()
            spent = statistics.median(seconds(epoch) for _ in range(3))
            layout = "channels last" if last else "contiguous"
            print(f"{layout:13} micro-batch {micro:2} pairs: {1e6 * spent / states:5.0f} us a state")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    which = parser.add_subparsers(dest="which", required=True)
    small = which.add_parser("minatar")
    small.add_argument("--games", nargs="+", default=["breakout", "space_invaders"])
    small.add_argument("--updates", type=int, default=200)
    large = which.add_parser("atari")
    large.add_argument("--game", default="seaquest")
    large.add_argument("--updates", type=int, default=15)
    layouts = which.add_parser("warmup")
    layouts.add_argument("--pairs", type=int, default=16)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    if chosen.which == "minatar":
        minatar(chosen.games, chosen.updates)
    elif chosen.which == "atari":
        atari(chosen.game, chosen.updates)
    else:
        warmup(chosen.pairs)


if __name__ == "__main__":
    main()
