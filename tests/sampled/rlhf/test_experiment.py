"""Whole runs: resumed bit by bit, no true reward leaks, and the gradients that reach the optimisers."""

import json
import sys
import weakref
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sampled.errors import InputError
from sampled.rlhf import records
from sampled.rlhf.a2c import Agent
from sampled.rlhf.evaluation import true_returns
from sampled.rlhf.experiment import Experiment, Progress
from sampled.rlhf.lanes import Lanes
from sampled.rlhf.run import run
from sampled.rlhf.settings import (
    Architecture,
    Baseline,
    Begin,
    Boundary,
    Companion,
    CompanionStart,
    Labels,
    Method,
    MinAtar,
    Networks,
    Query,
    Settings,
    Tabular,
    Ties,
    as_derived,
    as_printed,
    preset,
)
from sampled.rlhf.testbeds.tabular import Exact
from tests.sampled.rlhf.games import Clock, clock_bed, zeros

CPU = torch.device("cpu")
METHODS = ("a2c", "drlhf", "printed", "derived")


def small(method: str, game: str = "tabular") -> Settings:
    """A few updates with all that an experiment has: collection, warm-up, epochs, evaluations."""
    found = preset("tabular_frozen_lake" if game == "tabular" else "minatar_space_invaders")
    found = replace(
        found,
        run=replace(
            found.run, updates=11, log_every=2, evaluate_every=5, episodes=2, checkpoint_every=3
        ),
        a2c=replace(found.a2c, workers=3, steps=4),
        preferences=replace(
            found.preferences,
            segment_length=3,
            window=8,
            initial_pairs=12,
            pairs_per_epoch=4,
            capacity=18,
            labels=Labels.BRADLEY_TERRY,
            boundary=Boundary.ACROSS,
        ),
        reward=replace(
            found.reward, warmup_epochs=2, epoch_every=3, batch_size=5, micro_batch=3, dropout=0.5
        ),
        pbrl=replace(
            found.pbrl,
            penalty_lanes=3,
            upper_batch=4,
            upper_weight=0.1,
            decay_every=4,
            penalty_weight=1000.0,
        ),
    )
    if isinstance(found.game, MinAtar):
        found = replace(found, game=replace(found.game, max_steps=40))
    elif isinstance(found.game, Tabular):
        found = replace(found, game=replace(found.game, max_steps=7))
    if method == "printed":
        return as_printed(found)
    if method == "derived":
        return as_derived(found)
    return replace(found, run=replace(found.run, method=Method(method)))


def state(experiment: Experiment) -> Any:
    return experiment.snapshot()


def same(a: Any, b: Any, where: str = "") -> None:
    """Fail unless two trees are equal bit by bit."""
    assert type(a) is type(b), where
    if isinstance(a, Tensor):
        assert torch.equal(a, b), where
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for name in a:
            same(a[name], b[name], f"{where}.{name}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), where
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            same(x, y, f"{where}[{i}]")
    else:
        assert a == b, where


class Killed(BaseException):
    """As a kill, it lets nothing be tidied up."""


def killed_after(ticks: int) -> Callable[[Progress, float], None]:
    count = 0

    def watch(_progress: Progress, _rate: float) -> None:
        nonlocal count
        count += 1
        if count == ticks:
            raise Killed

    return watch


KILLS = {
    ("a2c", "tabular"): (4,),
    ("drlhf", "tabular"): (2, 8),
    ("printed", "tabular"): (4, 10),
    ("derived", "tabular"): (2, 3, 4, 5, 8, 9, 13),
    ("derived", "minatar"): (12,),
}
"""After which ticks: 3 of collection, 2 of warm-up, 11 updates with epochs at 3, 6 and 9."""


@pytest.mark.parametrize(("method", "game"), KILLS)
def test_a_run_that_is_killed_and_resumed_ends_as_if_never_stopped(
    method: str, game: str, tmp_path: Path
) -> None:
    """In every phase: parameters, optimisers, buffers, generators, games and metrics."""
    settings = small(method, game)
    whole = run(settings, tmp_path / "whole")
    wanted = (tmp_path / "whole" / records.METRICS).read_bytes()
    for ticks in KILLS[method, game]:
        folder = tmp_path / f"killed {ticks}"
        with pytest.raises(Killed):
            run(settings, folder, watch=killed_after(ticks))
        resumed = run(settings, folder)
        same(state(resumed), state(whole))
        assert (folder / records.METRICS).read_bytes() == wanted
        assert resumed.finished


def test_a_run_that_is_stopped_goes_on_where_it_was(tmp_path: Path) -> None:
    settings = small("derived")
    whole = run(settings, tmp_path / "whole")
    stops = 0
    while True:
        experiment = run(settings, tmp_path / "stopped", stopping=lambda: True)
        stops += 1
        if experiment.finished:
            break
    same(state(experiment), state(whole))
    assert stops == 16
    first, second = (tmp_path / name / records.METRICS for name in ("whole", "stopped"))
    assert first.read_bytes() == second.read_bytes()


def test_a_resumed_run_keeps_its_buffer_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was loaded is gone once it has been put in its place."""
    settings = small("drlhf")
    with pytest.raises(Killed):
        run(settings, tmp_path, watch=killed_after(8))
    load = records.load
    loaded: list[weakref.ref[Tensor]] = []

    def watched(path: Path, chosen: Settings, device: torch.device) -> Any:
        found = load(path, chosen, device)
        parts = found["experiment"]["buffer"]
        loaded.extend(weakref.ref(part) for part in parts.values() if isinstance(part, Tensor))
        return found

    monkeypatch.setattr(records, "load", watched)
    alive: list[int] = []
    run(settings, tmp_path, watch=lambda *_: alive.append(sum(ref() is not None for ref in loaded)))
    assert len(loaded) > 10
    assert set(alive) == {0}


def test_a_finished_run_can_be_prolonged(tmp_path: Path) -> None:
    settings = small("printed")
    longer = replace(settings, run=replace(settings.run, updates=15))
    run(settings, tmp_path / "a")
    same(state(run(longer, tmp_path / "a"))["agent"], state(run(longer, tmp_path / "b"))["agent"])


@pytest.mark.parametrize("method", METHODS)
def test_metrics(method: str, tmp_path: Path) -> None:
    experiment = run(small(method), tmp_path)
    lines = [json.loads(line) for line in (tmp_path / records.METRICS).read_text().splitlines()]
    training = [line for line in lines if line["phase"] == "training"]
    assert [line["update"] for line in training] == [2, 4, 5, 6, 8, 10, 11]
    assert ["return" in line for line in training] == [False, False, True, False, False, True, True]
    assert training[-1]["steps"] == 11 * 3 * 4
    assert training[-1]["all_steps"] == experiment.steps
    if method == "a2c":
        assert training[-1]["queries"] == 0
        return
    # 12 at first, and 4 in updates 3, 6 and 9.
    assert training[-1]["queries"] == 12 + 3 * 4
    assert training[-1]["epochs"] == 2 + 3
    collected = 3 * 8 * 8 + 3 * 8 * 8
    assert experiment.collector.steps_taken == collected
    if method == "derived":
        assert experiment.hat_lanes.steps_taken == (3 * 3) * 3 * 4  # a distance of 3 in each epoch
        assert experiment.own_starts.steps_taken == experiment.hat_starts.steps_taken == 3 * 3 * 8


# No leak of the true reward.


class Lying(Clock):
    """Shows another true reward from some call on."""

    lie = 1.0

    def step(self, actions: Any) -> Any:
        obs, reward, *rest = super().step(actions)
        return obs, reward * Lying.lie, *rest


def lying_bed() -> Any:
    return replace(clock_bed([5, 3, 9]), make=lambda lanes: Lying([[5, 3, 9]] * lanes))


def clocked(method: str) -> Settings:
    """On a game of frames; its networks take numbers."""
    found = small(method)
    return replace(found, networks=Networks(architecture=Architecture.MLP, hidden=8))


class Numbers:
    """Turns a game's frames into numbered states."""

    def __init__(self, game: Clock) -> None:
        self.game, self.num_envs, self.metadata = game, game.num_envs, game.metadata

    def reset(self, *, seed: int | None = None) -> Any:
        obs, infos = self.game.reset(seed=seed)
        return obs[:, 0, 0, 0].astype(np.int64) % 64, infos

    def step(self, actions: Any) -> Any:
        obs, reward, terminated, truncated, infos = self.game.step(actions)
        if "final_obs" in infos:
            last = [None if f is None else np.int64(f[0, 0, 0] % 64) for f in infos["final_obs"]]
            infos["final_obs"] = np.array(last, dtype=object)
        return obs[:, 0, 0, 0].astype(np.int64) % 64, reward, terminated, truncated, infos

    def snapshot(self) -> Any:
        return self.game.snapshot()

    def restore(self, snapshot: Any) -> None:
        self.game.restore(snapshot)


def numbered_bed() -> Any:
    return replace(
        clock_bed([5, 3, 9]), make=lambda lanes: Numbers(Lying([[5, 3, 9]] * lanes)), frame=(), states=64
    )


@pytest.mark.parametrize("method", ["drlhf", "printed", "derived"])
def test_between_labels_the_true_reward_may_be_anything(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Updates in which no pair is labelled do not change by a bit."""
    settings = clocked(method)
    honest, lied_to = (Experiment(settings, bed=numbered_bed()) for _ in range(2))
    for experiment in (honest, lied_to):
        while experiment.progress.phase != "training":
            experiment.tick()
    honest.update()
    honest.update()
    monkeypatch.setattr(Lying, "lie", -1e6)
    lied_to.update()
    lied_to.update()
    for name in ("agent", "model", "buffer", *(("companion",) if method == "derived" else ())):
        same(state(honest)[name], state(lied_to)[name], name)
    assert min(lied_to.lanes.finished) < -1e6  # it did show another one


def test_the_oracle_is_trained_on_the_true_reward(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = clocked("a2c")
    honest, lied_to = (Experiment(settings, bed=numbered_bed()) for _ in range(2))
    honest.update()
    monkeypatch.setattr(Lying, "lie", 2.0)
    lied_to.update()
    with pytest.raises(AssertionError):
        same(state(honest)["agent"], state(lied_to)["agent"])


def test_the_true_reward_is_not_clipped() -> None:
    """Rewards of 10 and 20 reach the oracle and the labels as they are."""
    found = Lanes(Clock([[9]] * 2, loud=True), 1, 0, CPU).play(zeros, 4)
    assert found.true_nh.tolist() == [[10.0] * 4] * 2


def test_clipping_is_of_the_oracles_rewards_alone() -> None:
    """Labels see 10 and 20 as they are; the oracle sees ones, if it is told so."""
    loud = replace(clock_bed([9]), make=lambda lanes: Numbers(Clock([[9]] * lanes, loud=True)))
    bed = replace(loud, frame=(), states=64)
    for method, clip, wanted in (("a2c", True, 1.0), ("a2c", False, 10.0)):
        settings = clocked(method)
        experiment = Experiment(replace(settings, a2c=replace(settings.a2c, clip_rewards=clip)), bed=bed)
        track = experiment.lanes.play(zeros, 2)
        assert torch.equal(experiment._paid(track), torch.full_like(track.true_nh, wanted))
        assert (track.true_nh == 10.0).all()
    settings = clocked("drlhf")
    clipping = Experiment(replace(settings, a2c=replace(settings.a2c, clip_rewards=True)), bed=bed)
    plain = Experiment(settings, bed=bed)
    for _ in range(7):
        clipping.tick()
        plain.tick()
    assert clipping.agent.updates > 0
    same(state(clipping)["agent"], state(plain)["agent"])


def test_the_rate_falls_linearly_if_it_is_told_to() -> None:
    """To zero, where nothing moves any more."""
    settings = clocked("a2c")
    settings = replace(settings, a2c=replace(settings.a2c, anneal_updates=4))
    experiment = Experiment(settings, bed=numbered_bed())
    rate, rates = settings.a2c.learning_rate, []
    for _ in range(6):
        experiment.update()
        rates.append(experiment.agent.optimizer.param_groups[0]["lr"])
    assert rates == [rate, 0.75 * rate, 0.5 * rate, 0.25 * rate, 0.0, 0.0]
    before = [p.clone() for p in experiment.agent.parameters]
    experiment.update()
    for p, was in zip(experiment.agent.parameters, before, strict=True):
        assert torch.equal(p, was)


# Gradients that reach the optimisers.


def gradients(agent: Agent) -> list[Tensor]:
    return [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in agent.parameters]


def free(settings: Settings) -> Settings:
    """Without a limit on the gradient's norm."""
    return replace(settings, a2c=replace(settings.a2c, max_gradient_norm=1e12))


def prepared(settings: Settings, updates: int) -> Experiment:
    experiment = Experiment(settings)
    while experiment.progress.phase != "training":
        experiment.tick()
    for _ in range(updates):
        experiment.update()
    return experiment


def log_pi(agent: Agent, stack: Tensor, action: Tensor) -> Tensor:
    logits: Tensor = agent.network(stack)[0]
    return logits.gather(1, action[:, None])[:, 0] - logits.logsumexp(1)


def plain_sums(experiment: Experiment, segments: Any) -> Tensor:
    r = experiment.model.networks[0](segments.states()).gather(1, segments.actions()[:, None])[:, 0]
    sums: Tensor = (r.view(segments.count, -1) * segments.counted_nl).sum(1)
    return sums


def binary_cross_entropy(experiment: Experiment, pairs: Any) -> Tensor:
    difference = plain_sums(experiment, pairs.first) - plain_sums(experiment, pairs.second)
    return torch.nn.functional.binary_cross_entropy_with_logits(
        difference, pairs.label_m, reduction="none"
    )


def loaded(settings: Settings, of: Experiment) -> Experiment:
    """A copy that draws the same numbers."""
    copy = Experiment(settings)
    copy.restore(state(of))
    return copy


@pytest.mark.parametrize("baseline", [Baseline.NONE, Baseline.LEAVE_ONE_OUT])
def test_the_score_term_as_printed(baseline: Baseline) -> None:
    """In each update: c_k times the mean over drawn pairs of (l - b) grad log pi of both segments."""
    settings = free(small("printed"))
    settings = replace(settings, pbrl=replace(settings.pbrl, baseline=baseline))
    drlhf = replace(settings, run=replace(settings.run, method=Method.DRLHF))
    experiment = prepared(settings, 4)
    without = Experiment(drlhf)
    without.restore(state(experiment))
    copy = loaded(settings, experiment)
    pairs = copy.buffer.draw(settings.pbrl.upper_batch, copy.streams["upper"])
    loss = binary_cross_entropy(copy, pairs).detach()
    count = loss.numel()
    b = 0.0 if baseline is Baseline.NONE else (loss.sum() - loss) / (count - 1)
    score = sum(
        log_pi(copy.agent, side.states(), side.actions()).view(count, -1).mul(side.counted_nl).sum(1)
        for side in (pairs.first, pairs.second)
    )
    assert isinstance(score, Tensor)
    c = 0.1 * 0.9 ** (4 // 4)
    wanted = torch.autograd.grad(
        c * ((loss - b) * score).mean(), copy.agent.parameters, allow_unused=True, materialize_grads=True
    )
    experiment.update()
    without.update()
    for got, base, want in zip(
        gradients(experiment.agent), gradients(without.agent), wanted, strict=True
    ):
        torch.testing.assert_close(got - base, want)


def test_the_score_term_as_derived() -> None:
    """In an update with fresh pairs: all actions from the start of the track to the segment's end."""
    settings = free(small("derived"))
    experiment = prepared(settings, 3)
    copy = loaded(settings, experiment)
    from sampled.rlhf.preferences import histories

    copy.collector.reset()
    track = copy.collector.play(copy.agent.sampler(copy.streams["collect"]), 8)
    assert (track.age_nh[:, 0] == 0).all()
    found, _ = histories(track, settings.preferences, copy.streams["labels"], 3)
    loss = binary_cross_entropy(copy, found.pairs).detach()
    b = (loss.sum() - loss) / (loss.numel() - 1)
    total = torch.zeros(8, dtype=torch.float64)
    for n in range(8):
        last = int(found.within_nh[n].nonzero().max())
        for h in range(last + 1):
            stack = track.stacks(torch.tensor([n]), torch.tensor([h]))
            total[n] = total[n] + log_pi(copy.agent, stack, track.action_nh[n, h : h + 1])[0]
    assert (found.within_nh.sum(1) == 3).all()
    score = total[:4] + total[4:]
    c = 0.1
    wanted = torch.autograd.grad(
        c * ((loss - b) * score).mean(), copy.agent.parameters, allow_unused=True, materialize_grads=True
    )
    muted = replace(settings, pbrl=replace(settings.pbrl, upper_weight=0.0))
    without = Experiment(muted)
    without.restore(state(experiment))
    experiment.update()
    without.update()
    for got, base, want in zip(
        gradients(experiment.agent), gradients(without.agent), wanted, strict=True
    ):
        torch.testing.assert_close(got - base, want)


def test_fresh_pairs_take_part_once() -> None:
    """Only in the updates in which they were collected, by the policy that is updated."""
    settings = small("derived")
    experiment = prepared(settings, 3)
    fresh = experiment._collect(4)
    assert experiment._upper(fresh) is not None
    assert experiment._upper(None) is None
    experiment.agent.updates += 1
    with pytest.raises(RuntimeError, match="pairs of an older policy are not fresh"):
        experiment._upper(fresh)


def whole_batch(settings: Settings) -> Settings:
    return replace(settings, reward=replace(settings.reward, batch_size=1000, dropout=0.0))


def discounted_sum(experiment: Experiment, track: Any, gamma: float, u: Tensor) -> Tensor:
    """Steps of first episodes that uniform numbers choose, written out."""
    listed = [
        (n, h) for n in range(track.lanes) for h in range(track.steps) if not track.over_nh[n, :h].any()
    ]
    total = torch.zeros((), dtype=torch.float64)
    model = experiment.model
    for value in u.tolist():
        n, h = listed[int(value * len(listed))]
        r = model.networks[0](track.stacks(torch.tensor([n]), torch.tensor([h])))[
            0, track.action_nh[n, h]
        ]
        standard = (r - model.offset_b[0]) * model.scale_b[0]
        total = total + gamma ** float(track.age_nh[n, h]) * standard
    mean: Tensor = total * (len(listed) / len(u)) / track.lanes
    return mean


@pytest.mark.parametrize("companion", ["ahead", "twin", "current"])
def test_the_predictors_gradient_as_derived(companion: str) -> None:
    """grad f + lambda (- E_pi + E_pi^) of Lemma 7 (a); with the policy as its own companion, grad f."""
    settings = whole_batch(small("derived"))
    chosen = {
        "ahead": replace(settings.pbrl, inner_steps=2),
        "twin": replace(settings.pbrl, companion_start=CompanionStart.OWN),
        "current": replace(settings.pbrl, companion=Companion.CURRENT),
    }
    settings = replace(settings, pbrl=chosen[companion])
    experiment = prepared(settings, 3)
    if companion == "twin":  # so different that it takes other actions by the same draws
        with torch.no_grad():
            experiment.companion.network.get_parameter("policy.weight")[2] += 3.0
    copy = loaded(settings, experiment)
    # The same draws in the same order as in an update.
    copy._collect(4)
    if companion == "ahead":
        copy.companion.restore(copy.agent.snapshot())
    for _ in range({"ahead": 2 * 3, "twin": 1, "current": 0}[companion]):
        track = copy.hat_lanes.play(copy.companion.sampler(copy.streams["hat"]), 4)
        copy.companion.update(track, copy.model.of_track(track))
    copy.own_starts.reset()
    own = copy.own_starts.play(copy.agent.sampler(copy.streams["collect"]), 8)
    weight = copy.model.networks[0].get_parameter("head.weight")
    pairs = copy.buffer.pairs(torch.arange(len(copy.buffer)))
    loss = binary_cross_entropy(copy, pairs).mean()
    if companion != "current":
        copy.hat_starts.reset()
        hat = copy.hat_starts.play(copy.companion.sampler(copy.streams["hat"]), 8)
        assert companion == "ahead" or (hat.action_nh == 2).double().mean() > 0.8
        u = torch.rand(3 * 3, generator=copy.streams["penalty"], dtype=torch.float64)
        gamma, lam = settings.a2c.gamma, settings.pbrl.penalty_weight
        penalty = discounted_sum(copy, hat, gamma, u) - discounted_sum(copy, own, gamma, u)
        loss = loss + lam * penalty
    (wanted,) = torch.autograd.grad(loss, weight)
    experiment.update()
    got = experiment.model.networks[0].get_parameter("head.weight").grad
    assert got is not None
    torch.testing.assert_close(got, wanted)
    if companion != "current":
        assert wanted.abs().max() > 1.0  # lambda is 1000
        assert experiment.companion.network is not experiment.agent.network


def test_a_companion_of_its_own_start_goes_beside_the_policy() -> None:
    settings = small("derived")
    twin = replace(settings.pbrl, companion_start=CompanionStart.OWN)
    experiment = prepared(replace(settings, pbrl=twin), 1)
    assert experiment.companion.updates == 1
    own, hat = (agent.network.state_dict() for agent in (experiment.agent, experiment.companion))
    assert not torch.equal(own["policy.weight"], hat["policy.weight"])
    pointers = {p.data_ptr() for p in experiment.agent.parameters}
    assert pointers.isdisjoint(p.data_ptr() for p in experiment.companion.parameters)


def test_a_companion_that_begins_at_the_policy_is_ahead_of_it_where_the_penalty_is_due() -> None:
    """By a whole distance of epochs, from the policy's parameters and moments; between, it rests."""
    settings = small("derived")
    experiment = prepared(replace(settings, pbrl=replace(settings.pbrl, inner_steps=2)), 3)
    assert experiment.companion.updates == 0
    experiment.update()
    assert experiment.companion.updates == 3 + 2 * 3
    rested = state(experiment)["companion"]
    experiment.update()
    same(state(experiment)["companion"], rested)
    pointers = {p.data_ptr() for p in experiment.agent.parameters}
    assert pointers.isdisjoint(p.data_ptr() for p in experiment.companion.parameters)


def test_a_companion_ahead_is_better_on_the_learned_reward() -> None:
    """V(pi^) > V(pi) in every epoch, exactly: the twin's difference has no sign to rely on."""
    settings = as_derived(preset("tabular_random_mdp"))
    settings = replace(settings, run=replace(settings.run, updates=101))
    experiment = Experiment(settings)
    assert isinstance(settings.game, Tabular)
    exact, gamma, gains = Exact.of(settings.game), settings.a2c.gamma, []
    states = torch.arange(settings.game.states)[:, None]
    while not experiment.finished:
        k = experiment.agent.updates
        with torch.no_grad():
            before_sa = experiment.agent.network(states)[0].softmax(-1)
            r_sa = experiment.model.networks[0](states)
        experiment.tick()
        if k and k % settings.reward.epoch_every == 0:
            with torch.no_grad():
                hat_sa = experiment.companion.network(states)[0].softmax(-1)
            own, hat = (float(exact.value(pi_sa, gamma, r_sa)) for pi_sa in (before_sa, hat_sa))
            gains.append(hat - own)
    assert len(gains) == 2
    assert min(gains) > 0.0


# Preferences in an experiment.


def test_pairs_that_tie_can_be_dropped() -> None:
    settings = small("drlhf")
    chosen = replace(settings.preferences, labels=Labels.RETURN, ties=Ties.DROP)
    experiment = Experiment(replace(settings, preferences=chosen))
    # In three steps of the lake nobody reaches its goal.
    with pytest.raises(InputError, match="every one tied, so that all were dropped"):
        experiment.tick()


def test_ties_that_are_dropped_count_as_queries() -> None:
    settings = clocked("drlhf")
    chosen = replace(settings.preferences, labels=Labels.RETURN, ties=Ties.DROP)
    experiment = Experiment(replace(settings, preferences=chosen), bed=numbered_bed())
    while experiment.progress.phase == "collecting":
        experiment.tick()
    assert len(experiment.buffer) == 12
    assert (experiment.buffer.labels() != 0.5).all()
    assert experiment.queries > 12


def test_pairs_can_be_selected_by_disagreement() -> None:
    settings = clocked("drlhf")
    settings = replace(
        settings,
        preferences=replace(settings.preferences, query=Query.DISAGREEMENT),
        reward=replace(settings.reward, members=3),
    )
    experiment = Experiment(settings, bed=numbered_bed())
    experiment.tick()
    assert (len(experiment.buffer), experiment.queries) == (4, 4)
    copy = Experiment(settings, bed=numbered_bed())
    rounds = [copy._round()[0] for _ in range(10)]
    doubt = torch.cat([copy.model.disagreement(found.pairs) for found in rounds])
    kept = experiment.buffer.pairs(torch.arange(4))
    top = doubt.sort(descending=True).values[:4]
    torch.testing.assert_close(experiment.model.disagreement(kept).sort(descending=True).values, top)


def test_nothing_can_be_learned_from_ties() -> None:
    settings = small("drlhf")
    chosen = replace(settings.preferences, labels=Labels.RETURN)
    experiment = Experiment(replace(settings, preferences=chosen))
    while experiment.progress.phase == "collecting":
        experiment.tick()
    with pytest.raises(InputError, match="none of the 12 pairs in the buffer is decided"):
        experiment.tick()


def test_a_collection_begins_where_it_is_told_to() -> None:
    for begin, first in ((Begin.RESET, 0), (Begin.CONTINUE, 8)):
        settings = clocked("drlhf")
        settings = replace(settings, preferences=replace(settings.preferences, begin=begin))
        bed = replace(
            clock_bed([99]), make=lambda lanes: Numbers(Lying([[99]] * lanes)), frame=(), states=64
        )
        experiment = Experiment(settings, bed=bed)
        experiment._round()
        assert (experiment._round()[0].track.age_nh[:, 0] == first).all()


# Evaluation.


def test_each_lane_plays_one_whole_episode() -> None:
    """Had finished episodes been counted, short ones would be too many."""
    lengths = [[3, 1, 1], [200, 1], [5, 5]]
    found = true_returns(lambda: Lanes(Clock(lengths), 1, 0, CPU), zeros)
    assert found == [3.0, 200.0, 5.0]
    with pytest.raises(InputError, match="an episode has not ended after 128 steps"):
        true_returns(lambda: Lanes(Clock(lengths), 1, 0, CPU), zeros, most_steps=100)


def test_evaluation_leaves_training_alone() -> None:
    experiment = prepared(small("derived"), 2)
    before = state(experiment)
    first = experiment.evaluate()
    same(state(experiment), before)
    assert experiment.evaluate() == first


def test_tables_are_evaluated_exactly() -> None:
    """By value iteration of the policy, from the arrays of the table."""
    experiment = prepared(small("drlhf"), 3)
    exact = Exact.of(Tabular())
    pi = experiment.agent.network(torch.arange(16)[:, None])[0].softmax(-1).detach()
    v = torch.zeros(16).double()
    for _ in range(4000):
        q = exact.r_sa + 0.99 * exact.P_sat @ v
        v = (pi * q).sum(1).where(~exact.terminal_s, 0.0)
    # 0.99^4000 < 1e-17 is left out.
    assert experiment.evaluate()["value"] == pytest.approx(float(exact.rho_s @ v), rel=1e-11)


# Bad input.


def test_a_checkpoint_of_another_configuration(tmp_path: Path) -> None:
    settings = small("printed")
    run(settings, tmp_path)
    before = (tmp_path / records.METRICS).read_bytes()
    other = replace(settings, a2c=replace(settings.a2c, gamma=0.5))
    with pytest.raises(
        InputError, match=r"is of another configuration: a2c\.gamma was 0\.99 and is now 0\.5"
    ):
        run(other, tmp_path)
    assert (tmp_path / records.METRICS).read_bytes() == before
    assert records.settings_of(tmp_path / records.CHECKPOINT) == settings


def test_a_checkpoint_executes_no_code(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return (exec, (f"open({str(tmp_path / 'hacked')!r}, 'w')",))

    tmp_path.joinpath("run").mkdir()
    torch.save({"settings": Evil()}, tmp_path / "run" / records.CHECKPOINT)
    with pytest.raises(InputError, match="no checkpoint that can be loaded without executing code"):
        run(small("printed"), tmp_path / "run")
    assert not (tmp_path / "hacked").exists()


def test_a_broken_checkpoint(tmp_path: Path) -> None:
    settings = small("printed")
    (tmp_path / records.CHECKPOINT).write_bytes(b"nothing")
    with pytest.raises(InputError, match="is no checkpoint"):
        run(settings, tmp_path)
    with pytest.raises(InputError, match="is no checkpoint"):
        records.settings_of(tmp_path / records.CHECKPOINT)
    torch.save([1, 2], tmp_path / records.CHECKPOINT)
    with pytest.raises(InputError, match="it names no settings"):
        run(settings, tmp_path)


def test_metrics_that_are_shorter_than_the_checkpoint_knows(tmp_path: Path) -> None:
    settings = small("a2c")
    run(settings, tmp_path)
    (tmp_path / records.METRICS).write_text("{}\n")
    with pytest.raises(InputError, match="the two do not belong together"):
        run(replace(settings, run=replace(settings.run, updates=12)), tmp_path)


def test_a_checkpoint_is_written_all_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    (tmp_path / "checkpoint.pt.17.part").write_bytes(b"of a run that was killed")
    records.save(path, {"a": torch.ones(2)})
    with pytest.raises(Exception, match="pickle"):
        records.save(path, {"a": lambda: None})
    assert torch.equal(torch.load(path, weights_only=True)["a"], torch.ones(2))
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.pt"]


# Records beside the metrics.


def test_tensorboard(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing import (  # type: ignore[import-untyped] # it has no types
        event_accumulator,
    )

    run(small("drlhf"), tmp_path, tensorboard=True)
    found = event_accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert {"return", "reward_loss", "policy_loss", "steps_per_second"} <= set(found.Tags()["scalars"])
    assert [event.step for event in found.Scalars("return")] == [5, 10, 11]


def test_tensorboard_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(InputError, match=r"TensorBoard is not installed: pip install -c constraints"):
        run(small("a2c"), tmp_path, tensorboard=True)


def test_progress_is_told_after_each_tick(tmp_path: Path) -> None:
    seen: list[Progress] = []
    run(
        small("drlhf"),
        tmp_path,
        watch=lambda progress, rate: seen.append(progress) if rate > 0 else None,
    )
    assert [(p.phase, p.done, p.total) for p in seen[:4]] == [
        ("collecting", 4, 12),
        ("collecting", 8, 12),
        ("warming up", 0, 2),
        ("warming up", 1, 2),
    ]
    assert (seen[-1].done, seen[-1].total) == (11, 11)
    assert all(a.steps <= b.steps for a, b in pairwise(seen))
