"""Text that means nothing to the format it stands in."""

from __future__ import annotations


def escape(text: str) -> str:
    """Return text that means nothing to Markdown or HTML."""
    for character in "\\`*_[]<>|#":
        text = text.replace(character, f"\\{character}")
    return text.replace("\n", " ")
