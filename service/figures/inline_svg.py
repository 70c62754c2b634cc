"""The SVG of a figure as part of an HTML page: without styles, scripts or outside references, and with its words.

matplotlib writes `style` attributes, which a strict Content-Security-Policy refuses, and the same ids in every figure.
Here styles become attributes, and ids begin with the figure's name.
"""

import re
from xml.etree import ElementTree

from service.figures.canvas import Words

_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_HREF = f"{{{_XLINK}}}href"
_NUMBER = re.compile(r"-?\d+\.\d{3,}")
_FONTS = "'DejaVu Sans', Verdana, 'Helvetica Neue', Arial, sans-serif"
# Properties that SVG also accepts as attributes.
_ATTRIBUTES = frozenset(
    {
        "fill",
        "fill-opacity",
        "fill-rule",
        "stroke",
        "stroke-opacity",
        "stroke-width",
        "stroke-linecap",
        "stroke-linejoin",
        "stroke-dasharray",
        "stroke-dashoffset",
        "stroke-miterlimit",
        "opacity",
        "text-anchor",
        "font-size",
        "font-style",
        "font-weight",
        "clip-path",
    }
)

# Without prefixes in what is written. The register belongs to the process; nothing else here writes XML.
ElementTree.register_namespace("", _SVG)
ElementTree.register_namespace("xlink", _XLINK)


def inline_svg(name: str, svg: bytes, words: Words) -> str:
    """Return an `svg` element, which may also stand alone as a file.

    Args:
        name: The figure's name, with which all of its ids begin.
        svg: The figure as matplotlib writes it.
        words: The figure's words, which become its title and description.
    """
    root = ElementTree.fromstring(svg)
    for parent in [*root.iter()]:
        for child in [*parent]:
            if child.tag in (f"{{{_SVG}}}metadata", f"{{{_SVG}}}style"):
                parent.remove(child)
    seen: set[str] = set()
    for element in root.iter():
        _clean(element, name)
        own = element.get("id", "")
        if own in seen:  # two pictures with the same content have the same id, and nothing refers to them
            del element.attrib["id"]
        seen |= {own} if own else set()
    root.attrib |= {"role": "img", "aria-labelledby": f"{name}-title {name}-desc"}
    root.attrib |= {"stroke-linejoin": "round", "stroke-linecap": "butt", "font-family": _FONTS}
    for place, (kind, text) in enumerate((("title", words.title), ("desc", words.alternative))):
        about = ElementTree.Element(f"{{{_SVG}}}{kind}", {"id": f"{name}-{kind}"})
        about.text = text
        root.insert(place, about)
    return ElementTree.tostring(root, encoding="unicode")


def _clean(element: ElementTree.Element, name: str) -> None:
    """Turn styles into attributes, make ids unique, and shorten numbers and white space."""
    for key, value in _properties(element.attrib.pop("style", "")):
        element.set(key, value)
    for key, value in element.attrib.items():
        if key == "id":
            element.set(key, f"{name}-{value}")
        elif key == _HREF and value.startswith("#"):
            element.set(key, f"#{name}-{value[1:]}")
        elif value.startswith("url(#"):
            element.set(key, f"url(#{name}-{value[5:]}")
        elif key in ("d", "x", "y", "transform", "points"):
            element.set(key, _NUMBER.sub(lambda match: f"{float(match[0]):.2f}", " ".join(value.split())))
    if element.text is not None and not element.text.strip():
        element.text = None
    element.tail = None


def _properties(style: str) -> list[tuple[str, str]]:
    """Return the properties of a `style` attribute as attributes; those that SVG has only as styles are left out."""
    found = []
    for declaration in style.split(";"):
        key, _, value = (part.strip() for part in declaration.partition(":"))
        if key in _ATTRIBUTES:
            found.append((key, value.removesuffix("px")))
    return found
