"""The page around the content: its head, its policy, its style and its scripts, all inside."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import msgspec

from edgeprof.report.html.elements import Markup, element
from edgeprof.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

LIBRARIES = ("d3.min.js", "plot.umd.min.js")


def page(title: str, content: Markup, charts: Sequence[dict[str, Any]]) -> str:
    """Return the whole page. Nothing is loaded, and only the scripts that it comes with run."""
    style = _asset("page.css")
    scripts = [*_libraries(), _asset("page.js")] if charts else [_asset("page.js")]
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_policy(style, scripts)),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", f"{title} · edgeprof"),
        Markup(f"<style>{style}</style>"),
    )
    body = element(
        "body",
        element("a", "To the content", href="#content", class_="to-content"),
        element(
            "header",
            element("h1", "edgeprof ", element("span", "report")),
            element("button", "Dark", type="button", id="theme", hidden=True),
        ),
        element("main", content, id="content", tabindex="-1"),
        element("footer", f"edgeprof {__version__}. Every figure says how it was got; what is not there says why."),
        Markup(f'<script type="application/json" id="charts">{embedded(charts)}</script>'),
        *(Markup(f"<script>{script}</script>") for script in scripts),
    )
    return f'<!DOCTYPE html>\n<html lang="en">{head}{body}</html>\n'


def embedded(content: object) -> str:
    """Return JSON that cannot end the script element that it stands in: `<`, `>` and `&` are written as escapes.

    HTML Standard, 4.12.1.3: `<!--`, `<script` and `</script` are what must not be in it.
    """
    text = msgspec.json.encode(content).decode()
    return text.replace("<", r"\u003c").replace(">", r"\u003e").replace("&", r"\u0026")


def _policy(style: str, scripts: Sequence[str]) -> str:
    allowed = " ".join(_digest(script) for script in scripts)
    return f"default-src 'none'; script-src {allowed}; style-src {_digest(style)}; base-uri 'none'; form-action 'none'"


def _digest(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def _libraries() -> list[str]:
    """Return the chart library, with the licences that every copy of it has to carry."""
    first, *rest = [_asset(name) for name in LIBRARIES]
    return [f"/*\n{_asset('charts.LICENSE').replace('*/', '* /')}*/\n{first}", *rest]


def _asset(name: str) -> str:
    return (files(__package__) / "assets" / name).read_text(encoding="utf-8")
