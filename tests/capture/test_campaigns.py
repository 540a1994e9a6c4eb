"""The campaigns of `tests/benchmarks`, small: each is a program that ends with status 1 when a promise is broken."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def run(campaign: str, *words: str) -> str:
    """What the campaign prints; it must end well."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    told = subprocess.run(
        [sys.executable, BENCHMARKS / f"{campaign}.py", *words], capture_output=True, text=True, env=environment
    )
    assert told.returncode == 0, told.stdout + told.stderr
    return told.stdout


@pytest.mark.slow
def test_six_kills_at_random_instants_lose_no_accepted_take() -> None:
    told = run("campaign_kill", "--trials", "6", "--proven", "0", "--commands", "0")
    assert re.search(r"kills +6\n", told)


@pytest.mark.slow
def test_a_fault_at_every_fifteenth_durable_step_breaks_no_promise() -> None:
    told = run("campaign_step", "--every", "15")
    assert told.count("promises broken") == 2
    assert "traceback" not in told


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_disk_that_fills_up_at_three_levels_is_told_in_one_line_and_costs_no_accepted_take() -> None:
    assert "promises broken: 0" in run("campaign_disk", "--levels", "3")


@pytest.mark.slow
def test_ten_damages_of_every_kind_of_file_are_named_or_harmless() -> None:
    for line in run("campaign_damage", "--trials", "10").splitlines()[1:-1]:
        *_, unseen = line.split()[:5]
        assert unseen == "0", line


@pytest.mark.slow
def test_memory_descriptors_and_threads_stay_over_400_takes() -> None:
    told = run("campaign_memory", "--takes", "400")
    assert "+0 descriptors, +0 threads" in told
