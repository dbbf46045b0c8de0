"""Tables of committed results in Markdown, each drawn from its data alone; tests hold the pages to it.

Run ``python -m verify.audit.pages`` in the repository to draw ``docs/results/audit/faults.md`` and the
short tables in the README and in docs/audit.md anew.
"""

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from verify.report import files

Document = Mapping[str, Any]
FOLDER = Path("docs/results/audit")
DEAREST = 5


def _table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)


def _count(number: float) -> str:
    return f"{number:,.0f}".replace(",", " ")


def instrument(row: Document) -> str:
    """Which instrument a row is about, without its message."""
    return str(row["instrument"]).partition(":")[0]


def faults_in_short(found: Document) -> str:
    """One line per instrument, the one that sees most first.

    A fault counts as flagged if it was at every seed, a right estimator if it was at any.
    """
    rows = found["rows"]
    kinds = sorted({*map(instrument, rows)}, key=lambda k: (-sum(instrument(r) == k for r in rows), k))
    lines = []
    for kind in kinds:
        own = [row for row in rows if instrument(row) == kind]
        faulty, right = ([row for row in own if row["faulty"] is f] for f in (True, False))
        caught = sum(row["flagged"] == row["seeds"] for row in faulty)
        accused = sum(row["flagged"] > 0 for row in right)
        seeds = "/".join(sorted({str(row["seeds"]) for row in own}))
        samples = [row["samples"] for row in faulty if row["flagged"]]
        middle = _count(statistics.median(samples)) if samples else "-"
        lines.append([kind, f"{caught} / {len(faulty)}", f"{accused} / {len(right)}", seeds, middle])
    headings = ("seen by", "faults flagged", "right ones flagged", "seeds of each", "median samples")
    return _table(headings, lines)


def faults_in_full(found: Document) -> str:
    """Every fault and every right estimator."""
    faulty, right = ([row for row in found["rows"] if row["faulty"] is f] for f in (True, False))
    some = "" if found.get("complete", True) else "\nThe run is not complete: rows are missing.\n"
    return (
        "# Faulty and right estimators\n\n"
        f"`{found['command']}` (drawn from `faults.json` by `python -m verify.audit.pages`)\n{some}\n"
        f"{faults_in_short(found)}\n"
        "## Faulty on purpose\n\n"
        "Samples are the median over the seeds of the estimates that it took; 0 are those that left "
        "their computed range in the first call, or needed none.\n\n"
        + _table(
            ("fault", "seen by", "in the audit", "flagged", "samples"),
            (
                (
                    row["title"],
                    instrument(row),
                    row["audit"] and f"`{row['audit']}`",
                    f"{row['flagged']} / {row['seeds']}",
                    _count(row["samples"]),
                )
                for row in faulty
            ),
        )
        + "\n## Right\n\nSamples are those of each seed, unless it was flagged before.\n\n"
        + _table(
            ("audit", "instrument", "flagged", "samples"),
            (
                (
                    f"`{row['name']}`",
                    instrument(row),
                    f"{row['flagged']} / {row['seeds']}",
                    _count(row["samples"]),
                )
                for row in right
            ),
        )
        + "\n## Faults that change no audited expectation\n\n"
        + _table(("fault", "what sees it"), ((f"`{k}`", v) for k, v in found["elsewhere"].items()))
    )


def dearest(found: Document) -> str:
    """The audits that took most of the processor, of ``benchmarks/audit.py``."""
    rows = sorted(found["rows"], key=lambda row: -row["processor"])[:DEAREST]
    return _table(
        ("audit", "estimates", "processor s", "clock s"),
        (
            (
                f"`{row['name']}`",
                _count(row["samples"]),
                f"{row['processor']:.0f}",
                f"{row['wall']:.0f}",
            )
            for row in rows
        ),
    )


def read(path: Path) -> Document:
    """Read a document of results."""
    found: Document = json.loads(path.read_text(encoding="utf-8"))
    return found


def between(text: str, mark: str) -> str:
    """Return what stands between ``<!-- mark -->`` and ``<!-- /mark -->``."""
    return text.partition(f"<!-- {mark} -->\n")[2].partition(f"<!-- /{mark} -->")[0]


def main() -> None:
    """Draw everything anew."""
    faults = read(FOLDER / "faults.json")
    files.write(FOLDER / "faults.md", faults_in_full(faults))
    for page, mark, table in (
        (Path("README.md"), "faults", faults_in_short(faults)),
        (Path("docs/audit.md"), "dearest", dearest(read(FOLDER / "speed.json"))),
    ):
        text = page.read_text(encoding="utf-8")
        files.write(page, text.replace(between(text, mark), table))


if __name__ == "__main__":
    main()
