"""Two processes train what one trains from the same batch, and go on to the bit."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from buscomp.manifests.errors import UsageError
from buscomp.trainer import processes
from buscomp.trainer.checkpoint import load_model, run_named
from buscomp.trainer.registry import ROWS, build
from buscomp.trainer.train import train

CHOICES: dict[str, Any] = {
    "batch": 4,
    "chunk_frames": 2048,
    "clip_chunks": 4,
    "log_every": 1,
    "validate_every": 2,
    "seed": 3,
}
CHOICES |= {"schedule": "constant", "learning_rate": 1e-3}
CHOICES |= {"scaled_start": False}  # where rounding grows slowest: Adam turns that of the smallest gradients into steps


def torchrun(dataset, processes, *words):
    """`buscomp train` in so many processes."""
    options = ["--no-scaled-start"]
    for name, value in CHOICES.items():
        options += [] if name == "scaled_start" else [f"--{name.replace('_', '-')}", str(value)]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), "-m"]
    command += ["buscomp", "train", "--dataset", str(dataset.root), *options, *words]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, cwd=Path("/"), env=environment, capture_output=True, text=True, timeout=240, check=False
    )


def weights(dataset, name):
    return load_model(run_named(dataset, name))[0].state_dict()


@pytest.mark.slow
def test_two_processes_equal_one_with_the_same_batch_and_go_on_to_the_bit(dataset):
    train(dataset, name="one", steps=6, **CHOICES)
    done = torchrun(dataset, 2, "--name", "two", "--steps", "6", "--json")
    assert done.returncode == 0, done.stderr
    about = json.loads(done.stdout)  # one process speaks
    assert (about["processes"], about["batch"]) == (2, 4)
    lines = {
        name: [json.loads(line) for line in run_named(dataset, name).log.read_text().splitlines()]
        for name in ("one", "two")
    }
    assert lines["two"][0]["loss"] == pytest.approx(lines["one"][0]["loss"], rel=1e-5)
    for alone, together in zip(lines["one"], lines["two"], strict=True):
        assert together["loss"] == pytest.approx(alone["loss"], rel=2e-3)  # rounding, which every step enlarges
        assert together["grad_norm"] == pytest.approx(alone["grad_norm"], rel=1e-2)  # float32, steep near the floor
        assert together["audio_s_seen"] == alone["audio_s_seen"]
        assert (together["validation_loss"] is None) == (alone["validation_loss"] is None)
    one, two = weights(dataset, "one"), weights(dataset, "two")
    apart = torch.cat([(two[key] - value).flatten() for key, value in one.items()])
    assert float(apart.square().mean().sqrt()) < 6e-5  # a hundredth of the way of six steps of 1e-3
    # in the middle of the second clip
    for words in (("--steps", "4"), ("--steps", "6", "--resume")):
        done = torchrun(dataset, 2, "--name", "parts", *words)
        assert done.returncode == 0, done.stderr
    whole, parts = (load_file(run_named(dataset, name).progress) for name in ("two", "parts"))
    assert float(parts["optimiser.0.step"]) == 6
    assert {key.split(".")[0] for key in whole} == {"model", "optimiser", "stream", "random"}
    assert len(parts["stream.s4d.0"]) == 4  # of both processes
    for key, value in whole.items():
        assert torch.equal(parts[key], value), key


def test_a_batch_is_shared_out_evenly(monkeypatch):
    monkeypatch.setattr(processes, "count", lambda: 3)
    monkeypatch.setattr(processes, "rank", lambda: 2)
    assert processes.share(6) == slice(4, 6)
    with pytest.raises(UsageError, match="a batch is shared out evenly, got 8 for 3 processes"):
        processes.share(8)


@pytest.mark.parametrize(("model", "conditioning"), ROWS)
def test_every_stream_state_has_the_batch_first_so_that_it_can_be_shared(model, conditioning, monkeypatch):
    state = build(model, conditioning, 5).initial_state(torch.rand(4, 5))
    assert all(value.shape[0] == 4 for value in state.values() if value.ndim)
    parts = []
    for rank in range(2):
        monkeypatch.setattr(processes, "count", lambda: 2)
        monkeypatch.setattr(processes, "rank", lambda rank=rank: rank)
        parts.append(processes.own_state(state, 4, torch.device("cpu")))
    for name, value in state.items():
        if value.ndim:
            assert torch.equal(torch.cat([part[name] for part in parts]), value)


def test_alone_nothing_is_added_gathered_or_asked():
    tensor = torch.ones(3)
    assert processes.count() == 1
    assert processes.rank() == 0
    assert processes.is_first()
    assert processes.summed(tensor) is tensor
    assert processes.highest(2.5) == 2.5
    assert processes.whole_state({"a": tensor})["a"] is tensor
