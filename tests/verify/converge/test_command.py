"""The command: folders, exit codes, documents and figures."""

import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # ships no types

from tests.verify.converge.few import few
from verify.cli import main
from verify.contract import Context, Level
from verify.converge import carry_out, document, units
from verify.converge.bounds import FORMS, PROVED
from verify.converge.carry_out import Folder
from verify.converge.figures import PLANS, drawings
from verify.converge.kinds import KINDS
from verify.converge.units import SIZES

RESULTS = Path(__file__).parents[3] / "docs" / "results" / "converge"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    folder = Folder.opened(tmp_path_factory.mktemp("made"), Context(Level.QUICK, 1))
    list(carry_out.carry_out(folder, 1, few))
    return folder


@pytest.fixture(autouse=True)
def lines_are_not_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)  # readline sets it for the processes of pytest-xdist


@pytest.fixture(autouse=True)
def only_a_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(units, "units", few)


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(["converge", "--level", "quick", "--jobs", "1", *words])
    code = end.value.code
    assert isinstance(code, int)
    return code


def test_a_run_is_whole_and_shown_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "a" / "b"
    assert run("--out", str(out)) == 0
    shown = capsys.readouterr().out
    content = document.load(out / "converge.json")
    assert content["complete"]
    assert content["deviations"] == []
    assert content["level"] == "quick"
    assert len(content["bounds"]) == 3
    files = {figure["file"] for figure in content["figures"]}
    assert files == {plan.file for plan in PLANS}
    assert {path.name for path in out.iterdir()} == files | {"converge.json"}
    assert f"{content['held']} inequalities hold, 0 deviations (level quick, seed 0)" in shown
    for word in ("value_penalty.flips", "parabola", "an observation, not a claim"):
        assert word in shown
    before = {path: path.read_bytes() for path in out.iterdir()}
    assert run("--out", str(out)) == 0
    assert capsys.readouterr().out == shown
    assert {path: path.read_bytes() for path in out.iterdir()} == before


def test_the_number_of_processes_changes_nothing(
    made: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Workers have to import the module of `few`.
    monkeypatch.setattr(sys, "path", [str(Path(__file__).parents[3]), *sys.path])
    folder = Folder.opened(tmp_path, made.context)
    list(carry_out.carry_out(folder, 2, few))
    assert folder.file.read_bytes() == made.file.read_bytes()


def test_a_violated_bound_is_a_deviation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    planted = tuple(replace(form, c1=2.0) if form is PROVED else form for form in FORMS)
    monkeypatch.setattr("verify.converge.bounds.FORMS", planted)
    assert run("--out", str(tmp_path / "out")) == 1
    assert re.search(r"deviation +bound\.value_penalty\.flips", capsys.readouterr().out)
    content = document.load(tmp_path / "out" / "converge.json")
    assert {entry["key"] for entry in content["deviations"]} == {"proved"}
    assert all(entry["lhs"] > entry["rhs"] + entry["tolerance"] for entry in content["deviations"])
    # As long as the folder is there, so is the deviation.
    assert run("--out", str(tmp_path / "out")) == 1


def test_an_error_is_shown_and_what_is_missing_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"

    def broken(self: units.Inner, folder: Path | None = None) -> dict[str, Any]:
        raise ArithmeticError(f"{self.name} in {folder}")

    with monkeypatch.context() as patched:
        patched.setattr(units.Inner, "run", broken)
        assert run("--out", str(out)) == 1
    assert "error in inner.value_penalty: ArithmeticError" in capsys.readouterr().out
    assert not document.load(out / "converge.json")["complete"]
    assert run("--out", str(out)) == 0
    assert document.load(out / "converge.json")["complete"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--seed", "5"), "holds a run with seed 0 instead of 5"),
        (("--level", "standard"), "holds a run with level quick instead of standard"),
    ],
)
def test_a_folder_of_another_run_is_refused(
    tmp_path: Path, words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Folder.opened(tmp_path, Context(Level.QUICK, 0)).save([])
    before = (tmp_path / "converge.json").read_bytes()
    assert run(*words, "--out", str(tmp_path)) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"Error: {tmp_path} {said}: give another --out")
    assert "Traceback" not in error
    assert (tmp_path / "converge.json").read_bytes() == before


def test_results_of_other_code_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Folder.opened(tmp_path, Context(Level.QUICK, 0))
    replace(folder, settings=folder.settings | {"fingerprint": "0"}).save([])
    assert run("--out", str(tmp_path)) == 2
    assert "another fingerprint" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["", "{}", '{"schema": "pbrl-converge"}', "[1, 2"])
def test_a_damaged_document_is_refused(
    tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "converge.json").write_text(content)
    assert run("--out", str(tmp_path)) == 2
    assert "name another folder" in capsys.readouterr().err


def test_folders_that_cannot_be_used_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    assert run("--out", str(tmp_path)) == 2
    assert "is not empty and holds no converge.json" in capsys.readouterr().err
    assert run("--out", str(tmp_path / "thesis.txt")) == 2
    assert "cannot write to" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--seed", "-1") == 2
    assert run("--level", "deeper") == 2
    assert run("--jobs", "0") == 2
    assert run("--help") == 0
    assert "goes on" in capsys.readouterr().out


def test_a_stray_file_of_a_killed_process_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".converge.json.4711").write_text("half")
    Folder.opened(tmp_path, Context(Level.QUICK, 0))
    assert list(tmp_path.iterdir()) == []


# The document and the figures.


def test_schema() -> None:
    Draft202012Validator.check_schema(document.schema())


def test_figures_are_text_and_the_same_each_time(made: Folder) -> None:
    content = document.load(made.file)
    for drawing in drawings(content):
        assert (made.path / drawing.file).read_text(encoding="utf-8") == drawing.svg
        root = ElementTree.fromstring(drawing.svg)
        texts = {
            "".join(node.itertext()).strip() for node in root.iter("{http://www.w3.org/2000/svg}text")
        }
        assert any("iterations" in text or "steps" in text or "bound" in text for text in texts)
        assert float(root.attrib["width"].removesuffix("pt")) < 340.0
        assert not re.search(r"\b20\d\d-\d\d-\d\d", drawing.svg)
        sizes = [
            float(size) for size in re.findall(r"font(?:-size)?: (?:\w+ )*?([\d.]+)px", drawing.svg)
        ]
        assert sizes
    assert list(drawings(content | {plan.section: [] for plan in PLANS})) == []


def test_what_every_level_does() -> None:
    for level in Level:
        size = SIZES[level]
        names = [
            unit.name
            for part in (units.iteration_units, units.bound_units, units.step_units, units.inner_units)
            for unit in part(size, 0)
        ]
        assert len(set(names)) == len(names)
        assert all(re.fullmatch(r"\w+(\.\w+)*", name) for name in names)
        for kind in KINDS:
            for word in ("exact", "mirror", "biased", "flips", "gamma_50", "gamma_90"):
                assert f"bound.{kind.key}.{word}" in names
            for start in ("fixed", "warm"):
                assert f"iterations.{kind.key}.{start}.lambda_8" in names


# The committed results.


def test_the_committed_results_are_whole_and_say_what_is_claimed() -> None:
    content = document.load(RESULTS / "converge.json")
    assert content["complete"]
    assert content["level"] == "standard"
    assert content["deviations"] == []
    for figure in content["figures"]:
        ElementTree.parse(RESULTS / figure["file"])
    text = (RESULTS / "converge.json").read_text(encoding="utf-8")
    assert json.loads(text) == content
    average = {
        (row["kind"], row["start"]): row for row in content["exponents"] if row["metric"] == "average"
    }
    for kind in KINDS:
        fixed, warm = (average[kind.key, start] for start in ("fixed", "warm"))
        assert fixed["lambda"]["low"] > 1.7
        assert warm["lambda"]["high"] < 1.2
