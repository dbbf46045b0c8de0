"""Parts of the page that sections are made of, and the templates that draw them."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from verify.page import certificates, mathematics, prose, spelling
from verify.page.contract import Rows


@cache
def environment() -> Environment:
    """Return the templates with the filters that they use; undefined names are errors."""
    made = Environment(
        loader=PackageLoader("verify.page", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "prose": mathematics.prose,
        "mathml": mathematics.mathml,
        "blocks": prose.blocks,
        "data": certificates.data,
        "chain": certificates.chain,
        "decimal": spelling.decimal,
        "sentence": spelling.sentence,
        "ratio": spelling.ratio,
        "seconds": spelling.seconds,
        "minus": spelling.minus,
        "plural": spelling.plural,
    }
    made.globals["verdicts"] = spelling.VERDICTS
    return made


def table(
    caption: str | Markup, heads: Sequence[object], rows: Rows, numeric: Sequence[int] = ()
) -> Markup:
    """Draw a table that scrolls within its place; the first column names the rows.

    Parameters
    ----------
    caption : str or Markup
    heads : sequence
        Of the columns.
    rows : sequence of sequences
        Cells; what is no :class:`~markupsafe.Markup` is escaped.
    numeric : sequence of int
        Columns that are set flush right.
    """
    return part("table", caption, heads, rows, numeric)


def figure(svg: Markup, caption: str | Markup) -> Markup:
    """Draw a plot with its caption."""
    return part("figure", svg, caption)


def part(name: str, *arguments: Any) -> Markup:
    """Draw a part by the name of its macro."""
    drawn: Markup = getattr(environment().get_template("parts.html.j2").module, name)(*arguments)
    return drawn
