r"""Mathematics on the page: LaTeX as MathML, and the notation of plain text as letters and indices.

Browsers draw MathML Core, which knows no ``mathvariant`` but ``normal``, and gives names of functions
and bars other spaces than TeX does.  What `latex2mathml` makes is brought into that form here, and what
it does not know is refused: it would otherwise stand on the page as it is.
"""

import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator, Sequence, Set
from functools import cache
from itertools import accumulate

from latex2mathml.converter import convert
from markupsafe import Markup, escape

NAMESPACE = "http://www.w3.org/1998/Math/MathML"

DOUBLE_STRUCK = {"C": "ℂ", "H": "ℍ", "N": "ℕ", "P": "ℙ", "Q": "ℚ", "R": "ℝ", "Z": "ℤ"}
"""Letters that Unicode had before it made room for the others."""

SPELLED = (
    (re.compile(r"\\arg\s*\\(min|max)(?![A-Za-z])"), r"\\operatorname*{arg\1}"),
    (re.compile(r"(\\[Bb]ig[lrm]?)\\\|"), r"\1‖"),
)
"""Commands that the library does not know, in terms of those that it does."""

LIMITS = ("max", "min", "sup", "inf", "lim", "argmax", "argmin")
"""Operators that carry what stands below them in a displayed formula."""


@cache
def mathml(latex: str, *, block: bool = False) -> Markup:
    """Return a formula as MathML.

    Parameters
    ----------
    latex : str
        Without dollar signs.
    block : bool
        Whether it stands on a line of its own.

    Raises
    ------
    ValueError
        If it cannot be read, or has a command that is not known.
    """
    known = latex
    for pattern, spelled in SPELLED:
        known = pattern.sub(spelled, known)
    try:
        root = ET.fromstring(convert(known, display="block" if block else "inline"))
    except Exception as error:  # the library raises a dozen kinds, which share no parent
        raise ValueError(f"the formula {latex} cannot be read: {error!r}") from error
    for element in root.iter():
        if unknown := re.search(r"\\.\w*", element.text or ""):
            raise ValueError(f"the formula {latex} has the unknown command {unknown[0]}")
        _settle(element, block)
    for element in root.iter():
        element.tag = element.tag.removeprefix(f"{{{NAMESPACE}}}")
    # The parser of HTML knows the namespace of <math>.
    return Markup(ET.tostring(root, encoding="unicode", short_empty_elements=False))


def _settle(element: ET.Element, block: bool) -> None:
    """Bring one element into the form that browsers draw."""
    kind = element.tag.rpartition("}")[2]
    text = element.text or ""
    variant = element.attrib.pop("mathvariant", None)
    if variant is not None:
        element.text = "".join(_styled(letter, variant) for letter in text)
    if kind == "mi" and len(text) > 1 and text.isascii():
        element.tag = f"{{{NAMESPACE}}}mo"
        kind = "mo"
    if kind == "mi" and text == "′":
        element.tag = f"{{{NAMESPACE}}}mo"
    if kind == "mo":
        if text.isalpha() and text.isascii():
            element.attrib |= {"lspace": "0.17em", "rspace": "0.17em"}
        elif text in "|‖":
            element.attrib |= {"lspace": "0.05em", "rspace": "0.05em"}
            if "minsize" not in element.attrib:
                element.attrib["stretchy"] = "false"
            else:
                element.attrib["stretchy"] = "true"
                element.attrib["symmetric"] = "true"
    if block and kind == "msub" and len(element) == 2 and element[0].text in LIMITS:
        element.tag = f"{{{NAMESPACE}}}munder"


def _styled(letter: str, variant: str) -> str:
    if not (letter.isascii() and letter.isalpha()):
        return letter
    if variant == "double-struck":
        plain = chr(0x1D538 + ord(letter) - ord("A"))
        return DOUBLE_STRUCK.get(letter, plain if letter.isupper() else letter)
    if variant == "bold" and letter.isupper():
        return chr(0x1D400 + ord(letter) - ord("A"))
    if variant == "script" and letter.isupper():
        irregular = {"B": "ℬ", "E": "ℰ", "F": "ℱ", "H": "ℋ", "I": "ℐ", "L": "ℒ", "M": "ℳ", "R": "ℛ"}
        return irregular.get(letter, chr(0x1D49C + ord(letter) - ord("A")))
    return letter


GREEK = {
    "alpha": "α",
    "beta": "β",
    "gamma": "γ",
    "delta": "δ",
    "eps": "ε",
    "zeta": "ζ",
    "eta": "η",
    "theta": "θ",
    "kappa": "κ",
    "lambda": "λ",
    "mu": "μ",
    "xi": "ξ",
    "pi": "π",
    "rho": "ρ",
    "sigma": "σ",
    "tau": "τ",
    "phi": "φ",
    "psi": "ψ",
    "Pi": "Π",
    "Delta": "Δ",
    "Om": "Ω",
}

SIGNS = {
    "<=>": "⇔",
    "=>": "⇒",
    "<=": "≤",
    ">=": "≥",
    "->": "→",
    "+-": "±",
    "sqrt": "√",
    "grad": "∇",
    "infinity": "∞",
}

NAMES = "|".join(sorted((*GREEK, *(name for name in SIGNS if name.isalpha())), key=len, reverse=True))
LETTERS = re.compile(rf"(?<![A-Za-z])(?:{NAMES})(?![A-Za-z])")
ARROWS = re.compile(r"<=>|=>|<=|>=|->|\+-(?=[\d ])")
MINUS = re.compile(r"(?<=[\s(\[,{/^_])-(?=[\d\w(√∇| ])|(?<=\d)-(?=[α-ω])|^-(?=[\d\w(√∇|])")
HAT = re.compile(r"([^\W\d_])\^(?![A-Za-z0-9({*+−\u0370-\u03ff-])")
INDEX = re.compile(
    r"(?<=[\w)\]}|*'’∇∑\u0302.])(?P<sign>[\^_])"
    r"(?:\{(?P<braced>[^{}]*)\}|\((?P<round>[−-]?[\w/]+)\)|(?P<plain>[−-]?[^\W_]+\u0302?[*']*|\*))"
)
NAMED = re.compile(
    rf"(?<!\w)((?!(?:{NAMES}|arg)[a-z]*_)[a-z]{{4,}}(?:_[a-z]{{2,}})+|[a-z]+(?:_[a-z]{{2,}}){{2,}}"
    r"|[A-Z]\d{2}[a-z]?_\w+)(?!\w)"
)
"""Names in code: of more words than a symbol with its index has, or longer ones; certificates."""
CODE = re.compile(r"(?P<ticks>`+)(?P<code>.+?)(?P=ticks)")
ROLE = re.compile(r":\w+:`~?([^`]+)`")
STRESS = re.compile(r"(?<![\w*)])\*(?P<words>[a-z][a-z ]*[a-z])\*(?![\w*])")

SMALL = 0.75
"""Size of indices in a block of formulas, as the style sheet sets it."""


def letters(text: str) -> str:
    """Return plain text with Greek letters, ∇, ≤ and the like for their names."""
    text = ARROWS.sub(lambda found: SIGNS[found[0]], text)
    text = LETTERS.sub(lambda found: GREEK.get(found[0]) or SIGNS[found[0]], text)
    text = MINUS.sub("−", text)
    text = re.sub(r"\bsum(?=_)", "∑", text)
    text = re.sub(r"([√∇]) (?=[\w(|])", "\\1", text)
    return HAT.sub("\\1\u0302", text)


def aligned(text: str) -> Markup:
    """Return lines of formulas for a block in a type of one width, with what is aligned kept so.

    Columns are apart by two spaces or more.  What a part loses in width, by a letter for a name or by
    small indices, is made up for behind it.
    """
    lines = [[*re.split(r"(\s{2,})", line)] for line in text.split("\n")]
    starts = Counter(start for parts in lines for start, part in _placed(parts) if not part.isspace())
    columns = {start for start, times in starts.items() if times > 1}
    return Markup("\n").join(_line(parts, columns) for parts in lines)


def _placed(parts: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Give each part the column in which it begins."""
    return zip(accumulate(map(len, parts), initial=0), parts, strict=False)


def _line(parts: Sequence[str], columns: Set[int]) -> Markup:
    made, lost = Markup(), 0.0
    for start, part in _placed(parts):
        if part.isspace():
            made += part
            if lost > 0.0 and start + len(part) in columns:
                made += Markup('<i style="width:{:g}ch"></i>').format(lost)
                lost = 0.0
        else:
            short = letters(part)
            shown = INDEX.sub(_index, str(escape(short)).replace("&#39;", "'"))
            lost += len(part) - _width(shown)
            made += Markup(shown)
    return made


def _width(html: str) -> float:
    """Width of a line in letters, with smaller ones in indices."""
    width, depth = 0.0, 0
    for part in re.split(r"(</?su[bp]>)", html):
        if part.startswith("<"):
            depth += -1 if part.startswith("</") else 1
        else:
            plain = Markup(part).unescape()
            width += (len(plain) - plain.count("\u0302")) * SMALL**depth
    return width


def prose(text: str) -> Markup:
    """Return a paragraph of plain text with mathematics in it.

    Greek letters, signs, superscripts and subscripts are set; what stands in backticks is code.
    """
    made, at = Markup(), 0
    text = ROLE.sub(r"`\1`", text)
    for found in CODE.finditer(text):
        made += _formulas(text[at : found.start()]) + Markup("<code>{}</code>").format(found["code"])
        at = found.end()
    return made + _formulas(text[at:])


def _formulas(text: str) -> Markup:
    parts = NAMED.split(text)  # words, name, words, name, ..., words
    names = [Markup("<code>{}</code>").format(name) for name in parts[1::2]]
    made = _symbols(parts[0])
    for name, words in zip(names, parts[2::2], strict=True):
        made += name + _symbols(words)
    return made


def _symbols(text: str) -> Markup:
    html = letters(re.sub(r"\s+", " ", text))
    html = str(escape(html)).replace("&#39;", "'")  # which an index may end in
    html = INDEX.sub(_index, html)
    return Markup(STRESS.sub(r"<em>\g<words></em>", html))


def _index(found: re.Match[str]) -> str:
    inside = str(found["braced"] or found["round"] or found["plain"] or "")
    inside = INDEX.sub(_index, inside.replace("-", "−").replace(" in ", " ∈ "))
    tag = "sup" if found["sign"] == "^" else "sub"
    return f"<{tag}>{inside}</{tag}>"


def rational(text: str) -> Markup:
    """Return ``3/4`` as a fraction in MathML, and a whole number as it is."""
    sign, digits = ("−", text[1:]) if text.startswith("-") else ("", text)
    numerator, _, denominator = digits.partition("/")
    if not denominator:
        return escape(sign + numerator)
    return Markup("<math><mrow>{}<mfrac><mn>{}</mn><mn>{}</mn></mfrac></mrow></math>").format(
        Markup("<mo form='prefix'>−</mo>") if sign else "", numerator, denominator
    )
