"""What `import edgeprof` gives, and what it costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import edgeprof

PUBLIC = {
    "BatteryOptions", "EdgeprofError", "EnergyOptions", "Options", "Result", "__version__", "battery_life", "calibrate",
    "check", "compare", "doctor", "energy", "export", "fit", "inspect", "list_boards", "list_results", "list_targets",
    "load_board", "load_result", "predict", "profile", "profile_all", "readiness", "render",
}  # fmt: skip
HEAVY = {"numpy", "onnx", "onnxruntime", "asyncssh", "serial", "rich", "msgspec", "ai_edge_litert"}


def test_the_public_names_are_these() -> None:
    assert set(edgeprof.__all__) == PUBLIC


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_each_public_name_is_there(name: str) -> None:
    assert getattr(edgeprof, name)


def test_no_file_or_folder_has_a_public_name() -> None:
    """Importing `edgeprof.NAME` would put the module in the function's place."""
    folder = Path(edgeprof.__file__).parent
    assert not PUBLIC & {path.stem for path in folder.iterdir()}


def test_a_public_function_is_still_there_after_it_was_called() -> None:
    edgeprof.doctor("local")
    assert callable(edgeprof.doctor)


def test_a_person_who_explores_sees_the_public_names() -> None:
    assert set(dir(edgeprof)) >= PUBLIC


def test_another_name_is_not_there() -> None:
    with pytest.raises(AttributeError, match="no attribute 'profil'"):
        getattr(edgeprof, "profil")  # noqa: B009  mypy knows that it is not there


def imported_by(program: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{program}\nprint(*sys.modules, file=sys.stderr)"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return {name.partition(".")[0] for name in done.stderr.split()}


def test_importing_the_package_imports_nothing_heavy() -> None:
    assert not imported_by("import edgeprof") & HEAVY


def test_the_help_of_the_command_line_imports_nothing_heavy() -> None:
    program = "from edgeprof.cli import group\ngroup.main(['--help'], standalone_mode=False)"
    imported = imported_by(program)
    assert "click" in imported
    assert not imported & HEAVY


def test_the_help_of_a_command_imports_nothing_heavy() -> None:
    program = "from edgeprof.cli import group\ngroup.main(['profile', '--help'], standalone_mode=False)"
    assert not imported_by(program) & (HEAVY - {"msgspec"})
