"""``python -m verify report``: what it writes, how it ends, and what it says of bad input."""

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from tests.verify.page.conftest import outcome
from tests.verify.page.test_results import write_experiment
from verify import cli, collect
from verify.contract import Check, Context, Group, Level, Outcome, Status
from verify.page import page
from verify.page.contract import Material
from verify.report import document
from verify.report.run import Origin, Run

carried_out: list[str] = []
interrupting: list[str] = []
bad: list[str] = []


def carry_out(name: str, context: Context) -> tuple[Outcome, ...]:
    if name in interrupting:
        raise KeyboardInterrupt
    carried_out.append(f"{name} {context.level.name} {context.seed}")
    status = Status.DEVIATION if name in bad else Status.AS_EXPECTED
    return (outcome(f"{name}.v.series", status=status),)


def checks() -> tuple[Check, ...]:
    names = ("crosscheck.a", "crosscheck.b", "crosscheck.c")
    return tuple(Check(name, "crosscheck", name, partial(carry_out, name)) for name in names)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A few checks in place of all, and a directory without results."""
    groups = (Group("crosscheck", "A group", checks),)
    monkeypatch.setattr(collect, "groups", lambda: groups)
    monkeypatch.chdir(tmp_path)
    yield
    for found in (carried_out, interrupting, bad):
        found.clear()


def report(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main(["report", *arguments])
    return int(ended.value.code or 0)


@pytest.fixture
def source(run: Run, tmp_path: Path) -> Path:
    path = tmp_path / "earlier.json"
    path.write_text(document.dumps(replace(run, origin=Origin.here())))
    return path


def test_a_run_and_its_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert report("--jobs", "1", "--level", "quick", "--seed", "7") == 0
    assert carried_out == [f"crosscheck.{name} QUICK 7" for name in "abc"]
    written = json.loads(Path("out/report/run.json").read_text())
    assert written["complete"]
    assert written["seed"] == 7
    assert Path("out/report/index.html").read_text() == page.page(Material(written))
    assert capsys.readouterr().out == "out/report/index.html: 3 outcomes, all as expected\n"
    assert sorted(os.listdir("out/report")) == ["index.html", "run.json"]


def test_level_and_seed_by_default() -> None:
    assert report("--jobs", "1") == 0
    assert carried_out[0] == "crosscheck.a STANDARD 0"


def test_a_deviation_is_told_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    bad.append("crosscheck.b")
    assert report("--jobs", "1", "--out", "deep/er") == 1
    assert "1 not as expected: crosscheck.b.v.series" in capsys.readouterr().out
    assert "1 outcome of 3 not as expected" in Path("deep/er/index.html").read_text()


def test_an_interrupted_run_goes_on_to_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert report("--jobs", "1", "--out", "whole") == 0
    carried_out.clear()
    interrupting.append("crosscheck.c")
    assert report("--jobs", "1") == 130
    assert "--resume" in capsys.readouterr().err
    assert "The run was interrupted" in Path("out/report/index.html").read_text()
    interrupting.clear()
    assert report("--jobs", "1", "--resume") == 0
    assert carried_out == [f"crosscheck.{name} STANDARD 0" for name in "abc"]
    made = [json.loads(Path(f"{place}/run.json").read_text()) for place in ("whole", "out/report")]
    assert made[0]["outcomes"] == made[1]["outcomes"]


def test_a_run_that_was_made(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert report("--from", str(source), "--out", "page") == 1  # it has deviations
    assert not carried_out
    assert os.listdir("page") == ["index.html"]
    assert Path("page/index.html").read_text() == page.page(Material(json.loads(source.read_text())))
    assert "not as expected: crosscheck.value.grad_x.series" in capsys.readouterr().out


def test_a_run_of_other_code(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = json.loads(source.read_text()) | {"fingerprint": "0" * 64}
    source.write_text(json.dumps(content))
    assert report("--from", str(source)) == 1
    assert "is of other code than this" in capsys.readouterr().err
    assert "Not of this code" in Path("out/report/index.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--from", "none.json"), "cannot read none.json: No such file"),
        (("--from", "text.txt"), "text.txt is not JSON"),
        (("--from", "foreign.json"), "foreign.json is no report of version 1: at $"),
        (("--from", "folder"), "cannot read folder: Is a directory"),
        (("--from", "foreign.json", "--level", "quick"), "leave out --level, or --from"),
        (("--from", "foreign.json", "--seed", "0", "--resume"), "leave out --seed, --resume, or --from"),
        (("--out", "text.txt"), "cannot make the directory text.txt"),
        (("--out", "text.txt/below"), "cannot make the directory text.txt/below"),
        (("--out", "taken"), "cannot write taken/index.html: it is a directory"),
        (("--results", "none"), "there is no directory none"),
        (("--results", "text.txt"), "there is no directory text.txt"),
        (("--results", "broken"), "broken/converge/converge.json"),
        (("--resume",), "there is no out/report/run.json to go on from"),
        (("--resume", "--out", "other"), "cannot resume other/run.json: its seed is 9"),
        (("--level", "deepest"), "deepest"),
        (("--jobs", "0"), "greater than or equal to 1"),
        (("extra",), "unexpected extra argument"),
    ],
)
def test_bad_input_is_told_in_a_sentence(
    arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("text.txt").write_text("text")
    Path("foreign.json").write_text('{"schema": "another"}')
    for folder in ("folder", "taken/index.html", "broken/converge", "other"):
        Path(folder).mkdir(parents=True)
    Path("broken/converge/converge.json").write_text("{}")
    begun = Run.begin(Origin.here(), Context(Level.STANDARD, 9), checks())
    Path("other/run.json").write_text(document.dumps(begun))
    assert report(*arguments) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said
    assert not carried_out


def test_a_folder_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also for those whom permissions do not stop."""

    def refused(*_arguments: object, **_named: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refused)
    assert report("--out", "locked") == 2


def test_results_are_shown(tmp_path: Path) -> None:
    write_experiment(tmp_path / "mine" / "stackelberg")
    assert report("--jobs", "1", "--results", "mine") == 0
    assert "What λ does" in Path("out/report/index.html").read_text()
    write_experiment(tmp_path / "docs" / "results" / "incentive")
    assert report("--jobs", "1") == 0
    assert "What λ does" in Path("out/report/index.html").read_text()
