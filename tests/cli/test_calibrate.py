from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from edgeprof.calibration.keeping import store_calibration
from tests.conftest import REPOSITORY
from tests.unit.calibration.synthetic import calibration

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Cli

KWS = REPOSITORY / "examples" / "models" / "kws_int8.tflite"


@pytest.fixture
def kept(tmp_path: Path) -> str:
    """Keep the calibration of a made-up Linux board, and return the folder."""
    store_calibration(calibration(), tmp_path)
    store_calibration(calibration(target="ssh://pi@board", board="raspberry-pi-5"), tmp_path)
    return str(tmp_path)


def test_predicting_without_a_calibration_names_the_command_that_makes_one(edgeprof: Cli, tmp_path: Path) -> None:
    done = edgeprof("calibrate", "--predict", KWS, EDGEPROF_CALIBRATIONS=str(tmp_path / "none"))
    assert (done.returncode, done.stdout) == (2, "")
    assert "local has not been calibrated with 1 thread" in done.stderr
    assert "edgeprof calibrate --target local --threads 1" in done.stderr


def test_a_type_that_was_not_calibrated_is_not_known(edgeprof: Cli, kept: str) -> None:
    done = edgeprof("calibrate", "--predict", KWS, "--format", "json", EDGEPROF_CALIBRATIONS=kept)
    [found] = json.loads(done.stdout)["predictions"]
    assert (done.returncode, found["latency_s"], found["basis"]) == (0, None, "estimated")
    assert "no micro model of int8" in found["reason"]
    table = edgeprof("calibrate", "--predict", KWS, EDGEPROF_CALIBRATIONS=kept).stdout
    assert "not known" in table


def test_only_linux_boards_are_calibrated(edgeprof: Cli, tmp_path: Path) -> None:
    done = edgeprof("calibrate", "--target", "sim:nucleo-l4r5zi", EDGEPROF_CALIBRATIONS=str(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert "cannot be calibrated" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_fit_takes_a_calibrated_board(edgeprof: Cli, kept: str) -> None:
    done = edgeprof("fit", KWS, "--target", "ssh://pi@board", "--format", "json", EDGEPROF_CALIBRATIONS=kept)
    [board] = json.loads(done.stdout)["boards"]
    assert (board["board"], board["verdict"]) == ("raspberry-pi-5", "READY")
    assert "no micro model of int8" in board["metrics"]["latency_p50_s"]["reason"]
