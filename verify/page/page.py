"""The page: a run, the statements, and what the sections make of the rest, put into one HTML file."""

import datetime
from collections import Counter
from importlib.resources import files

from markupsafe import Markup

from verify import leaves
from verify.page.contract import Material, Section
from verify.page.mathematics import prose
from verify.page.parts import environment, table
from verify.page.spelling import VERDICTS, ratio, sentence
from verify.page.statements import statements

SECTIONS = "verify.page.sections"


def sections() -> dict[str, Section]:
    """Return the sections below the statements, in their order."""
    found = leaves.leaves(SECTIONS, "SECTION", Section)
    return dict(sorted(found.items(), key=lambda item: (item[1].place, item[0])))


def drawn(material: Material) -> list[tuple[str, Section, Markup | None]]:
    """Return the sections with their names and what they draw of the material.

    Raises
    ------
    InputError
        If results cannot be read.
    """
    return [(name, section, section.present(material)) for name, section in sections().items()]


SHOWN = ("claims", "crosscheck", "mutants")
"""Groups of checks that have a place of their own on the page."""


def others(material: Material) -> Markup:
    """Draw the outcomes of all other groups, one table each."""
    names = dict.fromkeys(entry["group"] for entry in material.document["outcomes"])
    return Markup("").join(
        table(
            f"{sentence(group)}: worst error in tolerances, or largest ratio of the sides",
            ["check", "what is compared", "status", "worst", "instances", "where"],
            [
                [
                    Markup("<code>{}</code>").format(entry["name"]),
                    prose(entry["title"]),
                    entry["status"],
                    ratio(entry["margin"]),
                    entry["instances"],
                    prose(entry["instance"]),
                ]
                for entry in material.outcomes(group)
            ],
            (3, 4),
        )
        for group in names
        if group not in SHOWN
    )


def page(material: Material, *, same_code: bool = True) -> str:
    """Return the page as HTML.

    Parameters
    ----------
    material : Material
    same_code : bool
        Whether the run was one of the code that is here, whose statements are shown.

    Raises
    ------
    InputError
        If results cannot be read.
    """
    document = material.document
    parts = statements(material.outcomes("claims"))
    flat = [statement for _, members in parts for statement in members]
    printed = Counter(statement.forms["printed"].verdict for statement in flat)
    best = Counter(statement.best.verdict for statement in flat)
    outcomes = document["outcomes"]
    assets = files(__package__).joinpath("templates")
    return (
        environment()
        .get_template("page.html.j2")
        .render(
            document=document,
            started=datetime.datetime.fromisoformat(document["started"]),
            parts=parts,
            n_statements=len(flat),
            n_forms=sum(len(statement.forms) for statement in flat),
            printed={verdict: printed[verdict] for verdict in VERDICTS if printed[verdict]},
            best={verdict: best[verdict] for verdict in VERDICTS if best[verdict]},
            deviations=[outcome for outcome in outcomes if outcome["status"] != "as expected"],
            sections=drawn(material),
            others=others(material),
            same_code=same_code,
            style=Markup(assets.joinpath("page.css").read_text(encoding="utf-8")),
            script=Markup(assets.joinpath("page.js").read_text(encoding="utf-8")),
        )
    )
