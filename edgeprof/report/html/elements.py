"""HTML that cannot be broken out of: every text and every attribute is escaped where it is put in."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class Markup(str):
    """Text that is HTML already, because `element` made it."""

    __slots__ = ()


VOID = frozenset({"br", "meta"})


def element(tag: str, *children: str, **attributes: str | bool | None) -> Markup:
    """Return an element; children that are no Markup are escaped, as attributes are.

    An underscore in an attribute's name is a hyphen and one at its end falls away (`class_`, `data_chart`); True is an
    attribute without value, None and False are none.
    """
    given = "".join(_attribute(name, value) for name, value in attributes.items())
    return Markup(f"<{tag}{given}>" if tag in VOID else f"<{tag}{given}>{joined(*children)}</{tag}>")


def joined(*children: str) -> Markup:
    """Return children one after the other, escaped where they are text."""
    return Markup("".join(child if isinstance(child, Markup) else escape(child) for child in children))


def _attribute(name: str, value: str | bool | None) -> str:  # noqa: FBT001  a value, not a switch
    word = name.removesuffix("_").replace("_", "-")
    match value:
        case None | False:
            return ""
        case True:
            return f" {word}"
        case str():
            return f' {word}="{escape(value)}"'


def table(caption: str, head: tuple[str, ...], rows: Sequence[tuple[str, ...]], *, numbers: frozenset[int]) -> Markup:
    """Return a table in a region that scrolls by itself and by keyboard; `numbers` are the columns set to the right.

    The first column heads its row.
    """
    classes = ["n" if at in numbers else None for at in range(len(head))]
    heads = (element("th", text, scope="col", class_=kind) for text, kind in zip(head, classes, strict=True))
    body = (
        element(
            "tr",
            element("th", row[0], scope="row", class_=classes[0]),
            *(element("td", cell, class_=kind) for cell, kind in zip(row[1:], classes[1:], strict=True)),
        )
        for row in rows
    )
    drawn = element(
        "table",
        element("caption", caption),
        element("thead", element("tr", *heads)),
        element("tbody", *body),
    )
    return element("div", drawn, class_="scroll", tabindex="0", role="group", aria_label=caption)
