"""The committed example models are what the script builds, run in their runtimes, and give outputs worth comparing."""

import importlib.util
from math import prod
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import onnx
import onnxruntime
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray

from edgeprof.agent.board_state import board_state
from edgeprof.diagnosis.int8_kernels import lacks_vnni
from examples.build_models import MODELS, SEED, TOPOLOGIES, build_all, build_dscnn, build_mlp_onnx, main, readme_table
from examples.networks import Network, initialise, real, run, seeded_inputs
from examples.quantisation import quantise
from examples.topologies import Grid, macs

Stored = NDArray[np.int_]
Reals = NDArray[np.float64]

INPUTS = 20
INPUT_SEED = 999
NAMES = list(TOPOLOGIES)
CLASSIFIERS = {"kws": 3, "resnet8": 3, "vww": 2}  # how many classes must win over the seeded inputs
MACS = {"kws": 2_656_768, "resnet8": 12_501_632, "vww": 7_489_664, "ad": 264_192}
PARAMETERS = {"kws": 22_604, "resnet8": 77_706, "vww": 210_850, "ad": 265_864}
ROUNDING_STEPS = 2  # between kernels that round differently
# Between LiteRT's reference kernels and TensorFlow Lite Micro: most inputs agree to the byte, not all.
MICRO_STEPS = {"kws": 1, "resnet8": 1, "vww": 1, "ad": 3}
SAME_BYTES_SINCE = (25, 12)  # flatbuffers; older releases share other vtables


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return build_all()


@pytest.fixture(scope="module")
def networks() -> dict[str, Network]:
    return {name: initialise(topology(), SEED) for name, topology in TOPOLOGIES.items()}


def committed(path: str) -> bytes:
    return (MODELS / path).read_bytes()


def inputs(name: str, count: int = INPUTS) -> NDArray[np.int8]:
    return seeded_inputs(TOPOLOGIES[name](), INPUT_SEED, count)


def litert(content: bytes, batch: NDArray[np.int8], resolver: OpResolverType) -> Stored:
    """Run a model on each input; widened, so that differences do not wrap."""
    interpreter = Interpreter(model_content=content, experimental_op_resolver_type=resolver, num_threads=1)
    interpreter.allocate_tensors()
    source, output = (d["index"] for d in (interpreter.get_input_details()[0], interpreter.get_output_details()[0]))
    outputs = []
    for values in batch:
        interpreter.set_tensor(source, values[np.newaxis])
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(output)[0])
    return np.array(outputs, np.int_)


def reference(name: str, count: int = INPUTS) -> Stored:
    return litert(committed(f"{name}_int8.tflite"), inputs(name, count), OpResolverType.BUILTIN_REF)


def ort(content: bytes, batch: Reals, *, precise: bool = True) -> Reals:
    """Run a model on each input; `precise`: with int8 kernels that are exact on every CPU."""
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.x64quantprecision", str(int(precise)))
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    channels_first = batch.transpose(0, 3, 1, 2).astype(np.float32)
    return np.array([session.run(None, {"input": values[np.newaxis]})[0][0] for values in channels_first], np.float64)


def dequantise(stored: Stored, grid: Grid) -> Reals:
    return (stored.astype(np.float64) - grid.zero_point) * grid.scale


def lowest_cosine(ours: Reals, theirs: Reals) -> float:
    lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    return float(((ours * theirs).sum(axis=1) / lengths).min())


def correlation(ours: Reals, theirs: Reals) -> float:
    """Compare what differs between inputs: being right on average earns a constant output nothing."""
    mine, yours = (values - values.mean(axis=0) for values in (ours, theirs))
    return float((mine * yours).sum() / np.sqrt((mine**2).sum() * (yours**2).sum()))


def same_bytes_expected(path: str) -> bool:
    version = tuple(int(part) for part in flatbuffers.__version__.split(".")[:2])
    return path.endswith(".onnx") or version >= SAME_BYTES_SINCE


def contents(node: Any) -> Any:  # noqa: ANN401  # a tree of the schema's untyped objects
    """Unfold an object tree of the schema into plain values."""
    if hasattr(node, "__dict__"):
        return {key: contents(value) for key, value in vars(node).items()}
    if isinstance(node, list):
        return [contents(value) for value in node]
    return node.tolist() if isinstance(node, np.ndarray) else node


def model_tree(content: bytes) -> Any:  # noqa: ANN401  # untyped schema
    return schema.ModelT.InitFromPackedBuf(content, 0)


def test_the_committed_models_are_what_the_script_builds(files: dict[str, bytes]) -> None:
    found = {str(path.relative_to(MODELS)) for path in MODELS.rglob("*.*")}
    assert found == files.keys()
    assert [path for path in files if same_bytes_expected(path) and files[path] != committed(path)] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_rebuilt_tflite_model_has_the_committed_content_whatever_flatbuffers_made_of_it(
    files: dict[str, bytes], name: str
) -> None:
    path = f"{name}_int8.tflite"
    assert contents(model_tree(files[path])) == contents(model_tree(committed(path)))


def test_check_tells_which_model_differs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, files: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("examples.build_models.MODELS", tmp_path)
    monkeypatch.setattr("examples.build_models.build_all", lambda: files)
    assert main([]) == 0
    assert main(["--check"]) == 0
    (tmp_path / "kws_int8.tflite").write_bytes(b"another")
    (tmp_path / "ad_int8.tflite").unlink()
    (tmp_path / "left_over.onnx").touch()
    capsys.readouterr()
    assert main(["--check"]) == 1
    complaints = capsys.readouterr().err.splitlines()
    assert complaints == ["ad_int8.tflite: missing", "kws_int8.tflite: differs", "left_over.onnx: not built here"]


def test_no_committed_model_is_larger_than_400_kb(files: dict[str, bytes]) -> None:
    assert max(len(content) for content in files.values()) < 400_000


def test_the_readme_shows_the_figures_of_the_models(files: dict[str, bytes]) -> None:
    text = (MODELS.parent / "README.md").read_text(encoding="utf-8")
    table = text.split("<!-- models:begin -->\n")[1].split("<!-- models:end -->")[0]
    assert table.strip() == readme_table({path: committed(path) for path in files}).strip()


@pytest.mark.parametrize("name", NAMES)
def test_a_model_has_the_macs_and_parameters_of_its_mlperf_tiny_twin(name: str) -> None:
    graph = model_tree(committed(f"{name}_int8.tflite")).subgraphs[0]
    products, parameters = 0, 0
    for operator in graph.operators:
        if len(operator.inputs) == 3:  # a weight and a bias
            weight, bias = (graph.tensors[index].shape for index in operator.inputs[1:])
            products += prod(weight) * prod(graph.tensors[operator.outputs[0]].shape[:-1])
            parameters += prod(weight) + prod(bias)
    assert (products, parameters) == (MACS[name], PARAMETERS[name])
    assert macs(TOPOLOGIES[name]()) == products


@pytest.mark.parametrize("name", NAMES)
def test_weights_lie_at_multiples_of_16_bytes_in_the_file(name: str) -> None:
    content = committed(f"{name}_int8.tflite")
    buffers = [bytes(buffer.data) for buffer in model_tree(content).buffers if buffer.data is not None]
    large = [content.index(buffer) for buffer in buffers if len(buffer) > 1000]
    assert large
    assert [offset for offset in large if offset % 16] == []


@pytest.mark.parametrize("name", NAMES)
def test_outputs_differ_between_inputs_and_are_not_stuck_at_the_limits(name: str) -> None:
    outputs = reference(name)
    assert len({row.tobytes() for row in outputs}) >= INPUTS // 2  # two classes share few steps
    assert np.mean((outputs == -128) | (outputs == 127)) <= 0.2
    assert outputs.std(axis=0).min() > 1


@pytest.mark.parametrize(("name", "wanted"), CLASSIFIERS.items())
def test_several_classes_win(name: str, wanted: int) -> None:
    assert len(set(reference(name).argmax(axis=1))) >= wanted


@pytest.mark.parametrize("name", NAMES)
def test_no_layer_is_stuck_at_its_limits(networks: dict[str, Network], name: str) -> None:
    content = committed(f"{name}_int8.tflite")
    interpreter = Interpreter(
        model_content=content,
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], inputs(name)[:1])
    interpreter.invoke()
    graph = model_tree(content).subgraphs[0]
    for operator, layer in zip(graph.operators, networks[name].topology.layers, strict=True):
        values = interpreter.get_tensor(operator.outputs[0])
        limits = (127,) if layer.relu else (-128, 127)  # a ReLU's zeros are no fault
        assert np.isin(values, limits).mean() <= 0.2


@pytest.mark.parametrize("name", NAMES)
def test_the_default_kernels_agree_with_the_reference_kernels(name: str) -> None:
    default = litert(committed(f"{name}_int8.tflite"), inputs(name), OpResolverType.AUTO)
    assert np.abs(default - reference(name)).max() <= ROUNDING_STEPS


@pytest.mark.skipif(importlib.util.find_spec("tflite_micro") is None, reason="tflite-micro is not installed")
@pytest.mark.parametrize("name", NAMES)
def test_tensorflow_lite_micro_agrees_with_the_reference_kernels(name: str) -> None:
    from tflite_micro.python.tflite_micro import runtime

    interpreter = runtime.Interpreter.from_bytes(committed(f"{name}_int8.tflite"))
    outputs = []
    for values in inputs(name):
        interpreter.set_input(values[np.newaxis], 0)
        interpreter.invoke()
        outputs.append(interpreter.get_output(0)[0].astype(np.int_))
    assert np.abs(np.array(outputs) - reference(name)).max() <= MICRO_STEPS[name]


@pytest.mark.parametrize("name", NAMES)
def test_int8_agrees_with_the_float_network_that_it_was_made_from(networks: dict[str, Network], name: str) -> None:
    network = networks[name]
    expected = run(network, real(inputs(name), network.topology.input_grid))
    quantised = dequantise(reference(name), quantise(network).grids[-1])
    assert lowest_cosine(quantised, expected) > 0.9
    assert correlation(quantised, expected) > 0.95


def test_the_float_onnx_model_computes_the_float_network(networks: dict[str, Network]) -> None:
    batch = real(inputs("kws"), networks["kws"].topology.input_grid)
    np.testing.assert_allclose(ort(committed("kws_fp32.onnx"), batch), run(networks["kws"], batch), atol=1e-5)


def test_the_int8_keyword_models_choose_the_class_that_the_float_one_chooses(networks: dict[str, Network]) -> None:
    batch = real(inputs("kws", 100), networks["kws"].topology.input_grid)
    best = ort(committed("kws_fp32.onnx"), batch).argmax(axis=1)
    assert np.mean(reference("kws", 100).argmax(axis=1) == best) >= 0.85
    assert np.mean(ort(committed("kws_qdq_int8.onnx"), batch).argmax(axis=1) == best) >= 0.85


def test_the_fast_int8_kernels_answer_rightly_where_the_cpu_has_vnni_and_wrongly_where_it_has_avx2_alone(
    networks: dict[str, Network],
) -> None:
    batch = real(inputs("kws", 100), networks["kws"].topology.input_grid)
    best = ort(committed("kws_fp32.onnx"), batch).argmax(axis=1)
    agreement = np.mean(ort(committed("kws_qdq_int8.onnx"), batch, precise=False).argmax(axis=1) == best)
    if lacks_vnni(board_state().get("cpu_features", ())):
        assert agreement < 0.5
    else:
        assert agreement >= 0.85


def test_the_qdq_onnx_model_computes_what_the_tflite_model_computes(networks: dict[str, Network]) -> None:
    quantised = quantise(networks["kws"])
    batch = real(inputs("kws"), quantised.topology.input_grid)
    steps = ort(committed("kws_qdq_int8.onnx"), batch) / quantised.grids[-1].scale + quantised.grids[-1].zero_point
    assert np.abs(steps - reference("kws")).max() <= ROUNDING_STEPS


def test_onnxruntime_runs_the_qdq_model_in_int8(tmp_path: Path) -> None:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    onnxruntime.InferenceSession(committed("kws_qdq_int8.onnx"), options, providers=["CPUExecutionProvider"])
    operators = [node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node]
    assert operators.count("QLinearConv") == 9
    assert "Conv" not in operators


@pytest.mark.parametrize("path", ["kws_fp32.onnx", "kws_qdq_int8.onnx"])
def test_the_onnx_models_are_valid(path: str) -> None:
    onnx.checker.check_model(committed(path), full_check=True)


def test_no_runtime_takes_the_refused_models() -> None:
    interpreter = Interpreter(model_content=committed("refused/unsupported_operator.tflite"))
    with pytest.raises(RuntimeError, match="EdgeprofUnsupported"):
        interpreter.allocate_tensors()
    with pytest.raises(Exception, match=r"edgeprof\.unsupported"):
        onnxruntime.InferenceSession(committed("refused/unknown_domain.onnx"), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("seed", [1, 2])
def test_a_keyword_spotter_of_another_size_runs_and_does_not_answer_the_same_to_everything(seed: int) -> None:
    content = build_dscnn(channels=16, size=(30, 12), blocks=2, classes=5, seed=seed)
    batch = np.random.default_rng(0).integers(-128, 128, (INPUTS, 30, 12, 1), np.int8)
    outputs = litert(content, batch, OpResolverType.AUTO)
    assert outputs.shape == (INPUTS, 5)
    assert len(set(outputs.argmax(axis=1))) >= 2


def test_another_seed_is_another_model() -> None:
    assert build_dscnn(channels=8, seed=1) != build_dscnn(channels=8, seed=2)


@pytest.mark.parametrize("external", [False, True])
def test_a_matrix_chain_has_the_wanted_size_inline_or_beside(tmp_path: Path, *, external: bool) -> None:
    path = build_mlp_onnx(tmp_path / "mlp.onnx", 5, external=external)
    build_mlp_onnx(path, 5, external=external)  # a second time does not append
    sizes = {file.name: file.stat().st_size for file in tmp_path.iterdir()}
    heavy = "mlp.onnx.data" if external else "mlp.onnx"
    assert list(sizes) == ["mlp.onnx"] if not external else set(sizes) == {"mlp.onnx", "mlp.onnx.data"}
    assert 5_000_000 <= sizes[heavy] < 6_100_000
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    batch = np.random.default_rng(0).standard_normal((2, 1, 512)).astype(np.float32)
    first, second = (session.run(None, {"input": values})[0] for values in batch)
    assert np.abs(first - second).max() > 0.01
