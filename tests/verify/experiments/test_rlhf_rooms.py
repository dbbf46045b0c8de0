"""What a run leaves in its directory: rates by kind of work, and no checkpoint once it has finished."""

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sampled.rlhf.experiment import Progress
from sampled.rlhf.settings import preset
from verify.experiments import carry_out, rlhf_runs
from verify.experiments.contract import Series


def test_the_first_piece_of_work_is_none_of_the_rates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each piece takes one second more than the last one; the first one loads the games."""
    clock = iter([0.0, 100.0, 101.0, 103.0, 106.0, 110.0, 115.0, 121.0])
    monkeypatch.setattr(time, "process_time", lambda: next(clock))
    found = preset("minatar_breakout")
    settings = replace(
        found,
        run=replace(found.run, updates=4, evaluate_every=4),
        reward=replace(found.reward, epoch_every=2),
    )
    rates = rlhf_runs.Rates(tmp_path / "rates.jsonl", settings)
    for phase, done in (
        ("collecting", 16),
        ("collecting", 32),
        ("warming up", 0),  # what was done there was a collection
        ("training", 0),
        ("training", 1),
        ("training", 3),
        ("training", 4),
    ):
        rates(Progress(phase, done, 99, 0), 0.0)
    rates.write()
    lines = [json.loads(line) for line in (tmp_path / "rates.jsonl").read_text().splitlines()]
    spent: dict[str, list[float]] = {}
    for line in lines:
        spent.setdefault(line["kind"], []).extend([line["ticks"], line["cpu_seconds"]])
    assert spent == {
        "start": [1, 100.0],
        "collecting": [2, 3.0],
        "warming up": [1, 3.0],
        "update": [1, 4.0],
        "epoch": [1, 5.0],
        "evaluated update": [1, 6.0],
    }


def test_a_finished_run_keeps_no_checkpoint(tmp_path: Path) -> None:
    """Also where it was killed while one was written, or before the last one was removed."""
    store = carry_out.Store(tmp_path, {})
    series = Series("g/sampled/m/0", {}, (0,), (1,), (5,), {"v": np.zeros((1, 1))})
    room = store.room(series.key)
    for again in (False, True):
        for name in ("checkpoint.pt", "checkpoint.pt.17.part", "metrics.jsonl"):
            (room / name).write_text("")
        if again:
            assert store.get(series.key) is not None
        else:
            store.put(carry_out.Done(series, 1.0))
        assert {path.name for path in room.iterdir()} == {"metrics.jsonl", "stamp.json"}
