"""Docstrings as HTML: paragraphs, lists, and blocks of formulas.

They are plain text with a little reStructuredText: what is indented is a block of formulas, ``*`` begins
an item of a list, and two spaces end the words that head a paragraph.
"""

import inspect
import re
import textwrap
from itertools import groupby

from markupsafe import Markup

from verify.page.mathematics import aligned, prose

HEAD = re.compile(r"(?P<head>(?:Derivation[^.:=]{0,60}|[A-Z]\w+(?: \w+)?)\.)(?:  |\n)(?P<rest>.*)", re.S)


def blocks(docstring: str) -> Markup:
    """Return a docstring without its first line, which is the title."""
    parts = re.split(r"\n\s*\n", inspect.cleandoc(docstring).partition("\n")[2].strip("\n"))
    made = Markup()
    for kind, members in groupby(filter(str.strip, parts), _kind):
        texts = list(members)
        if kind == "formulas":
            shown = aligned(textwrap.dedent("\n\n".join(texts)).strip("\n"))
            made += Markup('<pre class="formulas" tabindex="0">{}</pre>\n').format(shown)
        elif kind == "list":
            items = re.split(r"(?m)^\* ", "\n".join(texts))[1:]
            shown = Markup("").join(Markup("<li>{}</li>").format(prose(item)) for item in items)
            made += Markup("<ul>{}</ul>\n").format(shown)
        else:
            made += Markup("").join(map(_paragraph, texts))
    return made


def _kind(part: str) -> str:
    lines = part.split("\n")
    if all(line.startswith("  ") for line in lines):
        return "formulas"
    return "list" if lines[0].startswith("* ") else "paragraph"


def _paragraph(text: str) -> Markup:
    text = re.sub(r"::$", ":", text.strip())
    if text == ":":
        return Markup("")
    if headed := HEAD.fullmatch(text):
        return Markup("<p><strong>{}</strong> {}</p>\n").format(
            prose(headed["head"]), prose(headed["rest"])
        )
    return Markup("<p>{}</p>\n").format(prose(text))
