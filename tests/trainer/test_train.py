"""Training on a small dataset whose unit is a volume control."""

import json
import signal
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
import torch

from buscomp.manifests.dataset import Dataset
from buscomp.manifests.errors import BuscompError, DatasetError, UsageError
from buscomp.manifests.pcm import read_audio
from buscomp.manifests.tables import write_table
from buscomp.trainer.audio_cache import AudioCache
from buscomp.trainer.checkpoint import load_about, load_model, newest_run, run_named
from buscomp.trainer.convolution import ConvolutionalModel
from buscomp.trainer.initialise import fit_output_layer, has_output_layer, scale_signal_weights
from buscomp.trainer.optimiser import gradient_norm, make_optimiser, one_cycle, parameter_groups
from buscomp.trainer.recipe import RECIPES, Recipe
from buscomp.trainer.registry import ROWS, build
from buscomp.trainer.train import train
from buscomp.trainer.windows import Windows

SMALL: dict[str, Any] = {"batch": 2, "chunk_frames": 2048, "clip_chunks": 4, "log_every": 1, "validate_every": 3}
TWO = SMALL | {"clip_chunks": 2, "validation_batches": 1}


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
    run = train(dataset, model=model, conditioning=conditioning, steps=1, **TWO)
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
    assert all(len(about[name]) == 64 for name in ("train_sha256", "validation_sha256", "unit_sha256"))
    assert {field.name for field in fields(Recipe)} - {"steps"} <= set(about)
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

    def spoiled(self, *arguments):
        clips = draw(self, *arguments)
        clips.wet[1] = np.nan
        return clips

    monkeypatch.setattr(Windows, "draw", spoiled)
    with pytest.raises(
        BuscompError, match=r"not finite at step 0, in the target of wet/thr.*/song-0\.flac channel \d from"
    ):
        train(dataset, steps=2, **SMALL)


@pytest.mark.parametrize("spoiled", ["wet", "dry"])
def test_a_spoiled_file_of_the_cache_is_named_by_the_loss(dataset, spoiled):
    train(dataset, steps=1, **TWO)
    cache = AudioCache(dataset)
    for piece in Windows(dataset, "train", 4096).pieces:
        if piece.relative.startswith(spoiled):
            np.load(cache.path(piece), mmap_mode="r+")[:] = np.nan
    named = "target of" if spoiled == "wet" else "output for"
    with pytest.raises(
        BuscompError, match=rf"at step 0, in the {named} wet/.*/song-0\.flac channel .*delete the decoded audio"
    ):
        train(dataset, steps=2, **TWO)


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


def test_the_learning_rate_of_s4d_is_honoured_by_the_first_step(dataset):
    """Adam's first step moves every number by its learning rate, whatever the gradient is."""
    for s4d_rate in (None, 1e-4):
        run = train(dataset, name="r", steps=1, schedule="constant", s4d_learning_rate=s4d_rate, clip_norm=0.0,
                    weight_decay=0.0, learning_rate=3e-3, **TWO)  # fmt: skip
        torch.manual_seed(0)
        before, after = build("s4-4-4", "tvfilm", 5).state_dict(), weights_of(run)
        for name, rate in (("s4ds.0.log_A_re", s4d_rate or 3e-3), ("mixes.0.weight", 3e-3)):
            moved = (after[name] - before[name]).abs()
            assert float(moved.median()) == pytest.approx(rate, rel=0.02), name


def test_the_norm_of_the_gradient_is_held_at_1_unless_it_is_0():
    model = torch.nn.Linear(3, 1)
    for held_at, left in ((1.0, 1.0), (0.0, 20.0)):
        model.weight.grad, model.bias.grad = torch.full((1, 3), 10.0), torch.full((1,), 10.0)
        assert float(gradient_norm(model, held_at)) == pytest.approx(20)
        norms = [float(parameter.grad.norm()) for parameter in model.parameters() if parameter.grad is not None]
        assert float(np.linalg.norm(norms)) == pytest.approx(left, rel=1e-5)


def test_one_cycle_rises_for_a_tenth_and_falls_to_a_hundredth():
    assert one_cycle(0.0) == pytest.approx(0.05)
    assert one_cycle(0.1) == pytest.approx(1.0)
    assert one_cycle(1.0) == pytest.approx(0.01)


@pytest.mark.parametrize(("name", "conditioning"), ROWS)
def test_every_black_box_starts_in_the_polarity_of_the_unit_and_a_grey_box_as_it_is(name, conditioning):
    for seed in range(3):
        torch.manual_seed(seed)
        model, controls = build(name, conditioning, 5), torch.rand(4, 5)
        if not has_output_layer(model):
            before = {key: value.clone() for key, value in model.state_dict().items()}
            fit_output_layer(model, torch.zeros(4, 1, 2048), controls, torch.zeros(4, 1, 2048))
            assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
            return
        x = 0.1 * torch.randn(4, 1, 2048)
        fit_output_layer(model, x, controls, 0.5 * x)
        with torch.no_grad():
            y, _ = model(x, controls)
        assert float((y * x).sum()) > 0


@pytest.mark.parametrize(("name", "conditioning"), ROWS)
def test_after_a_scaled_start_a_signal_20_times_softer_gives_what_it_gave_before_and_a_grey_box_stays_as_it_is(
    name, conditioning
):
    torch.manual_seed(0)
    model: Any = build(name, conditioning, 5).double().eval()
    controls, x = torch.rand(4, 5).double(), torch.randn(4, 1, 2048).double()
    x /= x.square().mean().sqrt()
    state = {key: value.clone() for key, value in model.state_dict().items()}
    with torch.no_grad():
        before, _ = model(x, controls)
        scale_signal_weights(model, x / 20)
        after, _ = model(x / 20, controls)
    if not has_output_layer(model):
        assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    elif isinstance(model, ConvolutionalModel):  # its residual from the input has no weights
        scaled = {"convolutions.0.weight", "conditioner.lstm.weight_ih_l0"}
        for key, value in model.state_dict().items():
            wanted = state[key].clone()
            if key in scaled:  # an LSTM's first column is the signal's, the others are the controls'
                wanted[:, :1] *= 20
            assert torch.allclose(value, wanted), key
    else:
        assert torch.allclose(after, before, rtol=0, atol=1e-12)


def test_a_scaled_start_is_a_choice_of_ours_and_not_of_the_papers(dataset):
    sizes = []
    for scaled_start in (None, True, False):
        chosen: dict[str, Any] = {} if scaled_start is None else {"scaled_start": scaled_start}
        run = train(dataset, steps=1, learning_rate=1e-12, name=f"start-{scaled_start}".lower(), **chosen, **SMALL)
        model: Any = load_model(run)[0]
        sizes.append(float(model.widen.weight.detach().norm()))
    assert sizes[0] == sizes[1] > 3 * sizes[2]
    assert not RECIPES["paper-a"].scaled_start
    assert not RECIPES["paper-b"].scaled_start


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


def test_silent_clips_are_skipped_and_counted(dataset):
    from buscomp.manifests.pcm import quantise, read_audio, write_flac

    windows = Windows(dataset, "train", 4096)
    audio, rate = read_audio(dataset.root / "dry" / "song-0.flac")
    audio[: len(audio) // 2] = 0
    write_flac(dataset.root / "dry" / "song-0.flac", quantise(audio), rate)
    clips = windows.draw(20, np.random.default_rng(1))
    assert clips.silent > 5
    assert float(np.sqrt((clips.dry**2).mean((1, 2)).min())) > 1e-3


def test_cache_or_files_make_no_difference_to_the_weights(dataset):
    runs = [weights_of(train(dataset, name=f"r{cache:d}", steps=3, cache=cache, **SMALL)) for cache in (True, False)]
    assert all(torch.equal(value, runs[1][name]) for name, value in runs[0].items())
    assert len(list(dataset.root.glob(".cache/audio/*/*.npy"))) == 6  # one song at two settings, for each split


@pytest.mark.parametrize("recipe", ["paper-a", "paper-b"])
def test_a_papers_recipe_trains_and_is_written_down(dataset, recipe):
    model = {"paper-a": "s4-4-4", "paper-b": "ssm-c16-f4"}[recipe]
    frames: dict[str, Any] = {"chunk_frames": 16_384}
    if recipe == "paper-a":
        frames = {"clip_chunks": 3}
    run = train(dataset, model=model, recipe=recipe, steps=2, batch=2, validation_batches=1, log_every=1, **frames)
    about = load_about(run)
    assert (about["recipe"], about["schedule"], about["auto_flag"]) == (recipe, "plateau", False)
    assert about["controls"] == ["threshold_db", "attack_ms", "release_s", "ratio"]
    lines = [json.loads(line) for line in run.log.read_text().splitlines()]
    assert lines[-1]["audio_s_seen"] == pytest.approx(2 * 2 * about["chunk_frames"] / 44_100, abs=0.1)


def test_a_clip_without_warm_up_learns_from_its_first_chunk(dataset):
    lines: list[dict[str, Any]] = []
    train(dataset, steps=3, report=lines.append, **SMALL | {"clip_chunks": 1, "warm_up_chunks": 0})
    assert [line["step"] for line in lines] == [1, 2, 3]


def test_frozen_norms_keep_their_statistics_in_the_last_part(dataset):
    options = SMALL | {"validate_every": 2, "schedule": "constant"}
    half = train(dataset, conditioning="film", name="half", steps=2, **options)
    name = "conditioner.norms.0.running_mean"
    early = weights_of(half)[name]
    for frozen, same in ((0.5, True), (0.0, False)):
        options["validation_batches"] = 1
        rows = [row for row in dataset.rows("splits") if row["split"] != "validation"]
        write_table(dataset.table_path("splits"), "splits", rows)
        run = train(Dataset(dataset.root), conditioning="film", steps=4, frozen_norms=frozen, **options)
        assert torch.equal(weights_of(run)[name], early) == same


def test_tensorboard_shows_the_numbers_of_the_log(dataset):
    run = train(dataset, steps=3, tensorboard=True, **SMALL)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def losses():
        events = EventAccumulator(str(run.folder))
        events.Reload()
        return [(event.step, event.value) for event in events.Scalars("loss")]

    lines = [json.loads(line) for line in run.log.read_text().splitlines()]
    assert losses() == [(line["step"], pytest.approx(line["loss"], rel=1e-6)) for line in lines]
    train(dataset, steps=3, tensorboard=True, **SMALL)  # an older run of the same name does not shine through
    assert [step for step, _ in losses()] == [1, 2, 3]


def test_a_device_that_is_not_there_is_wrong_use(dataset):
    with pytest.raises(UsageError, match=r"no such device \(.*\), got cuda:77 \(allowed: auto, cpu, cuda"):
        train(dataset, steps=1, device="cuda:77", **SMALL)
    with pytest.raises(UsageError, match=r"no such device .*, got gpu"):
        train(dataset, steps=1, device="gpu", **SMALL)


def test_threads_are_as_many_as_asked_for(dataset):
    before = torch.get_num_threads()
    try:
        assert load_about(train(dataset, steps=1, threads=2, **TWO))["threads"] == 2
    finally:
        torch.set_num_threads(before)


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


@pytest.mark.parametrize("cached", [False, True])
def test_clips_of_a_subset_lie_in_its_windows(dataset, cached):
    cache = AudioCache(dataset) if cached else None
    windows = Windows(a_subset(dataset), "train", 4096, subset="half", cache=cache)
    if cache:
        cache.fill(windows.pieces)
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
