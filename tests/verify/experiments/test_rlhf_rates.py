"""Which kind of work the processor time of a run is counted as."""

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from sampled.rlhf.experiment import Progress
from sampled.rlhf.settings import preset
from verify.experiments import rlhf_runs


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
