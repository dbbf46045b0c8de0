"""The experiment on learning from preferences."""

from markupsafe import Markup

from verify.report.page.contract import Material, Section
from verify.report.page.results import experiment


def _present(material: Material) -> Markup | None:
    return experiment(material, "rlhf")


SECTION = Section(
    title="Learning from preferences",
    place=45,
    command="python -m verify reproduce rlhf",
    present=_present,
)
