"""Streams: whatever the buffers and whenever a knob turns, what the PyTorch model gives."""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from buscomp.cli import main
from buscomp.manifests.errors import UsageError
from buscomp.trainer.checkpoint import load_model
from buscomp.trainer.knobs import Knobs
from buscomp.trainer.registry import REGISTRY, build
from buscomp.trainer.streaming import Stream
from buscomp.trainer.streaming_measure import measure_speed, one_call, struck_tones
from buscomp.trainer.streaming_program import compiled
from buscomp.trainer.train import train

SMALL: dict[str, Any] = {"batch": 2, "chunk_frames": 2048, "clip_chunks": 4}
# every family, and every conditioning
COMPILED = [
    ("s4-4-4", "tvfilm"), ("s4-4-4", "tfilm"), ("s4-4-4", "ttfilm"), ("ssm-c16-f4", "film"), ("tcn-5-7", "film"),
    ("tcn-5-7", "tvfilm"), ("tcn-100", "film"), ("gcn-5-7", "tvfilm"), ("lstm-32", "concat"), ("lstm-32", "tvconcat"),
    *[(name, "mlp") for name in REGISTRY if name.startswith(("grey-", "physical-"))],
]  # fmt: skip
RATE = 44_100


@pytest.fixture(scope="module")
def trained(tmp_path_factory, whole_dataset):
    """`trained(model, conditioning)`: that row after eight steps on the small dataset."""
    models: dict[tuple[str, str], Any] = {}

    def of(name: str, conditioning: str):
        if (name, conditioning) not in models:
            run = train(
                whole_dataset, model=name, conditioning=conditioning, name=f"{name}-{conditioning}", steps=8, **SMALL
            )
            models[name, conditioning] = load_model(run)[0]
        return models[name, conditioning]

    return of


@pytest.fixture(scope="module")
def whole_dataset(tmp_path_factory):
    """One of our own, because runs are written into it."""
    from buscomp.tests.small_dataset import make_dataset

    return make_dataset(tmp_path_factory.mktemp("streaming") / "dataset", seconds=1.0)


def controls_of(model, seed: int = 0):
    return np.random.default_rng(seed).random(model.controls).astype(np.float32)


def in_buffers(stream: Stream, sound, lengths):
    parts, begin = [], 0
    while begin < len(sound):
        end = begin + int(next(lengths))
        parts.append(stream.process(sound[begin:end]))
        begin = end
    return np.concatenate(parts)


def relative(one, other) -> float:
    return float(np.abs(one - other).max() / np.abs(other).max())


@pytest.mark.slow
@pytest.mark.parametrize(("name", "conditioning"), COMPILED)
def test_buffers_of_1_to_300_samples_equal_the_trained_model_within_1e_5(trained, name, conditioning):
    model = trained(name, conditioning)
    controls, sound = controls_of(model), struck_tones(6000, RATE)
    stream = Stream(model, controls)
    assert stream.compiled
    whole = one_call(model, controls, sound)
    lengths = np.random.default_rng(1).integers(1, 300, 6000)
    once = stream.process(sound)
    assert relative(once, whole) < 1e-5
    stream.reset()
    np.testing.assert_array_equal(in_buffers(stream, sound, iter(lengths)), once)
    stream.reset()
    np.testing.assert_array_equal(in_buffers(stream, sound[:300], iter(np.ones(300))), once[:300])


@pytest.mark.slow
@given(lengths=st.lists(st.integers(1, 700), min_size=1, max_size=40))
@settings(max_examples=20)
def test_any_buffers_give_the_same_to_the_bit(trained, lengths):
    stream = Stream(trained("s4-4-4", "tvfilm"), controls_of(trained("s4-4-4", "tvfilm")), channels=2)
    sound = np.repeat(struck_tones(sum(lengths), RATE), 2, axis=1) * np.array([1.0, -0.5], np.float32)
    once = stream.process(sound)
    stream.reset()
    np.testing.assert_array_equal(in_buffers(stream, sound, iter(lengths)), once)


@pytest.mark.slow
def test_each_channel_is_a_mono_signal_of_its_own(trained):
    model = trained("s4-4-4", "tvfilm")
    sound = np.stack([struck_tones(3000, RATE)[:, 0], 0.3 * struck_tones(3000, RATE)[::-1, 0]], axis=1)
    both = Stream(model, controls_of(model), channels=2).process(sound)
    for channel in range(2):
        alone = Stream(model, controls_of(model)).process(sound[:, channel : channel + 1])
        np.testing.assert_array_equal(both[:, channel], alone[:, 0])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "conditioning"),
    [
        ("ssm-c16-f4", "film"),
        ("s4-4-4", "tvfilm"),
        ("lstm-32", "concat"),
        ("grey-hard-gru-modulated", "mlp"),
        ("physical-feedback", "mlp"),
    ],
)
def test_a_knob_turned_between_buffers_gives_what_the_model_with_its_state_gives(trained, name, conditioning):
    """Without a ramp, and where the model smooths it itself."""
    model = trained(name, conditioning)
    sound, turned_at = struck_tones(4000, RATE), 1500
    first, second = controls_of(model, 0), controls_of(model, 1)
    stream = Stream(model, first, ramp_s=0)
    got = [stream.process(sound[:turned_at])]
    stream.set_controls(second)
    got.append(stream.process(sound[turned_at:]))
    with torch.inference_mode():
        x = torch.from_numpy(sound.T.copy())[None]
        before, state = model(x[..., :turned_at], torch.from_numpy(first)[None])
        after, _ = model(x[..., turned_at:], torch.from_numpy(second)[None], state)
    expected = torch.cat([before, after], dim=-1)[0].numpy().T
    assert relative(np.concatenate(got), expected) < 1e-5


@pytest.mark.slow
def test_a_turned_knob_does_not_click_and_ends_at_the_new_modulation():
    """20 ms of ramp instead of none: the greatest step in the answer to a constant shrinks 100 times."""
    torch.manual_seed(0)
    model: Any = build("ssm-c16-f4", "film", 2).eval()
    with torch.no_grad():
        for linear in model.conditioner.maps:
            linear.weight.mul_(5)  # knobs that are heard
    constant = np.full((RATE // 2, 1), 0.2, np.float32)
    still = Stream(model, [1.0, 1.0]).process(constant)[-1, 0]
    steps = []
    for ramp_s in (0.0, 0.02):
        stream = Stream(model, [0.0, 0.0], ramp_s=ramp_s)
        before = stream.process(constant)
        stream.set_controls([1.0, 1.0])
        after = stream.process(constant)
        steps.append(float(np.abs(np.diff(after[:2000, 0], prepend=before[-1, 0])).max()))
        assert after[-1, 0] == pytest.approx(still, rel=1e-5)
    assert steps[0] > 0.05
    assert steps[1] < 0.01 * steps[0]


@pytest.mark.slow
def test_a_state_that_was_kept_goes_on_where_it_was(trained):
    model = trained("lstm-32", "tvconcat")
    sound = struck_tones(3000, RATE)
    for stream in (Stream(model, controls_of(model)), Stream(model, controls_of(model), compile_it=False)):
        stream.process(sound[:1000])
        kept = stream.state
        first = stream.process(sound[1000:])
        stream.process(sound)
        stream.state = kept
        np.testing.assert_array_equal(stream.process(sound[1000:]), first)


@pytest.mark.slow
def test_a_running_stream_allocates_nothing(trained):
    model = trained("lstm-32", "tvconcat")
    stream = Stream(model, controls_of(model), channels=2)
    buffer, output = np.zeros((128, 2), np.float32), np.empty((128, 2), np.float32)
    stream.process_into(buffer, output)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(200):
        stream.process_into(buffer, output)
    grown, peak = (value - before for value in tracemalloc.get_traced_memory())
    tracemalloc.stop()
    assert grown < 1000
    assert peak < 5000


def test_five_minutes_of_silence_after_a_sound_leave_no_denormal_number(trained):
    """They cost a processor a hundred times as much as others."""
    model = trained("physical-feedback", "mlp")
    stream = Stream(model, controls_of(model))
    stream.process(struck_tones(RATE, RATE))
    stream.process(np.zeros((300 * RATE, 1), np.float32))
    parts, *_ = stream.state
    values = np.abs(parts[-1].view(np.float64))
    assert np.count_nonzero((values > 0) & (values < np.finfo(np.float64).tiny)) == 0


def test_a_model_without_a_kernel_streams_by_pytorch():
    entry = REGISTRY["tonetwist"]
    torch.manual_seed(0)
    model = build("tonetwist", entry.conditionings[-1], entry.paper_controls).eval()
    stream = Stream(model, controls_of(model))
    assert not stream.compiled
    sound = struck_tones(2000, RATE)
    lengths = iter([1, 2, 127, 128, 300, 10_000])
    assert relative(in_buffers(stream, sound, lengths), one_call(model, controls_of(model), sound)) < 1e-5


def test_a_model_that_looks_ahead_other_controls_and_other_channels_are_refused():
    with pytest.raises(UsageError, match="looks ahead"):
        Stream(build("s4-4-4", "tvfilm", 4, alignment="same"), [0.0] * 4)
    model = build("lstm-32", "concat", 4)
    with pytest.raises(UsageError, match=r"got \(3,\) \(allowed: \(4,\)\)"):
        Stream(model, [0.0] * 3, compile_it=False)
    with pytest.raises(UsageError, match=r"got \(10, 2\)"):
        Stream(model, [0.0] * 4, compile_it=False).process(np.zeros((10, 2), np.float32))


def test_every_black_box_has_a_program_whose_memory_is_of_its_size():
    """No kernel is compiled for this: only laid out."""
    for name, entry in REGISTRY.items():
        if name.startswith(("s4", "ssm", "tcn", "gcn", "lstm")):
            for conditioning in entry.conditionings:
                program = compiled(build(name, conditioning, entry.paper_controls).eval())
                assert program is not None, (name, conditioning)
                ends = [live.stop for live in program.live]
                assert max(ends) <= len(program.memory)
                assert all(a.stop <= b.start for a, b in zip(program.live, program.live[1:], strict=False))


@pytest.mark.slow
def test_measured_speeds_have_the_error_beside_them(trained):
    model = trained("lstm-32", "concat")
    speeds = measure_speed(model, controls_of(model), RATE, buffers=(1, 128))
    assert [speed.buffer_frames for speed in speeds] == [1, 128]
    assert all(speed.error < 1e-5 for speed in speeds)
    assert all(speed.speed_ratio > 0 for speed in speeds)


def test_knobs_stand_in_the_middle_and_turn_between_positions(whole_dataset):
    knobs = Knobs(whole_dataset.unit)
    assert str(knobs) == "threshold_db=-20 attack_ms=3 release_s=0.8 ratio=4"
    knobs.turn("threshold_db=-18.5")
    knobs.turn("release_s = auto")
    assert str(knobs) == "threshold_db=-18.5 attack_ms=3 release_s=auto ratio=4"
    assert knobs.vector()[0] == pytest.approx(21.5 / 40)
    for word, message in (
        ("threshold_db", "turned by name=value"),
        ("treshold_db=3", "no such knob, got treshold_db"),
        ("threshold_db=3", r"cannot stand there, got 3 \(allowed: -40 to 0"),
        ("threshold_db=nan", "cannot stand there"),
        ("ratio=auto", "cannot stand there"),
        ("engaged=on", "no such knob"),
    ):
        with pytest.raises(UsageError, match=message):
            knobs.turn(word)


@pytest.fixture(scope="module")
def song(trained, whole_dataset, tmp_path_factory):
    """A trained run, and a stereo song of half a second."""
    trained("lstm-32", "concat")
    path = tmp_path_factory.mktemp("song") / "song.wav"
    soundfile.write(path, np.repeat(struck_tones(RATE // 2, RATE), 2, axis=1), RATE, "PCM_24")
    return path


def stream_verb(whole_dataset, *words: str):
    return CliRunner().invoke(main, ["stream", *words, "--dataset", str(whole_dataset.root)])


@pytest.mark.slow
def test_the_verb_gives_the_same_file_for_every_buffer_and_turns_a_knob_on_the_way(whole_dataset, song, tmp_path):
    files = []
    for number, buffer in enumerate(("1000", "37")):
        target = tmp_path / f"{number}.wav"
        words = [str(song), str(target), "--set", "threshold_db=-40", "--set", "ratio=10@0.25", "--buffer", buffer]
        told = stream_verb(whole_dataset, "lstm-32-concat", *words)
        assert told.exit_code == 0, told.output
        files.append(soundfile.read(target)[0])
    plain = tmp_path / "plain.wav"
    told = stream_verb(whole_dataset, "lstm-32-concat", str(song), str(plain), "--set", "threshold_db=-40")
    assert told.exit_code == 0, told.output
    same, without = soundfile.read(plain)[0], round(0.25 * RATE)
    assert files[0].shape == (RATE // 2, 2)
    np.testing.assert_array_equal(files[0], files[1])
    np.testing.assert_array_equal(files[0][:without], same[:without])
    assert np.abs(files[0][without:] - same[without:]).max() > 1e-6


@pytest.mark.slow
def test_the_verb_measures_as_json(whole_dataset, song):
    told = stream_verb(whole_dataset, "lstm-32-concat", "--measure", "--json")
    assert told.exit_code == 0, told.output
    document = json.loads(told.stdout)
    assert document["compiled"] is True
    assert [speed["buffer_frames"] for speed in document["speeds"]] == [1, 32, 128, 256, 512, 1024, 4096]
    assert all(speed["error"] < 1e-5 for speed in document["speeds"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "one thing at a time, got nothing to do"),
        (("--measure", "--device", "x"), "one thing at a time, got --measure and --device"),
        (("SONG",), "where should the output go"),
        (("SONG", "out.wav", "--set", "ratio=99"), "cannot stand there"),
        (("SONG", "out.wav", "--set", "ratio=10@soon"), "behind @ stands a second"),
        (("--device", "x", "--set", "ratio=10@1"), "a live stream has no @"),
        (("--onnx", "x.onnx", "--buffer", "5000"), "fixed buffer"),
    ],
)
def test_wrong_words_end_in_one_line(whole_dataset, song, words, message):
    told = stream_verb(whole_dataset, "lstm-32-concat", *(str(song) if word == "SONG" else word for word in words))
    assert told.exit_code == 2, told.output
    assert message in told.output
    assert "Traceback" not in told.output


def test_compiled_code_is_kept_on_the_disk_and_another_process_compiles_nothing(tmp_path):
    script = (
        "import torch; torch.set_num_threads(1); torch.manual_seed(0)\n"
        "from buscomp.trainer.registry import build\n"
        "from buscomp.trainer.streaming_program import compiled\n"
        "from buscomp.trainer.streaming import Stream\n"
        "model = build('lstm-32', 'concat', 4).eval()\n"
        "Stream(model, [0.0] * 4)\n"
        "stats = compiled(model).kernel.stats\n"
        "print(sum(stats.cache_hits.values()), sum(stats.cache_misses.values()))\n"
    )
    import os

    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    told = [
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
        for _ in range(2)
    ]
    assert [one.stdout.split() for one in told] == [["0", "1"], ["1", "0"]], told[0].stderr + told[1].stderr
