"""The main job, as a newcomer runs it."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import buscomp

COMMAND = [sys.executable, "-m", "buscomp", "demo"]


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_the_demo_goes_the_whole_way_without_a_sound_card_and_beats_the_trivial_baselines(tmp_path: Path):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("BUSCOMP", "JACK"))}
    result = subprocess.run(COMMAND, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=1400)
    assert result.returncode == 0, result.stderr[-4000:]

    dataset = buscomp.open_dataset(tmp_path / "demo")
    assert len(dataset.songs) == 8
    assert set(dataset.takes["status"]) == {"accepted"}
    assert len(dataset.takes) == 8 * len(dataset.settings)
    assert dataset.annotations["tempo_bpm"].notna().all()

    results = dataset.rows("results")
    for split, metric in itertools.product(("test_seen", "test_unseen"), ("esr", "mstft", "gain_trace_rmse_db")):
        found = {row["model"]: row[metric] for row in results if row["split"] == split}
        model = found.pop("s4-4-4")
        assert found.pop("best static curve") is not None, (
            "it is shown, though half a minute of training may not beat it"
        )
        assert len(found) == 2, f"beside two trivial baselines: {found}"
        assert model < min(found.values()), f"{metric} on {split}: {model} against {found}"

    page = (tmp_path / "demo" / "report.html").read_text()
    assert page.count("data:image/svg+xml") >= 6, "figures, inside the page"
    assert "://" not in re.sub(r"data:image/svg\+xml;base64,[A-Za-z0-9+/=]*", "", page), "nothing from elsewhere"
    assert "buscomp capture --device fireface --grid grid.yaml" in result.stdout, "it ends with what to type next"
