"""The verb `calibrate`: what it asks, what it keeps, what it refuses, and what the virtual rack is known to be."""

from __future__ import annotations

import io
import json
import re
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from buscomp.capture import calibrate as calibrate_module
from buscomp.capture.calibrate import calibrate
from buscomp.capture.calibrate_commands import calibrate as command
from buscomp.capture.calibrate_commands import read_meter_aloud
from buscomp.capture.calibration import Calibration, load_calibration
from buscomp.manifests.dataset import Dataset
from buscomp.manifests.errors import BuscompError, DeviceError, UsageError
from buscomp.tests.capture.patch_bay import PatchBay

RACK = "match: rack\nmax_latency_samples: 512\n"
STRAIGHT = {(0, 0): 1.0, (1, 1): 1.0}


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """A folder with a device profile `rack`."""
    (tmp_path / "rack.yaml").write_text(RACK)
    return Dataset(tmp_path)


@pytest.fixture
def rack(monkeypatch: pytest.MonkeyPatch) -> Callable[..., PatchBay]:
    """`rack(cables)` puts a patch bay where the device is."""

    def install(cables: dict[tuple[int, int], float]) -> PatchBay:
        bay = PatchBay(cables, 2)
        monkeypatch.setattr(calibrate_module, "open_bypassed", lambda profile, dataset: bay)
        return bay

    return install


def run(dataset: Dataset, **changes: Any) -> Calibration:
    words: dict[str, Any] = {"device": "rack", "meter_dbu": None, "return_meter_dbu": None, "tone_dbfs": -20.0}
    words |= {"operator": "me", "bypass": None, "read_meter": None, "report": lambda line: None}
    return calibrate(dataset, **words | changes)


def test_the_operator_bypasses_the_unit_and_reads_the_meter_while_the_tone_sounds(dataset, rack):
    bay = rack(STRAIGHT)
    asked = []

    def read_meter(tone_dbfs: float) -> float:
        asked.append(
            f"{tone_dbfs:g} dBFS, {'tone' if any('tone' in t.name for t in threading.enumerate()) else 'silent'}"
        )
        return -7.0

    found = run(dataset, bypass=lambda: asked.append("bypass"), read_meter=read_meter)
    assert asked == ["bypass", "-20 dBFS, tone"]
    assert found.dbu_at_0dbfs_out == 13.0
    assert found.dbu_at_0dbfs_in == pytest.approx(13.0, abs=0.01)
    assert found.meter_dbu == -7.0
    assert [way.latency_samples for way in found.returns] == pytest.approx([100.25, 100.25], abs=1e-3)
    assert found == load_calibration(dataset, "rack")
    assert bay.closed


def test_without_a_reading_everything_but_the_levels_is_measured(dataset, rack):
    rack(STRAIGHT)
    found = run(dataset)
    assert found.dbu_at_0dbfs_out is None
    assert found.dbu_at_0dbfs_in is None
    assert len(found.returns) == 2
    assert len(found.returns[0].response) == 31


def test_a_wrong_cable_saves_nothing_and_gives_the_device_back(dataset, rack):
    bay = rack({(0, 1): 1.0, (1, 0): 1.0})
    with pytest.raises(DeviceError, match=r"output 1 arrives at return 2, not at 1 alone.*nothing was saved"):
        run(dataset, meter_dbu=4.0)
    assert bay.closed
    assert load_calibration(dataset, "rack") is None
    with dataset.lock():  # given back, too
        pass


def test_a_ctrl_c_at_the_meter_ends_the_tone_and_gives_the_device_back(dataset, rack):
    bay = rack(STRAIGHT)

    def interrupt(tone_dbfs: float) -> float:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(dataset, read_meter=interrupt)
    assert bay.closed
    assert not [thread for thread in threading.enumerate() if "tone" in thread.name]
    assert load_calibration(dataset, "rack") is None


def test_a_second_meter_needs_the_first(dataset, rack):
    rack(STRAIGHT)
    with pytest.raises(UsageError, match="needs one at the unit's input"):
        run(dataset, return_meter_dbu=4.0)
    assert run(dataset, meter_dbu=-7.0, return_meter_dbu=-9.0).dbu_at_0dbfs_in == pytest.approx(11.0, abs=0.01)


def verb(root: Path, *words: str) -> Result:
    return CliRunner().invoke(command, [*words, "--dataset", str(root)])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--device", "virtual", "--meter", "loud"), "this is no reading of a meter, got loud"),
        (("--device", "virtual", "--meter", "100V"), r"no interface has such a level at full scale, got \+62.2 dBu"),
        (("--device", "virtual", "--dataset", "/nowhere"), "no such folder"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_played(tmp_path: Path, words, message):
    result = CliRunner().invoke(command, ["--dataset", str(tmp_path), *words])
    assert isinstance(result.exception, BuscompError)
    assert re.search(message, str(result.exception))


def test_the_virtual_rack_is_what_its_profile_says(tmp_path: Path):
    (tmp_path / "plain.yaml").write_text(
        "kind: virtual\nlatency_samples: 200.4\nnoise_dbfs: -90\nmax_latency_samples: 1000\n"
    )
    result = verb(tmp_path, "--device", "plain", "--meter", "1.23V", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["dbu_at_0dbfs_out"] == pytest.approx(24.02, abs=0.01)
    assert found["dbu_at_0dbfs_in"] == pytest.approx(24.02, abs=0.05)
    for way in found["returns"]:
        assert way["latency_samples"] == pytest.approx(200.4, abs=0.02)
        assert way["noise_dbfs"] == pytest.approx(-90, abs=0.5)
        assert way["gain_db"] == pytest.approx(0.0, abs=0.05)
    assert found["remarks"] == []
    told = verb(tmp_path, "--device", "plain").output
    assert "Levels    unknown: no meter was read; give --meter" in told
    kept = load_calibration(Dataset(tmp_path), "plain")
    assert kept is not None
    assert kept.dbu_at_0dbfs_out is None


def test_the_operator_is_asked_again_until_the_reading_can_be(monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO("loud\n100V\n0.3462V\n"))
    assert read_meter_aloud(-20.0) == pytest.approx(-7.0, abs=0.01)
    asked = capsys.readouterr().err.splitlines()
    assert "A tone of 1 kHz at -20 dBFS is on every send now." in asked[0]
    assert "this is no reading of a meter, got loud" in asked[1]
    assert "no interface has such a level" in asked[2]
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n"))
    assert read_meter_aloud(-20.0) is None
