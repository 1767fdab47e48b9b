"""The README shows what the program does: its tables, its commands, its Python."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner

from edgeprof.cli import COMMANDS, group
from edgeprof.links.simulator import FAULTS
from scripts.write_readme import README, ROOT, blocks, masked, replace_blocks, stale_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXT = README.read_text(encoding="utf-8")


def commands(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    """Yield a command and all below it, with their full names."""
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for part in command.list_commands(context):
            found = command.get_command(context, part)
            assert found is not None
            yield from commands(found, f"{name} {part}")


@pytest.mark.timeout(300)
def test_every_output_block_has_the_shape_of_what_its_command_prints_now() -> None:
    assert not stale_blocks(TEXT), "run python scripts/write_readme.py"


def test_the_readme_has_output_blocks() -> None:
    assert len(blocks(TEXT)) >= 5


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_shown_in_the_readme(name: str) -> None:
    assert re.search(rf"\bedgeprof {name}\b", TEXT)


@pytest.mark.parametrize(("name", "command"), list(commands(group, "edgeprof")))
def test_every_command_explains_itself_and_its_options(name: str, command: click.Command) -> None:
    done = CliRunner().invoke(group, [*name.split()[1:], "--help"])
    assert done.exit_code == 0, done.output
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help or parameter.name == "help", f"{name} {parameter.opts[0]} has no help"


def test_every_command_that_the_readme_shows_exists() -> None:
    fences = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    shown = set(re.findall(r"`edgeprof ([a-z]+)", TEXT)) | set(
        re.findall(r"^edgeprof ([a-z]+)", "".join(fences), re.MULTILINE)
    )
    assert shown <= set(COMMANDS)


def test_every_fault_of_the_simulator_is_named() -> None:
    assert [fault for fault in FAULTS if f"`{fault}`" not in TEXT] == []


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL))
def test_the_python_of_the_readme_runs(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "README.md", "exec"), {})  # noqa: S102  it is our own README
    assert "measured" in printed.getvalue()


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", TEXT))))
def test_every_file_that_the_readme_points_to_is_there(link: str) -> None:
    assert (ROOT / link).exists()


@pytest.mark.parametrize("anchor", sorted(set(re.findall(r"\]\(#([^)]+)\)", TEXT))))
def test_every_section_that_the_readme_points_to_is_there(anchor: str) -> None:
    titles = re.findall(r"^#+ (.*)$", TEXT, re.MULTILINE)
    assert anchor in {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_numbers_processors_and_warnings_may_differ_between_runs() -> None:
    row = " p50   46.60 µs   measured   1,000\n"
    here = f" a.tflite on local (Some CPU (R)), x 2.3.0, 1 thread\n{row}! busy\n  → wait\n    long\nnoise band ±0.6 %"
    there = " a.tflite on local (Other), x 2.4, 1 thread\n p50 1.2 ms    measured      1,000\nnoise band ±12 %"
    assert masked(here) == masked(there)


@pytest.mark.parametrize(
    "other",
    [" p90   46.60 µs   measured   1,000\n", " p50   46.60 µs   simulated   1,000\n", " p50   —   measured   1,000\n"],
)
def test_a_row_of_another_name_basis_or_kind_differs(other: str) -> None:
    assert masked(" p50   46.60 µs   measured   1,000\n") != masked(other)


def test_only_the_fence_below_a_marker_is_replaced() -> None:
    text = "a\n<!-- generated: edgeprof x (first 2 lines) -->\n```text\nold\n```\n\n```text\nkept\n```\n"
    wanted = text.replace("old\n", "new\n")
    assert replace_blocks(text, ["new\n"]) == wanted
    assert blocks(wanted)[0] == ("edgeprof x", 2, "new\n")


def test_changelog_fragments_follow_the_convention() -> None:
    for fragment in (ROOT / "changelog.d").iterdir():
        assert re.fullmatch(r"[a-z0-9-]+\.(added|changed|fixed)\.md", fragment.name), fragment
        text = fragment.read_text(encoding="utf-8").strip()
        assert text, fragment
        assert "\n\n" not in text, f"{fragment}: one paragraph"


def test_the_style_page_stays_a_page() -> None:
    assert len(Path(ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").splitlines()) <= 80
