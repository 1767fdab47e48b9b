"""Phrases that no text for a user is to have: a text written from now on says it in the field's words.

`old_phrases.txt` holds the texts that had one when this test was written; it only ever shrinks.
docs/glossary.md has the terms.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
OLD = Path(__file__).with_name("old_phrases.txt")
BANNED = {
    r"\ban (?:inference|item|operator)\b(?=[,.;:)]|$)": "per inference",
    r"\b(?:inferences|energy|carbon|electricity) an? (?:joule|inference|start)\b": "per joule, per inference",
    r"\bcannot be told\b|\bis not to be told\b": "is unknown, is not available",
    r"\b(?:is|are|was|were) wanted\b": "is expected",
    r"\b(?<!there )(?:is|are) no (?:[a-z]+)(?= (?:that|of|file|name|limit)\b|$)": "is not a, is not an",
    r"\b(?:keeps?|breaks?|broken) (?:the |a |that |every |its )?(?:hard )?limits?\b": "meets, exceeds",
    r"\bprofiles? of limits\b": "preset",
    r"\bmends?\b|\bmended\b": "fix",
    r"\bin turns\b": "interleaved",
    r"\bthe first answer\b": "cold start",
    r"\bkept results?\b": "saved result",
    r"\bfacts of\b": "specifications of",
    r"\bcan be done\b": "is supported, must be",
    r"\bhow far its tail\b": "tail latency",
}


def texts(path: Path) -> Iterator[str]:
    """Yield every text of a module that may reach a user: strings, f-strings, docstrings of commands."""
    tree = ast.parse(path.read_text())
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    silent = set() if "cli" in path.parts else {id(node.value) for node in _docstrings(tree)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)  # type: ignore[misc]  # parts of an f-string are texts
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside | silent:
            yield node.value


def _docstrings(tree: ast.Module) -> Iterator[ast.Expr]:
    """Yield every bare string: of a module, a class, a function, and those that stand under a constant."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield node


def found() -> dict[str, str]:
    """Return the texts with a banned phrase, each on one line, and what is better."""
    every = (" ".join(text.split()) for path in sorted((ROOT / "edgeprof").rglob("*.py")) for text in texts(path))
    return {text: better for text in every for banned, better in BANNED.items() if re.search(banned, text)}


def old() -> set[str]:
    return set(OLD.read_text().splitlines())


def test_no_new_text_has_a_banned_phrase() -> None:
    new = {text: better for text, better in found().items() if text not in old()}
    assert not new, "say it in the field's words (docs/glossary.md)"


def test_the_list_of_old_phrases_shrinks_with_the_texts() -> None:
    gone = sorted(old() - found().keys())
    assert not gone, f"take these lines out of {OLD.name}"


@pytest.mark.parametrize(
    ("text", "is_banned"),
    [
        ("memory- or compute-bound cannot be told: no bandwidth", True),
        ("a .tflite or .onnx file is wanted", True),
        ("1 mJ an inference", True),
        ("'5%' is no limit that edgeprof knows", True),
        ("there is no file of that name", False),
        ("an inference took 3 ms", False),
        ("recommended: fix the file", False),
        ("it keeps the limit", True),
        ("models are run in turns", True),
    ],
)
def test_what_is_banned_is_found_and_plain_words_are_not(text: str, *, is_banned: bool) -> None:
    assert any(re.search(banned, text) for banned in BANNED) is is_banned
