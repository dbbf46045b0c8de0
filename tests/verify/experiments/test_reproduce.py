"""The command on an experiment that takes no time."""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from joblib.externals.loky import get_reusable_executor  # type: ignore[import-untyped]  # joblib ships no types

from verify import cli
from verify.commands import reproduce
from verify.experiments import documents

TOY = '''
"""A toy."""

import functools
import os

import numpy as np

from verify.experiments.contract import (
    Above, Curve, Experiment, Figure, Job, Measure, Panel, Plan, Series, Vanishes,
)


def walk(key, drift, seed, n):
    with open(os.environ["TOY_LOG"], "a") as log:
        log.write(key + "\\n")
    if os.environ.get("TOY_STOPS_AT") == key:
        raise KeyboardInterrupt
    if os.environ.get("TOY_FAILS_AT") == key:
        np.float64(1.0) / np.float64(0.0)
    noise = np.random.default_rng([seed, len(key)]).normal(size=(11, n))
    rows = drift * np.linspace(0.0, 1.0, 11)[:, None] + 0.01 * noise
    values = {"v": rows, "gap": np.exp(-9.0 * np.linspace(0.0, 1.0, 11))[:, None] * np.ones((1, n))}
    steps = tuple(range(0, 110, 10))
    return Series(key, {"drift": drift}, tuple(range(n)), tuple(range(11)), steps, values)


def jobs(seed, names, data):
    n = 8
    drifts = {"s/exact/a": 1.0, "s/exact/b": 0.5, "s/exact/c": 2.0 * float(len(data))}
    return tuple(Job(k, 1.0, functools.partial(walk, k, drifts[k], seed, n)) for k in names)


def plan(budget, seed):
    panel = Panel("t", "x", "y", (Curve("a", "v", ("s/exact/a",), "steps", 0),))
    return Plan(
        (Measure("v", "v"), Measure("gap", "gap")),
        (
            functools.partial(jobs, seed, ("s/exact/a", "s/exact/b")),
            functools.partial(jobs, seed, ("s/exact/c",)),
        ),
        (
            Above("c > a", "s/exact", "v", "s/exact/c", "s/exact/a"),
            Above("b > a", "s/exact", "v", "s/exact/b", "s/exact/a"),
            Vanishes("gap", "s/exact", "gap", "s/exact/a"),
        ),
        (Figure("fig", "caption", (panel,)),),
        ("s",),
        {"n": "eight"},
    )


EXPERIMENT = Experiment("Toy", "nowhere", {"smoke": "small", "paper": "also small"}, plan)
'''


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    package = tmp_path / "toy_experiments"
    package.mkdir()
    (package / "__init__.py").write_text('"""Toys."""\n')
    (package / "toy.py").write_text(TOY)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(reproduce, "PACKAGE", "toy_experiments")
    monkeypatch.setenv("TOY_LOG", str(tmp_path / "log"))
    get_reusable_executor().shutdown()  # processes of an earlier test do not know this folder
    yield tmp_path
    for name in [n for n in sys.modules if n.startswith("toy_experiments")]:
        del sys.modules[name]


def code(*words: object) -> int:
    with pytest.raises(SystemExit) as raised:
        cli.main(["reproduce", *map(str, words)])
    return int(raised.value.code or 0)


def computed(toy: Path) -> list[str]:
    log = toy / "log"
    keys = log.read_text().split() if log.exists() else []
    log.unlink(missing_ok=True)
    return keys


def contents(directory: Path) -> dict[str, str]:
    found = {p.name: p.read_text() for p in directory.iterdir() if p.is_file()}
    manifest = json.loads(found.pop(documents.MANIFEST))
    del manifest["cpu_seconds"]
    return {**found, "manifest": json.dumps(manifest)}


def test_all_files(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = toy / "a"
    assert code("toy", "--out", out, "--jobs", 1) == 0
    assert "c > a" in capsys.readouterr().out
    assert set(contents(out)) == {"curves.json", "findings.json", "findings.md", "fig.svg", "manifest"}
    manifest = documents.read(out / documents.MANIFEST)
    assert manifest["command"] == "python -m verify reproduce toy --budget paper --seed 0"
    (curve,) = manifest["figures"][0]["panels"][0]["curves"]
    assert curve["series"] == [
        {"key": "s/exact/a", "parameters": {"drift": 1.0}, "seeds": list(range(8))}
    ]
    verdicts = [f["verdict"] for f in documents.read(out / documents.FINDINGS)["findings"]]
    assert verdicts == ["holds", "reversed", "holds"]
    # The second stage has seen the first one's series.
    assert documents.read_data(out)["s/exact/c"].parameters == {"drift": 4.0}


def test_processes_do_not_matter(toy: Path) -> None:
    assert code("toy", "--out", toy / "a", "--jobs", 1) == 0
    assert code("toy", "--out", toy / "b", "--jobs", 2) == 0
    assert contents(toy / "a") == contents(toy / "b")
    assert code("toy", "--out", toy / "c", "--jobs", 1, "--seed", 1) == 0
    assert contents(toy / "a") != contents(toy / "c")


def test_interrupted_and_resumed(
    toy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert code("toy", "--out", toy / "a", "--jobs", 1) == 0
    computed(toy)
    monkeypatch.setenv("TOY_STOPS_AT", "s/exact/c")
    assert code("toy", "--out", toy / "b", "--jobs", 1) == 130
    assert "--resume" in capsys.readouterr().err
    assert not (toy / "b" / documents.MANIFEST).exists()
    assert computed(toy) == ["s/exact/a", "s/exact/b", "s/exact/c"]
    monkeypatch.delenv("TOY_STOPS_AT")
    assert code("toy", "--out", toy / "b", "--jobs", 1, "--resume") == 0
    assert computed(toy) == ["s/exact/c"]
    assert contents(toy / "a") == contents(toy / "b")
    # Of another seed, nothing is taken over.
    assert code("toy", "--out", toy / "b", "--jobs", 1, "--resume", "--seed", 3) == 2
    assert "another seed" in capsys.readouterr().err
    assert contents(toy / "a") == contents(toy / "b")


def test_check(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = toy / "kept"
    assert code("toy", "--out", kept, "--jobs", 1, "--seed", 5) == 0
    assert code("toy", "--check", kept, "--out", toy / "a", "--jobs", 1) == 0
    capsys.readouterr()
    curves = json.loads((kept / documents.CURVES).read_text())
    curves["series"][1]["values"]["v"][4][2] += 0.01
    (kept / documents.CURVES).write_text(json.dumps(curves))
    assert code("toy", "--check", kept, "--out", toy / "b", "--jobs", 1) == 1
    assert "Deviation: s/exact/b: v after 4 iterations of seed 2" in capsys.readouterr().out
    assert code("toy", "--check", kept, "--out", toy / "c", "--seed", 1) == 2
    assert "leave them out" in capsys.readouterr().err


def test_check_of_findings(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = toy / "kept"
    assert code("toy", "--out", kept, "--jobs", 1) == 0
    path = kept / documents.FINDINGS
    path.write_text(path.read_text().replace("reversed", "holds"))
    assert code("toy", "--check", kept, "--out", toy / "a", "--jobs", 1) == 1
    assert "findings.json differs" in capsys.readouterr().out


def test_redraw(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All that follows from the curves is made again; no run is, and the rest stays."""
    kept = toy / "kept"
    assert code("toy", "--out", kept, "--jobs", 1, "--seed", 5) == 0
    before, manifest = contents(kept), documents.read(kept / documents.MANIFEST)
    (kept / "fig.svg").write_text("")
    (kept / documents.TABLES).unlink()
    (kept / "old.svg").write_text("")
    figures = [*manifest["figures"], {**manifest["figures"][0], "file": "old.svg"}]
    (kept / documents.MANIFEST).write_text(json.dumps({**manifest, "figures": figures}))
    computed(toy)
    assert code("toy", "--redraw", kept) == 0
    assert computed(toy) == []
    assert contents(kept) == before
    assert documents.read(kept / documents.MANIFEST) == manifest
    # Curves that a plan needs and the data lack are named, and nothing is lost.
    curves = json.loads((kept / documents.CURVES).read_text())
    curves["series"] = curves["series"][1:]
    (kept / documents.CURVES).write_text(json.dumps(curves))
    less = contents(kept)
    assert code("toy", "--redraw", kept) == 2
    assert "lacks the series 's/exact/a': run" in " ".join(capsys.readouterr().err.split())
    assert contents(kept) == less


def test_wrong_usage(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases: list[tuple[tuple[Any, ...], str]] = [
        (("tony",), "there is no experiment 'tony'; use one of toy"),
        (("toy", "--budget", "huge", "--out", toy / "a"), "there is no budget 'huge'"),
        (("toy", "--check", toy / "nothing"), "cannot read"),
        (("toy", "--redraw", toy / "nothing"), "cannot read"),
        (("toy", "--redraw", toy, "--check", toy), "use one of them"),
        (("toy", "--out", toy / "toy_experiments" / "toy.py"), "name another --out"),
    ]
    for words, sentence in cases:
        assert code(*words) == 2
        assert sentence in " ".join(capsys.readouterr().err.split())
    assert computed(toy) == []
    assert code("toy", "--out", toy / "a", "--jobs", 1) == 0
    before = contents(toy / "a")
    assert code("toy", "--out", toy / "a") == 2
    assert "holds a run already" in capsys.readouterr().err
    assert contents(toy / "a") == before


def test_another_experiment_is_not_written_over(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (toy / "toy_experiments" / "other.py").write_text(TOY.replace("s/exact", "o/exact"))
    out = toy / "a"
    assert code("toy", "--out", out, "--jobs", 1) == 0
    before = contents(out)
    assert code("other", "--out", out, "--jobs", 1, "--resume") == 2
    assert "was made with another experiment: begin anew in another --out" in " ".join(
        capsys.readouterr().err.split()
    )
    assert code("toy", "--out", out, "--jobs", 1, "--resume", "--budget", "smoke") == 2
    assert "was made with another budget" in " ".join(capsys.readouterr().err.split())
    shutil.rmtree(out / "runs")
    assert code("toy", "--out", out, "--jobs", 1, "--resume") == 2
    assert "without the runs to go on from" in " ".join(capsys.readouterr().err.split())
    assert contents(out) == before


def test_results_to_check_are_read_before_anything_runs(
    toy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for damaged in (documents.CURVES, documents.FINDINGS):
        out = toy / damaged
        assert code("toy", "--out", out, "--jobs", 1) == 0
        computed(toy)
        (out / damaged).write_text("{")
        assert code("toy", "--check", out, "--out", toy / "again") == 2
        assert f"{damaged} is not JSON" in " ".join(capsys.readouterr().err.split())
        assert computed(toy) == []
        assert not (toy / "again").exists()


def test_a_warning_stops_it(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A division by zero in a run is not drawn as a curve."""
    monkeypatch.setenv("TOY_FAILS_AT", "s/exact/b")
    with pytest.raises(RuntimeWarning, match="divide by zero"):
        cli.main(["reproduce", "toy", "--out", str(toy / "a"), "--jobs", "1"])
    assert not (toy / "a" / documents.MANIFEST).exists()
