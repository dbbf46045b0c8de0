"""Theorem 11's constants beside what performance estimation finds."""

from markupsafe import Markup

from verify.page.contract import Material, Section, read_json, reading
from verify.page.mathematics import prose
from verify.page.parts import table
from verify.page.results import made_by
from verify.page.spelling import short

COLUMNS = {
    "printed": "printed",
    "asymptotic": "proved for all K",
    "proved": "proved for this K",
    "estimated": "worst case by semidefinite programming",
    "flip": "an instance with flips",
}
"""Fields of an estimate that are shown, with their heads."""


def _present(material: Material) -> Markup | None:
    path = material.find("estimate.json", "estimate")
    if path is None:
        return None
    content = read_json(path)
    with reading(path):
        shown = [name for name in COLUMNS if all(name in row for row in content["estimates"])]
        rows = [
            [f"{row['iterations']:g}", f"{row['accuracy']:g}", *(short(row[name], 4) for name in shown)]
            for row in content["estimates"]
        ]
        heads = ["K", prose("eps_orac"), *(COLUMNS[name] for name in shown)]
        caption = Markup("{}: bounds and what is reached").format(prose(content["unit"]))
        return made_by(content) + table(caption, heads, rows, range(1, len(heads)))


SECTION = Section(
    title="Best constants of Theorem 11",
    place=35,
    command="python -m verify estimate",
    present=_present,
)
