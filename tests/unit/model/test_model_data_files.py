"""Weights of ONNX models in files of their own: one size, one digest, and a clear word where they are not whole."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace
from onnx import TensorProto, helper

from edgeprof.errors import ModelInvalid, ModelUnsupported
from edgeprof.fitting.evidence import model_of
from edgeprof.inputs import read_beside
from edgeprof.inspecting import DIGEST_LIMIT_BYTES, inspect_model
from edgeprof.model import read_model
from edgeprof.model.cost import model_cost
from edgeprof.model.data_files import needed_bytes, refuse_faulty, size_bytes
from edgeprof.model.onnx import read_onnx
from edgeprof.summary.static import model_facts, model_metrics
from tests.unit.model import external_models as made

if TYPE_CHECKING:
    from collections.abc import Callable

    from onnx import ModelProto

    from edgeprof.records.result import Result

CASE = Path(__file__).parents[2] / "fixtures" / "external-data" / "ext.onnx"
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 256\n"


def test_the_size_is_that_of_the_model_file_and_of_its_weights() -> None:
    graph = read_model(CASE)
    facts, metric = model_facts(graph), model_metrics(graph)["model_bytes"]
    assert (facts.bytes, metric.value) == (216 + 16_640, 16_856)
    assert metric.method == "size of the file and of 1 with its weights"
    assert [(file.name, file.bytes) for file in facts.files] == [("ext.onnx", 216), ("ext.onnx.data", 16_640)]
    assert graph.warnings == ()


def test_the_digest_is_that_of_the_files_digests_a_line_each() -> None:
    own = [hashlib.sha256(CASE.with_name(name).read_bytes()).hexdigest() for name in ("ext.onnx", "ext.onnx.data")]
    facts = model_facts(read_model(CASE))
    assert [file.sha256 for file in facts.files] == own
    assert facts.sha256 == hashlib.sha256("".join(f"{line}\n" for line in own).encode()).hexdigest()


def test_a_model_in_one_file_has_the_digest_of_that_file_and_no_list(kws: Path) -> None:
    facts = model_facts(read_model(kws))
    assert (facts.sha256, facts.files) == (hashlib.sha256(kws.read_bytes()).hexdigest(), ())


def test_models_that_differ_in_their_weights_alone_have_two_digests(tmp_path: Path) -> None:
    graphs = [read_model(made.simple(tmp_path / name, name.encode() * 256)) for name in "ab"]
    assert graphs[0].file_sha256 == graphs[1].file_sha256
    assert graphs[0].sha256 != graphs[1].sha256


def test_the_model_of_a_result_is_recognised_with_its_weights_and_not_with_others(
    tmp_path: Path, small_result: Result
) -> None:
    path = made.simple(tmp_path, bytes(256))
    result = replace(small_result, model=model_facts(read_model(path)))
    assert model_of(result, [tmp_path]) == path
    (tmp_path / "m.data").write_bytes(b"\1" * 256)
    assert model_of(result, [tmp_path]) is None


# ── what is not whole ────────────────────────────────────────────────────────────────────────────────────────────────


def _nothing(_: Path) -> None:
    """Leave the data file out."""


def _folder(path: Path) -> None:
    path.mkdir()


def _link_out(path: Path) -> None:
    outside = path.parent.with_name("outside.bin")
    outside.write_bytes(bytes(256))
    path.symlink_to(outside)


def _link_around(path: Path) -> None:
    path.symlink_to(path.name)


BROKEN: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "missing": (_nothing, "'m.data', which is not beside the model", "put it beside"),
    "cut": (lambda path: path.write_bytes(bytes(255)), "'m.data' has 255 bytes, .* reach to byte 256", "again"),
    "empty": (lambda path: path.touch(), "'m.data' has 0 bytes", "again"),
    "pointer": (lambda path: path.write_bytes(LFS), "'m.data' is a Git LFS pointer, not the weights", "git lfs pull"),
    "folder": (_folder, "no regular file", "put it beside"),
    "pipe": (os.mkfifo, "no regular file", "put it beside"),
    "link out": (_link_out, "'m.data' is a link out of the model's folder", "all weights in one file"),
    "link around": (_link_around, "cannot be read", "put it beside"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_weights_that_are_not_whole_are_named_and_have_no_size(tmp_path: Path, how: str) -> None:
    break_it, said, hint = BROKEN[how]
    path = made.simple(tmp_path / "model", None)
    break_it(path.with_name("m.data"))
    graph = read_model(path)
    assert (size_bytes(graph), graph.sha256) == (None, "")
    assert needed_bytes(graph) == graph.bytes + 256 == graph.bytes + model_cost(graph).weights_bytes
    found = inspect_model(path)
    assert (found.metrics["model_bytes"].value, found.model.bytes, found.model.sha256) == (None, None, None)
    assert hint in found.warnings[0]
    with pytest.raises(ModelInvalid, match=said) as refused:
        read_beside(path, graph)
    assert hint in refused.value.hint


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ({"location": "/etc/passwd"}, "'/etc/passwd', which is not in the model's own folder"),
        ({"location": "../m.data"}, "'../m.data', which is not in"),
        ({"location": "a/../../m.data"}, "which is not in"),
        ({"location": "..\\m.data"}, "which is not in"),
        ({"location": "C:m.data"}, "which is not in"),
        ({"location": "*/_ORT_MEM_ADDR_/*"}, r"'\*/_ORT_MEM_ADDR_/\*', which is not beside"),
        ({"location": ""}, "'w' lies in a file without a name"),
        ({"location": "m\0.data"}, "which is not in"),
        ({"location": "n" * 300}, "cannot be read: File name too long"),
        ({"offset": -4}, "offset '-4', which is no number of bytes"),
        ({"offset": "1e3"}, "offset '1e3', which is no number"),
        ({"offset": "٣"}, "which is no number of bytes"),
        ({"offset": 1}, "reach to byte 257"),
        ({"offset": 10**18 - 1}, "reach to byte 1,000,000,000,000,000,255"),
        ({"offset": "9" * 5000}, "which is no number of bytes"),
        ({"length": 4}, "length of 4 bytes, its shape wants 256"),
        ({"length": "9" * 5000}, "which is no number of bytes"),
        ({"length": -1}, "length '-1', which is no number"),
    ],
)
def test_a_place_that_cannot_be_is_told_and_counts_for_nothing(
    tmp_path: Path, place: dict[str, object], said: str
) -> None:
    graph = read_model(made.simple(tmp_path, place=place))
    assert size_bytes(graph) is None
    assert model_cost(graph).weights_bytes == 256
    with pytest.raises(ModelInvalid, match=said):
        refuse_faulty(graph)


def test_a_length_that_is_left_out_is_that_of_the_shape(tmp_path: Path) -> None:
    stored = made.elsewhere("w", 8, 8, location="m.data")
    path = made.written(tmp_path / "m.onnx", made.product(stored))
    path.with_name("m.data").write_bytes(bytes(300))
    graph = read_model(path)
    assert size_bytes(graph) == graph.bytes + 300  # the file is what is shipped, padding and all


def test_weights_in_the_model_file_count_whatever_place_was_left_beside_them(tmp_path: Path) -> None:
    stored = helper.make_tensor("w", TensorProto.FLOAT, [8, 8], bytes(256), raw=True)
    stored.external_data.add(key="location", value="long-gone.data")
    graph = read_model(made.written(tmp_path / "m.onnx", made.product(stored)))
    assert (graph.data_files, size_bytes(graph)) == ((), graph.bytes)


# ── wherever in the model they are ───────────────────────────────────────────────────────────────────────────────────

INDICES = helper.make_tensor("i", TensorProto.INT64, [64], list(range(64)))
PLACES: dict[str, Callable[[], ModelProto]] = {
    "initializer": lambda: made.product(made.elsewhere("w", 8, 8, location="far.data")),
    "branch": lambda: made.in_a_branch(made.elsewhere("w", 8, 8, location="far.data")),
    "constant": lambda: made.in_a_constant(made.elsewhere("w", 8, 8, location="far.data")),
    "function": lambda: made.in_a_function(made.elsewhere("w", 8, 8, location="far.data")),
    "sparse": lambda: made.in_a_sparse_one(made.elsewhere("w", 64, location="far.data"), INDICES),
    "sparse indices": lambda: made.in_a_sparse_one(
        helper.make_tensor("w", TensorProto.FLOAT, [32], [1.0] * 32),
        made.elsewhere("i", 32, dtype=TensorProto.INT64, location="far.data"),
    ),
    "list": lambda: made.in_a_list(made.elsewhere("w", 8, 8, location="far.data")),
}


@pytest.mark.parametrize("place", PLACES)
def test_weights_are_found_wherever_in_the_model_they_are_declared(tmp_path: Path, place: str) -> None:
    path = made.written(tmp_path / "m.onnx", PLACES[place]())
    assert "'far.data', which is not beside the model" in read_model(path).warnings[-1]
    (tmp_path / "far.data").write_bytes(bytes(256))
    graph = read_model(path)
    assert size_bytes(graph) == graph.bytes + 256
    assert [file.needed_bytes for file in graph.data_files] == [256]


def test_several_files_count_each_and_one_that_is_missing_leaves_no_size(tmp_path: Path) -> None:
    names = ["b.data", "a.data", "sub/c.data"]
    weights = [made.elsewhere(f"w{at}", 8, 8, location=name) for at, name in enumerate(names)]
    path = made.written(tmp_path / "m.onnx", made.product(*weights))
    (tmp_path / "sub").mkdir()
    for at, name in enumerate(names):
        (tmp_path / name).write_bytes(bytes([at]) * 256)
    graph = read_model(path)
    assert size_bytes(graph) == graph.bytes + 3 * 256
    with pytest.raises(ModelUnsupported, match="only files in its own folder are taken"):
        read_beside(path, graph)  # counted, but a board gets no folders
    (tmp_path / "a.data").unlink()
    assert size_bytes(read_model(path)) is None


def test_a_file_under_two_names_counts_once(tmp_path: Path) -> None:
    names = ["a.data", "./a.data", "b.data", "m.onnx"]  # the last is the model file itself
    weights = [made.elsewhere(f"w{at}", 1, 8, location=name) for at, name in enumerate(names)]
    path = made.written(tmp_path / "m.onnx", made.product(*weights))
    (tmp_path / "a.data").write_bytes(bytes(32))
    (tmp_path / "b.data").hardlink_to(tmp_path / "a.data")
    graph = read_model(path)
    assert size_bytes(graph) == graph.bytes + 32
    assert [file.name for file in model_facts(graph).files] == ["m.onnx", "a.data"]


def test_weights_that_share_their_bytes_are_needed_once(tmp_path: Path) -> None:
    weights = [made.elsewhere(f"w{at}", 8, 8, location="far.data", offset=0, length=256) for at in range(3)]
    graph = read_model(made.written(tmp_path / "m.onnx", made.product(*weights)))
    assert needed_bytes(graph) == graph.bytes + 256


def test_two_models_may_share_a_file_and_each_has_it_all(tmp_path: Path) -> None:
    first = made.simple(tmp_path)
    second = made.written(
        tmp_path / "n.onnx", made.product(made.elsewhere("w", 4, 8, location="m.data", offset=128, length=128))
    )
    assert [size_bytes(read_model(path)) for path in (first, second)] == [
        path.stat().st_size + 256 for path in (first, second)
    ]


def test_a_cache_that_links_each_file_into_one_folder_is_read(tmp_path: Path) -> None:
    made.simple(tmp_path / "blobs")
    version = tmp_path / "snapshots" / "1"
    version.mkdir(parents=True)
    for name in ("m.onnx", "m.data"):
        (version / name).symlink_to(tmp_path / "blobs" / name)
    graph = read_model(version / "m.onnx")
    assert size_bytes(graph) == graph.bytes + 256


def test_a_giant_is_neither_read_nor_hashed(tmp_path: Path) -> None:
    side = 40_000
    stored = made.elsewhere("w", side, side, location="m.data", offset=0, length=4 * side * side)
    path = made.written(tmp_path / "m.onnx", made.product(stored, size=side))
    with path.with_name("m.data").open("wb") as file:
        file.truncate(4 * side * side)
    found = inspect_model(path)
    assert (found.model.bytes or 0) > DIGEST_LIMIT_BYTES
    assert found.metrics["model_bytes"].value == path.stat().st_size + 6_400_000_000
    assert found.model.sha256 is None
    shutil.rmtree(tmp_path)


def test_bytes_that_are_no_protobuf_in_a_function_are_refused_and_never_a_crash() -> None:
    model = made.in_a_function(made.elsewhere("w", 8, 8, location="far.data")).SerializeToString()
    for at in range(0, len(model), 3):
        hurt = model[:at] + bytes([model[at] ^ 0xFF]) + model[at + 1 :]
        try:
            read_onnx(hurt, Path("hurt.onnx"))
        except (ModelInvalid, ModelUnsupported):
            continue
