"""Build the example models, or check that the committed ones are what this script builds.

    python examples/build_models.py            write examples/models
    python examples/build_models.py --check    build in memory, exit 1 on a difference

The models have random weights: they classify nothing, they exist to be timed.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(
    0, str(HERE.parent)
)  # so that the script runs from any folder, with nothing installed but its libraries

from examples.networks import Network, initialise  # noqa: E402  # the line above comes first
from examples.onnx_builder import build_mlp_onnx, float_onnx, qdq_onnx, unknown_domain_onnx  # noqa: E402  # the same
from examples.quantisation import quantise  # noqa: E402  # the same
from examples.tflite_builder import tflite_model, unsupported_model  # noqa: E402  # the same
from examples.topologies import (  # noqa: E402  # the same
    Topology,
    autoencoder,
    dscnn,
    macs,
    mobilenet,
    parameter_count,
    resnet8,
)

__all__ = ["build_all", "build_dscnn", "build_mlp_onnx", "build_unknown_domain", "build_unsupported", "readme_table"]

MODELS = HERE / "models"
SEED = 1
TOPOLOGIES: dict[str, Callable[[], Topology]] = {
    "kws": dscnn,
    "resnet8": resnet8,
    "vww": mobilenet,
    "ad": autoencoder,
}


def build_dscnn(
    channels: int = 64, size: tuple[int, int] = (49, 10), blocks: int = 4, classes: int = 12, seed: int = SEED
) -> bytes:
    """Build an int8 DS-CNN of any size as `.tflite`.

    The defaults are MLPerf Tiny's keyword spotter. Its MACs grow with channels² · blocks · size, its file with
    channels² · blocks alone: 2048 channels and 13 blocks make 55 MB.
    """
    return tflite_model(quantise(initialise(dscnn(channels, size, blocks, classes), seed)))


def build_unsupported() -> bytes:
    """Build a `.tflite` model with a custom operator that no runtime has."""
    return unsupported_model()


def build_unknown_domain() -> bytes:
    """Build an `.onnx` model with an operator of a domain that no runtime has."""
    return unknown_domain_onnx()


def build_all() -> dict[str, bytes]:
    """Build every example model; the keys are paths below the models folder."""
    networks = {name: initialise(topology(), SEED) for name, topology in TOPOLOGIES.items()}
    files = {f"{name}_int8.tflite": tflite_model(quantise(network)) for name, network in networks.items()}
    return {
        **files,
        **_keyword_onnx(networks["kws"]),
        "refused/unknown_domain.onnx": build_unknown_domain(),
        "refused/unsupported_operator.tflite": build_unsupported(),
    }


def readme_table(files: dict[str, bytes]) -> str:
    """Write the table of the models that run, as the README shows it."""
    rows = ["| file | bytes | MACs | params | input | output |", "|---|---:|---:|---:|---|---|"]
    for path, content in files.items():
        if "/" not in path:
            topology = TOPOLOGIES[path.split("_")[0]]()
            source, output = _ends(topology, path)
            figures = f"{len(content):,} | {macs(topology):,} | {parameter_count(topology):,}"
            rows.append(f"| `{path}` | {figures} | {source} | {output} |")
    return "\n".join(rows) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Write the models, or compare them."""
    parser = argparse.ArgumentParser(description="Build the example models.")
    parser.add_argument("--check", action="store_true", help="compare with the files on disk instead of writing them")
    check: bool = parser.parse_args(arguments).check
    files = build_all()
    return _compare(files) if check else _write(files)


def _write(files: dict[str, bytes]) -> int:
    for path, content in files.items():
        (MODELS / path).parent.mkdir(parents=True, exist_ok=True)
        (MODELS / path).write_bytes(content)
        print(f"{len(content):>9,} bytes  {path}")
    return 0


def _compare(files: dict[str, bytes]) -> int:
    found = {str(path.relative_to(MODELS)): path.read_bytes() for path in MODELS.rglob("*.*")}
    wrong = [
        *(f"{path}: missing" for path in files.keys() - found.keys()),
        *(f"{path}: not built here" for path in found.keys() - files.keys()),
        *(f"{path}: differs" for path in files.keys() & found.keys() if files[path] != found[path]),
    ]
    for line in sorted(wrong):
        print(line, file=sys.stderr)
    print(f"{len(files)} models built, {len(wrong)} differences")
    return 1 if wrong else 0


def _keyword_onnx(network: Network) -> dict[str, bytes]:
    return {"kws_fp32.onnx": float_onnx(network), "kws_qdq_int8.onnx": qdq_onnx(quantise(network))}


def _ends(topology: Topology, path: str) -> tuple[str, str]:
    """Tell the shapes and types at a model's ends."""
    *sides, depth = topology.input_shape
    onnx = path.endswith(".onnx")
    shape = (depth, *sides) if onnx else topology.input_shape
    classes = next(layer.channels for layer in reversed(topology.layers) if layer.channels)
    kind = "float32" if onnx else "int8"
    return f"{'x'.join(map(str, (1, *shape)))} {kind}", f"1x{classes} {kind}"


if __name__ == "__main__":
    raise SystemExit(main())
