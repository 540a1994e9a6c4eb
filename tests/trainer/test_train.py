"""Training on a small dataset whose unit is a volume control."""

import json
import signal
from typing import Any

import numpy as np
import pytest
import torch

from buscomp.manifests.dataset import Dataset
from buscomp.manifests.errors import BuscompError, DatasetError, UsageError
from buscomp.manifests.pcm import read_audio
from buscomp.manifests.tables import write_table
from buscomp.trainer.checkpoint import load_about, load_model, newest_run, run_named
from buscomp.trainer.initialise import fit_output_layer
from buscomp.trainer.optimiser import make_optimiser, one_cycle, parameter_groups
from buscomp.trainer.registry import ROWS, build
from buscomp.trainer.train import train
from buscomp.trainer.windows import Windows

SMALL: dict[str, Any] = {"batch": 2, "chunk_frames": 2048, "clip_chunks": 4, "log_every": 1, "validate_every": 3}


def weights_of(run):
    model, _ = load_model(run)
    return model.state_dict()


@pytest.mark.parametrize("schedule", ["one-cycle", "plateau", "constant"])
def test_three_steps_and_three_resumed_equal_six_to_the_bit(dataset, schedule):
    """The interruption falls into the middle of a clip of three steps plus one."""
    options = SMALL | {"steps": 6, "schedule": schedule, "validate_every": 4}
    whole = train(dataset, name="whole", **options)

    def interrupt(line):
        if line["step"] == 2:
            signal.raise_signal(signal.SIGINT)

    train(dataset, name="parts", report=interrupt, **options)
    assert [json.loads(line)["step"] for line in run_named(dataset, "parts").log.read_text().splitlines()] == [1, 2]
    parts = train(dataset, name="parts", resume=True, **options)
    for name, value in weights_of(whole).items():
        assert torch.equal(value, weights_of(parts)[name]), name
    lines = [[json.loads(line) for line in run.log.read_text().splitlines()] for run in (whole, parts)]
    for one, other in zip(*lines, strict=True):
        assert {**one, "elapsed_s": 0} == {**other, "elapsed_s": 0}


def test_the_same_seed_gives_the_same_weights_and_another_one_others(dataset):
    first, again, other = (
        weights_of(train(dataset, name=name, steps=2, seed=seed, **SMALL))
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize(("model", "conditioning"), ROWS)
def test_every_row_trains_and_loads_back(dataset, model, conditioning):
    run = train(dataset, model=model, conditioning=conditioning, steps=1, **SMALL)
    assert run.folder.name == f"{model}-{conditioning}"
    loaded, about = load_model(run)
    assert about["params"] == sum(parameter.numel() for parameter in loaded.parameters())
    assert newest_run(dataset) == run


def test_forty_steps_on_a_volume_control_lower_the_loss(dataset):
    lines: list[dict[str, Any]] = []
    train(dataset, steps=40, schedule="one-cycle", report=lines.append, **SMALL | {"validate_every": 20})
    validated = [line["validation_loss"] for line in lines if line["validation_loss"] is not None]
    assert validated[1] < 0.9 * validated[0]


def test_the_log_and_model_json_say_what_happened(dataset):
    run = train(dataset, steps=4, s4d_learning_rate=1e-3, dt_min=3e-5, **SMALL)
    lines = [json.loads(line) for line in run.log.read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    assert list(lines[0]) == [
        "step", "loss", "validation_loss", "learning_rate", "grad_norm", "audio_s_seen", "elapsed_s",
    ]  # fmt: skip
    assert [line["validation_loss"] is not None for line in lines] == [False, False, True, True]
    assert lines[-1]["audio_s_seen"] == pytest.approx(4 * 2 * 2048 / 44_100, abs=0.05)
    about = load_about(run)
    assert about["controls"] == ["threshold_db", "attack_ms", "release_s", "release_auto", "ratio"]
    assert (about["dt_min"], about["s4d_learning_rate"], about["seed"]) == (3e-5, 1e-3, 0)
    assert len(about["train_sha256"]) == len(about["unit_sha256"]) == 64
    assert about["torch"] == torch.__version__


def test_seconds_end_the_training(dataset):
    lines: list[dict[str, Any]] = []
    train(dataset, seconds=0.5, report=lines.append, **SMALL)
    assert 0.5 <= lines[-1]["elapsed_s"] < 5


def test_a_run_goes_on_as_it_began_or_not_at_all(dataset):
    train(dataset, name="r", steps=1, **SMALL)
    with pytest.raises(UsageError, match=r"run r was begun with another learning_rate, got 0\.1 \(allowed: 0\.005\)"):
        train(dataset, name="r", steps=2, learning_rate=0.1, resume=True, **SMALL)
    with pytest.raises(UsageError, match="no run is called other"):
        train(dataset, name="other", steps=2, resume=True, **SMALL)


def test_a_damaged_checkpoint_is_named(dataset):
    run = train(dataset, name="r", steps=1, **SMALL)
    run.weights.write_bytes(run.weights.read_bytes()[:100])
    with pytest.raises(DatasetError, match=r"model\.safetensors is damaged"):
        load_model(run)


def test_a_loss_that_is_not_finite_names_the_takes(dataset, monkeypatch):
    draw = Windows.draw

    def spoiled(self, batch, random):
        clips = draw(self, batch, random)
        clips.wet[1] = np.nan
        return clips

    monkeypatch.setattr(Windows, "draw", spoiled)
    with pytest.raises(
        BuscompError, match=r"not finite at step 0, in the target of wet/thr.*/song-0\.flac channel \d from"
    ):
        train(dataset, steps=2, **SMALL)


def test_wrong_use_gets_one_line(dataset):
    with pytest.raises(UsageError, match="either seconds or steps"):
        train(dataset, **SMALL)
    with pytest.raises(UsageError, match=r"shorter than one clip, got clips of 138880 frames \(allowed: up to 44100\)"):
        train(dataset, steps=1)
    rows = [row for row in dataset.rows("splits") if row["split"] != "validation"]
    from buscomp.manifests.tables import write_table

    write_table(dataset.table_path("splits"), "splits", rows)
    with pytest.raises(UsageError, match="a plateau schedule needs a validation split"):
        train(Dataset(dataset.root), steps=1, schedule="plateau", **SMALL)


def test_nothing_decays_but_matrices_and_s4d_has_its_own_learning_rate():
    for name, conditioning in ROWS:
        model = build(name, conditioning, 5)
        groups = parameter_groups(model)
        names = {key: set(group) for key, group in groups.items()}
        assert all(key.endswith(("weight", "weight_ih_l0", "weight_hh_l0")) for key in names["decayed"])
        assert all("s4ds." in key for key in names["s4d"])
        assert len(names["s4d"]) == 5 * len(getattr(model, "s4ds", []))
        assert not any("residual" in key or "prelu" in key or "bias" in key for key in names["decayed"] | names["s4d"])
        assert sum(map(len, names.values())) == sum(parameter.requires_grad for parameter in model.parameters())
    optimiser = make_optimiser(build("s4-4-4", "film", 5), 0.005, 0.001)
    assert [(group["lr"], group["weight_decay"]) for group in optimiser.param_groups] == [
        (0.005, 0.01), (0.005, 0.0), (0.001, 0.0),
    ]  # fmt: skip


def test_one_cycle_rises_for_a_tenth_and_falls_to_a_hundredth():
    assert one_cycle(0.0) == pytest.approx(0.05)
    assert one_cycle(0.1) == pytest.approx(1.0)
    assert one_cycle(1.0) == pytest.approx(0.01)


@pytest.mark.parametrize(("name", "conditioning"), ROWS)
def test_every_model_starts_in_the_polarity_of_the_unit(name, conditioning):
    for seed in range(3):
        torch.manual_seed(seed)
        model, controls = build(name, conditioning, 5), torch.rand(4, 5)
        x = 0.1 * torch.randn(4, 1, 2048)
        fit_output_layer(model, x, controls, 0.5 * x)
        with torch.no_grad():
            y, _ = model(x, controls)
        assert float((y * x).sum()) > 0


def test_clips_come_from_their_takes_and_silent_ones_are_counted(dataset):
    from buscomp.manifests.pcm import read_audio

    windows = Windows(dataset, "train", 4096)
    clips = windows.draw(6, np.random.default_rng(1))
    assert clips.dry.shape == clips.wet.shape == (6, 1, 4096)
    assert clips.controls.shape == (6, 5)
    for dry, wet, origin in zip(clips.dry, clips.wet, clips.origins, strict=True):
        path, _, channel, _, _, start = origin.split()
        audio, _ = read_audio(dataset.file(path))
        assert np.array_equal(wet[0], audio[int(start) : int(start) + 4096, int(channel)])
        gain_db = 20 * np.log10(float(np.vdot(dry, wet) / np.vdot(dry, dry)))
        assert gain_db == pytest.approx(round(gain_db), abs=1e-3)
        assert gain_db < -0.5
    from_files = Windows(dataset, "train", 4096, memory_bytes=0).draw(6, np.random.default_rng(1))
    assert np.array_equal(from_files.wet, clips.wet)


def test_silent_clips_are_skipped_and_counted(dataset):
    from buscomp.manifests.pcm import quantise, read_audio, write_flac

    windows = Windows(dataset, "train", 4096)
    audio, rate = read_audio(dataset.root / "dry" / "song-0.flac")
    audio[: len(audio) // 2] = 0
    write_flac(dataset.root / "dry" / "song-0.flac", quantise(audio), rate)
    clips = windows.draw(20, np.random.default_rng(1))
    assert windows.silent_clips > 5
    assert float(np.sqrt((clips.dry**2).mean((1, 2)).min())) > 1e-3


def test_resuming_a_finished_run_changes_nothing(dataset):
    run = train(dataset, steps=2, **SMALL)
    before = weights_of(run)
    train(dataset, steps=2, resume=True, **SMALL)
    assert all(torch.equal(value, before[name]) for name, value in weights_of(run).items())
    assert load_about(run)["step"] == 2


def test_an_interrupted_run_replaces_the_model_of_an_older_run_of_the_same_name(dataset):
    train(dataset, steps=3, seed=1, **SMALL)
    run = train(dataset, steps=3, seed=2, report=lambda line: signal.raise_signal(signal.SIGINT), **SMALL)
    assert (load_about(run)["seed"], load_about(run)["step"]) == (2, 1)


def a_subset(dataset):
    """Half of each training take, from its 1000th frame."""
    takes = dataset.pair_table("train")
    rows = [
        {"subset": "half", "take_id": take_id, "start_frame": 1000, "frames": 22_050} for take_id in takes["take_id"]
    ]
    write_table(dataset.table_path("subsets"), "subsets", rows)
    return Dataset(dataset.root)


@pytest.mark.parametrize("memory_bytes", [0, 1 << 30])
def test_clips_of_a_subset_lie_in_its_windows(dataset, memory_bytes):
    windows = Windows(a_subset(dataset), "train", 4096, memory_bytes=memory_bytes, subset="half")
    clips = windows.draw(32, np.random.default_rng(0))
    starts = [int(origin.rsplit(" ", 1)[1]) for origin in clips.origins]
    assert min(starts) >= 1000
    assert max(starts) + 4096 <= 1000 + 22_050
    for origin, start, wet in zip(clips.origins, starts, clips.wet, strict=True):
        path, channel = origin.split(" ")[0], int(origin.split(" ")[2])
        np.testing.assert_array_equal(wet[0], read_audio(dataset.file(path))[0][start : start + 4096, channel])
    assert windows.sha256 != Windows(dataset, "train", 4096).sha256


def test_a_run_on_a_subset_is_named_by_it_and_goes_on_with_it_alone(dataset):
    opened = a_subset(dataset)
    run = train(opened, steps=2, subset="half", **SMALL)
    assert run.folder.name == "s4-4-4-tvfilm-half"
    assert load_about(run)["subset"] == "half"
    train(opened, steps=2, subset="half", resume=True, **SMALL)
    with pytest.raises(UsageError, match=r"was begun with another subset \(allowed: half\)"):
        train(opened, steps=2, name=run.folder.name, resume=True, **SMALL)


def test_a_window_shorter_than_a_clip_is_refused(dataset):
    with pytest.raises(UsageError, match=r"every window is shorter than one clip, .* \(allowed: up to 22050\)"):
        Windows(a_subset(dataset), "train", 30_000, subset="half")
