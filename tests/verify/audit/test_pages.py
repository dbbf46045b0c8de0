"""What pages say of committed results is what the data say."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from verify.audit import pages

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "audit.md").read_text(encoding="utf-8")


def data(name: str) -> pages.Document:
    return pages.read(ROOT / pages.FOLDER / name)


def test_the_page_of_faults_is_drawn_from_the_data() -> None:
    """Drawn anew by ``python -m verify.audit.pages``."""
    page = (ROOT / pages.FOLDER / "faults.md").read_text(encoding="utf-8")
    assert page == pages.faults_in_full(data("faults.json"))


def test_every_fault_was_flagged_and_no_right_one() -> None:
    found = data("faults.json")
    for row in found["rows"]:
        assert row["flagged"] == (row["seeds"] if row["faulty"] else 0), row
        assert row["seeds"] == found["seeds"] == 200


def test_tables_count_what_is_there() -> None:
    row = {"title": "t", "audit": "a", "seeds": 3, "samples": 1234.0}
    rows = [
        row | {"name": "1", "faulty": True, "instrument": "alarm", "flagged": 3},
        row | {"name": "2", "faulty": True, "instrument": "alarm", "flagged": 2, "samples": 2236.0},
        row | {"name": "3", "faulty": True, "instrument": "refusal: no | such thing", "flagged": 3},
        row | {"name": "4", "faulty": False, "instrument": "alarm", "flagged": 1},
        row | {"name": "5", "faulty": False, "instrument": "alarm", "flagged": 0},
    ]
    found = {"command": "c", "rows": rows, "elsewhere": {}, "complete": False}
    short = pages.faults_in_short(found).splitlines()[2:]
    assert short == ["| alarm | 1 / 2 | 1 / 2 | 3 | 1 735 |", "| refusal | 1 / 1 | 0 / 0 | 3 | 1 234 |"]
    full = pages.faults_in_full(found)
    assert "not complete" in full
    assert "no | such" not in full  # a message does not break the table
    assert full.count("| 3 / 3 |") == 2
    assert "not complete" not in pages.faults_in_full(found | {"complete": True})


def test_certificates_are_fast_enough() -> None:
    found = data("speed.json")
    assert (found["epsilon"], found["alpha"], found["complete"]) == (0.01, 1e-3, True)
    for row in found["rows"]:
        assert row["verdict"] == "CERTIFIED"
        assert row["processor"] < 120.0, row  # 60 s on two cores
    assert pages.between(PAGE, "dearest") == pages.dearest(found)


def test_verdicts_on_a2c_are_those_of_the_data() -> None:
    text, readme = (
        " ".join((ROOT / name).read_text("utf-8").split()) for name in ("docs/audit.md", "README.md")
    )
    found: list[dict[str, Any]] = json.loads((ROOT / pages.FOLDER / "a2c.json").read_text("utf-8"))
    for one, words in zip(found, ("{} after {} estimates of {}", "{} after {}:"), strict=True):
        entry = one["entry"]
        assert one["command"] in PAGE
        samples = f"{entry['samples']:,}".replace(",", " ")
        assert words.format(f"`{entry['verdict']}`", samples, entry["batch"]) in text
        assert f"{entry['seconds']:.0f}" in text.partition("They took ")[2].partition(" seconds")[0]
    right, wrong = (one["entry"] for one in found)
    assert (right["verdict"], wrong["verdict"]) == ("CERTIFIED", "BIASED")
    assert f"`CERTIFIED` to {100 * right['demand']['epsilon']:.0f} %" in readme
    assert f"`BIASED` after {wrong['samples']:,} estimates".replace(",", " ") in readme


LIBRARIES = {"Stable-Baselines3 A2C": 0, "TorchRL REINFORCE": 1, "TorchRL A2C": 1}


@pytest.mark.parametrize("name", LIBRARIES)
def test_what_libraries_do_is_what_was_found(name: str) -> None:
    text = " ".join(PAGE.split())
    own = data("examples.json")["libraries"][name]
    assert f"{100 * own['off from weights gamma^h']:.0f} % off from weights gamma^h" in text
    assert own["off from weights 1"] < 2e-7
    plain, would = own["plain"], own["weights gamma^h would be"]
    assert f"a length of {plain['length']:.3f}, where weights gamma^h give {would['length']:.3f}" in text
    assert f"a cosine of {plain['cosine']:.3f} in place of {would['cosine']:.3f}" in text

    def shown(words: str) -> str:
        """The number of this library in a sentence about both."""
        found = re.search(words, text)
        assert found is not None, words
        return found.group(1 + LIBRARIES[name])

    number, normal, cut = r"([\d.]+)", own["normalised"], own["truncated"]
    times = shown(rf"{number} \(Stable-Baselines3\) and {number} \(TorchRL\) times the plain loss")
    assert times == f"{normal['length over plain']:.2f}"
    assert shown(rf"0.03, cosine {number} and {number}, from") == f"{normal['cosine']:.3f}"
    assert f"{normal['standard error']:.2f}" == "0.03"
    for words, against in (
        (rf"deviations of {number} and {number} standard errors", "a bootstrap"),
        (rf"a termination would give \({number} and {number}\)", "a termination"),
        (rf"a longer trajectory would \({number} and {number}\)", "no truncation"),
    ):
        assert shown(words) == f"{cut[f'off from {against}, in standard errors']:.1f}"
    for row, found in (
        ("counts the critic's value of the last state", own["a bootstrap is"]),
        ("ends all, as a termination does", own["a termination would be"]),
        ("is not there", own["no truncation would be"]),
    ):
        assert f"| {row} | {found['length']:.3f} | {found['cosine']:.3f} |" in text
