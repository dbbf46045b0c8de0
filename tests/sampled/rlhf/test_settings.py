"""Settings: what a file must say, what contradicts, and the page of what the paper leaves open."""

import tomllib
from dataclasses import fields, is_dataclass, replace
from math import exp
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from sampled.errors import InputError
from sampled.rlhf import settings as rlhf
from sampled.rlhf.settings import (
    A2c,
    Atari,
    Decay,
    MinAtar,
    Own,
    Pbrl,
    Preferences,
    Reward,
    Settings,
    Span,
    Stated,
    Tabular,
    UpperPairs,
    as_derived,
    as_printed,
    from_dict,
    load,
    open_table,
    preset,
    presets,
    stated_table,
    to_toml,
)

PAGE = Path(__file__).parents[3] / "docs" / "rlhf.md"


@pytest.mark.parametrize("name", presets())
def test_presets_are_whole_files(name: str, tmp_path: Path) -> None:
    settings = preset(name)
    path = tmp_path / "again.toml"
    path.write_text(to_toml(settings))
    assert load(path) == settings
    assert from_dict(settings.as_dict()) == settings


def test_the_papers_settings() -> None:
    """Appendix E.2, as it reads."""
    for game, rate in (("seaquest", 3e-4), ("beam_rider", 7e-5), ("ms_pacman", 3e-4)):
        found = preset(f"paper_{game}")
        assert isinstance(found.game, Atari)
        assert (found.game.game, found.game.size, found.game.stack) == (game, 84, 4)
        assert (found.a2c.learning_rate, found.a2c.entropy) == (rate, 0.01)
        p, r, b = found.preferences, found.reward, found.pbrl
        assert (p.segment_length, p.initial_pairs, p.pairs_per_epoch, p.capacity) == (25, 576, 16, 3000)
        assert (r.learning_rate, r.batch_size, r.warmup_epochs, r.dropout) == (3e-4, 64, 500, 0.5)
        assert (b.upper_weight, b.decay_every) == (1e-3, 3000)
        assert r.epoch_every in (300, 500)
        assert as_printed(found) == found


def test_every_field_says_what_it_is() -> None:
    marks = 0
    for kind in (rlhf.Run, Tabular, MinAtar, Atari, rlhf.Networks, A2c, Preferences, Reward, Pbrl):
        assert is_dataclass(kind)
        hints = get_type_hints(kind, include_extras=True)
        for f in fields(kind):
            (mark,) = get_args(hints[f.name])[1:]
            assert isinstance(mark, Stated | rlhf.Open | Own), f"{kind}.{f.name}"
            marks += 1
    assert marks == sum(len(list(rlhf.kinds(mark))) for mark in (Stated, rlhf.Open, Own))


def test_the_page_lists_what_is_open() -> None:
    """Print the tables again with the command that stands on the page."""
    text = PAGE.read_text()
    assert open_table() in text
    assert stated_table() in text


def test_every_gap_that_matters_is_a_field() -> None:
    names = {name for name, _, _ in rlhf.kinds(rlhf.Open)}
    assert {
        "pbrl.companion",
        "pbrl.companion_start",
        "pbrl.penalty_gradient",
        "pbrl.decay",
        "pbrl.decay_factor",
        "pbrl.baseline",
        "pbrl.span",
        "pbrl.upper_pairs",
        "reward.epoch_every",
        "reward.dropout_when_scoring",
        "preferences.boundary",
        "preferences.ties",
        "a2c.gamma",
        "a2c.workers",
        "a2c.optimizer",
        "a2c.anneal_updates",
        "a2c.clip_rewards",
        "a2c.ends",
        "preferences.end_penalty",
        "game.hide_score",
        "game.max_pool",
        "game.downsampling",
        "networks.padding",
        "run.updates",
    } <= names


def test_the_upper_coefficient_decays() -> None:
    """0.001 at first, and again each 3000 updates; the paper does not say by how much."""
    geometric = Pbrl(decay_factor=0.5)
    assert [geometric.upper_coefficient(k) for k in (0, 2999, 3000, 6000)] == [1e-3, 1e-3, 5e-4, 2.5e-4]
    harmonic = Pbrl(decay=Decay.HARMONIC)
    assert [harmonic.upper_coefficient(k) for k in (0, 3000, 6000)] == [1e-3, 1e-3 / 2, 1e-3 / 3]


def test_the_two_readings() -> None:
    derived = as_derived(preset("paper_seaquest"))
    b = derived.pbrl
    assert (b.companion, b.penalty_gradient) == (rlhf.Companion.SEPARATE, True)
    assert b.companion_start is rlhf.CompanionStart.POLICY
    assert (b.upper_pairs, b.span) == (UpperPairs.FRESH, Span.HISTORY)
    assert derived.preferences.begin is rlhf.Begin.RESET
    printed = as_printed(derived).pbrl
    assert (printed.companion, printed.penalty_gradient) == (rlhf.Companion.CURRENT, False)


def tables() -> dict[str, dict[str, object]]:
    return tomllib.loads(to_toml(preset("minatar_breakout")))


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        ("a2c", "gama", 0.9, r"\[a2c\] has the unknown key 'gama'; its keys are learning_rate"),
        ("a2c", "gamma", None, r"\[a2c\] lacks 'gamma'; .*add gamma = 0.99"),
        ("a2c", "gamma", 1.0, r"a2c.gamma is 1.0; it must be in \[0, 1\)"),
        ("a2c", "gamma", "high", "a2c.gamma is 'high'; it must be of type float"),
        ("a2c", "workers", True, "a2c.workers is True; it must be of type int"),
        ("a2c", "workers", 2.5, "a2c.workers is 2.5; it must be of type int"),
        ("a2c", "workers", 0, "a2c.workers is 0; it must be >= 1"),
        ("a2c", "learning_rate", 0.0, "must be > 0"),
        ("a2c", "trace", 1.5, r"a2c.trace is 1.5; it must be in \[0, 1\]"),
        ("a2c", "optimizer", "sgd", "a2c.optimizer is 'sgd'; it must be one of adam, rmsprop"),
        ("run", "seed", -1, "run.seed is -1"),
        ("game", "testbed", "go", "game.testbed is 'go'; it must be one of tabular, minatar, atari"),
        ("game", "testbed", None, "lacks 'testbed'"),
        ("game", "sticky", 1.0, r"game.sticky is 1.0; it must be in \[0, 1\)"),
        ("preferences", "noise", 0.6, "labels say the opposite"),
        ("preferences", "window", 24, "no segment fits"),
        ("preferences", "initial_pairs", 3001, "the first ones would be lost"),
        ("preferences", "end_penalty", -1.0, "preferences.end_penalty is -1.0; it must be >= 0"),
        ("preferences", "ties", "first", "it must be one of half, coin, drop"),
        ("reward", "dropout", 1.0, r"it must be in \[0, 1\)"),
        ("pbrl", "decay_factor", 0.0, r"it must be in \(0, 1\]"),
        ("pbrl", "span", "history", "keeps segments only"),
        ("pbrl", "companion", "separate", "trained for nothing"),
        ("networks", "hidden", 0, "networks.hidden is 0"),
        ("networks", "pixel_scale", 0.0, "must be > 0"),
        ("extra", "key", 1, r"unknown section \[extra\]"),
    ],
)
def test_bad_entries_are_told(section: str, key: str, value: object, message: str) -> None:
    given = tables()
    if value is None:
        del given[section][key]
    else:
        given.setdefault(section, {})[key] = value
    with pytest.raises(InputError, match=message):
        from_dict(given)


def test_contradictions_between_sections() -> None:
    derived = as_derived(preset("minatar_breakout"))
    with pytest.raises(InputError, match="selected pairs do not have"):
        replace(derived, preferences=replace(derived.preferences, query=rlhf.Query.DISAGREEMENT))
    with pytest.raises(InputError, match="use ties 'half'"):
        replace(derived, preferences=replace(derived.preferences, ties=rlhf.Ties.DROP))
    with pytest.raises(InputError, match="the penalty's stop there; use ends 'told'"):
        replace(derived, a2c=replace(derived.a2c, ends=rlhf.Ends.HIDDEN))
    with pytest.raises(InputError, match=r"V\(rho\), whose gradient those weights make, is of episodes"):
        A2c(ends=rlhf.Ends.HIDDEN, step_weights=rlhf.StepWeights.DISCOUNTED)


def test_the_baseline_with_all_its_options() -> None:
    """Christiano et al. (2017), Sections 2.2 and 3, and Appendix A."""
    found = preset("christiano_seaquest")
    assert (found.run.method, found.preferences.query) == (rlhf.Method.DRLHF, rlhf.Query.DISAGREEMENT)
    assert found.reward.members > 1
    assert found.reward.validation == pytest.approx(exp(-1.0), rel=1e-15)
    assert (found.reward.uniform_labels, found.reward.weight_decay > 0.0) == (0.1, True)
    assert isinstance(found.game, Atari)
    assert found.game.hide_score
    assert (found.a2c.ends, found.preferences.end_penalty > 0.0) == (rlhf.Ends.HIDDEN, True)


def test_whole_numbers_do_for_fractions() -> None:
    given = tables()
    given["a2c"]["trace"] = 1
    assert from_dict(given).a2c.trace == 1.0


def test_missing_sections_and_files(tmp_path: Path) -> None:
    given = tables()
    del given["reward"]
    with pytest.raises(InputError, match=r"the section \[reward\] is missing"):
        from_dict(given)
    with pytest.raises(InputError, match="it must be a table"):
        from_dict({**tables(), "a2c": 3})
    with pytest.raises(InputError, match=r"nothing\.toml cannot be read: No such file"):
        load(tmp_path / "nothing.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("[run\n")
    with pytest.raises(InputError, match=r"broken\.toml is no TOML"):
        load(broken)
    broken.write_text(to_toml(preset("minatar_breakout")).replace("gamma", "gama"))
    with pytest.raises(InputError, match=r"broken\.toml: \[a2c\] has the unknown key"):
        load(broken)
    with pytest.raises(InputError, match="there is no preset 'pong'; there are christiano_seaquest"):
        preset("pong")


def test_settings_are_values() -> None:
    assert preset("minatar_breakout") == preset("minatar_breakout")
    assert isinstance(preset("minatar_breakout"), Settings)
