r"""Builds the recorded and constructed trees of boards: sysfs has links and names that no repository should hold.

`tests/fixtures/sysfs/<board>/tree.txt` has a line a file, `path = text`, and `path -> target` a link; `[folder]` stands
before the paths that follow, and `\0` is a zero byte. What vcgencmd answers lies beside it in `vcgencmd.d/`.
"""

from __future__ import annotations

import shutil
from pathlib import Path

TREES = Path(__file__).parent / "fixtures" / "sysfs"


def boards() -> list[str]:
    """Return the names of all trees."""
    return sorted(path.parent.name for path in TREES.glob("*/tree.txt"))


def build(board: str, root: Path) -> Path:
    """Build a board's tree below a folder and return the folder."""
    prefix = ""
    for line in (TREES / board / "tree.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            prefix = line.strip("[]")
        elif line and not line.startswith("#"):
            _add(root / prefix, line)
    answers = TREES / board / "vcgencmd.d"
    if answers.is_dir():
        shutil.copytree(answers, root / "vcgencmd.d")
        (root / "usr" / "bin").mkdir(parents=True)
        shutil.copy(TREES / "vcgencmd", root / "usr" / "bin" / "vcgencmd")
    return root


def _add(folder: Path, line: str) -> None:
    name, mark, text = line.partition(" = ")
    if not mark:
        name, mark, text = line.partition(" -> ")
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if mark == " -> ":
        path.symlink_to(text)
    else:
        path.write_text(text.replace("\\0", "\0") + "\n", encoding="utf-8")
