from __future__ import annotations

import gzip
import io
import os
import tarfile
import zipfile
from typing import TYPE_CHECKING

import pytest
from onnx import TensorProto, helper
from onnx.external_data_helper import set_external_data

from edgeprof.bundle import scan
from edgeprof.judging.checking import bundle_metrics
from tests.unit.bundle.bundle_builder import KWS, KWS_ONNX, RESNET, app, library, noise, tarred, torchscript, zipped

if TYPE_CHECKING:
    from pathlib import Path

    from edgeprof.records.bundle import Bundle


def scanned(folder: Path, name: str, content: bytes) -> Bundle:
    (folder / name).write_bytes(content)
    return scan(folder / name)


def formats(bundle: Bundle) -> dict[str, str]:
    return {model.path: model.format for model in bundle.models}


def test_every_model_of_an_app_is_found_whatever_its_name(tmp_path: Path) -> None:
    assert formats(scanned(tmp_path, "app.apk", app())) == {
        "assets/kws.tflite": "TFLite",
        "assets/old/kws.dat": "TFLite",
        "assets/kws.onnx": "ONNX",
        "res/raw/words": "ONNX",
        "assets/hand.task!/hand.tflite": "TFLite",
        "assets/speech.pte": "ExecuTorch",
        "assets/llm.gguf": "GGUF",
        "assets/face.mlmodelc": "Core ML",
        "assets/seg.ptl": "TorchScript",
        "assets/det.param": "ncnn",
    }


def test_a_model_that_is_stored_twice_is_named_with_its_copy(tmp_path: Path) -> None:
    bundle = scanned(tmp_path, "app.apk", app())
    copies = [model for model in bundle.models if model.same_as]
    assert {copies[0].path, copies[0].same_as} == {"assets/kws.tflite", "assets/old/kws.dat"}
    assert bundle.duplicate_bytes == len(KWS)


def test_sizes_are_those_of_the_archive_and_unpacked(tmp_path: Path) -> None:
    content = app()
    bundle = scanned(tmp_path, "app.apk", content)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        listed = {info.filename: info for info in archive.infolist()}
    kws = next(model for model in bundle.models if model.path == "assets/kws.tflite")
    assert (kws.bytes, kws.compressed_bytes) == (len(KWS), listed["assets/kws.tflite"].compress_size)
    assert bundle.unpacked_bytes == sum(info.file_size for info in listed.values())
    assert bundle.bytes == bundle.download_bytes == len(content)


def test_the_runtimes_are_listed_by_processor_and_other_libraries_are_not(tmp_path: Path) -> None:
    libraries = scanned(tmp_path, "app.apk", app()).libraries
    assert {library.abi for library in libraries} == {"arm64-v8a", "armeabi-v7a", "x86_64"}
    assert {library.runtime for library in libraries} == {"LiteRT"}


def test_a_device_downloads_the_libraries_of_one_processor(tmp_path: Path) -> None:
    content = app()
    bundle = scanned(tmp_path, "app.aab", content)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        mine = sum(info.compress_size for info in archive.infolist() if "lib/x86_64/" in info.filename)
        common = sum(info.compress_size for info in archive.infolist() if not info.filename.startswith("lib/"))
    assert bundle.download_by_abi_bytes["x86_64"] == mine + common
    assert "at most" in bundle.download_note


def test_the_processor_of_a_library_outside_of_androids_folders_is_read_from_its_header(tmp_path: Path) -> None:
    wheel = zipped([("onnxruntime/capi/libonnxruntime.so.1.20", library("arm64-v8a"))])
    found = scanned(tmp_path, "some.whl", wheel).libraries
    assert [(item.runtime, item.abi) for item in found] == [("ONNX Runtime", "arm64")]


def test_the_framework_of_an_iphone_app_is_found(tmp_path: Path) -> None:
    mach = b"\xcf\xfa\xed\xfe\x0c\x00\x00\x01" + noise(100)
    name = "Payload/A.app/Frameworks/TensorFlowLiteC.framework/TensorFlowLiteC"
    found = scanned(tmp_path, "a.ipa", zipped([(name, mach)])).libraries
    assert [(item.runtime, item.abi) for item in found] == [("LiteRT", "arm64")]


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_tar_archives_of_every_form_are_read(tmp_path: Path, form: int) -> None:
    deep = "/".join(["folder"] * 15) + "/kws"
    content = tarred([("a/readme", b"x" * 700), (deep, KWS), ("net.onnx", KWS_ONNX)], form)
    expected = {deep: "TFLite", "net.onnx": "ONNX"}
    assert formats(scanned(tmp_path, "m.tar", content)) == expected
    assert formats(scanned(tmp_path, "m.tar.gz", gzip.compress(content))) == expected


def test_a_gzip_of_several_members_is_read_as_one(tmp_path: Path) -> None:
    content = tarred([("a", b"x" * 700), ("kws", KWS)])
    both = gzip.compress(content[:900]) + gzip.compress(content[900:])
    assert formats(scanned(tmp_path, "m.tgz", both)) == {"kws": "TFLite"}


def test_what_is_compressed_as_a_whole_has_no_compressed_sizes_of_its_parts(tmp_path: Path) -> None:
    bundle = scanned(tmp_path, "m.tar.gz", gzip.compress(tarred([("kws", KWS)])))
    assert bundle.models[0].compressed_bytes is None
    assert bundle.ml_share_ratio is None
    assert bundle.ml_unpacked_share_ratio == 1.0


def test_a_folder_is_searched_without_following_links(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    inside = tmp_path / "inside"
    outside.mkdir()
    (inside / "deep").mkdir(parents=True)
    (outside / "secret.tflite").write_bytes(RESNET)
    (inside / "deep" / "kws").write_bytes(KWS)
    (inside / "file").symlink_to(outside / "secret.tflite")
    (inside / "folder").symlink_to(outside)
    (inside / "round").symlink_to(inside)
    os.mkfifo(inside / "pipe.tflite")
    assert formats(scan(inside)) == {"deep/kws": "TFLite"}


def test_a_core_ml_folder_is_one_model(tmp_path: Path) -> None:
    package = tmp_path / "face.mlpackage"
    (package / "Data").mkdir(parents=True)
    (package / "Manifest.json").write_bytes(b"{}")
    (package / "Data" / "weights.bin").write_bytes(noise(100))
    assert [(model.format, model.bytes) for model in scan(package).models] == [("Core ML", 102)]


def test_the_weights_beside_an_ncnn_model_count(tmp_path: Path) -> None:
    bundle = scanned(tmp_path, "app.apk", app())
    assert (
        next(model.bytes for model in bundle.models if model.format == "ncnn")
        == len("7767517\n75 83\nInput in 0 1 in\n") + 700
    )


def external_onnx(location: str) -> bytes:
    weights = helper.make_tensor("w", TensorProto.FLOAT, [8, 8], bytes(256), raw=True)
    set_external_data(weights, location, offset=0, length=256)
    weights.ClearField("raw_data")
    shapes = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 8]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", shapes[:1], shapes[1:], [weights])
    return bytes(helper.make_model(graph).SerializeToString())


def test_external_weights_of_an_onnx_model_count(tmp_path: Path) -> None:
    model = external_onnx("net.data")
    bundle = scanned(tmp_path, "a.zip", zipped([("m/net.onnx", model), ("m/net.data", bytes(256))]))
    assert bundle.models[0].bytes == len(model) + 256


@pytest.mark.parametrize("location", ["net.data", "../../../../etc/passwd"])
def test_external_weights_that_are_not_in_the_bundle_are_named(tmp_path: Path, location: str) -> None:
    bundle = scanned(tmp_path, "a.zip", zipped([("m/net.onnx", external_onnx(location))]))
    assert bundle.models[0].missing_files


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 256\n"


@pytest.mark.parametrize(
    ("location", "content", "said"),
    [
        ("net.data", None, "'net.data' is not in the bundle"),
        ("net.data", bytes(255), "'net.data' has 255 bytes, the weights in it reach to byte 256"),
        ("net.data", LFS.ljust(400), "'net.data' is a Git LFS pointer"),
        ("../m/net.data", bytes(256), "'../m/net.data', which is not in the model's own folder"),
    ],
)
def test_external_weights_that_are_not_whole_leave_no_size(
    tmp_path: Path, location: str, content: bytes | None, said: str
) -> None:
    files = [("m/net.onnx", external_onnx(location)), *([("m/net.data", content)] if content else [])]
    bundle = scanned(tmp_path, "a.zip", zipped(files))
    assert said in bundle.models[0].weights_fault
    assert said in bundle.models[0].note
    metrics = bundle_metrics(bundle)
    for name in ("model_bytes", "model_compressed_bytes"):
        assert metrics[name].value is None
        assert said in (metrics[name].reason or "")


def test_external_weights_that_two_models_share_count_once(tmp_path: Path) -> None:
    one, other = external_onnx("net.data"), external_onnx("./net.data")
    for name, pack in (("a.zip", zipped), ("a.tar", tarred)):
        bundle = scanned(tmp_path, name, pack([("./a.onnx", one), ("./b.onnx", other), ("./net.data", bytes(256))]))
        assert [model.bytes for model in bundle.models] == [len(other) + 256, len(one) + 256]
        assert bundle_metrics(bundle)["model_bytes"].value == len(one) + len(other) + 256
        assert bundle.ml_unpacked_bytes == len(one) + len(other) + 256


def test_models_that_differ_in_their_external_weights_alone_are_no_copies(tmp_path: Path) -> None:
    files = [("a/net.onnx", external_onnx("net.data")), ("b/net.onnx", external_onnx("net.data"))]
    bundle = scanned(tmp_path, "a.zip", zipped([*files, ("a/net.data", bytes(256)), ("b/net.data", noise(256))]))
    assert [model.same_as for model in bundle.models] == [None, None]
    assert bundle.duplicate_bytes == 0


def test_a_file_that_is_only_named_like_a_model_is_said_to_be_so(tmp_path: Path) -> None:
    bundle = scanned(tmp_path, "a.apk", zipped([("assets/secret.tflite", noise(100))]))
    assert bundle.models[0].evidence == "name"
    assert "encrypted" in bundle.models[0].note


def test_a_damaged_model_in_a_bundle_is_listed_with_the_reason(tmp_path: Path) -> None:
    bundle = scanned(tmp_path, "a.apk", zipped([("a.tflite", KWS[:2000])]))
    assert bundle.models[0].format == "TFLite"
    assert bundle.models[0].note


def test_a_protobuf_that_is_no_onnx_is_no_model(tmp_path: Path) -> None:
    assert scanned(tmp_path, "a.zip", zipped([("some.pb", b"\x08\x03\x12\x05hello" + b"\x1a\x01x" * 9)])).models == ()


@pytest.mark.parametrize(("name", "content", "expected"), [
    ("m.gguf", b"GGUF\x03\0\0\0" + noise(50), "GGUF"),
    ("m.pte", b"\x10\0\0\0ET12" + noise(50), "ExecuTorch"),
    ("m.ort", b"\x10\0\0\0ORTM" + noise(50), "ONNX Runtime (.ort)"),
    ("m.mlmodel", b"\x08\x04\x12\x03abc" + noise(50), "Core ML"),
    ("m.pt", torchscript(), "TorchScript"),
    ("m.mnn", noise(50), "MNN"),
])  # fmt: skip
def test_a_single_model_of_another_format_is_told_by_its_name(
    tmp_path: Path, name: str, content: bytes, expected: str
) -> None:
    bundle = scanned(tmp_path, name, content)
    assert [(model.format, model.bytes) for model in bundle.models] == [(expected, len(content))]
