"""The committed results: what is shown is what the data say."""

from pathlib import Path

import pytest

from verify import leaves
from verify.experiments import carry_out, documents
from verify.experiments.contract import Experiment

ROOT = Path(__file__).parents[3]
RESULTS = ROOT / "docs" / "results"
PAGE = ROOT / "docs" / "experiments.md"
NAMES = ("stackelberg", "incentive")


def asked(name: str) -> carry_out.Request:
    experiment = leaves.leaves("verify.experiments", "EXPERIMENT", Experiment)[name]
    manifest = documents.read(RESULTS / name / documents.MANIFEST)
    return carry_out.Request(name, experiment, manifest["budget"], manifest["seed"])


@pytest.mark.parametrize("name", NAMES)
def test_findings_and_figures_follow_from_the_data(name: str) -> None:
    """Verdicts, tables and figures, made again from the curves, are the committed ones."""
    plan, directory = asked(name).plan(), RESULTS / name
    for file, text in carry_out.products(plan, documents.read_data(directory)).items():
        assert (directory / file).read_text(encoding="utf-8") == text, file


@pytest.mark.parametrize("name", NAMES)
def test_every_curve_is_mapped_to_its_data(name: str) -> None:
    request, directory = asked(name), RESULTS / name
    manifest = documents.read(directory / documents.MANIFEST)
    data = documents.read_data(directory)
    assert manifest["command"] == request.command
    assert {figure["file"] for figure in manifest["figures"]} == {
        p.name for p in directory.glob("*.svg")
    }
    for figure in manifest["figures"]:
        for panel in figure["panels"]:
            for curve in panel["curves"]:
                assert curve["measure"] in documents.read(directory / documents.CURVES)["measures"]
                for series in curve["series"]:
                    own = data[series["key"]]
                    assert series["parameters"] == own.parameters
                    assert series["seeds"] == list(own.seeds)


@pytest.mark.parametrize("name", NAMES)
def test_the_page_shows_the_tables(name: str) -> None:
    page = PAGE.read_text(encoding="utf-8")
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    shown = page[page.index(begin) + len(begin) : page.index(end)]
    assert shown.strip() == (RESULTS / name / documents.TABLES).read_text(encoding="utf-8").strip()


def test_the_data_are_small() -> None:
    """As small for each series as a megabyte for the 134 of the first results."""
    files = [path for name in NAMES for path in (RESULTS / name).iterdir() if path.suffix != ".svg"]
    series = sum(len(documents.read_data(RESULTS / name)) for name in NAMES)
    assert sum(path.stat().st_size for path in files) / series < 1_000_000 / 134
