"""Checkpoints: bit-identical resumption, refusal that names what differs, nothing lost."""

import json
import pickle
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sampled.algorithms import appendix_e, checkpoint
from sampled.algorithms.contract import Constant, Power, State, run
from sampled.algorithms.steps import Adam, Normalised
from sampled.baselines import LeaveOneOut
from sampled.errors import InputError
from tests.sampled.algorithms.cases import ALGORITHMS, begun, designs, games, same


def leader(state: State) -> np.ndarray:
    """A record: what has been computed so far, by number."""
    return np.array([float(state.k), float(state.x.sum()), float(state.steps_p.sum())])


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_saved_state_is_the_state(name: str, tmp_path: Path) -> None:
    algorithm = ALGORITHMS[name]()
    state = run(algorithm, begun(algorithm), 2).state
    checkpoint.save(tmp_path / "run.npz", algorithm, state, [leader(state), 3])
    again, (record, three) = checkpoint.load(tmp_path / "run.npz", ALGORITHMS[name]())
    assert same(again, state)
    assert np.array_equal(record, leader(state))
    assert three == 3
    assert same(algorithm.step(again), algorithm.step(state))


class StoppedError(Exception):
    """An interruption."""


@given(
    st.sampled_from(["bellman", "meta-gradient", "adam"]),
    st.lists(st.integers(1, 4), max_size=3),
    st.integers(1, 4),
)
@settings(max_examples=8, deadline=None, derandomize=True)
def test_a_run_that_is_interrupted_anywhere_ends_the_same(
    tmp_path_factory: pytest.TempPathFactory, name: str, stops: list[int], save_every: int
) -> None:
    """Stopped after some updates, again and again, each time between two of them."""
    algorithm = ALGORITHMS[name]()
    start, path = begun(algorithm), tmp_path_factory.mktemp("run") / "run.npz"
    arguments: dict[str, Any] = {"save_every": save_every, "record_every": 2, "record": leader}
    for stop in stops:
        left = [stop]

        def watch(state: State, left: list[int] = left) -> None:  # noqa: ARG001 - what a watcher gets
            left[0] -= 1
            if not left[0]:
                raise StoppedError

        try:
            checkpoint.resume(path, ALGORITHMS[name](), start, 6, watch=watch, **arguments)
        except StoppedError:
            reached, _ = checkpoint.load(path, algorithm, start=start)
            assert reached.k <= 6
    done = checkpoint.resume(path, algorithm, start, 6, **arguments)
    straight = run(algorithm, start, 6, record_every=2, record=leader)
    assert same(done.state, straight.state)
    assert np.array_equal(np.array(done.records), np.array(straight.records))
    written = path.read_bytes()
    assert same(checkpoint.resume(path, algorithm, start, 6, **arguments).state, done.state)
    assert path.read_bytes() == written


def test_an_interrupt_within_an_update_loses_that_update_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    algorithm = ALGORITHMS["value"]()
    start, path = begun(algorithm), tmp_path / "run.npz"
    step = type(algorithm).step
    calls = []

    def interrupted(self: Any, state: State) -> State:
        calls.append(state.k)
        following: State = step(self, state)
        if state.k == 3:
            raise KeyboardInterrupt
        return following

    monkeypatch.setattr(type(algorithm), "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.resume(path, algorithm, start, 6, save_every=100, record_every=3, record=leader)
    monkeypatch.undo()
    state, records = checkpoint.load(path, algorithm, start=start)
    assert state.k == 3
    assert [record[0] for record in records] == [0.0]
    done = checkpoint.resume(path, algorithm, start, 6, save_every=100, record_every=3, record=leader)
    assert same(done.state, run(algorithm, start, 6).state)
    assert [record[0] for record in done.records] == [0.0, 3.0]


OTHERS: dict[str, tuple[Any, str]] = {
    "problem": (lambda: appendix_e.pbrl_value(games(seed=1)), r"algorithm\.bilevel\.problem\.dynamics"),
    "penalty": (lambda: appendix_e.pbrl_bellman(games()), r"algorithm\.penalty\.name"),
    "strength": (
        lambda: appendix_e.pbrl_value(games(), replace(appendix_e.VALUE, strength=Constant(3.0))),
        r"another algorithm\.strength\.value: resume",
    ),
    "schedule": (
        lambda: appendix_e.pbrl_value(games(), replace(appendix_e.VALUE, strength=Power(2.0, 0.0))),
        r"algorithm\.strength, ",
    ),
    "rule": (
        lambda: appendix_e.pbrl_value(
            games(), replace(appendix_e.VALUE, rule=Normalised(Constant(0.1)))
        ),
        r"algorithm\.rule, ",
    ),
    "adam": (
        lambda: appendix_e.pbrl_value(games(), replace(appendix_e.VALUE, rule=Adam(Constant(0.1)))),
        r"algorithm\.rule, ",
    ),
    "batch": (
        lambda: appendix_e.pbrl_value(games(), replace(appendix_e.VALUE, batch=17)),
        r"algorithm\.sampling\.n: ",
    ),
    "shared": (
        lambda: appendix_e.pbrl_value(games(), replace(appendix_e.VALUE, shared=False)),
        r"algorithm\.sampling\.shared: ",
    ),
    "carried": (
        lambda: appendix_e.pbrl_value(games(), replace(appendix_e.VALUE, carried=False)),
        r"algorithm\.oracle\.carried: ",
    ),
    "baseline": (
        lambda: appendix_e.pbrl_value(games(), replace(appendix_e.VALUE, baseline=LeaveOneOut())),
        r"algorithm\.sampling\.estimator\.baseline: ",
    ),
    "algorithm": (lambda: appendix_e.independent(games()), "another algorithm, "),
    "fewer problems": (lambda: appendix_e.pbrl_value(games(count=1)), "dynamics"),
    "another kind": (lambda: appendix_e.pbrl_nikaido_isoda(designs()), "another algorithm"),
}


@pytest.mark.parametrize("other", OTHERS)
def test_another_problem_or_setting_is_refused_by_name(other: str, tmp_path: Path) -> None:
    algorithm, path = ALGORITHMS["value"](), tmp_path / "run.npz"
    start = begun(algorithm)
    checkpoint.resume(path, algorithm, start, 1, save_every=1, record=leader)
    written = path.read_bytes()
    make, names = OTHERS[other]
    with pytest.raises(InputError, match=names) as caught:
        checkpoint.load(path, make(), start=start)
    assert "run.npz was written with another" in str(caught.value)
    with pytest.raises(InputError, match=names):
        checkpoint.resume(path, make(), start, 5, save_every=1, record=leader)
    assert path.read_bytes() == written
    assert [file.name for file in tmp_path.iterdir()] == ["run.npz"]


def test_another_start_is_refused(tmp_path: Path) -> None:
    algorithm, path = ALGORITHMS["value"](), tmp_path / "run.npz"
    start = begun(algorithm)
    checkpoint.resume(path, algorithm, start, 1, save_every=1, record=leader)
    with pytest.raises(InputError, match=r"another start\.key_p: "):
        checkpoint.resume(path, algorithm, begun(algorithm, seed=1), 2, save_every=1, record=leader)
    moved = algorithm.start(start.key_p, start.x + 1.0)
    with pytest.raises(InputError, match=r"another start\.x: "):
        checkpoint.resume(path, algorithm, moved, 2, save_every=1, record=leader)


def test_another_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    algorithm, path = ALGORITHMS["value"](), tmp_path / "run.npz"
    checkpoint.save(path, algorithm, begun(algorithm))
    monkeypatch.setattr(checkpoint, "VERSION", checkpoint.VERSION + 1)
    with pytest.raises(
        InputError, match="another version: resume with the problem, settings and program"
    ):
        checkpoint.load(path, algorithm)


def _header(path: Path, change: Any) -> None:
    with np.load(path) as archive:
        arrays = dict(archive)
    content = json.loads(str(arrays["header"][()]))
    change(content, arrays)
    np.savez(path, **{**arrays, "header": np.array(json.dumps(content))})


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    algorithm, path = ALGORITHMS["value"](), tmp_path / "run.npz"
    state = begun(algorithm)

    def fresh() -> None:
        checkpoint.save(path, algorithm, state)

    fresh()
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match=r"not a readable \.npz"):
        checkpoint.load(path, algorithm)
    fresh()
    _header(path, lambda content, _: content["root"]["fields"]["arrays"]["dict"].pop(0))
    with pytest.raises(InputError, match="holds no complete state"):
        checkpoint.load(path, algorithm)
    fresh()
    _header(path, lambda _, arrays: arrays["arrays.x"].fill(np.nan))
    with pytest.raises(InputError, match=r"x\[0, 0, 0\] is nan"):
        checkpoint.load(path, algorithm)
    fresh()
    _header(path, lambda content, _: content.update(version=99))
    with pytest.raises(InputError, match="version 99"):
        checkpoint.load(path, algorithm)
    path.write_bytes(pickle.dumps(state.k))
    with pytest.raises(InputError, match=r"not a readable \.npz"):
        checkpoint.load(path, algorithm)
    with pytest.raises(InputError, match="not a file"):
        checkpoint.load(tmp_path / "none.npz", algorithm)


def test_what_cannot_be_kept_is_told_and_the_old_file_stays(tmp_path: Path) -> None:
    algorithm, path = ALGORITHMS["value"](), tmp_path / "run.npz"
    state = begun(algorithm)
    checkpoint.save(path, algorithm, state)
    written = path.read_bytes()
    with pytest.raises(InputError, match=r"records\.0 is Tensor"):
        checkpoint.save(path, algorithm, state, [state.x])
    local = replace(algorithm, strength=lambda _k: 2.0)
    with pytest.raises(InputError, match=r"algorithm\.strength is .*lambda.*cannot be recognised"):
        checkpoint.save(path, local, state)
    assert path.read_bytes() == written
    with pytest.raises(InputError, match="is not a directory"):
        checkpoint.save(tmp_path / "none" / "run.npz", algorithm, state)
    with pytest.raises(InputError, match="path is int"):
        checkpoint.save(3, algorithm, state)  # type: ignore[arg-type]  # what is tested


@dataclass(frozen=True)
class Mine:
    """A record of a package that must be named."""

    k: int


def test_records_of_other_packages(tmp_path: Path) -> None:
    algorithm, path = ALGORITHMS["value"](), tmp_path / "run.npz"
    state = begun(algorithm)
    with pytest.raises(InputError, match="no public frozen dataclass of the packages"):
        checkpoint.save(path, algorithm, state, [Mine(3)])
    packages = ("tests.sampled.algorithms",)
    checkpoint.save(path, algorithm, state, [Mine(3)], packages=packages)
    assert checkpoint.load(path, algorithm, packages=packages)[1] == (Mine(3),)


def test_every_leaf_has_a_digest() -> None:
    """Each tensor of the state of a problem, changed in one place, changes one digest."""
    algorithm = ALGORITHMS["nikaido-isoda"]()
    digests = checkpoint.fingerprint(algorithm)
    assert len(digests) > 30
    problem = algorithm.bilevel.problem
    cost = problem.cost_ps.clone()
    cost[1, 2] += 1e-15
    changed = replace(problem, cost_ps=cost)
    other = replace(algorithm, bilevel=replace(algorithm.bilevel, problem=changed))
    now = checkpoint.fingerprint(other)
    assert [name for name in digests if now[name] != digests[name]] == [
        "algorithm.bilevel.problem.cost_ps"
    ]
    assert torch.equal(problem.cost_ps, torch.zeros_like(cost))
