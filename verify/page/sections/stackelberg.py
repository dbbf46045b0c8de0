"""The experiment on stackelberg games."""

from markupsafe import Markup

from verify.page.contract import Material, Section
from verify.page.results import experiment


def _present(material: Material) -> Markup | None:
    return experiment(material, "stackelberg")


SECTION = Section(
    title="Stackelberg games",
    place=40,
    command="python -m verify reproduce stackelberg",
    present=_present,
)
