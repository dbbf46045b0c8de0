"""How biased gradient estimators are, with a guarantee."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from reference.errors import InputError
from verify.page.contract import Material, Section, read_json, reading
from verify.page.mathematics import prose
from verify.page.parts import table
from verify.page.results import figures, made_by
from verify.page.spelling import minus, plural

SCHEMA, VERSION = "pbrl-audit", 1

FIGURES = 8
"""How many are shown: those of audits that ended otherwise than expected, then one of each family."""


def _present(material: Material) -> Markup | None:
    path = material.find("audit.json", "audit")
    if path is None:
        return None
    content = read_json(path)
    with reading(path):
        if (content["schema"], content["version"]) != (SCHEMA, VERSION):
            raise InputError(f"{path} is no {SCHEMA} of version {VERSION}; make the results anew")
        drawn = _drawn(path.parent, content)
    faults = material.find("faults.json", "audit")
    return drawn if faults is None else drawn + _faults(faults)


def _faults(path: Path) -> Markup:
    """Draw how many seeds of estimators that are faulty on purpose, and of right ones, are flagged."""
    content = read_json(path)
    with reading(path):
        rows = [
            [
                prose(row["title"]),
                "faulty" if row["faulty"] else "right",
                f"{row['flagged']} of {row['seeds']}",
                f"{row['samples']:g}",
            ]
            for row in content["rows"]
        ]
        caption = f"Estimators that are faulty on purpose, and right ones, over {content['seeds']} seeds"
    return Markup("<h3>Does it see faults?</h3>") + table(
        caption, ["estimator", "is", "flagged", "median of samples"], rows, (2, 3)
    )


def _drawn(folder: Path, content: Mapping[str, Any]) -> Markup:
    audits = content["audits"]
    bad = sum(audit["verdict"] != audit["expected"] for audit in audits)
    terms = list(
        dict.fromkeys(
            term["name"] for audit in audits for block in audit["blocks"] for term in block["terms"]
        )
    )
    heads = ["estimator", "verdict", "block", "length", "cosine", *terms, "bias at most", "samples"]
    rows = [row for audit in audits for row in _rows(audit, terms)]
    return (
        made_by(content)
        + Markup("<p>{}, {}.{}</p>").format(
            plural(len(audits), "audit"),
            Markup('<strong class="bad">{} not as expected</strong>').format(bad)
            if bad
            else "all as expected",
            "" if content["complete"] else " The session is not complete.",
        )
        + table(
            prose(
                "What an estimator declares against the gradient that is wanted: ratio of lengths, "
                "cosine, and the terms that they differ by, as parts of the wanted one; then how far, "
                "at most, the estimator's mean is from what it declares, in percent of that"
            ),
            heads,
            rows,
            range(3, len(heads)),
        )
        + figures(folder, [_figure(audit) for audit in _chosen(folder, audits)])
    )


def _rows(audit: Mapping[str, Any], terms: Sequence[str]) -> Iterator[list[object]]:
    good = audit["verdict"] == audit["expected"]
    verdict = Markup("<span{}>{}</span>").format(
        Markup("") if good else Markup(' class="bad"'), audit["verdict"].lower()
    )
    for place, block in enumerate(audit["blocks"]):
        parts = {term["name"]: term["along"] for term in block["terms"]}
        bound = (block["bias_bound_relative"] or {}).get(audit["demand"]["norm"])
        yield [
            prose(audit["title"]) if place == 0 else "",
            verdict if place == 0 else "",
            block["name"],
            f"{block['length_ratio']:.3f}",
            "–" if block["cosine"] is None else minus(f"{block['cosine']:.4f}"),
            *(minus(f"{parts[term]:+.3f}") if term in parts else "·" for term in terms),
            "–" if bound is None else f"{100.0 * bound:.2f}%",
            audit["samples"] if place == 0 else "",
        ]


def _chosen(folder: Path, audits: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Audits whose figures are shown, in their order."""
    families: dict[str, Mapping[str, Any]] = {}
    for audit in audits:
        families.setdefault(audit["name"].partition(".")[0], audit)
    wrong = [audit for audit in audits if audit["verdict"] != audit["expected"]]
    names = dict.fromkeys(audit["name"] for audit in (*wrong, *families.values()))
    kept = [name for name in names if (folder / f"{name}.svg").is_file()][:FIGURES]
    return [audit for audit in audits if audit["name"] in kept]


def _figure(audit: Mapping[str, Any]) -> dict[str, str]:
    return {"file": f"{audit['name']}.svg", "title": audit["title"], "caption": f"{audit['reason']}."}


SECTION = Section(
    title="Audit of gradient estimators",
    place=60,
    command="python -m verify audit all",
    present=_present,
)
