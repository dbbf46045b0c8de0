"""Deliberate faults, and what sees them."""

from markupsafe import Markup

from verify.page.contract import Material, Section
from verify.page.mathematics import prose
from verify.page.parts import table


def _present(material: Material) -> Markup | None:
    outcomes = [entry for entry in material.outcomes("mutants") if entry["status"] != "error"]
    planted = [entry for entry in material.outcomes("claims") if ".fault." in entry["name"]]
    if not outcomes:
        return None
    seen = sum(entry["status"] == "as expected" for entry in outcomes)
    noticed = sum(entry["status"] == "as expected" for entry in planted)
    rows = [
        [
            prose(entry["title"]),
            entry["detail"]
            if entry["status"] == "as expected"
            else Markup('<strong class="bad">{}</strong>').format(entry["detail"]),
        ]
        for entry in outcomes
    ]
    text = Markup(
        "<p>Each fault is one replacement in the source, held against the matrix until a comparison "
        "fails: {} of {} are seen.{}</p>"
    ).format(
        seen,
        len(outcomes),
        f" Of {len(planted)} faults planted in the statements, {noticed} are noticed by the statements’ "
        "own trials; they are listed with them."
        if planted
        else "",
    )
    return text + table("Faults in the code", ["fault", "seen by"], rows)


SECTION = Section(
    title="Mutants",
    place=20,
    command="python -m verify report",
    present=_present,
)
