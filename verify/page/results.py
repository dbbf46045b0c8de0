"""Results of other commands on the page: what made them, their figures, findings of experiments."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from markupsafe import Markup

from verify.page.contract import Material, reading
from verify.page.figures import inline
from verify.page.mathematics import prose
from verify.page.parts import figure, part, table
from verify.page.spelling import minus, plural, sentence

MARKS = {"holds": "✓", "reversed": "✗", "stays": "✗", "undecided": "○"}
"""Of the verdicts on an experiment's claims."""


def made_by(content: Mapping[str, Any]) -> Markup:
    """Draw the command that made results."""
    return Markup("<p>Made by <code>{}</code>.</p>").format(content["command"])


def figures(folder: Path, listed: Sequence[Mapping[str, Any]]) -> Markup:
    """Draw the figures of a folder.

    Parameters
    ----------
    folder : Path
    listed : sequence of mappings
        Each with ``file`` and ``caption``, and perhaps a ``title``.

    Raises
    ------
    InputError
        If a file cannot be read, or is no SVG that stands alone.
    """
    drawn = [
        figure(inline(folder / entry["file"], entry["caption"]), _caption(entry)) for entry in listed
    ]
    return Markup('<div class="plots">{}</div>').format(Markup("").join(drawn)) if drawn else Markup()


def _caption(entry: Mapping[str, Any]) -> Markup:
    words = prose(sentence(entry["caption"]))
    title = entry.get("title")
    return Markup("<strong>{}.</strong> {}").format(prose(title), words) if title else words


def experiment(material: Material, name: str, title: str = "") -> Markup | None:
    """Draw an experiment of Section 6: its figures, its findings, and what was assumed.

    Parameters
    ----------
    material : Material
    name : str
        Of the experiment.
    title : str
        Heading of one of several experiments in a section.

    Raises
    ------
    InputError
        If its files cannot be read, or have another schema.
    """
    from verify.experiments import documents

    path = material.find(documents.MANIFEST, name, f"reproduce/{name}")
    if path is None:
        return None
    manifest = documents.read(path)
    findings = documents.read(path.with_name(documents.FINDINGS))
    with reading(path):
        return _experiment(path.parent, manifest, findings["findings"], title)


def _experiment(
    folder: Path, manifest: Mapping[str, Any], findings: Sequence[Mapping[str, Any]], title: str
) -> Markup:
    part_of = Markup("<h4>{}</h4>") if title else Markup("<h3>{}</h3>")
    intro = Markup("<p>{}: {}. Seed {}, budget <em>{}</em>: {}.{}</p>").format(
        manifest["source"],
        manifest["title"],
        manifest["seed"],
        manifest["budget"],
        prose(manifest["purpose"]),
        " This budget shows that the command works, and is too small for findings."
        if manifest["budget"] == "smoke"
        else "",
    )
    tables = Markup("").join(_findings(findings))
    return (
        (Markup("<h3>{}</h3>").format(title) if title else Markup())
        + intro
        + made_by(manifest)
        + part_of.format("Findings")
        + tables
        + part_of.format("Figures")
        + figures(folder, manifest["figures"])
        + part_of.format("What was assumed")
        + facts(manifest["assumptions"])
    )


def facts(entries: Mapping[str, object]) -> Markup:
    """Draw names with what they are."""
    return part("facts", [(prose(sentence(name)), prose(str(entry))) for name, entry in entries.items()])


def _findings(findings: Sequence[Mapping[str, Any]]) -> Iterator[Markup]:
    """One table per kind of claim, source and measure: settings as rows, claims as columns."""

    def key(finding: Mapping[str, Any]) -> tuple[str, str, str]:
        return finding["kind"], finding["place"].rpartition("/")[2], finding["measure"]

    for (kind, source, measure), group in groupby(sorted(findings, key=key), key=key):
        members = list(group)
        names = list(dict.fromkeys(finding["name"] for finding in members))
        rows: dict[str, dict[str, Markup]] = {}
        for finding in members:
            setting = finding["place"].rpartition("/")[0]
            rows.setdefault(setting, {})[finding["name"]] = _finding(finding)
        seeds = max(finding["test"]["n"] for finding in members)
        about = (
            "mean difference with its 95% interval"
            if kind == "above"
            else "what is left at the end, in percent of the largest, with its 95% interval"
        )
        yield table(
            Markup("{}, {}: {}, over {}").format(
                sentence(source), prose(measure.replace("_", " ")), about, plural(seeds, "seed")
            ),
            ["setting", *map(prose, names)],
            [[prose(setting), *(row.get(name, "·") for name in names)] for setting, row in rows.items()],
        )


def _finding(finding: Mapping[str, Any]) -> Markup:
    verdict, test = finding["verdict"], finding["test"]
    numbers = f"{test['mean']:+.3g} [{test['low']:.2g}, {test['high']:.2g}]"
    if finding["kind"] == "vanishes":  # the test is of the threshold less what is left
        left = [100.0 * (finding["threshold"] - test[end]) for end in ("mean", "high", "low")]
        numbers = "{:.1f}% [{:.1f}, {:.1f}]".format(*left)
    return Markup('<span class="finding f-{}"><span aria-hidden="true">{}</span> {}</span> {}').format(
        verdict, MARKS.get(verdict, "·"), verdict, minus(numbers)
    )
