"""Plots as SVG inside the page: nothing is fetched, nothing runs, and no two of them share a name."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

from markupsafe import Markup

from reference.errors import InputError

SVG = "http://www.w3.org/2000/svg"
SCALE = 1.45
"""Pixels for a point: letters of 10 points are then as large as those of the page's tables."""

XLINK = "http://www.w3.org/1999/xlink"

SHAPES = frozenset({"path", "rect", "circle", "ellipse", "line", "polyline", "polygon", "image"})
TEXTS = frozenset({"text", "tspan", "title", "desc"})
FRAMES = frozenset(
    {"svg", "g", "defs", "use", "symbol", "style", "clipPath", "mask", "marker", "pattern"}
)
SHADES = frozenset({"linearGradient", "radialGradient", "stop"})
DRAWN = SHAPES | TEXTS | FRAMES | SHADES
"""Elements that draw; any other (scripts, foreign content, metadata) is left out."""


def inline(path: Path, description: str) -> Markup:
    """Return a file of SVG as an element of the page, as wide as its place allows.

    Parameters
    ----------
    path : Path
    description : str
        For those who do not see it.

    Raises
    ------
    InputError
        If it cannot be read, is no SVG, or refers to what is outside it.
    """
    try:
        root = ET.fromstring(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; make the results anew") from error
    except ET.ParseError as error:
        raise InputError(f"{path} is not XML ({error}); a figure must be SVG") from error
    if root.tag != f"{{{SVG}}}svg":
        raise InputError(f"{path} is no SVG: its root is {root.tag}; a figure must be SVG")
    prefix = re.sub(r"\W", "-", f"{path.parent.name}-{path.stem}") + "-"
    _clean(root, prefix, path)
    root.set("id", f"{prefix}figure")
    width, height = root.attrib.pop("width", ""), root.attrib.pop("height", "")
    if "viewBox" not in root.attrib:
        root.set("viewBox", f"0 0 {_points(width, path)} {_points(height, path)}")
    shown = float(root.attrib["viewBox"].split()[2]) * SCALE
    root.attrib |= {"role": "img", "aria-label": description, "style": f"max-width: {shown:.0f}px"}
    return Markup(ET.tostring(root, encoding="unicode"))


def _points(length: str, path: Path) -> float:
    found = re.fullmatch(r"([\d.]+)(?:px|pt)?", length.strip())
    if found is None:
        raise InputError(f"{path} has neither a viewBox nor a size in points; a figure needs one")
    return float(found[1])


def _clean(element: ET.Element, prefix: str, path: Path) -> None:
    """Leave what draws, and give every name the prefix of its figure."""
    for child in list(element):
        if child.tag.partition("}")[2] not in DRAWN:
            element.remove(child)
        else:
            _clean(child, prefix, path)
    element.tag = element.tag.partition("}")[2]
    if element.text is not None and element.tag == "style":
        # Rules of a figure are for itself alone.
        scoped = re.sub(r"(^|\})\s*([^{}]+)\{", rf"\1#{prefix}figure \2{{", element.text)
        element.text = _local(scoped, prefix, path)
    for name, value in list(element.attrib.items()):
        del element.attrib[name]
        plain = name.rpartition("}")[2]
        if (not name.startswith("{") or name.startswith(f"{{{XLINK}}}")) and not plain.startswith("on"):
            element.set(plain, _own(plain, value, prefix, path))


def _own(name: str, value: str, prefix: str, path: Path) -> str:
    """Give the names in an attribute the prefix of their figure."""
    if name == "id":
        return prefix + value
    if name == "href" and value.startswith("#"):
        return f"#{prefix}{value[1:]}"
    if name == "href" and not value.startswith("data:image/png;base64,"):
        raise InputError(f"{path} refers to {value[:80]}; a figure must hold all that it shows")
    return _local(value, prefix, path)


def _local(value: str, prefix: str, path: Path) -> str:
    if "@import" in value or re.search(r"url\(\s*['\"]?(?!#)", value):
        raise InputError(f"{path} refers to {value[:80]}; a figure must hold all that it shows")
    return re.sub(r"url\(\s*(['\"]?)#", rf"url(\1#{prefix}", value)
