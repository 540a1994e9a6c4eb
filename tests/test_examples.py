"""The programs of docs/examples read a dataset with pandas and soundfile alone, and learn something from it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from buscomp.manifests.dataset import Dataset
from buscomp.tests.small_dataset import make_dataset
from buscomp.tests.trainer.compressed import compress_all

EXAMPLES = Path(__file__).parents[1] / "docs" / "examples"


@pytest.fixture(scope="module")
def compressed(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Four songs of 3 s at six settings, compressed by the simulated unit; thresholds and attacks differ, and half of
    the settings are for testing."""
    return compress_all(make_dataset(tmp_path_factory.mktemp("examples") / "data", songs=4, settings=6, seconds=3.0))


def run(program: str, *arguments: str | Path) -> str:
    told = subprocess.run(
        [sys.executable, EXAMPLES / program, *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert told.returncode == 0, told.stderr
    return told.stdout


@pytest.mark.parametrize("program", ["static_curve.py", "train.py"])
def test_an_example_needs_nothing_of_buscomp_and_has_some_30_lines(program: str):
    text = (EXAMPLES / program).read_text()
    assert set(re.findall(r"^(?:import|from) (\w+)", text, re.M)) <= {
        "sys",
        "pathlib",
        "numpy",
        "pandas",
        "soundfile",
        "torch",
    }
    code = [line for line in text.splitlines() if line.strip() and not re.match(r' *(#|"""|import |from )', line)]
    assert len(code) <= 32


def test_the_static_curve_is_nearer_to_the_unit_than_nothing_and_than_one_gain(compressed: Dataset):
    rows = re.findall(r"^test_seen +(\w[\w ]*?) +([\d.]+) dB off$", run("static_curve.py", compressed.root), re.M)
    off_db = {name: float(told) for name, told in rows}
    assert off_db["static curve"] < 0.6 * min(off_db["nothing"], off_db["one gain"]), off_db


def test_the_network_halves_its_error_in_50_steps_and_beats_doing_nothing_on_an_unseen_song(compressed: Dataset):
    told = run("train.py", compressed.root, "51")
    first, last = (float(error) for error in re.findall(r"^step +\d+ +error ([\d.]+)$", told, re.M))
    assert last < 0.5 * first, told
    found = re.search(r"^test_seen +error ([\d.]+), doing nothing ([\d.]+)$", told, re.M)
    assert found, told
    assert float(found[1]) < 0.5 * float(found[2]), told
