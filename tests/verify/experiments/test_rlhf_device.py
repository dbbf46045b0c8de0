"""A device that is not there: refused by the command, not by what draws finished results."""

from pathlib import Path

import pytest

from sampled.errors import InputError
from sampled.rlhf.run import run
from sampled.rlhf.settings import preset
from verify import cli
from verify.experiments import rlhf
from verify.experiments.contract import Choice


def test_a_device_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("reproduce", "rlhf", "--budget", "smoke", "--device", "abacus", "--jobs", "1")
    for _ in range(2):  # nothing that it leaves is in the way of the next call
        with pytest.raises(SystemExit) as raised:
            cli.main([*words, "--out", str(tmp_path / "a")])
        assert raised.value.code == 2
        error = capsys.readouterr().err
        assert "device is 'abacus', which this PyTorch cannot use" in error
        assert "Traceback" not in error
    with pytest.raises(InputError, match="device is 'abacus'"):
        run(preset("minatar_breakout"), tmp_path / "b", device="abacus")
    assert not (tmp_path / "b").exists()
    assert rlhf.chosen(Choice("tabular", device="abacus")).plan("smoke", 0).claims
