"""Settings of an experiment: typed, frozen, read from TOML, and honest about where they come from.

Every field is one of three kinds, told by its annotation:

* *stated*: the paper gives the value (Section 6.2 or Appendix E.2);
* *open*: the paper leaves it open, or says two things; the field has a default, the reason for it, and
  what another choice changes;
* *own*: it belongs to this program, such as how often to write a checkpoint.

A TOML file names every field of every section: what is missing or unknown is an error, so that a file
is the whole description of an experiment.  :func:`open_table` prints the open ones for docs/rlhf.md,
and a test holds the two together.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast, get_args, get_type_hints

from sampled.errors import InputError

# Choices.


class Method(StrEnum):
    """What is trained."""

    A2C = "a2c"
    """On the true reward: the oracle to compare with."""
    DRLHF = "drlhf"
    """On a reward learned from preferences (Christiano et al. 2017)."""
    PBRL = "pbrl"
    """On the same, with the upper-level loss in the policy's update, and the penalty in the reward's."""


class Boundary(StrEnum):
    """What a segment does where an episode ends."""

    ACROSS = "across"
    """It goes on in the next episode."""
    PADDED = "padded"
    """It goes on in an absorbing state without reward."""
    WITHIN = "within"
    """It never meets one: only windows inside an episode are taken."""


class Begin(StrEnum):
    """Where the trajectories begin of which segments are cut."""

    RESET = "reset"
    """At the start of an episode: all that decides a segment was decided by one policy."""
    CONTINUE = "continue"
    """Where the last collection stopped: late parts of long games are seen, too."""


class Labels(StrEnum):
    """Who labels."""

    RETURN = "return"
    """The higher true return is preferred."""
    BRADLEY_TERRY = "bradley_terry"
    """Drawn from the logistic model of the true returns, with a temperature."""


class Ties(StrEnum):
    """What becomes of two equal returns."""

    HALF = "half"
    """Both labels are one half."""
    COIN = "coin"
    """One is drawn at random."""
    DROP = "drop"
    """The pair is thrown away; it has been shown, and counts as a query."""


class Query(StrEnum):
    """Which pairs are shown for a label."""

    RANDOM = "random"
    """Any."""
    DISAGREEMENT = "disagreement"
    """Those on which the members of the ensemble differ most, of ten times as many."""


class Rule(StrEnum):
    """Optimisers."""

    ADAM = "adam"
    """With the decay rates 0.9 and 0.999, PyTorch's own."""
    RMSPROP = "rmsprop"
    """With the decay rate 0.99 and without momentum (Mnih et al. 2016)."""


class StepWeights(StrEnum):
    """Weights of the steps in the policy's gradient."""

    UNIFORM = "uniform"
    """All alike, as A2C has it: no function's gradient."""
    DISCOUNTED = "discounted"
    """gamma^h after h steps of an episode: the gradient of V(rho)."""


class Ends(StrEnum):
    """What an actor-critic is told of where episodes end."""

    TOLD = "told"
    """Nothing comes after an episode that was terminated, and its last state's value if truncated."""
    HIDDEN = "hidden"
    """Nothing: what comes after an episode is the next one."""


class EntropyPlace(StrEnum):
    """Where the policy's entropy is rewarded."""

    BONUS = "bonus"
    """In each visited state alone, as A2C has it."""
    RETURNS = "returns"
    """In the rewards as well, so that later entropy counts: the regularised value (2.1)."""


class Downsampling(StrEnum):
    """How screens become smaller."""

    AREA = "area"
    """Means of the pixels that fall together."""
    LINEAR = "linear"
    """Linear interpolation between four pixels."""


class Companion(StrEnum):
    """What stands for the lower level's optimal policy."""

    CURRENT = "current"
    """The policy itself: the penalty's gradient in the reward vanishes identically."""
    SEPARATE = "separate"
    """An actor-critic of its own, trained on the learned reward."""


class CompanionStart(StrEnum):
    """Where a separate companion begins."""

    OWN = "own"
    """At a first network of its own, once: its inner steps go with each of the policy's."""
    POLICY = "policy"
    """At the policy, each time the penalty is due: then it takes the inner steps of a whole distance."""


class UpperPairs(StrEnum):
    """Pairs for the upper level's gradient in the policy."""

    FRESH = "fresh"
    """Those that this very policy has just generated, once."""
    BUFFER = "buffer"
    """Any of the buffer: their law is that of older policies, so the gradient is biased."""


class Span(StrEnum):
    """Whose actions are scored in the upper level's gradient."""

    SEGMENT = "segment"
    """Those in the segment: as if the policy did not decide where a segment begins."""
    HISTORY = "history"
    """All from the start of the trajectory to the end of the segment."""


class Baseline(StrEnum):
    """What is subtracted from a pair's loss before it multiplies the score."""

    NONE = "none"
    CHANCE = "chance"
    """log 2, the loss of a coin."""
    LEAVE_ONE_OUT = "leave_one_out"
    """The mean of the other pairs."""


class Decay(StrEnum):
    """How the coefficient of the upper level decays."""

    GEOMETRIC = "geometric"
    """Multiplied by the factor each time."""
    HARMONIC = "harmonic"
    """Divided by 1, 2, 3, ...: the factor is not used."""


# Kinds of fields: what annotates them.


@dataclass(frozen=True)
class Stated:
    """The paper gives the value: where, or in which words."""

    where: str


@dataclass(frozen=True)
class Open:
    """The paper leaves the field open: why it has its default, and what another choice changes."""

    reason: str
    changes: str


@dataclass(frozen=True)
class Own:
    """The field is this program's: what it is."""

    meaning: str


# Checks.


def _at_least(where: str, low: float, **values: float) -> None:
    for name, value in values.items():
        if not value >= low:
            raise InputError(f"{where}.{name} is {value}; it must be >= {low}")


def _above(where: str, low: float, **values: float) -> None:
    for name, value in values.items():
        if not value > low:
            raise InputError(f"{where}.{name} is {value}; it must be > {low}")


def _in_unit(where: str, **values: float) -> None:
    """In [0, 1)."""
    for name, value in values.items():
        if not 0.0 <= value < 1.0:
            raise InputError(f"{where}.{name} is {value}; it must be in [0, 1)")


# Sections.


@dataclass(frozen=True)
class Run:
    """Budget, seed and records of a run."""

    method: Annotated[Method, Own("a2c, drlhf or pbrl")] = Method.PBRL
    seed: Annotated[int, Own("of all generators")] = 0
    updates: Annotated[
        int,
        Open(
            "the text names no length; presets of E.2 take 50 million steps, those of MinAtar 2 million",
            "how far the actor-critic gets, how often the upper coefficient decays, and the cost",
        ),
    ] = 100_000
    log_every: Annotated[int, Own("updates between two lines of metrics")] = 100
    evaluate_every: Annotated[int, Own("updates between two evaluations on the true return")] = 1000
    episodes: Annotated[int, Own("episodes of an evaluation; the paper averages 5 consecutive ones")] = 5
    checkpoint_every: Annotated[int, Own("updates between two checkpoints")] = 1000
    greedy: Annotated[
        bool,
        Open(
            "Figure 2 does not say; the policy that is trained is a random one",
            "whether evaluations take the likeliest action instead of drawing one",
        ),
    ] = False

    def __post_init__(self) -> None:
        _at_least("run", 0, seed=self.seed)
        _at_least("run", 1, updates=self.updates, log_every=self.log_every)
        _at_least("run", 1, evaluate_every=self.evaluate_every, episodes=self.episodes)
        _at_least("run", 1, checkpoint_every=self.checkpoint_every)


@dataclass(frozen=True)
class Tabular:
    """A table: FrozenLake, or a random MDP with transitions in general position."""

    game: Annotated[str, Own("frozen_lake, or random_mdp")] = "frozen_lake"
    instance: Annotated[int, Own("seed of a random MDP")] = 0
    states: Annotated[int, Own("of a random MDP")] = 10
    actions: Annotated[int, Own("of a random MDP")] = 5
    max_steps: Annotated[int, Own("after which an episode is truncated")] = 100

    def __post_init__(self) -> None:
        _at_least("game", 0, instance=self.instance)
        _at_least("game", 1, states=self.states, actions=self.actions, max_steps=self.max_steps)


@dataclass(frozen=True)
class MinAtar:
    """A MinAtar game (Young and Tian 2019)."""

    game: Annotated[str, Own("asterix, breakout, freeway, seaquest or space_invaders")] = "breakout"
    sticky: Annotated[float, Own("probability to repeat the last action: MinAtar's default")] = 0.1
    ramping: Annotated[bool, Own("whether games become harder: MinAtar's default")] = True
    minimal_actions: Annotated[bool, Own("only actions that do something in this game")] = True
    max_steps: Annotated[int, Own("after which an episode is truncated; MinAtar has no limit")] = 5000

    def __post_init__(self) -> None:
        _in_unit("game", sticky=self.sticky)
        _at_least("game", 1, max_steps=self.max_steps)


@dataclass(frozen=True)
class Atari:
    """A game of the Arcade Learning Environment."""

    game: Annotated[str, Stated("Seaquest, BeamRider, MsPacman: Figure 2")] = "seaquest"
    size: Annotated[int, Stated("84 x 84 pixels")] = 84
    stack: Annotated[int, Stated("4 stacked images")] = 4
    sticky: Annotated[
        float,
        Open(
            "Gymnasium's ALE v5, the only version current when the paper appeared, repeats the last "
            "action with this probability",
            "returns are lower than with 0, and exact memorisation of openings is ruled out",
        ),
    ] = 0.25
    frame_skip: Annotated[
        int,
        Open(
            "as Mnih et al. (2016) and Christiano et al. (2017), whose settings the paper follows",
            "a segment of 25 steps lasts 25 x 4 frames, 1.7 seconds of play",
        ),
    ] = 4
    no_ops: Annotated[
        int, Open("as Mnih et al. (2016)", "at most so many idle frames at the start vary the openings")
    ] = 30
    fire_reset: Annotated[
        bool, Open("none of the three games waits for it", "whether an episode begins with FIRE")
    ] = False
    life_ends_episode: Annotated[
        bool,
        Open(
            "Figure 2 shows returns of whole episodes, and the loss of a life tells about the true task",
            "with true, the critic learns that losing a life ends all reward, and DRLHF is told more "
            "than preferences say",
        ),
    ] = False
    full_actions: Annotated[
        bool, Open("Gymnasium's default", "18 actions instead of those that the game knows")
    ] = False
    max_frames: Annotated[
        int, Open("Gymnasium's default: 30 minutes of play", "where an episode is truncated")
    ] = 108_000
    max_pool: Annotated[
        bool,
        Open(
            "as Mnih et al. (2015): some sprites are drawn in every other screen only",
            "whether a frame is the larger of the last two screens in each pixel, or the last one alone",
        ),
    ] = True
    downsampling: Annotated[
        Downsampling,
        Open("as Gymnasium's wrapper", "'linear' looks at four pixels only: thin sprites may vanish"),
    ] = Downsampling.AREA
    hide_score: Annotated[
        bool,
        Open(
            "E.2 describes the images and mentions nothing that is hidden in them",
            "with true, the score is black to policy and predictor, as in Christiano et al. (2017), "
            "and in beam_rider the number of enemies, too: a predictor cannot read the true reward off "
            "the screen",
        ),
    ] = False

    def __post_init__(self) -> None:
        _at_least("game", 1, size=self.size, stack=self.stack, frame_skip=self.frame_skip)
        _at_least("game", 1, max_frames=self.max_frames)
        _at_least("game", 0, no_ops=self.no_ops)
        _in_unit("game", sticky=self.sticky)


@dataclass(frozen=True)
class A2c:
    """Advantage actor-critic, synchronous (Mnih et al. 2016)."""

    learning_rate: Annotated[float, Stated("0.0003; 7e-5 for BeamRider")] = 3e-4
    entropy: Annotated[float, Stated("entropy coefficient 0.01")] = 0.01
    workers: Annotated[
        int,
        Open(
            "'actor-critic batch size 16' is read as 16 copies of the game, as in Mnih et al. (2016)",
            "with 16 transitions instead, an update would see 5 times less; the axis of Figure 2, "
            "steps per worker, is environment steps / workers",
        ),
    ] = 16
    steps: Annotated[
        int,
        Open(
            "the length of a rollout in Mnih et al. (2016)",
            "the horizon of the returns before the critic takes over, and the size of an update",
        ),
    ] = 5
    gamma: Annotated[
        float,
        Open(
            "as Mnih et al. (2016); the paper names no discount for Atari",
            "the horizon of the lower level, and of the penalty's gradient",
        ),
    ] = 0.99
    trace: Annotated[
        float,
        Open(
            "n-step returns, as Mnih et al. (2016)",
            "lambda of generalised advantage estimation: less variance and more of the critic's bias "
            "below 1",
        ),
    ] = 1.0
    value_weight: Annotated[
        float, Open("as Mnih et al. (2016)", "weight of the critic's loss on the shared layers")
    ] = 0.5
    max_gradient_norm: Annotated[
        float,
        Open("the usual value for A2C", "gradients are scaled down to it; the upper level's with them"),
    ] = 0.5
    optimizer: Annotated[
        Rule,
        Open(
            "0.0003 is a customary rate of Adam and none of RMSProp, which Mnih et al. used at 0.0007",
            "the effective step; both are invariant to the scale of the objective, so that only the "
            "ratio of the upper coefficient to the value matters",
        ),
    ] = Rule.ADAM
    epsilon: Annotated[
        float, Open("the usual value for A2C", "added to the root of the optimiser's second moment")
    ] = 1e-5
    step_weights: Annotated[
        StepWeights,
        Open(
            "A2C as it is practised",
            "'discounted' makes the expected update the gradient of V(rho), which the theory is about;"
            " late steps then count for nothing",
        ),
    ] = StepWeights.UNIFORM
    entropy_place: Annotated[
        EntropyPlace,
        Open(
            "A2C as it is practised",
            "'returns' makes the expected update the gradient of the value (2.1) with tau the "
            "coefficient",
        ),
    ] = EntropyPlace.BONUS
    ends: Annotated[
        Ends,
        Open(
            "as Mnih et al. (2016), whose algorithm E.2 takes, and in the theory's episodes",
            "with 'hidden', as in Christiano et al. (2017), returns run on into the next episode: that "
            "it is bad to die, say labels alone",
        ),
    ] = Ends.TOLD
    anneal_updates: Annotated[
        int,
        Open(
            "the paper gives one rate; Mnih et al. (2016) let it fall to zero over a run",
            "updates over which the rate falls linearly to zero; 0 keeps it constant",
        ),
    ] = 0
    clip_rewards: Annotated[
        bool,
        Open(
            "Figure 2 shows true returns, and that is what the oracle should maximise",
            "with true, A2C on the true reward has it clipped to [-1, 1], as Mnih et al. (2016); "
            "labels, learned rewards and evaluations are never clipped",
        ),
    ] = False

    def __post_init__(self) -> None:
        _above("a2c", 0, learning_rate=self.learning_rate, epsilon=self.epsilon)
        _above("a2c", 0, max_gradient_norm=self.max_gradient_norm)
        _at_least("a2c", 0, entropy=self.entropy, value_weight=self.value_weight)
        _at_least("a2c", 1, workers=self.workers, steps=self.steps)
        _at_least("a2c", 0, anneal_updates=self.anneal_updates)
        _in_unit("a2c", gamma=self.gamma)
        if self.ends is Ends.HIDDEN and self.step_weights is StepWeights.DISCOUNTED:
            raise InputError(
                "a2c.ends is 'hidden' and a2c.step_weights 'discounted': V(rho), whose gradient those "
                "weights make, is of episodes that end; use ends 'told', or step_weights 'uniform'"
            )
        if not 0.0 <= self.trace <= 1.0:
            raise InputError(f"a2c.trace is {self.trace}; it must be in [0, 1]")


@dataclass(frozen=True)
class Preferences:
    """Segments, labels and the buffer."""

    segment_length: Annotated[int, Stated("trajectories of 25 time steps")] = 25
    initial_pairs: Annotated[int, Stated("576 pairs at the start of training")] = 576
    pairs_per_epoch: Annotated[int, Stated("16 new pairs per reward learning epoch")] = 16
    capacity: Annotated[int, Stated("only the last 3000 pairs are kept")] = 3000
    labels: Annotated[Labels, Stated("whichever has the highest ground truth reward (6.2)")] = (
        Labels.RETURN
    )
    temperature: Annotated[float, Own("of Bradley-Terry labels; not used by labels by return")] = 1.0
    noise: Annotated[
        float,
        Open(
            "the paper's labels are the true returns' own",
            "the probability that a label is swapped; Christiano et al. assume 0.1 of human ones",
        ),
    ] = 0.0
    ties: Annotated[
        Ties,
        Open(
            "no information is invented: an undecided pair says that the two are alike",
            "under a random policy most Atari pairs tie: 'coin' teaches noise, 'drop' teaches from few"
            " pairs",
        ),
    ] = Ties.HALF
    tie_tolerance: Annotated[
        float, Own("returns this close tie: the order of a sum rounds differently in floating point")
    ] = 1e-9
    end_penalty: Annotated[
        float,
        Open(
            "(6.2) labels by the game's reward alone",
            "what labels subtract from a segment's return for each episode that is terminated in it; "
            "Christiano et al. (2017) subtract an amount that they do not name",
        ),
    ] = 0.0
    boundary: Annotated[
        Boundary,
        Open(
            "Christiano et al. (2017) hide where episodes end, since their ends tell about the task",
            "'padded' is the absorbing state of the theory; 'within' never shows an end, and selects "
            "segments by what the score does not see",
        ),
    ] = Boundary.ACROSS
    begin: Annotated[
        Begin,
        Open(
            "late parts of long games are compared, too",
            "'reset' is the law of the theory, (2.5): the score then covers all that the policy decided",
        ),
    ] = Begin.CONTINUE
    window: Annotated[
        int,
        Open(
            "the policy acts so many steps for a segment, whose place in them is drawn uniformly, in "
            "lanes of their own: the steps of Figure 2's axis are those of policy optimization",
            "a longer one reaches further into an episode, costs more steps, and widens the score's "
            "variance",
        ),
    ] = 100
    query: Annotated[
        Query,
        Open(
            "the paper names no selection; Christiano et al. select by disagreement",
            "'disagreement' needs an ensemble, and changes the law of pairs: no on-policy gradient then",
        ),
    ] = Query.RANDOM

    def __post_init__(self) -> None:
        _at_least("preferences", 1, segment_length=self.segment_length, capacity=self.capacity)
        _at_least("preferences", 1, initial_pairs=self.initial_pairs)
        _at_least("preferences", 1, pairs_per_epoch=self.pairs_per_epoch)
        _at_least("preferences", 0, tie_tolerance=self.tie_tolerance, end_penalty=self.end_penalty)
        _above("preferences", 0, temperature=self.temperature)
        if not 0.0 <= self.noise <= 0.5:
            raise InputError(
                f"preferences.noise is {self.noise}; it must be in [0, 1/2]: beyond, labels say the "
                "opposite"
            )
        if self.window < self.segment_length:
            raise InputError(
                f"preferences.window is {self.window}, shorter than segment_length, "
                f"{self.segment_length}: no segment fits; widen the window or shorten the segments"
            )
        if self.initial_pairs > self.capacity:
            raise InputError(
                f"preferences.initial_pairs is {self.initial_pairs}, more than the capacity of "
                f"{self.capacity}: the first ones would be lost before they are used"
            )


@dataclass(frozen=True)
class Reward:
    """The reward predictor and its training."""

    learning_rate: Annotated[float, Stated("0.0003")] = 3e-4
    batch_size: Annotated[int, Stated("reward predictor batch size 64; read as pairs")] = 64
    warmup_epochs: Annotated[int, Stated("500 epochs on the first pairs")] = 500
    dropout: Annotated[float, Stated("probability 0.5 between fully connected layers")] = 0.5
    epoch_every: Annotated[
        int,
        Open(
            "E.2 says 300 A2C updates, and 500 actor-critic gradient steps further down; 300 stands "
            "with the description of the method",
            "at 500 there are 40 % fewer labels over a run, and the reward follows the policy more "
            "slowly",
        ),
    ] = 300
    dropout_when_scoring: Annotated[
        bool,
        Open(
            "a reward that varies from call to call is no reward function",
            "with true, rewards and the upper level's losses are those of a random subnetwork",
        ),
    ] = False
    optimizer: Annotated[
        Rule,
        Open(
            "as Christiano et al. (2017)",
            "the effective step of the predictor, whose gradients are not clipped",
        ),
    ] = Rule.ADAM
    epsilon: Annotated[
        float, Open("Adam's default", "added to the root of the optimiser's second moment")
    ] = 1e-8
    standardize: Annotated[
        bool,
        Open(
            "Christiano et al. (2017): preferences do not tell the reward's offset, and hardly its "
            "scale",
            "without it the offset of the initial network decides whether long episodes pay",
        ),
    ] = True
    spread: Annotated[
        float,
        Open(
            "the standard deviation to which Christiano et al. (2017) scale rewards on Atari",
            "relative to the entropy coefficient, how greedy the policy is; not used unless "
            "standardised",
        ),
    ] = 0.05
    members: Annotated[
        int,
        Open(
            "the paper describes one network",
            "Christiano et al. (2017) average the standardised members of an ensemble, each trained on"
            " its own resampled pairs",
        ),
    ] = 1
    validation: Annotated[
        float,
        Open(
            "the paper holds nothing out",
            "the share of pairs held out from each member, 1/e in Christiano et al. (2017), by which "
            "the weight of the squared parameters is adapted",
        ),
    ] = 0.0
    weight_decay: Annotated[
        float,
        Open(
            "the paper regularises by dropout alone",
            "coefficient of the squared parameters at the start; constant without a validation share",
        ),
    ] = 0.0
    uniform_labels: Annotated[
        float,
        Open(
            "(2.5) is the plain Bradley-Terry model",
            "the share of labels that the predictor takes for coin tosses, 0.1 in Christiano et al. "
            "(2017)",
        ),
    ] = 0.0
    micro_batch: Annotated[int, Own("pairs that pass the network at once; less needs less memory")] = 64

    def __post_init__(self) -> None:
        _above("reward", 0, learning_rate=self.learning_rate, spread=self.spread, epsilon=self.epsilon)
        _at_least("reward", 1, batch_size=self.batch_size, epoch_every=self.epoch_every)
        _at_least("reward", 1, members=self.members, micro_batch=self.micro_batch)
        _at_least("reward", 0, warmup_epochs=self.warmup_epochs, weight_decay=self.weight_decay)
        _in_unit("reward", dropout=self.dropout, validation=self.validation)
        _in_unit("reward", uniform_labels=self.uniform_labels)


@dataclass(frozen=True)
class Pbrl:
    """What PBRL adds to DRLHF."""

    upper_weight: Annotated[float, Stated("initial upper-level loss coefficient 0.001")] = 1e-3
    decay_every: Annotated[int, Stated("which decays every 3000 actor-critic gradient steps")] = 3000
    decay: Annotated[
        Decay,
        Open(
            "the paper says that it decays, not how",
            "how fast the penalty comes to dominate; Lemma 1 asks for a penalty that grows without "
            "bound",
        ),
    ] = Decay.GEOMETRIC
    decay_factor: Annotated[
        float,
        Open(
            "after 10^5 updates 3 % of the coefficient are left",
            "smaller ones turn PBRL into DRLHF sooner",
        ),
    ] = 0.9
    companion: Annotated[
        Companion,
        Open(
            "E.2 names no second policy, and reports one actor-critic",
            "'separate' is Algorithm 1's approximate optimum, at the cost of its environment steps",
        ),
    ] = Companion.CURRENT
    penalty_gradient: Annotated[
        bool,
        Open(
            "E.2 trains the predictor on labelled pairs and mentions nothing else",
            "whether grad_x p of Lemma 7 (a) takes part in the predictor's update; with companion "
            "'current' it is identically zero",
        ),
    ] = False
    penalty_weight: Annotated[
        float,
        Open(
            "1 / upper_weight, the lambda of (3.1) at the start; tables and two MinAtar games have a "
            "measured one instead",
            "the weight of the penalty beside the preference loss in the predictor's update",
        ),
    ] = 1000.0
    companion_start: Annotated[
        CompanionStart,
        Open(
            "so the companion is ahead of the policy by its inner steps, as Assumption 3 needs",
            "with 'own', as many steps from elsewhere make a twin of the policy, better or worse by "
            "chance: grad_x p is then noise",
        ),
    ] = CompanionStart.POLICY
    inner_steps: Annotated[
        int,
        Open(
            "T = 1 in Appendix E.1 for the value penalty",
            "updates of the companion for each one of the policy: the accuracy of Assumption 3",
        ),
    ] = 1
    penalty_lanes: Annotated[
        int,
        Open(
            "as many trajectories as 16 new pairs have segments",
            "the variance of the penalty's gradient, and its cost in environment steps",
        ),
    ] = 32
    upper_pairs: Annotated[
        UpperPairs,
        Open(
            "the coefficient belongs to every actor-critic step, and new pairs come once in 300",
            "'fresh' is on-policy and takes part in one update per reward epoch",
        ),
    ] = UpperPairs.BUFFER
    upper_batch: Annotated[
        int,
        Open(
            "as the actor-critic's batch; each pair costs 50 states more in an update of 80",
            "the variance of the score term and the time of an update; fresh pairs are taken as they "
            "come",
        ),
    ] = 16
    baseline: Annotated[
        Baseline,
        Open(
            "independent pairs allow it without bias",
            "the variance of the score term; with 'none' each segment's actions are discouraged on "
            "average, since the loss is positive",
        ),
    ] = Baseline.LEAVE_ONE_OUT
    span: Annotated[
        Span,
        Open(
            "E.2 stores segments only",
            "'history' is the gradient of (2.5): the policy also decides where a segment begins",
        ),
    ] = Span.SEGMENT

    def __post_init__(self) -> None:
        _at_least("pbrl", 0, upper_weight=self.upper_weight, penalty_weight=self.penalty_weight)
        _at_least("pbrl", 1, decay_every=self.decay_every, inner_steps=self.inner_steps)
        _at_least("pbrl", 1, penalty_lanes=self.penalty_lanes, upper_batch=self.upper_batch)
        if not 0.0 < self.decay_factor <= 1.0:
            raise InputError(f"pbrl.decay_factor is {self.decay_factor}; it must be in (0, 1]")
        if self.span is Span.HISTORY and self.upper_pairs is UpperPairs.BUFFER:
            raise InputError(
                "pbrl.span is 'history' and pbrl.upper_pairs 'buffer', which keeps segments only: use "
                "'fresh' pairs, or span 'segment'"
            )
        if self.companion is Companion.SEPARATE and not self.penalty_gradient:
            raise InputError(
                "pbrl.companion is 'separate' and pbrl.penalty_gradient false: the companion would be "
                "trained for nothing; use companion 'current' or set penalty_gradient = true"
            )

    def upper_coefficient(self, update: int) -> float:
        """Coefficient of the upper level's loss in a given update, numbered from 0."""
        times = update // self.decay_every
        if self.decay is Decay.HARMONIC:
            return self.upper_weight / (1 + times)
        return float(self.upper_weight * self.decay_factor**times)


class Architecture(StrEnum):
    """Networks; see :mod:`sampled.rlhf.networks`."""

    TABLE = "table"
    MLP = "mlp"
    MINATAR = "minatar"
    ATARI = "atari"


@dataclass(frozen=True)
class Networks:
    """Networks of actor-critic and reward predictor."""

    architecture: Annotated[Architecture, Stated("the two networks of E.2, layer by layer")] = (
        Architecture.ATARI
    )
    hidden: Annotated[int, Own("width of hidden layers of 'mlp'; the others have their own")] = 64
    pixel_scale: Annotated[
        float,
        Open(
            "pixels are brought to [0, 1]; the paper does not say",
            "by what the pixels of 'atari' are divided",
        ),
    ] = 255.0
    channels_last: Annotated[bool, Own("memory layout of images: which one is faster is measured")] = (
        True
    )
    orthogonal: Annotated[
        bool,
        Open(
            "the usual choice for A2C; the paper names none",
            "how the networks begin: orthogonal with gain sqrt 2, or PyTorch's default",
        ),
    ] = True
    padding: Annotated[
        bool,
        Open(
            "E.2 gives sizes and strides alone, as Mnih et al. (2015), whose layers have none",
            "with true, each convolution sees zeros half its size beyond the border: the last maps of "
            "'atari' have 13 x 13 cells of the actor-critic in place of 2 x 2, and 14 x 14 of the "
            "predictor in place of 7 x 7",
        ),
    ] = False

    def __post_init__(self) -> None:
        _at_least("networks", 1, hidden=self.hidden)
        _above("networks", 0, pixel_scale=self.pixel_scale)


Game = Tabular | MinAtar | Atari
TESTBEDS: Mapping[str, type[Tabular] | type[MinAtar] | type[Atari]] = {
    "tabular": Tabular,
    "minatar": MinAtar,
    "atari": Atari,
}


@dataclass(frozen=True)
class Settings:
    """A whole experiment."""

    run: Run
    game: Game
    networks: Networks
    a2c: A2c
    preferences: Preferences
    reward: Reward
    pbrl: Pbrl

    def __post_init__(self) -> None:
        if self.run.method is not Method.PBRL:
            return
        if self.a2c.ends is Ends.HIDDEN and self.pbrl.penalty_gradient:
            raise InputError(
                "a2c.ends is 'hidden' and pbrl.penalty_gradient true: the policy's value would run over "
                "the ends of episodes, and the penalty's stop there; use ends 'told'"
            )
        if self.pbrl.upper_pairs is not UpperPairs.FRESH:
            return
        if self.preferences.query is not Query.RANDOM:
            raise InputError(
                "preferences.query is 'disagreement' and pbrl.upper_pairs 'fresh': selected pairs do "
                "not "
                "have the policy's law; use query 'random'"
            )
        if self.preferences.ties is Ties.DROP:
            raise InputError(
                "preferences.ties is 'drop' and pbrl.upper_pairs 'fresh': what is left does not have "
                "the "
                "policy's law; use ties 'half'"
            )

    @property
    def testbed(self) -> str:
        """Name of the kind of game."""
        return next(name for name, kind in TESTBEDS.items() if isinstance(self.game, kind))

    def as_dict(self) -> dict[str, dict[str, Any]]:
        """Return plain values, as TOML has them."""
        plain = asdict(self)
        plain["game"] = {"testbed": self.testbed, **plain["game"]}
        return {
            section: {
                name: value.value if isinstance(value, StrEnum) else value
                for name, value in values.items()
            }
            for section, values in plain.items()
        }


def as_printed(settings: Settings) -> Settings:
    """PBRL as Appendix E.2 reads.

    Pairs of the buffer, their segments scored, no penalty in the reward's update.
    """
    changed = replace(
        settings.pbrl,
        companion=Companion.CURRENT,
        penalty_gradient=False,
        upper_pairs=UpperPairs.BUFFER,
        span=Span.SEGMENT,
    )
    return replace(settings, run=replace(settings.run, method=Method.PBRL), pbrl=changed)


def as_derived(settings: Settings) -> Settings:
    """PBRL as (2.5) and Lemma 7 (a) derive.

    Fresh pairs from the starts of episodes, all that led to them scored, a separate companion, and the
    penalty's gradient in the reward's update.
    """
    changed = replace(
        settings.pbrl,
        companion=Companion.SEPARATE,
        penalty_gradient=True,
        upper_pairs=UpperPairs.FRESH,
        span=Span.HISTORY,
    )
    preferences = replace(settings.preferences, begin=Begin.RESET)
    if preferences.boundary is Boundary.WITHIN:
        preferences = replace(preferences, boundary=Boundary.ACROSS)
    run = replace(settings.run, method=Method.PBRL)
    return replace(settings, run=run, pbrl=changed, preferences=preferences)


# Reading.

T = TypeVar("T")


def _read(kind: type[T], where: str, given: object) -> T:
    """Make a section of a table, refusing what is missing, unknown or of another type."""
    if not isinstance(given, Mapping):
        raise InputError(f"{where} is {given!r}; it must be a table, [{where}]")
    hints = get_type_hints(kind)
    known = {f.name: f for f in fields(cast(Any, kind))}
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise InputError(
            f"[{where}] has the unknown key {unknown[0]!r}; its keys are {', '.join(known)}"
        )
    missing = [name for name in known if name not in given]
    if missing:
        default = known[missing[0]].default
        raise InputError(
            f"[{where}] lacks {missing[0]!r}; a file names every key: add {missing[0]} = "
            f"{_spelled(default)}, the default"
        )
    return kind(**{name: _value(f"{where}.{name}", hints[name], given[name]) for name in known})


def _spelled(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _value(where: str, kind: Any, given: object) -> object:
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        choices = [choice.value for choice in kind]
        if given not in choices:
            raise InputError(f"{where} is {given!r}; it must be one of {', '.join(choices)}")
        return kind(given)
    if kind is float and isinstance(given, int) and not isinstance(given, bool):
        return float(given)
    if not isinstance(given, kind) or (isinstance(given, bool) and kind is not bool):
        raise InputError(f"{where} is {given!r}; it must be of type {kind.__name__}")
    return given


def from_dict(given: Mapping[str, Any]) -> Settings:
    """Make settings of the tables of a TOML file.

    Raises
    ------
    InputError
        If a section or key is missing or unknown, a value has another type or is out of range, or two
        choices contradict each other.
    """
    hints = get_type_hints(Settings)
    unknown = sorted(set(given) - set(hints))
    if unknown:
        raise InputError(f"unknown section [{unknown[0]}]; the sections are {', '.join(hints)}")
    missing = [name for name in hints if name not in given]
    if missing:
        raise InputError(f"the section [{missing[0]}] is missing; there must be {', '.join(hints)}")
    sections: dict[str, Any] = {}
    for name, kind in hints.items():
        table = given[name]
        if name == "game":
            table, kind = _game(table)  # noqa: PLW2901 - which class it is stands in the table
        sections[name] = _read(kind, name, table)
    return Settings(**sections)


def _game(table: object) -> tuple[dict[str, Any], Any]:
    if not isinstance(table, Mapping) or "testbed" not in table:
        raise InputError(
            f"[game] lacks 'testbed'; add testbed = \"minatar\" or another of {[*TESTBEDS]}"
        )
    rest = {name: value for name, value in table.items() if name != "testbed"}
    if table["testbed"] not in TESTBEDS:
        raise InputError(
            f"game.testbed is {table['testbed']!r}; it must be one of {', '.join(TESTBEDS)}"
        )
    return rest, TESTBEDS[table["testbed"]]


def load(path: str | Path) -> Settings:
    """Read settings from a TOML file.

    Raises
    ------
    InputError
        If the file cannot be read or is no TOML, or as :func:`from_dict`; the message begins with the
        path.
    """
    try:
        return from_dict(tomllib.loads(Path(path).read_text(encoding="utf-8")))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is no TOML: {error}") from None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def presets() -> tuple[str, ...]:
    """Names of the files that come with the package."""
    folder = files("sampled.rlhf") / "presets"
    return tuple(
        sorted(p.name.removesuffix(".toml") for p in folder.iterdir() if p.name.endswith(".toml"))
    )


def preset(name: str) -> Settings:
    """Read settings that come with the package.

    Raises
    ------
    InputError
        If there are none of this name.
    """
    if name not in presets():
        raise InputError(f"there is no preset {name!r}; there are {', '.join(presets())}")
    text = (files("sampled.rlhf") / "presets" / f"{name}.toml").read_text(encoding="utf-8")
    return from_dict(tomllib.loads(text))


# Writing.


def to_toml(settings: Settings) -> str:
    """Write settings as a TOML file that :func:`load` reads back."""
    lines = []
    for section, values in settings.as_dict().items():
        lines += [f"[{section}]", *(f"{name} = {_spelled(v)}" for name, v in values.items()), ""]
    return "\n".join(lines)


def kinds(mark: type[Stated] | type[Open] | type[Own]) -> Iterator[tuple[str, str, Any]]:
    """Name, default as TOML and mark of each field that bears one of this kind."""
    for section, section_kind in get_type_hints(Settings).items():
        for kind in get_args(section_kind) or (section_kind,):
            hints = get_type_hints(kind, include_extras=True)
            for f in fields(kind):
                (found,) = get_args(hints[f.name])[1:]
                if isinstance(found, mark):
                    yield f"{section}.{f.name}", _spelled(f.default), found


def open_table() -> str:
    """All open fields as a Markdown table: name, default, reason, and what another choice changes."""
    rows = ["| Field | Default | Why | What another choice changes |", "|---|---|---|---|"]
    rows += [f"| `{name}` | `{value}` | {o.reason} | {o.changes} |" for name, value, o in kinds(Open)]
    return "\n".join(rows)


def stated_table() -> str:
    """All fields that the paper gives, as a Markdown table."""
    rows = ["| Field | Value | In the paper |", "|---|---|---|"]
    rows += [f"| `{name}` | `{value}` | {s.where} |" for name, value, s in kinds(Stated)]
    return "\n".join(rows)
