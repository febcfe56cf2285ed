"""Elements of SVG as safe markup: every text and attribute is escaped."""

from collections.abc import Iterable

from markupsafe import Markup, escape

__all__ = ["picture", "tag"]

Value = str | float | int | None


def tag(name: str, *children: str, **attributes: Value) -> Markup:
    """``<name attributes>children</name>``.

    Args:
        name: of the element.
        children: markup, or text, which is escaped.
        attributes: underscores stand for hyphens, one at the end is dropped (``class_``); numbers
            are cut to a tenth of a pixel, None leaves the attribute out.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_plain(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    inside = "".join(escape(child) for child in children)
    return Markup(f"<{name}{written}>{inside}</{name}>" if inside else f"<{name}{written}/>")


def picture(
    parts: Iterable[str], *, width: float, height: float, label: str, class_: str
) -> Markup:
    """An SVG picture with its text alternative."""
    return tag(
        "svg",
        *parts,
        viewBox=f"0 0 {_plain(width)} {_plain(height)}",
        width=width,
        height=height,
        role="img",
        aria_label=label,
        class_=class_,
    )


def _plain(value: str | float) -> str:
    return value if isinstance(value, str) else f"{round(float(value), 1):g}"
