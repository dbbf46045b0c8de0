"""Interrupt, save, load in a new object, resume: bit for bit the same, or refused with a reason."""

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reference.algorithms import checkpoint
from reference.algorithms.contract import Algorithm, Constant, Power, State, run
from reference.algorithms.independent_gradient import IndependentGradient
from reference.algorithms.meta_gradient import MetaGradient
from reference.algorithms.oracles import Exact, MirrorDescent, Oracle, PolicyGradient
from reference.algorithms.pbrl import Pbrl, exact_in_policies
from reference.errors import InputError
from reference.penalties import bellman, nikaido_isoda, value
from reference.policies import SoftmaxPolicy
from reference.problems import storage
from tests.reference.algorithms import instances

ORACLES: dict[str, Callable[[int], Oracle]] = {
    "exact": lambda _: Exact(),
    "mirror-descent": lambda _: MirrorDescent(0.5, 2),
    "policy-gradient": lambda n: PolicyGradient(SoftmaxPolicy((3, n)), 0.2, 1),
}


def stackelberg(oracle: str) -> Pbrl[Any]:
    return Pbrl(
        instances.stackelberg(1),
        value.PENALTY,
        (ORACLES[oracle](3),),
        Power(0.1, -0.5),
        Constant(2.0),
    )


def incentive(oracle: str) -> Pbrl[Any]:
    return Pbrl(
        instances.incentive(2),
        nikaido_isoda.PENALTY,
        (ORACLES[oracle](2), ORACLES[oracle](3)),
        Constant(0.1),
        Power(2.0, 0.2),
    )


# Built anew for each use, as in a new process.
ALGORITHMS: dict[str, Callable[[], Any]] = {
    **{f"pbrl-value-{name}": partial(stackelberg, name) for name in ORACLES},
    **{f"pbrl-nikaido-isoda-{name}": partial(incentive, name) for name in ORACLES},
    "pbrl-bellman-batch": lambda: Pbrl(
        instances.stackelberg(1, batch=2), bellman.PENALTY, (MirrorDescent(0.5, 1),), Constant(0.1),
        Constant(2.0), exact_in_policies,
    ),
    "pbrl-preferences": lambda: Pbrl(
        instances.preferences(3), value.PENALTY, (MirrorDescent(0.5, 1),), Constant(0.1), Constant(2.0)
    ),
    "pbrl-direct": lambda: Pbrl(
        instances.shaping(3, direct=True), value.PENALTY, (Exact(),), Constant(0.05), Constant(2.0)
    ),
    "independent": lambda: IndependentGradient(
        instances.stackelberg(1), value.PENALTY, Constant(0.1), Constant(0.2)
    ),
    "no-incentive": lambda: IndependentGradient(
        instances.incentive(1), nikaido_isoda.PENALTY, None, Constant(0.2)
    ),
    "meta": lambda: MetaGradient(
        instances.incentive(1, direct=True), nikaido_isoda.PENALTY, Constant(0.1), Constant(0.01)
    ),
}  # fmt: skip


def begin(algorithm: Any) -> State:
    domain = algorithm.bilevel.problem.domain
    lower = algorithm.bilevel.problem.at(domain.project(np.zeros(domain.shape)))
    batch = lower.rho_s.shape[:-1]
    x = 0.1 * np.random.default_rng(0).normal(size=(*batch, *domain.shape))
    start: State = algorithm.start(domain.project(x))
    return start


def same_bits(a: Any, b: Any) -> bool:
    """Equal to the last bit, through tuples of arrays and frozen dataclasses."""
    if isinstance(a, np.ndarray):
        return bool(a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes())
    if dataclasses.is_dataclass(a):
        return all(same_bits(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a))
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(same_bits, a, b))
    return bool(a == b)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_resumed_is_uninterrupted(name: str, tmp_path: Path) -> None:
    algorithm = ALGORITHMS[name]()
    start = begin(algorithm)
    whole = run(algorithm, start, 6, record_every=1)
    state = start
    for k in range(6):
        # Interrupted after every iteration, and continued by an algorithm built from nothing.
        checkpoint.save(tmp_path / "state.npz", algorithm, state)
        algorithm = ALGORITHMS[name]()
        state = checkpoint.load(tmp_path / "state.npz", algorithm)
        part = run(algorithm, state, 1, record_every=1)
        assert same_bits(part.records[0], whole.records[k])
        state = part.state
    assert same_bits(state, whole.state)
    assert not same_bits(state.y, start.y)


def pbrl(**changes: Any) -> Pbrl[Any]:
    settings: dict[str, Any] = {
        "bilevel": instances.stackelberg(1),
        "penalty": value.PENALTY,
        "oracles": (MirrorDescent(0.5, 2),),
        "step_size": Constant(0.1),
        "strength": Constant(2.0),
    }
    return Pbrl(**{**settings, **changes})


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"bilevel": instances.stackelberg(2)}, r"algorithm\.bilevel\.problem\.P_sabt"),
        (
            {"bilevel": instances.stackelberg(1, direct=True)},
            r"algorithm\.bilevel\.problem\.regularizer",
        ),
        ({"penalty": bellman.PENALTY}, r"algorithm\.penalty\.name"),
        ({"oracles": (MirrorDescent(0.5, 3),)}, r"algorithm\.oracles\[0\]\.steps"),
        ({"oracles": (Exact(),)}, r"algorithm\.oracles\[0\]"),
        ({"step_size": Constant(0.1 + 1e-17 + 2e-17)}, r"algorithm\.step_size\.value"),
        ({"strength": Power(2.0, 0.0)}, r"algorithm\.strength"),
        ({"estimator": exact_in_policies}, r"algorithm\.estimator"),
    ],
)
def test_other_settings_are_refused_by_name(changes: dict[str, Any], named: str, tmp_path: Path) -> None:
    saved = pbrl()
    checkpoint.save(tmp_path / "state.npz", saved, begin(saved))
    with pytest.raises(InputError, match=f"written with another {named}.*resume with the problem"):
        checkpoint.load(tmp_path / "state.npz", pbrl(**changes))
    assert checkpoint.load(tmp_path / "state.npz", pbrl()).k == 0


def test_other_algorithm_is_refused(tmp_path: Path) -> None:
    saved = pbrl()
    checkpoint.save(tmp_path / "state.npz", saved, begin(saved))
    other: Algorithm[object] = IndependentGradient(
        instances.stackelberg(1), value.PENALTY, Constant(0.1), Constant(2.0)
    )
    with pytest.raises(InputError, match=r"written with another algorithm, .* and \d+ more"):
        checkpoint.load(tmp_path / "state.npz", other)


def test_other_files_are_refused(tmp_path: Path) -> None:
    algorithm = pbrl()
    with pytest.raises(InputError, match="not a file"):
        checkpoint.load(tmp_path / "none.npz", algorithm)
    storage.save(tmp_path / "game.npz", instances.stackelberg_game(0))
    with pytest.raises(InputError, match="holds StackelbergGame, not Checkpoint"):
        checkpoint.load(tmp_path / "game.npz", algorithm)
    checkpoint.save(tmp_path / "state.npz", algorithm, begin(algorithm))
    content = (tmp_path / "state.npz").read_bytes()
    (tmp_path / "state.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="damaged"):
        checkpoint.load(tmp_path / "state.npz", algorithm)


def test_functions_without_a_lasting_name_are_refused(tmp_path: Path) -> None:
    for schedule in (lambda k: 1.0 / (k + 1), np.cos):
        algorithm = pbrl(step_size=schedule)
        with pytest.raises(InputError, match=r"algorithm\.step_size is .* cannot be recognised"):
            checkpoint.save(tmp_path / "state.npz", algorithm, begin(algorithm))
    assert not (tmp_path / "state.npz").exists()


def test_fingerprint_tells_every_leaf() -> None:
    found = checkpoint.fingerprint(pbrl())
    assert found["algorithm.strength.value"] == "float 2.0"
    assert found["algorithm.estimator"] == "function reference.algorithms.pbrl.plug_in"
    assert found["algorithm.oracles"] == "tuple of 1"
    assert "algorithm.bilevel.problem.P_sabt" in found
    # A change of shape with the same bytes, and of sign of zero, are changes.
    flat, column, negative = np.zeros(4), np.zeros((4, 1)), -np.zeros(4)
    digests = {checkpoint.fingerprint(a)["algorithm"] for a in (flat, column, negative)}
    assert len(digests) == 3
