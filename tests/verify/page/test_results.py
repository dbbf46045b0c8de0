"""Figures and results of other commands as sections of the page."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import html5lib
import matplotlib as mpl
import pytest
from matplotlib.figure import Figure

from reference.errors import InputError
from verify.experiments.documents import SCHEMA
from verify.page.contract import Material
from verify.page.figures import inline
from verify.page.results import experiment
from verify.page.sections import audit, converge, estimate

PLAIN = """<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"
 viewBox="0 0 100 50"><style>* {{ stroke: red }}</style>
 <defs><path id="a" d="M0 0"/></defs><use xlink:href="#a" clip-path="url(#a)"/>{0}</svg>"""


def drawn(path: Path) -> None:
    figure = Figure()
    axes = figure.subplots()
    axes.plot([0, 1], [1, 2], label="a line")
    axes.legend()
    figure.savefig(path, metadata={"Date": None})


def test_figures_do_not_meddle_with_each_other(tmp_path: Path) -> None:
    with mpl.rc_context({"svg.hashsalt": "fixed"}):
        for name in ("one", "two"):
            drawn(tmp_path / f"{name}.svg")
    one, two = (ET.fromstring(inline(tmp_path / f"{name}.svg", "words")) for name in ("one", "two"))
    names = [{e.get("id") for e in figure.iter() if e.get("id")} for figure in (one, two)]
    assert names[0]
    assert not names[0] & names[1]
    for figure, own in zip((one, two), names, strict=True):
        for element in figure.iter():
            if href := element.get("href"):
                assert href[1:] in own
        assert figure.get("aria-label") == "words"
        assert figure.get("viewBox")
        assert not list(figure.iter("metadata"))
        style = next(iter(figure.iter("style"))).text or ""
        assert style.strip().startswith(f"#{figure.get('id')} *")


def test_what_could_run_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "x.svg"
    path.write_text(PLAIN.format('<script>alert(1)</script><g onclick="alert(1)"><foreignObject/></g>'))
    found = inline(path, 'a "quoted" <description>')
    assert "alert" not in found
    assert "foreignObject" not in found
    root = ET.fromstring(found)
    assert root.get("aria-label") == 'a "quoted" <description>'
    assert root[2].attrib == {
        "href": f"#{root[1][0].get('id')}",
        "clip-path": f"url(#{root[1][0].get('id')})",
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (PLAIN.format('<image href="https://example.org/x.png"/>'), "must hold all that it shows"),
        (PLAIN.format('<g style="fill: url(https://example.org/x)"/>'), "must hold all that it shows"),
        (PLAIN.format("<style>@import 'x.css';</style>"), "must hold all that it shows"),
        ("<html/>", "is no SVG"),
        ("<svg", "is not XML"),
        ('<svg xmlns="http://www.w3.org/2000/svg"/>', "neither a viewBox nor a size"),
    ],
)
def test_figures_that_are_not_whole_are_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "x.svg"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        inline(path, "words")


def test_a_figure_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        inline(tmp_path / "none.svg", "words")


def finding(**fields: Any) -> dict[str, Any]:
    test = {"n": 10, "mean": 0.25, "low": 0.125, "high": 0.5}
    plain = {"kind": "above", "name": "a > b", "place": "default/exact", "measure": "leader_value"}
    return plain | {"test": test, "verdict": "holds"} | fields


def write_experiment(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "figure.svg").write_text(PLAIN.format(""))
    manifest = {
        "schema": SCHEMA,
        "title": "Games",
        "source": "Section 6",
        "command": "python -m verify reproduce games",
        "budget": "smoke",
        "purpose": "a few of them, to see that all works",
        "seed": 3,
        "assumptions": {"gamma": "0.9"},
        "figures": [{"file": "figure.svg", "caption": "What lambda does"}],
    }
    left = finding(kind="vanishes", name="gap", threshold=0.05, verdict="undecided")
    findings = [finding(), finding(place="tau = 1/exact", name="b > a"), left]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "findings.json").write_text(json.dumps({"schema": SCHEMA, "findings": findings}))


@pytest.mark.parametrize("place", ["games", "reproduce/games"])
def test_experiments(tmp_path: Path, place: str) -> None:
    write_experiment(tmp_path / place)
    found = experiment(Material({}, (tmp_path,)), "games")
    assert found is not None
    html5lib.HTMLParser(strict=True).parseFragment(found)
    for words in (
        "python -m verify reproduce games",
        "<em>smoke</em>: a few of them, to see that all works.",
        "too small for findings",
        "+0.25 [0.12, 0.5]",
        "−20.0% [−45.0, −7.5]",
        "What λ does",
        "γ</dt>",
        "<svg",
    ):
        assert words in found
    assert experiment(Material({}, (tmp_path,)), "others") is None


def test_experiments_of_another_schema(tmp_path: Path) -> None:
    write_experiment(tmp_path / "games")
    (tmp_path / "games" / "findings.json").write_text("{}")
    with pytest.raises(InputError, match="schema"):
        experiment(Material({}, (tmp_path,)), "games")


def test_convergence_bounds_of_another_schema(tmp_path: Path) -> None:
    (tmp_path / "converge").mkdir()
    (tmp_path / "converge" / "converge.json").write_text("{}")
    with pytest.raises(InputError, match=r"converge\.json"):
        converge.SECTION.present(Material({}, (tmp_path,)))
    assert converge.SECTION.present(Material({}, ())) is None


def test_estimates(tmp_path: Path) -> None:
    (tmp_path / "estimate").mkdir()
    path = tmp_path / "estimate" / "estimate.json"
    row = {"iterations": 2.0, "accuracy": 0.5, "printed": 8.5, "proved": 1.1226}
    content = {"command": "python -m verify estimate", "unit": "average of |G_k|^2", "estimates": [row]}
    path.write_text(json.dumps(content))
    found = estimate.SECTION.present(Material({}, (tmp_path,)))
    assert found is not None
    html5lib.HTMLParser(strict=True).parseFragment(found)
    assert "8.500" in found
    assert "1.123" in found
    path.write_text("[]")
    with pytest.raises(InputError, match="not as this version writes it"):
        estimate.SECTION.present(Material({}, (tmp_path,)))
    assert estimate.SECTION.present(Material({}, ())) is None


def audited(name: str, **fields: Any) -> dict[str, Any]:
    block = {
        "name": "x",
        "length_ratio": 0.5,
        "cosine": None,
        "terms": [{"name": "lost tail", "along": -0.25}],
        "bias_bound_relative": {"euclidean": 0.01},
    }
    words = {"name": name, "title": f"Title of {name}", "reason": "it is so"}
    verdicts = {"verdict": "CERTIFIED", "expected": "CERTIFIED"}
    plain: dict[str, Any] = {**words, **verdicts, "samples": 4096, "demand": {"norm": "euclidean"}}
    return plain | {"blocks": [block, block | {"name": "y", "bias_bound_relative": None}]} | fields


def test_audits(tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    folder.mkdir()
    names = ("control", "one.a", "one.b", "one.c")
    audits = [audited(name) for name in names]
    audits[2]["verdict"] = "BIASED"
    for name in names:
        (folder / f"{name}.svg").write_text(PLAIN.format(""))
    content = {"schema": "pbrl-audit", "version": 1, "command": "audit all", "complete": False}
    (folder / "audit.json").write_text(json.dumps(content | {"audits": audits}))
    faults = [{"title": "sign", "faulty": True, "flagged": 9, "seeds": 10, "samples": 512}]
    (folder / "faults.json").write_text(json.dumps({"seeds": 10, "rows": faults}))
    found = audit.SECTION.present(Material({}, (tmp_path,)))
    assert found is not None
    html5lib.HTMLParser(strict=True).parseFragment(found)
    for words in ("1 not as expected", "is not complete", "1.00%", "−0.250", "9 of 10"):
        assert words in found
    # One of each family, and the one that is not as expected.
    assert found.count("<svg") == 3
    assert "Title of one.c.</strong>" not in found
    (folder / "audit.json").write_text(json.dumps(content | {"audits": audits, "version": 2}))
    with pytest.raises(InputError, match="no pbrl-audit of version 1"):
        audit.SECTION.present(Material({}, (tmp_path,)))
    assert audit.SECTION.present(Material({}, ())) is None
