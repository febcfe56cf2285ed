"""Figures of matplotlib as SVG inside a page, in the page's colours and with titles for hover."""

import io
import re
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

from markupsafe import Markup

from autosearch.visualization.figures.drawing import own_settings
from autosearch.visualization.figures.markers import (
    FRONT,
    INK,
    LINE,
    ON_MIDDLE,
    OTHER,
    PAPER,
    REFERENCE,
    SOFT,
)
from autosearch.visualization.figures.recipe import COLOURS, ORDERS

__all__ = ["inline_svg"]

# Points, in which matplotlib draws, and pixels of a page to the inch.
_POINTS, _PIXELS = 72, 96
# What stands for each colour of a figure, so that a page's schemes can set it.
_VARIABLES = {
    **{colour: f"var(--{kind})" for kind, colour in COLOURS.items()},
    **{colour: f"var(--order-{kind})" for kind, (colour, _) in ORDERS.items()},
    FRONT: "var(--front)",
    INK: "var(--ink)",
    LINE: "var(--line)",
    "#cccccc": "var(--line)",  # the frame of a legend
    ON_MIDDLE: "var(--on-middle)",
    OTHER: "var(--other)",
    PAPER: "var(--paper)",
    REFERENCE: "var(--reference)",
    SOFT: "var(--soft)",
}
# What XML cannot hold, though a name may.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")


@own_settings()
def inline_svg(
    figure: Any, *, name: str, label: str, titles: Mapping[str, str], fluid: bool = False
) -> Markup:
    """Draw a figure as an ``<svg>`` element that needs nothing else.

    Args:
        figure: of matplotlib.
        name: one word, different for each picture of a page; the element's class begins with the
            part before the first hyphen.
        label: the picture in words, for whoever does not see it.
        titles: what parts of the picture say when pointed at, by the ``gid`` of their artists.
        fluid: whether the picture takes the width of what it stands in.
    """
    from matplotlib import rc_context

    file = io.StringIO()
    with rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    root = ElementTree.fromstring(_CONTROL.sub("\ufffd", file.getvalue()))
    _plain_names(root)
    _clip(root)
    _prune(root)
    used = {element.get("href", "")[1:] for element in root.iter("use")}
    for element in root.iter():
        _finish(element, titles, used)
    width, height = figure.get_size_inches() * _PIXELS
    size = {} if fluid else {"width": f"{width:.0f}", "height": f"{height:.0f}"}
    root.attrib = {
        "viewBox": root.attrib["viewBox"],
        "role": "img",
        "aria-label": _CONTROL.sub("\ufffd", label),
        "class": name.partition("-")[0],
        **size,
    }
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _plain_names(root: ElementTree.Element) -> None:
    """Drop namespaces, which HTML does not need; ``xlink:href`` is ``href`` there."""
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        element.attrib = {key.rpartition("}")[2]: text for key, text in element.attrib.items()}


def _clip(root: ElementTree.Element) -> None:
    """Put what was cut off at a panel's edges into an inner ``<svg>`` of the panel's size."""
    panels = {
        clip.get("id", ""): rectangle.attrib
        for clip in root.iter("clipPath")
        for rectangle in clip.iter("rect")
    }
    for parent in list(root.iter()):
        for i, child in enumerate(parent):
            clip = child.attrib.pop("clip-path", None)
            if clip is not None:
                place = {key: panels[clip[5:-1]][key] for key in ("x", "y", "width", "height")}
                place["viewBox"] = " ".join(place.values())
                parent[i] = ElementTree.Element("svg", place)
                parent[i].append(child)


def _prune(parent: ElementTree.Element) -> None:
    """Remove what shows nothing, and the style that would hold for the whole page."""
    for child in list(parent):
        _prune(child)
        empty = child.tag in ("g", "defs") and len(child) == 0
        unseen = child.tag == "path" and child.get("style") == "fill: none"
        if empty or unseen or child.tag in ("metadata", "style", "clipPath"):
            parent.remove(child)


def _finish(element: ElementTree.Element, titles: Mapping[str, str], used: set[str]) -> None:
    """Give an element the page's colours, two decimals, and a title in place of an artist's id."""
    element.tail = None
    if element.tag not in ("text", "tspan", "title"):
        element.text = None
    here = element.get("id", "")
    if here not in used:
        element.attrib.pop("id", None)
    if here in titles:
        title = ElementTree.Element("title")
        title.text = _CONTROL.sub("\ufffd", titles[here])
        element.insert(0, title)
        element.set("class", here)
    for key in ("d", "x", "y", "width", "height", "viewBox", "transform", "style"):
        if key in element.attrib:
            element.set(key, re.sub(r"(\.\d\d)\d+", r"\1", element.attrib[key]))
    style = element.get("style", "")
    style = re.sub(r"#[0-9a-f]{6}", lambda found: _VARIABLES.get(found[0], found[0]), style)
    # The page's font, at the figure's size.
    style = re.sub(r" *font-family: [^;]*;?", "", style)
    if element.get("transform", "").startswith("rotate(-0 "):
        del element.attrib["transform"]
    if style:
        element.set("style", style.replace("; ", ";"))
