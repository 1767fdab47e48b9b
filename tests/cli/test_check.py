from __future__ import annotations

import json
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from onnx import TensorProto, helper

from tests.unit.model.external_models import simple

if TYPE_CHECKING:
    from tests.conftest import Cli

MODELS = Path(__file__).resolve().parents[2] / "examples" / "models"


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the path of an ONNX model of 54 MB."""
    weights = helper.make_tensor("w", TensorProto.FLOAT, [13_500, 1_000], bytes(54_000_000), raw=True)
    shapes = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("x", [1, 13_500]), ("y", [1, 1_000]))
    ]
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    model = helper.make_model(helper.make_graph([node], "g", shapes[:1], shapes[1:], [weights]))
    path = tmp_path_factory.mktemp("large") / "net.onnx"
    path.write_bytes(model.SerializeToString())
    return path


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """Return the path of an app with two models."""
    path = tmp_path / "app.apk"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(MODELS / "kws_int8.tflite", "assets/kws.bin")
        archive.write(MODELS / "vww_int8.tflite", "assets/<b>vww|x</b>.tflite")
    return path


def test_a_model_of_54_mb_misses_the_target_for_apps(edgeprof: Cli, large: Path) -> None:
    ran = edgeprof("check", large, "--limits", "mobile", "--format", "json")
    assert ran.returncode == 1, ran.stderr
    failed = [finding for finding in json.loads(ran.stdout)["findings"] if finding["verdict"] == "FAIL"]
    assert [(finding["limit"], finding["tier"]) for finding in failed] == [("mobile/model", "target")]


def test_with_the_hard_gate_it_is_a_warning_that_strict_makes_fail(edgeprof: Cli, large: Path) -> None:
    assert edgeprof("check", large, "--limits", "mobile", "--gate", "hard").returncode == 0
    assert edgeprof("check", large, "--limits", "mobile", "--gate", "hard", "--strict").returncode == 1


def test_junit_has_a_case_a_limit_with_the_counts_that_ci_systems_read(edgeprof: Cli, large: Path) -> None:
    ran = edgeprof("check", large, "--limits", "mobile", "--format", "junit")
    root = ET.fromstring(ran.stdout)  # noqa: S314  our own output
    suite = root.find("testsuite")
    assert root.tag == "testsuites"
    assert suite is not None
    cases = suite.findall("testcase")
    counts = {key: int(suite.attrib[key]) for key in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": 9, "failures": 1, "errors": 0, "skipped": 5}
    del counts["skipped"]  # the whole has none: the schema of Jenkins gives it to a suite alone
    assert {key: int(root.attrib[key]) for key in counts} == counts
    assert len({(case.attrib["classname"], case.attrib["name"]) for case in cases}) == len(cases) == 9
    failures = [failure for case in cases for failure in case.findall("failure")]
    assert [failure.attrib["type"] for failure in failures] == ["target"]
    assert sum(len(case.findall("skipped")) for case in cases) == 5


def test_a_small_model_is_good_and_what_a_file_cannot_tell_is_skipped(edgeprof: Cli, kws: Path) -> None:
    ran = edgeprof("check", kws, "--limits", "mobile", "--limits", "tinyml", "--strict", "--format", "json")
    assert ran.returncode == 0, ran.stderr
    verdicts = {finding["limit"]: finding["verdict"] for finding in json.loads(ran.stdout)["findings"]}
    assert verdicts["mobile/latency"] == "SKIP"
    assert verdicts["tinyml/activations"] == "PASS"


def test_an_app_is_judged_by_all_its_models_together(edgeprof: Cli, app: Path) -> None:
    size = sum((MODELS / name).stat().st_size for name in ("kws_int8.tflite", "vww_int8.tflite"))
    ran = edgeprof("check", app, "--limit", f"model_bytes<{size}", "--format", "json")
    report = json.loads(ran.stdout)
    assert (ran.returncode, report["metrics"]["model_bytes"]["value"]) == (1, size)
    assert {model["format"] for model in report["bundle"]["models"]} == {"TFLite"}


def test_markdown_cannot_be_led_astray_by_a_name_in_the_app(edgeprof: Cli, app: Path) -> None:
    ran = edgeprof("check", app, "--limits", "edge", "--format", "markdown")
    assert "<b>" not in ran.stdout.replace("\\<b\\>", "")
    assert "| ✅ PASS | edge/model | target |" in ran.stdout


def test_the_table_names_models_and_verdicts(edgeprof: Cli, app: Path) -> None:
    ran = edgeprof("check", app, "--limits", "edge")
    assert "assets/kws.bin" in ran.stdout
    assert ran.stdout.rstrip().endswith("4 PASS, 1 SKIP")


def test_a_board_adds_its_flash_and_sram(edgeprof: Cli, kws: Path) -> None:
    ran = edgeprof("check", kws, "--board", "nucleo-l4r5zi", "--format", "json")
    limits = {finding["limit"]: finding["verdict"] for finding in json.loads(ran.stdout)["findings"]}
    assert limits == {"nucleo-l4r5zi/flash": "PASS", "nucleo-l4r5zi/sram": "PASS"}


def test_a_model_that_no_flash_holds_breaks_a_hard_limit(edgeprof: Cli, large: Path) -> None:
    assert edgeprof("check", large, "--board", "nucleo-l4r5zi", "--gate", "hard").returncode == 1


def test_a_result_is_judged_again(edgeprof: Cli, kws: Path, tmp_path: Path) -> None:
    saved = tmp_path / "result.json"
    edgeprof("profile", kws, "--target", "sim:raspberry-pi-5", "--runs", "400", "-o", saved)
    closed = edgeprof("check", saved, "--limits", "voice", "--strict")
    opened = edgeprof("check", saved, "--limits", "voice", "--strict", "--accept-basis", "simulated")
    assert (closed.returncode, opened.returncode) == (6, 0), opened.stdout


def test_the_report_is_written_as_json_whatever_is_printed(edgeprof: Cli, kws: Path, tmp_path: Path) -> None:
    ran = edgeprof("check", kws, "--limits", "ota", "--format", "markdown", "-o", tmp_path / "report.json")
    assert ran.returncode == 0
    assert json.loads((tmp_path / "report.json").read_text())["schema"] == "edgeprof.check/1"


def test_a_limit_that_was_asked_for_and_cannot_be_judged_ends_with_6_under_strict(edgeprof: Cli, kws: Path) -> None:
    term = ("--limit", "latency_p50_s<1s")
    asked, strict = edgeprof("check", kws, *term), edgeprof("check", kws, *term, "--strict")
    assert (asked.returncode, strict.returncode) == (0, 6)
    assert "INCONCLUSIVE" in strict.stdout
    assert "a model by itself tells model_bytes" in strict.stdout
    skipped = edgeprof("check", kws, "--limits", "mobile", "--strict")  # latency and memory do not apply to a file
    assert (skipped.returncode, "SKIP" in skipped.stdout) == (0, True)


def test_a_result_that_cannot_be_judged_by_a_limit_says_what_it_tells(edgeprof: Cli, kws: Path, tmp_path: Path) -> None:
    saved = tmp_path / "r.json"
    run = edgeprof(
        "profile",
        kws,
        "-t",
        "emu:cortex-m4",
        "--no-check-outputs",
        "--limit",
        "latency_p50_s<1s",
        "--strict",
        "-o",
        saved,
    )
    assert run.returncode == 6
    ran = edgeprof("check", saved, "--limit", "latency_p50_s<1s")
    assert ran.returncode == 0
    assert "this result tells instructions_count" in ran.stdout
    assert "a file" not in ran.stdout
    assert edgeprof("check", saved, "--limits", "tinyml", "--accept-basis", "emulated").returncode in {0, 1}


def test_a_result_of_a_run_that_throttled_is_judged_as_in_the_run(edgeprof: Cli, kws: Path, tmp_path: Path) -> None:
    saved = tmp_path / "r.json"
    limits = ("--limit", "latency_p50_s<1s", "--accept-basis", "simulated", "--strict")
    hot = "sim:raspberry-pi-5?fault=throttle&after=200"
    assert edgeprof("profile", kws, "-t", hot, "--runs", 1000, "-o", saved, *limits).returncode == 6
    ran = edgeprof("check", saved, *limits)
    assert ran.returncode == 6
    assert "this run is marked" in " ".join(ran.stdout.split())


def test_without_limits_the_profiles_are_named(edgeprof: Cli, kws: Path) -> None:
    ran = edgeprof("check", kws)
    assert ran.returncode == 2
    assert all(name in ran.stderr for name in ("mobile", "edge", "tinyml"))


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("missing.tflite", "--limits", "mobile"), 2),
        (("README.md", "--limits", "mobile"), 2),
        (("examples/models/kws_int8.tflite", "--limits", "moble"), 2),
        (("examples/models/kws_int8.tflite", "--limit", "speed>9"), 2),
        (("examples/models/kws_int8.tflite", "--limits", "mobile", "-o", "nowhere/x.json"), 2),
        (("examples/models/kws_int8.tflite", "--board", "no-such-board"), 2),
        (("edgeprof.json", "--limits", "mobile"), 2),
    ],
)
def test_what_is_asked_wrongly_is_told_without_a_traceback(
    edgeprof: Cli, arguments: tuple[str, ...], code: int
) -> None:
    ran = edgeprof("check", *arguments)
    assert ran.returncode == code
    assert "Traceback" not in ran.stderr
    assert ran.stdout == ""


def test_a_hostile_app_is_refused_as_unsupported(edgeprof: Cli, tmp_path: Path) -> None:
    path = tmp_path / "bomb.apk"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for number in range(6):
            archive.writestr(str(number), bytes(100_000_000))
    ran = edgeprof("check", path, "--limits", "mobile")
    assert (ran.returncode, "bomb" in ran.stderr) == (4, True)


def test_the_profiles_are_listed_and_shown_with_their_sources(edgeprof: Cli) -> None:
    listed = edgeprof("limits", "list")
    shown = edgeprof("limits", "show", "mobile", "--format", "json")
    assert "keyboard" in listed.stdout
    assert json.loads(shown.stdout)["limits"][0]["source"].startswith("Model Performance Metrics, l. 34")
    assert edgeprof("limits", "show", "moble").returncode == 2
    assert edgeprof("limits").returncode == 0


def test_weights_in_another_file_count_in_size_digest_and_compressed(edgeprof: Cli, tmp_path: Path) -> None:
    digests = []
    for name, content in (("zeros", bytes(256)), ("ones", b"\1" * 256)):
        path = simple(tmp_path / name, content)
        done = edgeprof("check", path, "--limit", "model_bytes<300B", "--format", "json")
        assert done.returncode == 1, done.stderr
        found = json.loads(done.stdout)
        digests.append(found["model"]["sha256"])
        size = path.stat().st_size + 256
        assert (found["metrics"]["model_bytes"]["value"], found["model"]["bytes"]) == (size, size)
        packed = sum(len(deflated(file.read_bytes())) for file in (path, path.with_name("m.data")))
        assert found["metrics"]["model_compressed_bytes"]["value"] == packed
    assert digests[0] != digests[1]


def deflated(content: bytes) -> bytes:
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    return packer.compress(content) + packer.flush()


def test_weights_that_are_cut_off_leave_the_limit_open_and_are_named(edgeprof: Cli, tmp_path: Path) -> None:
    path = simple(tmp_path, bytes(100))
    done = edgeprof("check", path, "--limit", "model_bytes<5kB", "--strict", "--format", "json")
    assert done.returncode == 6
    found = json.loads(done.stdout)
    assert found["findings"][0]["verdict"] == "INCONCLUSIVE"
    assert "'m.data' has 100 bytes, the weights in it reach to byte 256" in found["findings"][0]["reason"]
    assert found["model"]["missing_files"] == ["m.data"]
