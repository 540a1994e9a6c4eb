"""The real `buscomp calibrate` on the rig, whose wires are perfect and whose unit is not bypassed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from buscomp.capture.calibration import load_calibration
from buscomp.capture.calibration_signal import tone, tone_peak_dbfs
from buscomp.manifests.dataset import Dataset
from buscomp.tests.rig.rig import PERIOD, SAMPLE_RATE, render_offline

pytestmark = pytest.mark.rig
RACK = "match: fireface\nmax_latency_samples: 2048\n"


def test_calibrate_finds_one_period_of_latency_a_flat_response_and_a_unit_that_compresses(start_rig, tmp_path: Path):
    start_rig(thr=-40.0, rat=2.0)
    (tmp_path / "rack.yaml").write_text(RACK)
    command = [sys.executable, "-m", "buscomp", "calibrate", "--device", "rack", "--meter", "0.3462V", "--json"]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert told.returncode == 0, told.stderr
    found = json.loads(told.stdout)
    assert (found["host_api"], found["sample_rate"], found["block_size"]) == (
        "JACK Audio Connection Kit",
        SAMPLE_RATE,
        PERIOD,
    )
    for way in found["returns"]:
        assert way["latency_samples"] == pytest.approx(PERIOD, abs=1e-3)
        assert way["gain_db"] == pytest.approx(0.0, abs=1e-3)
        assert way["noise_dbfs"] == -200.0
        assert max(abs(gain_db) for _, gain_db in way["response"]) < 0.01
    assert found["dbu_at_0dbfs_out"] == pytest.approx(13.0, abs=0.01)
    assert found["dbu_at_0dbfs_in"] == pytest.approx(13.0, abs=0.01)  # by the quiet tone
    loud = np.tile(tone(SAMPLE_RATE, -20.0), 3)[:, None].repeat(2, 1)
    reduction_db = -20.0 - tone_peak_dbfs(render_offline(loud, SAMPLE_RATE, {"thr": -40.0, "rat": 2.0}), SAMPLE_RATE)[0]
    assert reduction_db > 8
    (remark,) = found["remarks"]
    assert f"the unit turned the tone down by {reduction_db:.1f} dB" in remark
    kept = load_calibration(Dataset(tmp_path), "rack")
    assert kept is not None
    assert kept.to_document() == found
