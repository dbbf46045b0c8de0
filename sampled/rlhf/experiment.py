r"""The three methods as one loop over the same parts.

First, unless the reward is the true one, pairs are collected with the untrained policy until there are
enough, and the predictor is warmed up on them.  Then update k = 0, 1, ... of the policy y, with the
predictor's parameters x and the companion pi^::

    1. if k is a multiple of the epochs' distance, and not 0: collect new pairs with y
    2. a separate companion takes its inner steps on r_x; one that begins at the policy does so where
       pairs were collected, with the steps of a whole distance
    3. if pairs were collected: play y and the companion from the starts of episodes
    4. y takes a step on c_k f + p: the actor-critic's on r_x, and PBRL's score term with weight c_k
    5. if pairs were collected, the predictor goes through the buffer once, on f + lambda p

so that where an epoch ends both x and y have moved from the same point, as in Algorithm 1.  DRLHF is
without the score term and the penalty; A2C is step 4 alone, on the true reward.

One tick is a round of collection, an epoch of the warm-up, or an update; after a tick everything can be
saved, and a run that goes on from there ends as if it had never stopped.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sampled.errors import InputError
from sampled.rlhf import bilevel
from sampled.rlhf.a2c import Agent
from sampled.rlhf.evaluation import true_returns
from sampled.rlhf.lanes import Lanes, Policy, Snapshot
from sampled.rlhf.networks import actor_critic, reward_network
from sampled.rlhf.preferences import Buffer, Histories, histories
from sampled.rlhf.rewards import Chosen, RewardModel
from sampled.rlhf.settings import (
    Atari,
    Begin,
    Companion,
    CompanionStart,
    Game,
    Method,
    MinAtar,
    Query,
    Settings,
    Tabular,
    Ties,
    UpperPairs,
)
from sampled.rlhf.testbeds import atari, minatar, tabular
from sampled.rlhf.testbeds.contract import Testbed
from sampled.rlhf.tracks import Track

CANDIDATES = 10
"""Pairs generated for each one that is shown, if pairs are selected by disagreement."""

GIVE_UP = 50
"""Times as many queries as wanted pairs, after which ties are no longer dropped in hope."""

_STREAMS = (
    "init",
    "act",
    "collect",
    "labels",
    "shuffle",
    "buffer",
    "dropout",
    "upper",
    "hat",
    "penalty",
)
_ON_DEVICE = frozenset({"act", "collect", "dropout", "hat"})
_LANES = ("lanes", "collector", "own starts", "hat lanes", "hat starts", "evaluation")


def testbed(game: Game) -> Testbed:
    """Return the testbed of a game.

    Raises
    ------
    InputError
        If what it needs is not installed, or there is no such game.
    """
    if isinstance(game, MinAtar):
        return minatar.testbed(game)
    return atari.testbed(game) if isinstance(game, Atari) else tabular.testbed(game)


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes
    ----------
    phase : str
        'collecting', 'warming up' or 'training'.
    done, total : int
        Ticks of this phase.
    steps : int
        Environment steps of all kinds so far.
    """

    phase: str
    done: int
    total: int
    steps: int


class Experiment:
    """A run in memory.

    Parameters
    ----------
    settings : Settings
    device : torch.device or str
    bed : Testbed, optional
        In place of the settings' own.

    Raises
    ------
    InputError
        As :func:`testbed`, or if a network does not fit the game.
    """

    def __init__(
        self, settings: Settings, *, device: torch.device | str = "cpu", bed: Testbed | None = None
    ) -> None:
        self.settings, self.device = settings, torch.device(device)
        self.bed = testbed(settings.game) if bed is None else bed
        self._another_bed = bed is not None
        self.dtype = torch.float64 if self.bed.frame == () else torch.float32
        words = np.random.SeedSequence(settings.run.seed).generate_state(len(_STREAMS), np.uint64)
        self.streams = {
            name: torch.Generator(self.device if name in _ON_DEVICE else "cpu").manual_seed(int(word))
            for name, word in zip(_STREAMS, words, strict=True)
        }
        self.agent = self._agent()
        self.lanes = self._lanes("lanes", settings.a2c.workers)
        self.queries = 0
        self.learned = settings.run.method is not Method.A2C
        if self.learned:
            self._prepare_preferences()
        bilevel_method = settings.run.method is Method.PBRL
        self.penalised = bilevel_method and settings.pbrl.penalty_gradient
        if self.penalised:
            self.own_starts = self._lanes("own starts", settings.pbrl.penalty_lanes)
        self.separate = bilevel_method and settings.pbrl.companion is Companion.SEPARATE
        if self.separate:
            self.companion = self._agent()
            self.hat_lanes = self._lanes("hat lanes", settings.a2c.workers)
            self.hat_starts = self._lanes("hat starts", settings.pbrl.penalty_lanes)

    def _prepare_preferences(self) -> None:
        settings = self.settings
        networks = [
            reward_network(
                settings.networks,
                self.bed.frame,
                self.bed.depth,
                (self.bed.states, self.bed.actions),
                settings.reward.dropout,
                self.streams["init"],
                self.dtype,
            ).to(self.device)
            for _ in range(settings.reward.members)
        ]
        self.model = RewardModel(
            networks, settings.reward, self.streams["shuffle"], self.streams["dropout"]
        )
        self.buffer = Buffer(
            settings.preferences.capacity,
            settings.reward.members,
            settings.reward.validation,
            self.streams["buffer"],
        )
        self.collector = self._lanes("collector", 2 * settings.preferences.pairs_per_epoch)

    def _agent(self) -> Agent:
        network = actor_critic(
            self.settings.networks,
            self.bed.frame,
            self.bed.depth,
            (self.bed.states, self.bed.actions),
            self.streams["init"],
            self.dtype,
        )
        return Agent(network.to(self.device), self.settings.a2c)

    def _lanes(self, kind: str, count: int, *more: int) -> Lanes:
        key = (self.settings.run.seed, _LANES.index(kind), *more)
        seed = int(np.random.SeedSequence(key).generate_state(1)[0])
        return Lanes(self.bed.make(count), self.bed.depth, seed, self.device)

    # Phases.

    @property
    def progress(self) -> Progress:
        """How far the run is."""
        run, wanted = self.settings.run, self.settings.preferences.initial_pairs
        steps = self.steps
        if self.learned and self.buffer.added < wanted:
            return Progress("collecting", self.buffer.added, wanted, steps)
        if self.learned and self.model.epochs < self.settings.reward.warmup_epochs:
            return Progress("warming up", self.model.epochs, self.settings.reward.warmup_epochs, steps)
        return Progress("training", self.agent.updates, run.updates, steps)

    @property
    def steps(self) -> int:
        """Environment steps of all kinds."""
        return sum(lanes.steps_taken for lanes in self._all_lanes().values())

    def _all_lanes(self) -> dict[str, Lanes]:
        """All that go on from tick to tick."""
        found = {"lanes": self.lanes}
        if self.learned:
            found["collector"] = self.collector
        if self.penalised:
            found["own starts"] = self.own_starts
        if self.separate:
            found |= {"hat lanes": self.hat_lanes, "hat starts": self.hat_starts}
        return found

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        now = self.progress
        return now.phase == "training" and now.done >= now.total

    def tick(self) -> dict[str, float]:
        """Do the next piece of work, and return what it measured.

        Raises
        ------
        InputError
            If no pair can be decided, or no segment lies within an episode where it has to.
        """
        phase = self.progress.phase
        if phase == "collecting":
            return self._collect_first()
        if phase == "warming up":
            found = self.model.epoch(self.buffer)
            if self.model.epochs >= self.settings.reward.warmup_epochs:
                self.model.standardise(self.buffer)
            return found
        return self.update()

    def _collect_first(self) -> dict[str, float]:
        settings = self.settings.preferences
        self._collect(min(settings.pairs_per_epoch, settings.initial_pairs - self.buffer.added))
        if self.settings.reward.warmup_epochs == 0 and self.buffer.added >= settings.initial_pairs:
            self.model.standardise(self.buffer)
        return {"decided": float(self.buffer.decided())}

    def update(self) -> dict[str, float]:
        """Take one update of the policy, and of what goes with it."""
        settings, k = self.settings, self.agent.updates
        due = self.learned and k > 0 and k % settings.reward.epoch_every == 0
        fresh = self._collect(settings.preferences.pairs_per_epoch) if due else None
        if self.separate:
            self.improve_companion(due)
        tracks = self.penalty_tracks() if due and self.penalised else None
        beside = self._upper(fresh) if settings.run.method is Method.PBRL else None
        found = self._step(self.agent, self.lanes, self.streams["act"], beside)
        if due:
            found |= self._reward_epoch(tracks)
        return found

    def improve_companion(self, due: bool) -> None:
        """Take the companion's steps that belong to this update, in which an epoch is due or not."""
        count = self.settings.pbrl.inner_steps
        if self.settings.pbrl.companion_start is CompanionStart.POLICY:
            if not due:
                return
            count *= self.settings.reward.epoch_every
            self.companion.restore(self.agent.snapshot())
        for _ in range(count):
            self._step(self.companion, self.hat_lanes, self.streams["hat"], None)

    def _step(
        self, agent: Agent, lanes: Lanes, generator: torch.Generator, beside: Tensor | None
    ) -> dict[str, float]:
        """One actor-critic update on the method's reward."""
        track = lanes.play(agent.sampler(generator), self.settings.a2c.steps)
        reward_nh = self.model.of_track(track) if self.learned else self._paid(track)
        return agent.update(track, reward_nh, beside)

    def _paid(self, track: Track) -> Tensor:
        """True rewards, as the oracle gets them."""
        return track.true_nh.clamp(-1.0, 1.0) if self.settings.a2c.clip_rewards else track.true_nh

    # Preferences.

    def _round(self) -> tuple[Histories, Tensor]:
        """As many pairs as an epoch adds, with what led to them."""
        settings = self.settings.preferences
        if settings.begin is Begin.RESET:
            self.collector.reset()
        track = _window(self.collector, self.agent.sampler(self.streams["collect"]), settings.window)
        return histories(track, settings, self.streams["labels"], self.agent.updates)

    def _collect(self, wanted: int) -> Histories:
        """Add labelled pairs to the buffer; what is returned is of the last round."""
        settings = self.settings.preferences
        if settings.query is Query.DISAGREEMENT:
            return self._collect_selected(wanted)
        count, asked = 0, 0
        while True:
            found, kept_m = self._round()
            index = kept_m.nonzero()[:, 0][: wanted - count]
            asked += found.pairs.count
            count += index.numel()
            self.buffer.add(found.pairs[index].to(torch.device("cpu")))
            if count >= wanted:
                break
            if settings.ties is Ties.DROP and count == 0 and asked >= GIVE_UP * wanted:
                self.queries += asked
                raise InputError(
                    f"{asked} pairs were shown and every one tied, so that all were dropped: use longer "
                    "segments (preferences.segment_length), or ties 'half'"
                )
        # Without ties to drop, a round may have made more pairs than are wanted: they are not shown.
        self.queries += asked if settings.ties is Ties.DROP else wanted
        return found[index]

    def _collect_selected(self, wanted: int) -> Histories:
        """Show those pairs on which the ensemble disagrees most."""
        rounds = [self._round()[0] for _ in range(ceil(CANDIDATES * wanted / self._per_round))]
        doubt = torch.cat([self.model.disagreement(found.pairs) for found in rounds])
        best = torch.argsort(doubt, descending=True, stable=True)[:wanted].sort().values
        for r, found in enumerate(rounds):
            index = best[(best // self._per_round) == r] % self._per_round
            self.buffer.add(found.pairs[index].to(torch.device("cpu")))
        self.queries += wanted
        return rounds[-1]

    @property
    def _per_round(self) -> int:
        return self.settings.preferences.pairs_per_epoch

    # The two levels.

    def _upper(self, fresh: Histories | None) -> Tensor | None:
        """c_k times the surrogate of grad_y f; None in an update that has no pairs for it."""
        pbrl = self.settings.pbrl
        c = pbrl.upper_coefficient(self.agent.updates)
        network = self.agent.network
        if pbrl.upper_pairs is UpperPairs.BUFFER:
            pairs = self.buffer.draw(pbrl.upper_batch, self.streams["upper"]).to(self.device)
            score_m = bilevel.segment_scores(network, pairs)
            return c * bilevel.upper_surrogate(self.model.losses(pairs), score_m, pbrl.baseline)
        if fresh is None:
            return None
        if fresh.version != self.agent.updates:
            raise RuntimeError("pairs of an older policy are not fresh")
        score_m = bilevel.history_scores(network, fresh, pbrl.span)
        return c * bilevel.upper_surrogate(self.model.losses(fresh.pairs), score_m, pbrl.baseline)

    def penalty_tracks(self) -> tuple[Track, Track]:
        """Trajectories of the policy and of what stands for the optimum, from starts of episodes."""
        own = self._from_start(self.own_starts, self.agent.sampler(self.streams["collect"]))
        if not self.separate:
            return own, own
        return own, self._from_start(self.hat_starts, self.companion.sampler(self.streams["hat"]))

    def _from_start(self, lanes: Lanes, policy: Policy) -> Track:
        lanes.reset()
        return _window(lanes, policy, self.settings.preferences.window)

    def _reward_epoch(self, tracks: tuple[Track, Track] | None) -> dict[str, float]:
        if tracks is None:
            found = self.model.epoch(self.buffer)
        else:
            own, companion = tracks
            pbrl, gamma = self.settings.pbrl, self.settings.a2c.gamma
            count = self.settings.reward.micro_batch * self.settings.preferences.segment_length

            def penalty(chosen: Chosen) -> Tensor:
                u_i = torch.rand(count, generator=self.streams["penalty"], dtype=torch.float64)
                p = bilevel.penalty_surrogate(chosen, own, companion, gamma, u_i=u_i.to(self.device))
                return pbrl.penalty_weight * p

            found = self.model.epoch(self.buffer, penalty)
        self.model.standardise(self.buffer)
        return found

    # Evaluation.

    def evaluate(self) -> dict[str, Any]:
        """True returns of whole episodes, played apart from training; on tables also the exact value."""
        run = self.settings.run
        seed = np.random.SeedSequence((run.seed, self.agent.updates)).generate_state(1, np.uint64)
        generator = torch.Generator(self.device).manual_seed(int(seed[0]))
        policy = self.agent.greedy if run.greedy else self.agent.sampler(generator)
        returns = true_returns(
            lambda: self._lanes("evaluation", run.episodes, self.agent.updates), policy
        )
        found: dict[str, Any] = {"return": float(np.mean(returns)), "returns": returns}
        if isinstance(self.settings.game, Tabular) and not self._another_bed:
            found["value"] = self._exact_value(self.settings.game)
        return found

    def _exact_value(self, game: Tabular) -> float:
        """V(rho) of the policy under the true reward, by a linear system: without a limit of steps."""
        with torch.no_grad():
            states = torch.arange(self.bed.states, device=self.device)[:, None]
            pi_sa = self.agent.network(states)[0].softmax(-1).cpu()
        return float(tabular.Exact.of(game).value(pi_sa, self.settings.a2c.gamma))

    # State.

    def snapshot(self) -> Snapshot:
        """Everything that what follows depends on."""
        state: Snapshot = {
            "settings": self.settings.as_dict(),
            "device": self.device.type,
            "streams": {name: stream.get_state() for name, stream in self.streams.items()},
            "agent": self.agent.snapshot(),
            "lanes": {name: lanes.snapshot() for name, lanes in self._all_lanes().items()},
            "queries": self.queries,
        }
        if self.learned:
            state["model"] = self.model.snapshot()
            state["buffer"] = self.buffer.snapshot()
        if self.separate:
            state["companion"] = self.companion.snapshot()
        return state

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a snapshot of the same settings."""
        for name, stream in self.streams.items():
            stream.set_state(state["streams"][name])
        self.agent.restore(state["agent"])
        for name, lanes in self._all_lanes().items():
            lanes.restore(state["lanes"][name])
        self.queries = state["queries"]
        if self.learned:
            self.model.restore(state["model"])
            self.buffer.restore(state["buffer"])
        if self.separate:
            self.companion.restore(state["companion"])


def _window(lanes: Lanes, policy: Policy, steps: int) -> Track:
    """So many steps of each lane, besides ghosts: before each ghost there is a step."""
    wanted = steps if lanes.same_step else 2 * steps
    return lanes.play(policy, wanted).without_ghosts(steps)
