"""No text of a model, a result, a board or a command line acts on what shows it: every command, format and stream."""

from __future__ import annotations

import importlib
import inspect
import io
import json
import os
import pkgutil
import pty
import re
import subprocess
from contextlib import redirect_stderr, redirect_stdout, suppress
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import pytest

import edgeprof
from edgeprof import report
from edgeprof.cli import main
from edgeprof.cli.guarded import Guard, guarded, write_command
from edgeprof.exports import bases, facts, figures
from edgeprof.model import read_model
from edgeprof.records.result import Finding, Warned
from edgeprof.store import encode_result
from tests.conftest import COMMAND, REPOSITORY
from tests.hostile.texts import EVIL, FORBIDDEN, assert_harmless, hostile, renamed
from tests.unit.model.flatbuffer_writer import code, model, operator, subgraph, tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

KWS = REPOSITORY / "examples" / "models" / "kws_int8.tflite"
ODD_NAME = "evil\x1b]0;PWNED\x07\n::error title=x::injected\n##[group]x"
CALLS = (
    *(f"report RESULT --format {name}" for name in ("table", "json", "markdown", "csv", "junit", "html", "perfetto")),
    *(f"check RESULT --limits mobile --format {name}" for name in ("table", "json", "markdown", "junit")),
    *(f"readiness RESULT --for mobile --format {name}" for name in ("table", "json", "markdown")),
    *(f"compare RESULT RESULT --all --format {name}" for name in ("table", "json", "markdown", "junit")),
    *(f"inspect MODEL --format {name}" for name in ("table", "json", "markdown", "csv")),
    *(f"fit MODEL --board nucleo-l4r5zi --format {name}" for name in ("table", "json", "markdown", "html", "csv")),
    *(f"check MODEL --limits mobile --format {name}" for name in ("table", "json", "markdown", "junit")),
    *(f"energy TRACE --format {name}" for name in ("table", "json", "markdown", "html")),
    *(f"profile MODEL -t sim:nucleo-l4r5zi --per-op --format {name}" for name in ("table", "markdown", "json")),
    "profile MODEL -t sim:nucleo-l4r5zi -v", "profile MODEL --shape bad=1", "profile CUSTOM -t emu:cortex-m4",
    "inspect CUSTOM", "fit CUSTOM --board nucleo-l4r5zi", "profile MODEL -t EVIL", "profile MODEL -t here",
    "targets list", "targets list --format json", "boards show odd", "boards show odd --format json", "boards list",
    "boards validate TOML", "fit MODEL --board odd", "firmware flash ODD --dry-run", "firmware flash ELF --dry-run",
    "firmware flash ELF", "limits show LIMITS", "check RESULT --limits LIMITS", "inspect ODD", "report ODD", "EVIL",
    "profile EVIL EVIL", "profile MODEL --EVIL", "report RESULT --format EVIL", "compare RESULT ODD", "energy ODD",
    "check ODD --limits EVIL", "doctor -t EVIL", "boards show EVIL", "fit MODEL --engine EVIL", "limits show EVIL",
    "battery RESULT --cell EVIL --every 10m --sleep-current 2uA", "profile MODEL --limit EVIL", "targets trust EVIL",
    "profile MODEL --provider EVIL", "profile MODEL --power EVIL", "profile MODEL --hook ODD",
    "check BUNDLE --limits mobile", "inspect BYTES", "profile BYTES", "report BYTES",
)  # fmt: skip
"""Commands with words in capitals for what is hostile."""
BOARD = (REPOSITORY / "device_configs" / "nucleo-l4r5zi.toml").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return what stands for each word: a folder with a hostile model, result, trace, board and edgeprof.toml."""
    folder = tmp_path_factory.mktemp("hostile")
    names = {one.name: f"{EVIL}{one.name}" for one in read_model(KWS).tensors}
    paths = {suffix: folder / f"{ODD_NAME}.{suffix}" for suffix in ("tflite", "custom.tflite", "json", "csv", "toml")}
    paths["tflite"].write_bytes(renamed(KWS.read_bytes(), names))
    paths["custom.tflite"].write_bytes(_with_custom_operator())
    paths["json"].write_bytes(_result())
    cell = re.sub("[\n\r]", "", EVIL)
    paths["csv"].write_bytes(f'"{cell}",time_s,current_a,voltage_v,"{cell}"\n'.encode() + _rows())
    bundle = folder / "bundle"
    bundle.mkdir()
    (bundle / "a\x1b[2J\n::error::x.tflite").write_bytes(KWS.read_bytes())
    _write_tables(folder)
    elf = REPOSITORY / "edgeprof" / "data" / "firmware" / "cortex-m4.elf"
    return {
        "RESULT": str(paths["json"]), "MODEL": str(paths["tflite"]), "ELF": str(elf), "TOML": str(paths["toml"]),
        "CUSTOM": str(paths["custom.tflite"]), "TRACE": str(paths["csv"]), "BUNDLE": str(bundle),
        "LIMITS": f"{folder / 'limits.toml'}:{EVIL}", "ODD": str(folder / f"{ODD_NAME}.elf"), "EVIL": EVIL,
        "BYTES": f"{folder}/\udc9b31m\udcff.tflite", "FOLDER": str(folder),
    }  # fmt: skip


def _rows() -> bytes:
    return b"".join(b"1,%.2f,0.1,3.3,%d\n" % (index / 100, index % 20 > 9) for index in range(200))


def _with_custom_operator() -> bytes:
    tensors = [tensor(f"x{EVIL}", [1, 8], scales=[0.5]), tensor(f"y{EVIL}", [1, 8], scales=[0.5])]
    return model([code(32, EVIL)], [subgraph(tensors, [operator(0, [0], [1])], [0], [1])], [])


def _result() -> bytes:
    """Return a result whose texts are all hostile, with a finding of each verdict."""
    result = edgeprof.profile(KWS, "sim:raspberry-pi-5", runs=20, per_op=True, history=False)
    finding = Finding(
        limit="a", metric="latency_p99_s", verdict="PASS", tier="hard", value=1.0, threshold=2.0, unit="s",
        basis="simulated", source="s", reason="r",
    )  # fmt: skip
    verdicts = ("PASS", "WARN", "FAIL", "SKIP", "INCONCLUSIVE")
    findings = tuple(msgspec.structs.replace(finding, verdict=verdict) for verdict in verdicts)
    warned = Warned(code="c", text="t", advice="a")
    result = msgspec.structs.replace(result, findings=findings, warnings=(warned,), group="g", variant="v")
    return encode_result(msgspec.structs.replace(hostile(result), created=result.created))


def _write_tables(folder: Path) -> None:
    evil = json.dumps(EVIL)
    boards = folder / "boards"
    boards.mkdir()
    named = re.sub(r'(?m)^(name|vendor|soc) = ".*"$', lambda found: f"{found[1]} = {evil}", BOARD)
    (boards / "odd.toml").write_text(named.replace('"nucleo-l4r5zi"', '"odd"'), encoding="utf-8")
    (folder / f"{ODD_NAME}.toml").write_text(named, encoding="utf-8")
    (folder / "edgeprof.toml").write_text(
        f'[targets.{evil}]\nurl = "sim:raspberry-pi-5"\n[targets.here]\nurl = {json.dumps("sim:" + EVIL)}\n'
        f'[boards]\npath = "boards"\n[flash]\ncommand = ["true", {evil}, "{{image}}"]\n',
        encoding="utf-8",
    )
    (folder / "limits.toml").write_text(
        f'schema = "edgeprof.limits/1"\n[profiles.{evil}]\ntitle = {evil}\n[[profiles.{evil}.limits]]\nname = {evil}\n'
        f'metric = "model_bytes"\ncomparison = "<"\nthreshold = 1\ntier = "hard"\nstatistic = {evil}\nsource = {evil}\n'
        f"quote = {evil}\n",
        encoding="utf-8",
    )


class Stream(io.StringIO):
    """A stream in memory that is a terminal, or is none."""

    encoding = "utf-8"

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


class Ended(NamedTuple):
    """How a command ended and what it wrote."""

    code: int | str | None
    out: str
    err: str


@pytest.fixture
def run(files: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ended]:
    """Return a function that runs a command in this process, in the folder of the hostile files."""
    monkeypatch.chdir(files["FOLDER"])

    def running(call: str, *, terminal: bool = False) -> Ended:
        words = [re.sub(r"[A-Z]{3,}", lambda found: files[found[0]], word) for word in call.split()]
        monkeypatch.setattr("sys.argv", ["edgeprof", *words])
        out, err = Stream(terminal=terminal), Stream(terminal=terminal)
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
            main()
        return Ended(ended.value.code, out.getvalue(), err.getvalue())

    return running


@pytest.mark.parametrize("call", CALLS)
def test_nothing_that_a_command_writes_acts_on_what_shows_it(call: str, run: Callable[..., Ended]) -> None:
    ended = run(call)
    assert ended.code in range(7), ended
    assert ended.out + ended.err
    assert_harmless(ended.out)
    assert_harmless(ended.err)


@pytest.mark.parametrize("call", [call for call in CALLS if "--format" not in call or "table" in call])
def test_a_terminal_gets_our_own_colours_and_nothing_else(
    call: str, run: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "xterm-256color")
    ended = run(call, terminal=True)
    assert ended.code in range(7), ended
    assert_harmless(ended.out, terminal=True)
    assert_harmless(ended.err, terminal=True)


@pytest.mark.parametrize("call", [call for call in CALLS if "--format json" in call and "readiness" not in call])
def test_json_has_the_very_texts_all_the_same(call: str, run: Callable[..., Ended]) -> None:
    assert any(EVIL in text or ODD_NAME in text for text in _texts(json.loads(run(call).out)))


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, one in value.items():
            yield name
            yield from _texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)


def test_csv_of_a_hostile_result_begins_no_formula(run: Callable[..., Ended]) -> None:
    rows = run("report RESULT --format csv").out.splitlines()
    assert len(rows) > 10
    assert all(len(row.split(",")) >= 10 for row in rows)


@pytest.mark.parametrize("call", ["check RESULT --limits mobile", "report RESULT", "compare RESULT RESULT"])
def test_on_github_the_only_commands_are_our_own_annotations(
    call: str, run: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary"))
    ended = run(call)
    assert_harmless(ended.out)
    assert FORBIDDEN.search(ended.err) is None
    commands = [line for line in ended.err.splitlines() if line.lstrip().startswith("::")]
    assert all(re.match(r"::(error|warning) title=[^:,]*::", line) for line in commands)
    assert bool(commands) == call.startswith("check")
    assert "##[" not in ended.err
    if call.startswith("check"):
        assert_harmless((tmp_path / "summary").read_text(encoding="utf-8"))


def test_the_history_of_a_hostile_run_is_harmless(
    run: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EDGEPROF_DB", f"sqlite:///{tmp_path / 'history.db'}")
    for call in ("profile MODEL -t EVIL --runs 20 --tag EVIL", "history list", "history list --format json",
                 "history list --tag EVIL", "history show EVIL", "history best latency_p50_s",
                 "history trend latency_p50_s --target EVIL"):  # fmt: skip
        ended = run(call)
        assert ended.code in {0, 2}, ended
        assert ended.code == 0 or "EVIL" in call
        assert_harmless(ended.out)
        assert_harmless(ended.err)


def test_every_function_that_draws_a_record_shows_it_harmless() -> None:
    forgotten = [
        f"{module.name}.{name}"
        for module in pkgutil.walk_packages(report.__path__, "edgeprof.report.")
        for name, draw in vars(importlib.import_module(module.name)).items()
        if inspect.isfunction(draw) and draw.__module__ == module.name
        and "format_name" in inspect.signature(draw).parameters and not hasattr(draw, "__wrapped__")
    ]  # fmt: skip
    assert not forgotten


def test_what_a_tracker_is_given_is_harmless(files: dict[str, str]) -> None:
    result = edgeprof.load_result(files["RESULT"])
    for given in (facts(result), bases(result), dict(figures(result))):
        for name, value in given.items():
            assert_harmless(name)
            assert FORBIDDEN.search(str(value)) is None


# ── the guard before the streams ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "parts", [[":", ":error::x"], ["::", "error::x"], ["  ", "::x"], ["\x1b[1m", "::x"], ["#", "#[group]x"],
              ["##vso", "[task]x"], ["a\n", "::x"], ["a\n:", ":x"], ["x" * 90 + "##", "[group]"], ["\n\n \t", " ::x"]],
)  # fmt: skip
def test_no_command_arises_from_two_halves(parts: list[str]) -> None:
    stream = Stream(terminal=False)
    guard = Guard(stream)
    for part in parts:
        guard.write(part)
    assert_harmless(stream.getvalue().replace("\x1b[1m", ""))


def test_two_halves_of_what_is_no_command_stay() -> None:
    stream = Stream(terminal=False)
    guard = Guard(stream)
    for part in ("tflite:", ":ops\n", "a ", "::b", " : :\n#", "# x"):
        guard.write(part)
    assert stream.getvalue() == "tflite::ops\na ::b : :\n## x"


def test_our_own_annotation_is_the_one_line_that_may_be_a_command() -> None:
    with redirect_stderr(Stream(terminal=False)) as err, guarded():
        write_command("::error title=x::a\x1b[2Jb")
    assert err.getvalue() == "::error title=x::a�[2Jb\n"


@pytest.mark.parametrize("colour", [True, False])
def test_a_terminal_without_colours_gets_none(monkeypatch: pytest.MonkeyPatch, *, colour: bool) -> None:
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "xterm" if colour else "dumb")
    stream = Stream(terminal=True)
    Guard(stream).write("\x1b[1mbold\x1b[0m \x1b]0;title\x07 \x1b[2J\x1b[6n\rover\r\x1b[2K\x1bP+q\x1b\\")
    kept = stream.getvalue()
    assert ("\x1b[1m" in kept) == colour
    assert "\r\x1b[2K" in kept
    assert not re.search(r"\x1b(?!\[(1m|0m|2K))|\r(?!\x1b)|\x07", kept)


def test_bytes_that_are_no_text_end_in_a_line(
    edgeprof_bytes: Callable[[bytes], subprocess.CompletedProcess[bytes]],
) -> None:
    done = edgeprof_bytes(b"/nowhere/\x9b31m\xff\n::error::x.tflite")
    assert done.returncode == 2
    assert_harmless(done.stderr.decode())


@pytest.fixture
def edgeprof_bytes() -> Callable[[bytes], subprocess.CompletedProcess[bytes]]:
    """Return a function that inspects a file in a process of its own, with a name that may be any bytes."""

    def run(name: bytes) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run([*map(os.fsencode, COMMAND), b"inspect", name], capture_output=True, check=False)

    return run


def test_progress_on_a_real_terminal_draws_with_our_own_sequences_alone(files: dict[str, str]) -> None:
    leader, follower = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"} | {"TERM": "xterm-256color"}
    process = subprocess.Popen(
        [*COMMAND, "profile", files["MODEL"], "-t", EVIL.replace("\0", ""), "--runs", "20", "--per-op"],
        cwd=files["FOLDER"], env=environment, stdin=follower, stdout=follower, stderr=follower,
    )  # fmt: skip
    os.close(follower)
    seen = b""
    with suppress(OSError):  # how a terminal ends on Linux
        while part := os.read(leader, 65536):
            seen += part
    os.close(leader)
    assert process.wait() == 0, seen
    assert b"\x1b[" in seen
    assert_harmless(seen.decode(), terminal=True)
