from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from edgeprof.boards import load_board
from edgeprof.errors import ModelUnsupported, RuntimeUnusable, UnknownName
from edgeprof.estimate.npu import CONFIGS, ethos_u, vela_config, vela_estimate, vela_version
from edgeprof.fitting.fit import Question, fit_board
from edgeprof.model import read_model
from edgeprof.records.board import Accelerator

KWS = Path(__file__).resolve().parents[3] / "examples" / "models" / "kws_int8.tflite"


def test_a_board_whose_macs_are_not_known_has_no_configuration() -> None:
    board = load_board("kit-pse84-eval")
    assert ethos_u(board) is not None
    config, reason = vela_config(board)
    assert config is None
    assert "how many MACs a cycle the ethos-u55" in reason
    assert vela_config(load_board("nucleo-l4r5zi"))[1].endswith("has no Ethos-U")


def test_macs_follow_from_peak_and_clock() -> None:
    npu = Accelerator(name="ethos-u55", clock_hz=400_000_000, peak_int8_dense_ops_per_s=204.8e9)
    board = replace(load_board("kit-pse84-eval"), accelerators=(npu,))
    assert vela_config(board) == ("ethos-u55-256", "")
    odd = replace(board, accelerators=(replace(npu, clock_hz=500_000_000),))
    assert vela_config(odd)[0] is None


def test_what_cannot_be_compiled_is_refused_before_anything_is_started(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="unknown accelerator 'ethos-u99'") as caught:
        vela_estimate(KWS, "ethos-u99")
    assert "ethos-u55-128" in (caught.value.hint or "")
    with pytest.raises(ModelUnsupported, match=r"is no \.tflite file"):
        vela_estimate(tmp_path / "model.onnx", "ethos-u55-128")


def test_without_the_extra_the_board_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import metadata

    def absent(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", absent)
    with pytest.raises(RuntimeUnusable) as caught:
        vela_version()
    assert caught.value.hint == 'pip install "edgeprof[vela]"'


def test_a_board_with_an_ethos_u_says_in_fit_what_is_missing() -> None:
    found = fit_board(read_model(KWS), load_board("kit-pse84-eval"), asked=Question())
    metric = found.metrics["cycles_count"]
    assert (metric.value, metric.basis) == (None, "estimated")
    assert "--npu ethos-u55-128" in (metric.reason or "")


@pytest.mark.timeout(120)
def test_velas_estimate_is_labelled_as_its_own() -> None:
    pytest.importorskip("ethosu.vela", reason="the extra vela is not installed")
    slow, quick = (vela_estimate(KWS, config) for config in ("ethos-u55-32", "ethos-u55-256"))
    assert slow.cycles is not None
    assert quick.cycles is not None
    assert slow.cycles > quick.cycles > 0
    assert quick.sram_bytes is not None
    assert 10_000 < quick.sram_bytes < 100_000
    assert quick.flash_bytes is not None
    assert 20_000 < quick.flash_bytes < 60_000
    assert (quick.basis, quick.cpu_operators) == ("estimated", 0)
    assert quick.method.startswith(f"estimated by ethos-u-vela {quick.version} for ethos-u55-256")
    assert quick.latency_s(None) is None
    assert quick.latency_s(1e6) == quick.cycles / 1e6


@pytest.mark.timeout(120)
def test_a_damaged_model_is_refused_with_velas_words(tmp_path: Path) -> None:
    pytest.importorskip("ethosu.vela", reason="the extra vela is not installed")
    model = tmp_path / "damaged.tflite"
    model.write_bytes(b"\0" * 64)
    with pytest.raises(ModelUnsupported, match=r"ethos-u-vela does not compile damaged\.tflite: "):
        vela_estimate(model, CONFIGS[0])
