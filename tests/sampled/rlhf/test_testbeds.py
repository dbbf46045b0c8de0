"""Testbeds: the games themselves, told through the same steps as their own interfaces."""

import sys
from typing import Any

import numpy as np
import pytest
import torch

from sampled.errors import InputError
from sampled.rlhf import experiment
from sampled.rlhf.lanes import Game, Lanes
from sampled.rlhf.settings import Atari, Downsampling, MinAtar, Tabular
from sampled.rlhf.testbeds import atari, minatar, tabular
from sampled.rlhf.testbeds.contract import Copies, plain, unplain
from tests.sampled.rlhf.games import zeros
from tests.sampled.statistics import LEVEL, binomial_p_value

CPU = torch.device("cpu")


def actions(count: int, lanes: int, steps: int) -> list[np.ndarray[Any, np.dtype[np.int64]]]:
    return list(np.random.default_rng(3).integers(count, size=(steps, lanes)))


def same_story(first: Game, second: Game, played: list[Any]) -> None:
    for some in played:
        one, other = first.step(some), second.step(some)
        for a, b in zip(one[:4], other[:4], strict=True):
            np.testing.assert_array_equal(a, b)


# MinAtar.


@pytest.mark.parametrize("game", minatar.GAMES)
def test_minatar_is_the_game_itself(game: str) -> None:
    """Frames, rewards and ends against the package's own interface, with the same seeds."""
    from minatar import Environment  # type: ignore[import-untyped] # it has no types

    settings = MinAtar(game=game, max_steps=25)
    bed = minatar.testbed(settings)
    lanes = bed.make(2)
    frames, _ = lanes.reset(seed=5)
    words = np.random.SeedSequence(5).generate_state(2).tolist()
    envs = [Environment(game) for _ in words]
    for env, word in zip(envs, words, strict=True):
        env.seed(word)
        env.reset()
    codes = envs[0].minimal_action_set()
    assert bed.actions == len(codes)
    assert frames.shape == (2, *bed.frame)
    elapsed, limits = [0, 0], 0
    for some in actions(bed.actions, 2, 400):
        shown, reward, terminated, truncated, infos = lanes.step(some)
        for n, env in enumerate(envs):
            wanted, ended = env.act(codes[some[n]])
            elapsed[n] += 1
            assert (reward[n], terminated[n]) == (wanted, ended)
            assert truncated[n] == (not ended and elapsed[n] == 25)
            limits += int(truncated[n])
            if ended or truncated[n]:
                last = env.state().transpose(2, 0, 1)
                np.testing.assert_array_equal(infos["final_obs"][n], last)
                env.reset()
                env.last_action = 0
                elapsed[n] = 0
            np.testing.assert_array_equal(shown[n], env.state().transpose(2, 0, 1))
    assert shown.dtype == np.uint8
    assert limits > 0


@pytest.mark.parametrize("game", minatar.GAMES)
def test_minatar_goes_on_from_a_snapshot(game: str) -> None:
    """Another object, seeded otherwise, goes on as the first does; snapshots survive being saved."""
    bed = minatar.testbed(MinAtar(game=game, max_steps=60))
    first, second = bed.make(3), bed.make(3)
    first.reset(seed=1)
    second.reset(seed=2)
    for some in actions(bed.actions, 3, 70):
        first.step(some)
    second.restore(first.snapshot())
    same_story(first, second, actions(bed.actions, 3, 150))


def test_minatar_with_all_actions() -> None:
    assert minatar.testbed(MinAtar(minimal_actions=False)).actions == 6
    assert minatar.testbed(MinAtar()).actions == 3


def test_plain_values_come_back() -> None:
    given = {
        "a": np.arange(6.0).reshape(2, 3),
        "b": [None, (1, np.float64(2.5)), [True, np.bool_(False)]],
        3: "text",
        "c": np.int64(7),
    }
    found = unplain(plain(given))
    np.testing.assert_array_equal(found["a"], given["a"])
    assert found["a"].dtype == np.float64
    assert found["b"] == [None, (1, 2.5), [True, False]]
    assert found[3] == "text"
    assert found["c"] == 7
    with pytest.raises(TypeError, match="holds a set, which is no plain value"):
        plain({"a": {1, 2}})


# Tables.


@pytest.mark.parametrize("game", tabular.GAMES)
def test_tables_go_on_from_a_snapshot(game: str) -> None:
    bed = tabular.testbed(Tabular(game=game, max_steps=9))
    first, second = bed.make(4), bed.make(4)
    first.reset(seed=1)
    second.reset(seed=2)
    for some in actions(bed.actions, 4, 13):
        first.step(some)
    second.restore(first.snapshot())
    same_story(first, second, actions(bed.actions, 4, 40))


def test_the_exact_value_is_what_episodes_earn() -> None:
    """FrozenLake at a random policy, by discounted returns of many episodes."""
    settings = Tabular(max_steps=1000)
    bed, gamma = tabular.testbed(settings), 0.9
    exact = tabular.Exact.of(settings)
    pi = torch.tensor([0.1, 0.4, 0.3, 0.2], dtype=torch.float64).expand(bed.states, -1)
    g = torch.Generator().manual_seed(0)
    lanes = Lanes(bed.make(4000), 1, 0, CPU)
    track = lanes.play(lambda s: torch.multinomial(pi[s[:, 0]], 1, generator=g)[:, 0], 150)
    paid = (track.true_nh * track.first_nh * gamma ** track.age_nh[:, :-1].double()).sum(1)
    error = float(paid.std()) / 4000**0.5
    assert float(paid.mean()) == pytest.approx(float(exact.value(pi, gamma)), abs=5 * error)
    other = torch.ones_like(exact.r_sa)
    lasted = (track.first_nh * gamma ** track.age_nh[:, :-1].double()).sum(1)
    tail = gamma**150 / (1 - gamma)
    error = 5 * float(lasted.std()) / 4000**0.5 + tail
    assert float(lasted.mean()) == pytest.approx(float(exact.value(pi, gamma, other)), abs=error)
    entropic = float(exact.value(pi, gamma, 0.0 * other, tau=2.0))
    entropy = float(torch.special.entr(pi[0]).sum())
    assert entropic == pytest.approx(2.0 * entropy * float(exact.value(pi, gamma, other)), rel=1e-12)


# Atari.

GAMES = ("seaquest", "beam_rider", "ms_pacman")


def raw(**changed: Any) -> Atari:
    """Nothing random: what the emulator shows follows from the actions."""
    values: dict[str, Any] = {"sticky": 0.0, "no_ops": 0, **changed}
    return Atari(**values)


@pytest.mark.parametrize("game", GAMES)
def test_frames_and_rewards_are_those_of_the_emulators_own_vector(game: str) -> None:
    """Its defaults clip rewards; they are turned off here, and stickiness too, in both."""
    from ale_py import AtariVectorEnv

    bed = atari.testbed(raw(game=game))
    lanes = bed.make(1)
    other = AtariVectorEnv(
        game,
        1,
        stack_num=1,
        noop_max=0,
        use_fire_reset=False,
        reward_clipping=False,
        repeat_action_probability=0.0,
    )
    assert bed.actions == len(other.ale.get_action_set())
    frames, _ = lanes.reset(seed=0)
    shown, _ = other.reset(seed=0)
    np.testing.assert_array_equal(frames, shown)
    earned = []
    for some in actions(bed.actions, 1, 150):
        one, two = lanes.step(some), other.step(some)
        np.testing.assert_array_equal(one[0], two[0])
        assert one[1] == two[1]
        earned.append(float(one[1][0]))
    if game != "beam_rider":  # who acts at random hits nothing so soon
        assert max(earned) > 1.0  # more than a clipped reward
    other.close()


def test_the_defaults_that_differ() -> None:
    """Sticky as Gymnasium's v5, not as the vector; rewards unclipped; episodes of all lives."""
    settings = Atari()
    assert (settings.sticky, settings.frame_skip, settings.no_ops) == (0.25, 4, 30)
    assert (settings.life_ends_episode, settings.fire_reset, settings.full_actions) == (False,) * 3
    copy, every = atari.AtariCopy(settings), atari.AtariCopy(Atari(full_actions=True))
    for some in (copy, every):
        some.seed(0)
    assert copy._ale.getFloat("repeat_action_probability") == 0.0  # the copy itself repeats actions
    assert copy._ale.getInt("max_num_frames_per_episode") == 108_000
    assert len(every.actions) == 18


class Heard:
    """An emulator, and the actions that it was given."""

    def __init__(self, ale: Any) -> None:
        self._ale = ale
        self.codes: list[int] = []

    def act(self, code: int) -> int:
        self.codes.append(code)
        return int(self._ale.act(code))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ale, name)


def test_the_last_action_sticks_frame_by_frame() -> None:
    """What is repeated is what was done, not what was asked for; an episode begins with none."""
    copy = atari.AtariCopy(Atari(no_ops=0, max_frames=4000))
    copy.seed(3)
    copy.reset()
    heard = copy._ale = Heard(copy._ale)
    last, stuck, told = 0, 0, 0
    for (some,) in actions(len(copy.actions), 1, 1200):
        heard.codes.clear()
        asked = copy.actions[some]
        _, _, terminated, truncated = copy.step(int(some))
        for code in heard.codes:
            assert code in {asked, last}
            if asked != last:
                told, stuck = told + 1, stuck + (code == last)
            last = code
        if terminated or truncated:
            copy.reset()
            last = 0
    assert told > 1200
    assert binomial_p_value(stuck, told, 0.25) > LEVEL


@pytest.mark.parametrize("game", GAMES)
def test_sticky_actions_go_on_from_every_snapshot(game: str) -> None:
    """Once the game obeys: the memory of both emulators is the same after each step."""
    first, second = (atari.AtariCopy(Atari(game=game)) for _ in range(2))
    for seed, copy in enumerate((first, second)):
        copy.seed(seed)
        copy.reset()
    for k, (some,) in enumerate(actions(len(first.actions), 1, 250)):
        second.restore(first.snapshot())
        one, other = first.step(int(some)), second.step(int(some))
        np.testing.assert_array_equal(one[0], other[0])
        assert one[1:] == other[1:]
        np.testing.assert_array_equal(first._ale.getRAM(), second._ale.getRAM(), err_msg=f"step {k}")
        second.step((int(some) + 1) % len(first.actions))  # its last action is another one


@pytest.mark.parametrize("game", GAMES)
def test_the_emulator_goes_on_from_a_snapshot(game: str) -> None:
    """With stickiness and idle starts, across a truncation."""
    bed = atari.testbed(Atari(game=game, max_frames=160, no_ops=9))
    first, second = bed.make(2), bed.make(2)
    first.reset(seed=1)
    second.reset(seed=2)
    for some in actions(bed.actions, 2, 25):
        first.step(some)
    second.restore(first.snapshot())
    same_story(first, second, actions(bed.actions, 2, 90))


def test_every_snapshot_of_the_emulator_is_whole() -> None:
    """Also where a limit of frames cuts a step short, so that older screens are seen."""
    bed = atari.testbed(Atari(max_frames=57, no_ops=9))
    first, second = bed.make(3), bed.make(3)
    first.reset(seed=1)
    cut = 0
    for some in actions(bed.actions, 3, 40):
        second.restore(first.snapshot())
        one, other = first.step(some), second.step(some)
        for a, b in zip(one[:4], other[:4], strict=True):
            np.testing.assert_array_equal(a, b)
        for n in np.flatnonzero(one[3]):
            cut += 1
            np.testing.assert_array_equal(one[4]["final_obs"][n], other[4]["final_obs"][n])
        second.step((some + 1) % bed.actions)  # it goes elsewhere before it is put back
    assert cut > 3


@pytest.mark.parametrize(
    ("changed", "how"),
    [
        ({"frame_skip": 1}, "INTER_AREA"),
        ({"max_pool": False}, "INTER_AREA"),
        ({"max_pool": False, "downsampling": Downsampling.LINEAR, "max_frames": 75}, "INTER_LINEAR"),
    ],
)
def test_single_frames_are_not_mixed_with_older_ones(changed: dict[str, Any], how: str) -> None:
    """With no frame skipped, or no pooling, a step shows the last screen alone."""
    import cv2

    lanes = atari.testbed(raw(**changed)).make(1)
    assert isinstance(lanes, Copies)
    copy = lanes.copies[0]
    assert isinstance(copy, atari.AtariCopy)
    lanes.reset(seed=0)
    for some in actions(18, 1, 80):
        frame = lanes.step(some)[0][0, 0]
        screen = copy._ale.getScreenGrayscale()
        small = cv2.resize(screen, (84, 84), interpolation=getattr(cv2, how))
        np.testing.assert_array_equal(frame, small)


DIGITS = {"seaquest": (56, 57, 58), "beam_rider": (9, 10, 11), "ms_pacman": (120, 121, 122)}
"""Bytes of the console's memory that hold the score, as its digits."""


def seen_with(copy: atari.AtariCopy, place: int, digits: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """What is seen after a step if these digits of the score were others."""
    before = copy.snapshot()
    copy._ale.setRAM(place, digits)
    frame = copy.step(0)[0].copy()
    copy.restore(before)
    return frame


@pytest.mark.parametrize("game", GAMES)
def test_a_hidden_score_cannot_be_read(game: str) -> None:
    """Other digits are seen if it is not hidden; apart from its rows, both show the same."""
    shown, hidden = (atari.AtariCopy(raw(game=game, hide_score=hide)) for hide in (False, True))
    frames = []
    for copy in (shown, hidden):
        copy.seed(1)
        copy.reset()
        frames.append([copy.step(int(some))[0] for (some,) in actions(6, 1, 80)][-1])
    for place in DIGITS[game]:
        written = [
            [seen_with(copy, place, digits) for digits in (0x11, 0x22, 0x99)] for copy in (shown, hidden)
        ]
        assert any(not np.array_equal(some, written[0][0]) for some in written[0][1:])
        for some in written[1][1:]:
            np.testing.assert_array_equal(some, written[1][0])
    black = np.zeros((210, 160), dtype=bool)
    for box in atari.SCORES[game]:
        black[box] = True
    # A pixel is made of 2.5 lines and 1.9 columns of the screen.
    lines, columns = (
        np.arange(84)[:, None] * n / 84 + np.array([0.0, n / 84 - 1e-9]) for n in (210, 160)
    )
    touched = [
        [black[int(top) : int(low) + 1, int(left) : int(right) + 1].any() for left, right in columns]
        for top, low in lines
    ]
    other = (frames[0] != frames[1])[0]
    assert other.any()
    assert not (other & ~np.array(touched)).any()


def test_where_a_score_is_must_be_known() -> None:
    with pytest.raises(InputError, match=r"game\.hide_score is true, and where 'pong' shows"):
        atari.testbed(Atari(game="pong", hide_score=True))


def test_episodes_are_truncated_at_the_limit_of_frames() -> None:
    lanes = atari.testbed(raw(max_frames=40)).make(1)
    lanes.reset(seed=0)
    ends = [lanes.step(np.array([0]))[2:4] for _ in range(20)]
    assert [bool(t[0]) for _, t in ends] == [k % 10 == 9 for k in range(20)]
    assert not any(t[0] for t, _ in ends)


def test_a_lost_life_ends_an_episode_if_told_so() -> None:
    """It goes on from where it was lost, until no life is left."""
    lanes = atari.testbed(raw(game="ms_pacman", life_ends_episode=True)).make(1)
    assert isinstance(lanes, Copies)
    copy = lanes.copies[0]
    assert isinstance(copy, atari.AtariCopy)
    lanes.reset(seed=0)
    lives = []
    for _ in range(1500):
        _, _, terminated, _, _ = lanes.step(np.array([2]))
        if terminated[0]:
            lives.append(copy._ale.lives())
    assert lives[:3] == [2, 1, 3]


def test_stacks_of_frames() -> None:
    bed = atari.testbed(raw())
    track = Lanes(bed.make(2), bed.depth, 0, CPU).play(zeros, 5)
    assert track.states().shape == (10, 4, 1, 84, 84)
    assert track.frame_nf.dtype == torch.uint8
    assert track.frame_nf.shape == (2, 4 + 5, 1, 84, 84)


# Bad input.


@pytest.mark.parametrize("settings", [Tabular(game="go"), MinAtar(game="go"), Atari(game="SeaQuest")])
def test_unknown_games(settings: Any) -> None:
    with pytest.raises(InputError, match=r"game\.game is"):
        experiment.testbed(settings)


@pytest.mark.parametrize(
    ("settings", "module"), [(MinAtar(), "minatar"), (Atari(), "ale_py"), (Atari(), "cv2")]
)
def test_missing_extras(settings: Any, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=r'pip install -c constraints\.txt -e "\.\[rlhf\]"'):
        experiment.testbed(settings)
