"""Bad input: what, where, why and the remedy."""

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest
import torch

from sampled import conversion
from sampled.algorithms import appendix_e
from sampled.algorithms.bilevel import Bilevel, bilevel
from sampled.algorithms.contract import Constant, Power, Ramp, State, keys, run
from sampled.algorithms.meta_gradient import MetaGradient
from sampled.algorithms.oracles import PolicyGradient
from sampled.algorithms.progress import Bar
from sampled.algorithms.steps import Adam, Descent, Normalised
from sampled.baselines import LeaveOneOut
from sampled.errors import InputError
from sampled.estimators.gpomdp import Gpomdp
from sampled.expectations import Samples
from sampled.maps import DirectPolicy, SoftmaxPolicy
from sampled.sources import Counter
from tests.sampled.algorithms.cases import DESCENT, begun, designs, games
from verify.crosscheck import layered

VALUE: Any = appendix_e.pbrl_value(games())
GAMES: Any = games()
START: Any = begun(VALUE)
KEYS = START.key_p

TABLE: dict[str, tuple[Callable[[], Any], str]] = {
    "rate zero": (lambda: Constant(0.0), r"value is 0\.0; it must be > 0"),
    "rate infinite": (lambda: Constant(float("inf")), "must be one finite number"),
    "exponent text": (lambda: Power(1.0, "x"), "exponent is 'x'"),  # type: ignore[arg-type]  # on purpose
    "ramp of nothing": (lambda: Ramp(1.0, 2.0, 0), "iterations is 0; it must be a whole number >= 1"),
    "no schedule": (lambda: Descent(0.1), "size is float; it must be a Schedule"),  # type: ignore[arg-type]  # on purpose
    "class": (lambda: Descent(Constant), "size is the class Constant"),  # type: ignore[arg-type]  # on purpose
    "floor": (lambda: Normalised(Constant(0.1), 0.0), "floor is 0.0"),
    "beta": (lambda: Adam(Constant(0.1), 1.0), r"decay_mean is 1\.0; it must be a number in \[0, 1\)"),
    "inner steps": (lambda: PolicyGradient(Constant(0.1), 0), "steps is 0"),
    "carried": (lambda: PolicyGradient(Constant(0.1), 1, 1), "carried is int"),  # type: ignore[arg-type]  # on purpose
    "batch": (lambda: Samples(Gpomdp(5), 0), "n is 0"),
    "batch of one": (lambda: Samples(Gpomdp(5, LeaveOneOut()), 1), "the estimator needs 2"),
    "horizon": (lambda: Samples(Gpomdp(0), 4), "steps is 0; it must be a whole number >= 1"),
    "estimator of first order": (
        lambda: MetaGradient(designs(), DESCENT, Constant(0.1), Samples(Gpomdp(5), 4)),
        "its target is a gradient, and the meta-gradient differentiates it again: use .*Dice",
    ),
    "sampling": (
        lambda: replace(VALUE, sampling=Gpomdp(5)),
        "sampling is Gpomdp; it must be a Sampling",
    ),
    "penalty": (lambda: replace(VALUE, penalty="value"), "penalty is str"),
    "oracle": (lambda: replace(VALUE, oracle=Constant(0.1)), "oracle is Constant; it must be a Oracle"),
    "strength": (lambda: replace(VALUE, strength=2.0), "strength is float"),
    "bilevel": (lambda: replace(VALUE, bilevel=VALUE.bilevel.problem), "bilevel is StackelbergGame"),
    "maps": (
        lambda: replace(designs(), policy_maps=(SoftmaxPolicy(),)),
        "policy_maps has 1 entries; there must be 2: give one map per player",
    ),
    "map": (lambda: replace(GAMES, policy_maps=(torch.nn.Softmax(),)), r"policy_maps\[0\] is Softmax"),
    "domain": (lambda: replace(GAMES, domain=(4, 3)), "domain is tuple"),
    "objective": (lambda: replace(GAMES, objective=None), "objective is NoneType"),
    "no upper level": (
        lambda: bilevel(cast(Any, layered.shaping(0).shaped)),
        "is MdpFamily, which has no upper objective",
    ),
    "no domain": (lambda: conversion.domain(layered.shaping(0).original), "the domain is NoneType"),
    "x of one problem": (
        lambda: VALUE.start(KEYS, START.x[0]),
        r"x has shape \(4, 3\); it must be \(2, 4, 3\)",
    ),
    "x in float32": (
        lambda: VALUE.start(KEYS, START.x.float()),
        "x is torch.float32 on cpu and the problem",
    ),
    "x of numpy": (lambda: VALUE.start(KEYS, START.x.numpy()), "x is ndarray; it must be a tensor"),
    "x elsewhere": (lambda: VALUE.start(KEYS, START.x.to("meta")), "x is torch.float64 on meta"),
    "x not finite": (lambda: VALUE.start(KEYS, START.x / 0.0), r"x\[0, 0, 0\] is nan"),
    "y of one player": (lambda: VALUE.start(KEYS, None, (START.y[0],) * 2), "y has 2 entries"),
    "policy off the simplex": (
        lambda: appendix_e.pbrl_value(direct()).start(KEYS[:1], None, (torch.ones(1, 5, 3).double(),)),
        r"y\[0\] lies outside its domain Simplices\(\): project it first",
    ),
    "keys of three": (lambda: VALUE.start(keys(torch.Generator(), 3)), r"key_p is \(3,\)"),
    "keys of floats": (lambda: VALUE.start(KEYS.double()), "key_p is .* of torch.float64"),
    "seed for generator": (lambda: keys(0, 3), "generator is int"),  # type: ignore[arg-type]  # on purpose
    "no problems": (lambda: keys(torch.Generator(), 0), "problems is 0"),
    "keys elsewhere": (lambda: VALUE.start(KEYS.to("meta")), "several devices"),
    "counter": (lambda: Counter(KEYS, -1), "stream is -1"),
    "counter's keys": (lambda: Counter(KEYS.double(), 0), "must be a tensor .* of int64"),
    "words of others": (lambda: Counter(KEYS, 0).words((3, 4)), "2 problems have keys; 3 draw words"),
    "state not finite": (
        lambda: replace(START, x=START.x + float("inf")),
        r"x\[0, 0, 0\] is inf.*too long",
    ),
    "state in a graph": (lambda: replace(START, x=START.x.clone().requires_grad_()), "part of a graph"),
    "state's k": (lambda: replace(START, k=-1), "k is -1"),
    "state's y": (lambda: replace(START, y=START.y[0]), "y is Tensor; give a tuple of tensors"),
    "state's steps": (
        lambda: replace(START, steps_p=START.x),
        "steps_p is .* one int64 for each problem",
    ),
    "state's problems": (lambda: replace(START, y=(START.y[0][:1],)), r"y\[0\] has shape \(1, 4, 2\)"),
    "another's state": (
        lambda: VALUE.step(begun(appendix_e.pbrl_nikaido_isoda(designs()))),
        "y has 2 entries; there must be 1",
    ),
    "another size's state": (
        lambda: VALUE.step(begun(appendix_e.pbrl_value(bilevel(layered.stackelberg(0))))),
        r"x has shape \(1, 5, 2\) and the problem \(2, 4, 3\)",
    ),
    "another method's state": (
        lambda: VALUE.step(begun(appendix_e.independent(games()))),
        "oracle has 0 entries; there must be 1",
    ),
    "no state": (lambda: VALUE.step(START.x), "state is Tensor"),
    "iterations": (lambda: run(VALUE, START, -1), "iterations is -1"),
    "record_every": (lambda: run(VALUE, START, 1, record_every=-1), "record_every is -1"),
    "algorithm": (lambda: run(VALUE.bilevel, START, 1), "algorithm is Bilevel; it must be a Algorithm"),
    "schedule of no number": (
        lambda: replace(VALUE, strength=lambda _k: "2").step(START),
        r"strength\(0\) is '2'; it must be one finite number",
    ),
    "zero for softmax": (
        lambda: SoftmaxPolicy().inverse(torch.eye(2, dtype=torch.float64)[None]),
        r"pi_psa\[0, 0, 1\] is 0.0; no finite logit gives it",
    ),
}


def direct() -> Bilevel[Any]:
    return bilevel(layered.stackelberg(1, direct=True), policy=DirectPolicy())


@pytest.mark.parametrize("name", TABLE)
def test_bad_input(name: str) -> None:
    attempt, message = TABLE[name]
    with pytest.raises(InputError, match=message):
        attempt()


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_the_bar_shows_rate_steps_and_remaining_time_on_a_terminal_only() -> None:
    shown, silent = Terminal(), io.StringIO()
    for stream in (shown, silent):
        with Bar("value", 30, stream) as bar:
            state = run(VALUE, START, 30, watch=bar).state
    assert isinstance(state, State)
    text = shown.getvalue()
    assert "value" in text
    assert "it/s" in text
    assert "30/30" in text
    assert f"{int(state.steps_p[0]):,} steps, remaining" in text
    assert silent.getvalue() == ""
