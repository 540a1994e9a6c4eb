"""Faults are what they say: on the command line, on arrays, and in the order of a session."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from buscomp.capture.faults import FAULTS, Fault, FaultSchedule, Place, form, parse_fault
from buscomp.capture.specimen import DETENTS
from buscomp.manifests.errors import UsageError
from buscomp.manifests.unit import load_unit

RATE = 1000
EXAMPLES = (
    "swap", "polarity:left", "polarity:both", "mono", "mute:right", "dead", "dead@1.25", "drop:256@103.2",
    "insert:1@0.5", "repeat:64@2", "zero:32@0", "clip:-6", "dc:0.01", "hum:-80", "hum:-80/60", "noise:-60", "gain:-0.3",
    "imbalance:1.5", "drift:1", "drift:-0.5", "latency:12", "latency:-3#4", "bypass", "loopback#2", "stale",
    "knob:release_s+1", "knob:ratio-2#3", "pot:threshold_db+0.5", "nudge:attack_ms-1@1.5#2", "xrun@0.25", "die@3#2",
    "2/swap", "3/knob:release_s+1",
)  # fmt: skip


def sound(frames: int = 2000) -> np.ndarray:
    """Every sample of it is different."""
    return np.random.default_rng(1).uniform(-0.5, 0.5, (frames, 2)).astype(np.float32)


def applied(spec: str, audio: np.ndarray) -> np.ndarray:
    before = audio.copy()
    out = parse_fault(spec).apply(audio, RATE, np.random.default_rng(0))
    assert np.array_equal(audio, before)  # a pure function
    assert (out.shape, str(out.dtype)) == (audio.shape, "float32")
    return out


def test_every_kind_of_fault_has_an_example_here_and_one_line_of_meaning():
    assert {parse_fault(spec).name for spec in EXAMPLES} == set(FAULTS)
    for name, kind in FAULTS.items():
        assert kind.meaning, name
        assert "\n" not in kind.meaning


def test_the_page_of_the_virtual_device_has_the_same_table_of_faults():
    page = (Path(__file__).parents[2] / "docs" / "reference" / "virtual.md").read_text()
    for name, kind in FAULTS.items():
        written = form(name).replace("|", "\\|")
        assert f"| `{written}` | {kind.meaning} | {kind.place.value} |" in page
    assert page.count("\n| `") == len(FAULTS)


@pytest.mark.parametrize("spec", EXAMPLES)
def test_a_fault_is_written_as_it_is_read(spec):
    assert parse_fault(str(parse_fault(spec))) == parse_fault(spec)
    assert str(parse_fault(spec)) == spec


def test_a_spec_says_unit_name_value_time_and_send():
    assert parse_fault("2/nudge:threshold-1@1.5#3") == Fault("nudge", -1.0, "threshold_db", 1.5, 3, 2)
    assert parse_fault("hum:-80/60") == Fault("hum", -80.0, "60")
    assert parse_fault("knob:release+1") == Fault("knob", 1.0, "release_s")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("", "no such fault, got .*allowed: swap, polarity"),
        ("swop", "no such fault, got swop"),
        ("drop:256@1@2", "no such fault"),
        ("swap:left", "swap takes no value, got swap:left .allowed: swap"),
        ("drop@1", "drop needs value, got drop@1 .allowed: drop:SAMPLES"),
        ("drop:256", "drop needs a time, got drop:256 .allowed: drop:SAMPLES@SECONDS"),
        ("gain:3@1", "gain has no time, got gain:3@1"),
        ("drop:1.5@1", "drop needs a number, got .*a whole number of samples"),
        ("drop:0@1", "drop needs a number"),
        ("drop:-4@1", "drop needs a number"),
        ("hum:loud", "hum needs a number, got hum:loud .allowed: hum:DBFS"),
        ("hum:-80/55", "hum needs a number"),
        ("polarity:up", "polarity needs a side, got polarity:up .allowed: left, right, both"),
        ("knob:volume+1", r"knob needs a control.*allowed: threshold_db\+1, ratio\+1"),
        ("knob:ratio+0.5", "knob needs a whole number of detents other than 0"),
        ("knob:ratio+0", "knob needs a whole number of detents other than 0"),
        ("pot:ratio+1", "a switch, not a pot, got pot:ratio.1 .allowed: threshold_db, makeup_db"),
        ("nudge:ratio+1@2", r"nudge moves a knob once, got .*; say in which send: nudge:ratio\+1@2#2"),
        ("0/swap", "units and sends count from 1"),
        ("swap#0", "units and sends count from 1"),
    ],
)
def test_a_spec_that_cannot_be_meant_is_refused_in_one_line(spec, message):
    with pytest.raises(UsageError, match=message) as told:
        parse_fault(spec)
    assert "\n" not in str(told.value)


@given(st.text(alphabet="abdeghiklmnoprstuwxyz:@#/+-.0123456789_", max_size=20))
def test_any_text_is_a_fault_or_a_usage_error(text):
    try:
        fault = parse_fault(text)
    except UsageError:
        return
    assert parse_fault(str(fault)) == fault


@given(
    st.sampled_from(["drop", "insert", "repeat", "zero"]),
    st.integers(1, 2500),
    st.integers(0, 2500),
    st.integers(1, 2000),
)
def test_damaged_blocks_keep_length_and_everything_before_them(name, size, at, frames):
    audio = sound(frames)
    out = Fault(name, size, at_s=at / RATE).apply(audio, RATE, np.random.default_rng(0))
    assert out.shape == audio.shape
    assert np.array_equal(out[:at], audio[:at])


def test_drop_insert_repeat_and_zero_do_it_to_the_sample_on_all_columns():
    audio = sound()
    dropped, inserted = applied("drop:3@0.5", audio), applied("insert:3@0.5", audio)
    assert np.array_equal(dropped[500:-3], audio[503:])
    assert np.array_equal(inserted[500:503], audio[500:503])
    assert np.array_equal(inserted[503:], audio[500:-3])
    repeated, zeroed = applied("repeat:30@0.5", audio), applied("zero:30@0.5", audio)
    assert np.array_equal(repeated[500:530], audio[470:500])
    assert not zeroed[500:530].any()
    for out in (repeated, zeroed):
        assert np.array_equal(out[530:], audio[530:])


def test_a_recording_that_ends_before_the_time_is_spared():
    audio = sound()
    for spec in ("drop:3@2", "zero:3@5", "dead@2"):
        assert np.array_equal(applied(spec, audio), audio)


def test_swap_polarity_mono_mute_and_dead_act_on_their_sides():
    audio = sound()
    assert np.array_equal(applied("swap", audio), audio[:, ::-1])
    assert np.array_equal(applied("polarity:left", audio), audio * np.array([-1, 1], np.float32))
    assert np.array_equal(applied("polarity:right", audio), audio * np.array([1, -1], np.float32))
    assert np.array_equal(applied("polarity:both", audio), -audio)
    assert applied("mono", audio) == pytest.approx(np.repeat(audio.mean(axis=1)[:, None], 2, axis=1), abs=1e-7)
    muted = applied("mute:left", audio)
    assert np.array_equal(muted[:, 1], audio[:, 1])
    assert 20 * np.log10(muted[:, 0].std()) == pytest.approx(-100, abs=0.5)
    dead = applied("dead@1.5", audio)
    assert np.array_equal(dead[:1500], audio[:1500])
    assert not dead[1500:].any()


def test_levels_are_in_db_and_added_sounds_have_their_rms():
    audio, silence = sound(), np.zeros((20 * RATE, 2), np.float32)
    assert applied("gain:-0.3", audio) == pytest.approx(audio * 10 ** (-0.3 / 20), rel=1e-6)
    left_right = np.array([1, 10 ** (-1.5 / 20)], np.float32)
    assert applied("imbalance:1.5", audio) == pytest.approx(audio * left_right, rel=1e-6)
    assert np.abs(applied("clip:-12", audio)).max() == np.float32(10 ** (-12 / 20))
    assert np.array_equal(applied("dc:0.01", audio), audio + np.float32(0.01))
    for spec in ("hum:-40", "hum:-40/60", "noise:-40"):
        assert 20 * np.log10(applied(spec, silence).std()) == pytest.approx(-40, abs=0.15)
    for mains_hz, spec in ((50, "hum:-40"), (60, "hum:-40/60")):
        power = np.abs(np.fft.rfft(applied(spec, silence)[:, 0])) ** 2
        assert np.argmax(power) * RATE / len(silence) == pytest.approx(mains_hz, abs=0.1)
        assert power[2 * mains_hz * 20] / power[mains_hz * 20] == pytest.approx(0.25, rel=0.01)


def test_latency_and_drift_make_everything_later():
    audio = sound()
    assert np.array_equal(applied("latency:12", audio)[12:], audio[:-12])
    assert np.array_equal(applied("latency:-12", audio)[:-12], audio[12:])
    n = np.arange(20_000)
    sine = np.sin(0.3 * n)[:, None].astype(np.float32)
    assert applied("drift:50", sine)[500:-500, 0] == pytest.approx(np.sin(0.3 * n * (1 - 50e-6))[500:-500], abs=1e-5)


def test_what_does_not_happen_in_the_audio_cannot_be_applied_to_it():
    for name, kind in FAULTS.items():
        if kind.place not in (Place.STREAM, Place.RETURN):
            with pytest.raises(ValueError, match="not in the audio"):
                Fault(name, 1.0, "ratio").apply(sound(), RATE, np.random.default_rng(0))


def test_a_schedule_gives_every_fault_its_send_and_its_turn():
    specs = ("swap", "drop:1@0#2", "latency:5#2", "knob:ratio+1", "2/knob:ratio+1#2")
    schedule = FaultSchedule([parse_fault(spec) for spec in specs])
    sends = [[fault.name for fault in schedule.next_send()] for _ in range(3)]
    assert sends == [["swap"], ["swap", "drop", "latency"], ["swap", "latency"]]
    turns = [[len(schedule.next_turn(unit)) for unit in (1, 2, 3)] for _ in range(3)]
    assert turns == [[1, 0, 0], [1, 1, 0], [1, 0, 0]]


def test_controls_of_faults_are_those_of_the_shipped_unit_in_its_panel_order():
    unit = load_unit(Path(__file__).parents[2] / "capture" / "ssl-500-bus.yaml")
    assert {name: control.positions for name, control in unit.controls.items()} == DETENTS
