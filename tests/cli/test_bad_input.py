"""What a person can get wrong: one line that says what, a hint with what to do, an exit code, and never a traceback."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Cli

REPOSITORY = Path(__file__).resolve().parents[2]
EXAMPLES = REPOSITORY / "examples" / "models"
KWS = "{models}/kws_int8.tflite"


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the folders and files that the table below names."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "notes.tflite").write_text("These are my notes, and no model.\n" * 20)
    (folder / "notes.onnx").write_text("These are my notes, and no model.\n" * 20)
    (folder / "empty.tflite").touch()
    (folder / "model.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    for name in ("kws_int8.tflite", "kws_fp32.onnx"):
        content = (EXAMPLES / name).read_bytes()
        (folder / f"cut_{name}").write_bytes(content[: len(content) // 2])
    (folder / "other.json").write_text('{"a": 1}')
    (folder / "text.json").write_text("no JSON")
    (folder / "values.npz").write_text("no archive")
    with zipfile.ZipFile(folder / "member.npz", "w") as archive:
        archive.writestr("input", b"hello")
    (folder / "milliseconds.csv").write_text("t,P_mW\n" + "".join(f"{at * 300},33\n" for at in range(9)))
    (folder / "self.tflite").symlink_to(folder / "self.tflite")
    return {"models": EXAMPLES, "bad": folder}


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a Python without any runtime."""
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=60)
    return folder / "bin" / "python"


TABLE: list[tuple[str, int, str]] = [
    # the model
    ("profile {bad}/notes.tflite", 4, r"notes\.tflite .*not .*(TFLite|model)"),
    ("profile {bad}/notes.onnx", 4, r"notes\.onnx .*not .*(ONNX|model)"),
    ("profile {bad}/empty.tflite", 4, r"empty\.tflite .*empty"),
    ("profile {bad}/model.h5", 4, r"model\.h5 is an HDF5 file; a \.tflite or \.onnx file is wanted"),
    ("profile {bad}/cut_kws_int8.tflite", 4, r"cut_kws_int8\.tflite"),
    ("profile {bad}/cut_kws_fp32.onnx", 4, r"cut_kws_fp32\.onnx"),
    ("profile {models}/refused/unsupported_operator.tflite", 4, r"refuses unsupported_operator.*EdgeprofUnsupported"),
    ("profile {models}/refused/unknown_domain.onnx", 4, r"refuses unknown_domain.*edgeprof\.unsupported"),
    ("profile {bad}/missing.tflite", 2, r"missing\.tflite .*No such file"),
    # figures and options that cannot be meant
    (f"profile {KWS} --duration 0s", 2, r"--duration 0\.0 s: 0\.001 s to 604,800 s can be done"),
    (f"profile {KWS} --runs 0", 2, r"--runs 0: 1 to 10,000,000 can be done"),
    (f"profile {KWS} --price nan", 2, r"'nan' is not a finite number"),
    (f"profile {KWS} --grid -1", 2, r"-1.*is not in the range"),
    (f"profile {KWS} --window 1s", 2, r"--window without --power: no energy is measured"),
    (f"profile {KWS} --price 0.3", 2, r"--price without --power"),
    (f"profile {KWS} --target emu:cortex-m4 --threads 2", 2, r"--threads 2 cannot be done on emu:cortex-m4"),
    (f"profile {KWS} --target sim:nucleo-l4r5zi --threads 2", 2, r"--threads 2 cannot be done on sim:nucleo-l4r5zi"),
    (f"profile {KWS} --target emu:cortex-m4 --period 10ms", 2, r"--period cannot be done on emu:cortex-m4.*no time"),
    (f"fit {KWS} --core cortex-m4 --clock 150", 2, r"--clock 150: 1 kHz to 100 GHz is a core's clock"),
    (f"fit {KWS} --core= --clock 150MHz", 2, r"--core is empty"),
    (f"fit {KWS} --every 1s --capacity 0mAh --sleep-current 5uA", 2, r"--capacity has to be above 0, it is 0"),
    (f"fit {KWS} --every 1s --cell cr2032 --sleep-current 5uA --supply 0V", 2, r"--supply has to be above 0"),
    (f"fit {KWS} --target nonsense", 2, r"nonsense"),
    (f"profile {KWS} --threads 2 --sweep threads=1,2", 2, r"--threads and --sweep threads exclude each other"),
    (f"profile {KWS} --wheels {{bad}}/nowhere", 2, r"nowhere.* does not exist"),
    (f"profile {KWS} --target emu:cortex-m4 --power onboard", 2, r"emu:cortex-m4: an emulator has no sensors"),
    (f"profile {KWS} --target ssh://[", 2, r"target 'ssh://\[' is no address: Invalid IPv6 URL"),
    (f"profile {KWS} --power ppk2://[?voltage=3V", 2, r"power meter 'ppk2://\[.voltage=3V' is no address"),
    (f"profile {KWS} --battery every=-1m", 2, r"--battery every: '-1m' is not a duration"),
    (f"profile {KWS} --inputs {{bad}}/nowhere.npz", 2, r"nowhere\.npz: No such file or directory"),
    ("energy {bad}/other.json --grid inf", 2, r"'inf' is not a finite number"),
    ("profile {bad}/notes.tflite/model.tflite", 2, r"model\.tflite .*Not a directory"),
    ("profile {bad}/self.tflite", 2, r"self\.tflite .*symbolic links"),
    ("profile {bad}", 2, r"is a folder"),
    # what is to be done
    (f"profile {KWS} --runs 0", 2, r"--runs 0"),
    (f"profile {KWS} --runs many", 2, r"--runs.*'many'"),
    (f"profile {KWS} --launches 0", 2, r"--launches 0"),
    (f"profile {KWS} --threads 0", 2, r"--threads 0"),
    (f"profile {KWS} --duration 0s", 2, r"--duration 0"),
    (f"profile {KWS} --duration soon", 2, r"--duration.*'soon' is not a duration"),
    (f"profile {KWS} --timeout 1x", 2, r"--timeout.*'1x' is not a duration"),
    (f"profile {KWS} --warmup some", 2, r"--warmup.*'some' is neither auto nor a count"),
    (f"profile {KWS} --shape 1x2", 2, r"--shape.*'1x2' is not NAME="),
    (f"profile {KWS} --shape nope=1x2", 2, r"no input 'nope'"),
    (f"profile {KWS} --inputs {{bad}}/values.npz", 2, r"cannot read the inputs .*values\.npz"),
    (f"profile {KWS} --inputs {{bad}}/missing.npz", 2, r"missing\.npz.*No such file"),
    # where
    (f"profile {KWS} --target sim:raspbery-pi-5", 2, r"unknown board 'raspbery-pi-5'"),
    (f"profile {KWS} --board raspbery-pi-5", 2, r"unknown board 'raspbery-pi-5'"),
    (f"profile {KWS} --target ftp://host", 2, r"unknown kind of target 'ftp'"),
    (f"profile {KWS} --target lab-pi", 2, r"unknown target 'lab-pi'"),
    (f"profile {KWS} --target sim:cortex-m4?fault=dorp", 2, r"unknown fault 'dorp'"),
    (f"profile {KWS} --target sim:cortex-m4?sead=1", 2, r"unknown option 'sead'"),
    (f"profile {KWS} --target sim:", 2, r"names no board"),
    (f"profile {KWS} --target local:?python=/no/python", 3, r"/no/python.*No such file"),
    (f"profile {KWS} --target local:?python=/bin/true", 3, r"no agent answered"),
    (
        f"profile {KWS} --target local:?python={{bare}}",
        3,
        r"no runtime .* can run a \.tflite model .*(is not installed|No module named)",
    ),
    # limits
    (f"profile {KWS} --limit latency_p98_s<1", 2, r"unknown metric 'latency_p98_s'"),
    (f"profile {KWS} --limit fast", 2, r"'fast' is not a limit"),
    (f"profile {KWS} --limit latency_p99_s<fast", 2, r"'fast' is not a duration"),
    (f"profile {KWS} --accept-basis guessed", 2, r"--accept-basis.*'guessed'"),
    # the result
    (f"profile {KWS} -o {{bad}}", 2, r"it is a folder"),
    (f"profile {KWS} -o {{bad}}/missing/r.json", 2, r"there is no folder .*missing"),
    (f"profile {KWS} -o {{bad}}/notes.onnx/r.json", 2, r"there is no folder .*notes\.onnx"),
    (f"profile {KWS} --outputs {{bad}}/missing/o.npz", 2, r"there is no folder .*missing"),
    (f"profile {KWS} --format xml", 2, r"--format.*'xml'"),
    ("report {bad}/other.json", 2, r"other\.json is not an edgeprof result"),
    ("report {bad}/text.json", 2, r"text\.json is not an edgeprof result"),
    ("report {models}/kws_int8.tflite", 2, r"kws_int8\.tflite is not an edgeprof result"),
    ("report {bad}/missing.json", 2, r"missing\.json.*No such file"),
    ("report {bad}", 2, r"Is a directory|is a folder"),
    ("report /dev/zero", 2, r"cannot read the result /dev/zero: it is not a regular file"),
    ("compare /dev/zero /dev/zero", 2, r"/dev/zero"),
    (f"profile {KWS} --inputs /dev/zero", 2, r"cannot read the inputs /dev/zero: it is not a regular file"),
    (f"profile {KWS} --inputs {{bad}}/member.npz", 2, r"member\.npz: it holds 'input', which is no array"),
    ("energy {bad}/member.npz", 2, r"cannot read the recording .*member\.npz: it holds 'input', which is no array"),
    ("energy {bad}/milliseconds.csv", 2, r"'t' of milliseconds\.csv has no unit.* can hardly be seconds"),
    ("report last", 2, r"no last result"),
    # the command
    ("profil", 2, r"no such command 'profil'"),
    ("profile", 2, r"Missing argument 'MODEL'"),
    (f"profile {KWS} --runz 3", 2, r"No such option.*--runz"),
    ("boards show raspbery-pi-5", 2, r"unknown board 'raspbery-pi-5'"),
    ("boards validate {bad}/missing.toml", 2, r"missing\.toml.*No such file"),
]


@pytest.mark.parametrize(("line", "code", "message"), TABLE, ids=[line for line, _, _ in TABLE])
def test_bad_input_is_one_line_a_hint_and_an_exit_code(
    edgeprof: Cli, places: dict[str, Path], bare: Path, line: str, code: int, message: str
) -> None:
    done = edgeprof(*line.format(**places, bare=bare).split())
    assert "Traceback" not in done.stderr
    assert "a bug of ours" not in done.stderr
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    said = [text for text in done.stderr.splitlines() if text and not text.startswith(("Usage: ", "Hint: ", "Try '"))]
    assert len(said) == 1, said
    assert re.search(f"^(edgeprof|Error): .*{message}", said[0], re.IGNORECASE)
    assert re.search(r"^(Hint: |Try ')\S", done.stderr, re.MULTILINE), f"no hint: {done.stderr}"


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        (f"profile {KWS} --target sim:raspbery-pi-5", "raspberry-pi-5"),
        (f"profile {KWS} --limit latency_p98_s<1", "latency_p99_s"),
        (f"profile {KWS} --target sim:cortex-m4?fault=dorp", "drop"),
        (f"profile {KWS} --target sim:cortex-m4?sead=1", "seed"),
        (f"profile {KWS} --target locl", "local"),
        ("profil", "profile"),
    ],
)
def test_a_name_that_is_nearly_right_comes_with_the_right_one(
    edgeprof: Cli, places: dict[str, Path], line: str, meant: str
) -> None:
    done = edgeprof(*line.format(**places).split())
    assert re.search(rf"Hint: did you mean .*\b{re.escape(meant)}\b", done.stderr)


def test_a_state_folder_that_cannot_be_written_is_told_with_the_variable_to_set(edgeprof: Cli, kws: Path) -> None:
    done = edgeprof("profile", kws, "--target", "sim:cortex-m4", EDGEPROF_STATE="/proc/no-folder")
    assert done.returncode == 2
    assert "EDGEPROF_STATE" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_cache_folder_that_cannot_be_written_is_told_with_the_variable_to_set(edgeprof: Cli, kws: Path) -> None:
    done = edgeprof("profile", kws, EDGEPROF_CACHE="/proc/no-folder")
    assert done.returncode in {2, 3}
    assert "/proc/no-folder" in done.stderr
    assert "EDGEPROF_CACHE" in done.stderr


def test_a_python_that_is_too_old_for_the_agent_is_named_as_such(edgeprof: Cli, kws: Path) -> None:
    homes = Path(os.environ.get("PYENV_ROOT", str(Path.home() / ".pyenv"))) / "versions"
    old = [*homes.glob("2.7.*/bin/python2.7"), *homes.glob("3.[0-5].*/bin/python")]
    if not old:
        pytest.skip("no Python before 3.6 is installed")
    done = edgeprof("profile", kws, "--target", f"local:?python={old[0]}")
    assert done.returncode == 3
    assert "needs Python 3.6 or later" in done.stderr


def test_nothing_is_measured_and_nothing_is_kept_when_the_command_is_wrong(
    edgeprof: Cli, kws: Path, state: Path, tmp_path: Path
) -> None:
    edgeprof("profile", kws, "--runs", 0, "-o", tmp_path / "r.json")
    edgeprof("profile", kws, "--limit", "fast", "-o", tmp_path / "r.json")
    assert list(tmp_path.iterdir()) == []
    assert list(state.iterdir()) == []
