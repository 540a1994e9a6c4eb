"""Virtual takes: right ones raise no alarm, damaged ones raise theirs."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import pytest

from buscomp.capture.interface import Recording
from buscomp.capture.layout import TakeLayout
from buscomp.capture.staging import Staging
from buscomp.capture.take import examine, hum_dbfs
from buscomp.capture.virtual import VirtualInterface
from buscomp.manifests.levels import peak_dbfs
from buscomp.manifests.pcm import quantise, to_float
from buscomp.manifests.schema import column_names
from buscomp.tests.capture_music import song

RATE = 44_100
STAGING = Staging()
HEAVY = {"threshold_db": -28, "ratio": 10, "attack_ms": 0.1, "release_s": 0.1}
SETTINGS = [
    {"threshold_db": threshold_db, "ratio": ratio, "attack_ms": attack_ms, "release_s": release_s}
    for threshold_db, ratio, attack_ms, release_s in [
        (-40, 10, 0.1, 0.1),
        (-28, 10, 0.1, 0.1),
        (-28, 4, 0.3, "auto"),
        (-24, 2, 1, 0.4),
        (-20, 4, 3, 0.8),
        (-16, 10, 30, "auto"),
        (-8, 1.5, 10, 1.6),
        (0, 2, 3, 0.2),
    ]
]


class Take:
    """A song of 4 s, its layout, and the recording of it through the virtual unit."""

    def __init__(self, seed: int, setting: dict[str, Any], latency_samples: float = 137.37, width: float = 1.0):
        self.dry = song(seed, 4.0, width=width)
        self.layout = TakeLayout.of(len(self.dry), RATE, 0.5)
        interface = VirtualInterface(seed=seed, latency_samples=latency_samples)
        interface.turn(setting)
        self.audio = interface.play_and_record(self.layout.send(self.dry, STAGING)).audio

    def examine(self, audio: np.ndarray | None = None, flags: tuple[int, ...] = ()):
        audio = self.audio if audio is None else np.asarray(audio, np.float32)
        return examine(self.dry, self.layout, Recording(audio, flags), STAGING)


def gains(left: float, right: float) -> np.ndarray:
    return np.array([left, right], np.float32)


@lru_cache(maxsize=16)
def take_of(seed: int, setting: int) -> Take:
    return Take(seed, SETTINGS[setting])


@pytest.fixture(scope="module")
def heavy() -> Take:
    return Take(1, HEAVY)


def test_24_clean_takes_over_songs_widths_settings_and_latencies_raise_no_alarm():
    random = np.random.default_rng(0)
    for seed in range(24):
        latency_samples = float(random.uniform(65, 8000))
        take = Take(seed, SETTINGS[seed % 8], latency_samples, width=(1.0, 0.3, 0.02, 0.0)[seed % 4])
        found = take.examine(flags=tuple(random.integers(0, take.layout.frames // 1024, 5) * 1024))
        assert found.reasons == (), (seed, found.measured)
        assert found.measured["xruns"] == 5
        assert found.measured["latency_samples"] == pytest.approx(latency_samples, abs=2e-4)
        assert abs(found.measured["drift_samples"]) < 2e-4


def test_wet_is_the_return_moved_by_whole_samples_trimmed_and_rounded(heavy):
    found = heavy.examine()
    assert found.measured["integer_shift_samples"] == 137
    begin = heavy.layout.song_start + 137
    moved = heavy.audio[begin : begin + len(heavy.dry)]
    assert np.array_equal(found.wet_pcm, quantise(moved * np.float32(10 ** (-5 / 20))))
    assert found.wet_pcm.shape == heavy.dry.shape


def test_measured_columns_are_columns_of_takes_with_the_values_of_the_simulation(heavy):
    measured = heavy.examine().measured
    assert set(measured) <= set(column_names("takes"))
    assert measured["latency_samples"] == pytest.approx(137.37, abs=1e-4)
    assert 5e-6 < measured["latency_std_samples"] < 5e-5
    assert (measured["sample_rate"], measured["frames"], measured["channels"]) == (RATE, 4 * RATE, 2)
    assert measured["noise_floor_dbfs"] == pytest.approx(-100, abs=0.3)
    assert measured["hum_dbfs"] < -115
    assert measured["static_gain_db"] == pytest.approx(0, abs=0.01)
    assert measured["channel_imbalance_db"] == pytest.approx(0, abs=0.02)
    assert measured["clipped_runs"] == 0
    assert measured["peak_dbfs"] == pytest.approx(peak_dbfs(to_float(heavy.examine().wet_pcm)), abs=1e-3)
    assert 5 < measured["gain_reduction_mean_db"] < measured["gain_reduction_max_db"] < 21
    assert -60 < measured["loudness_lufs"] < -20


def test_a_bypassed_unit_with_5_db_make_up_reads_5_db_static_gain_and_no_reduction():
    measured = Take(2, HEAVY | {"engaged": False, "makeup_db": 5}).examine().measured
    assert measured["static_gain_db"] == pytest.approx(5, abs=0.01)
    assert measured["gain_reduction_mean_db"] == pytest.approx(0, abs=0.02)


def test_half_a_db_less_on_the_right_is_an_imbalance_of_half_a_db_and_no_alarm(heavy):
    found = heavy.examine(heavy.audio * gains(1, 10 ** (-0.5 / 20)))
    assert found.measured["channel_imbalance_db"] == pytest.approx(0.5, abs=0.02)
    assert found.reasons == ()


def holes(size: int, kind: str) -> Callable[[np.ndarray, int], None]:
    def spoil(audio: np.ndarray, at: int) -> None:
        if kind == "zeroed":
            audio[at : at + size] = 0
        elif kind == "muted":  # the send failed: only noise came back
            audio[at : at + size] = 1e-5 * np.random.default_rng(at).standard_normal((size, 2))
        elif kind == "repeated":
            audio[at : at + size] = audio[at - size : at].copy()
        elif kind == "dropped":
            audio[at:-size] = audio[at + size :].copy()
        elif kind == "inserted":
            audio[at + size :] = audio[at:-size].copy()

    return spoil


@pytest.mark.parametrize(
    ("kind", "size", "flagged", "expected"),
    [
        ("zeroed", 64, False, ("lost_block",)),
        ("zeroed", 256, False, ("lost_block",)),
        ("zeroed", 256, True, ("lost_block", "xrun")),
        ("muted", 64, True, ("xrun",)),
        ("muted", 256, True, ("xrun",)),
        ("repeated", 256, False, ("lost_block",)),
        ("repeated", 256, True, ("lost_block", "xrun")),
        ("repeated", 200, True, ("xrun",)),
        ("dropped", 1, False, ("lost_samples",)),
        ("dropped", 16, False, ("lost_samples",)),
        ("dropped", 256, False, ("lost_samples",)),
        ("dropped", 256, True, ("lost_samples", "xrun")),
        ("inserted", 1, False, ("lost_samples",)),
        ("inserted", 256, False, ("lost_samples", "lost_block")),
    ],
)
@pytest.mark.parametrize("setting", [1, 7])
def test_a_damaged_block_gets_its_own_reason(kind, size, flagged, expected, setting):
    take = take_of(6, setting)
    for where in (0.3, 0.52, 0.8):
        audio, at = take.audio.copy(), take.layout.song_start + int(where * len(take.dry))
        holes(size, kind)(audio, at)
        assert take.examine(audio, (at // 1024 * 1024,) if flagged else ()).reasons == expected


def test_lost_samples_are_counted_with_their_sign(heavy):
    for kind, size, drift in (("dropped", 16, -16), ("inserted", 256, 256), ("dropped", 256, -256)):
        audio = heavy.audio.copy()
        holes(size, kind)(audio, heavy.layout.song_start + 80_000)
        assert heavy.examine(audio).measured["drift_samples"] == pytest.approx(drift, abs=1e-3)


def with_other_song(take: Take) -> np.ndarray:
    audio, begin = take.audio.copy(), take.layout.song_start + 137
    audio[begin : begin + len(take.dry)] = song(77, 4.0)
    return audio


def clipped(take: Take) -> np.ndarray:
    return np.asarray(np.clip(take.audio * np.float32(4 / np.abs(take.audio).max()), -1, 1 - 2**-23))


def silenced(take: Take, channels: list[int]) -> np.ndarray:
    audio = take.audio.copy()
    audio[:, channels] = 1e-5 * np.random.default_rng(0).standard_normal((len(audio), len(channels)))
    return audio


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda take: take.audio[:, ::-1], ("channel_swap",)),
        (lambda take: take.audio * gains(-1, 1), ("polarity",)),
        (lambda take: take.audio * gains(1, -1), ("polarity",)),
        (lambda take: -take.audio, ("polarity",)),
        (clipped, ("clipped_return",)),
        (lambda take: silenced(take, [0, 1]), ("probe_not_found", "silent_return")),
        (lambda take: silenced(take, [1]), ("silent_return",)),
        (lambda take: take.audio * gains(1, 10 ** (-60 / 20)), ("silent_return",)),
        (lambda take: 0 * take.audio, ("probe_not_found", "silent_return")),
        (with_other_song, ("wrong_song",)),
        (lambda take: take.audio[:-1], ("frames",)),
        (lambda take: take.audio[:, :1], ("frames",)),
        (lambda take: np.where(np.arange(len(take.audio))[:, None] == 99_999, np.nan, take.audio), ("not_finite",)),
    ],
)
@pytest.mark.parametrize("setting", [0, 1, 4, 7])
def test_a_spoiled_take_gets_its_own_reason(spoil, expected, setting):
    take = take_of(3, setting)
    assert take.examine(spoil(take)).reasons == expected


def test_a_device_that_fell_silent_in_the_song_has_no_tail_probe(heavy):
    audio = heavy.audio.copy()
    audio[heavy.layout.song_start + 100_000 :] = 0
    found = heavy.examine(audio)
    assert "probe_not_found" in found.reasons
    assert "drift_samples" not in found.measured


def test_flags_outside_the_song_are_counted_but_no_alarm_when_the_probes_agree(heavy):
    found = heavy.examine(flags=(0, 1024, heavy.layout.frames - 1024))
    assert (found.reasons, found.measured["xruns"]) == ((), 3)


@pytest.mark.parametrize("mains_hz", [50, 60])
def test_hum_of_minus_80_dbfs_reads_minus_80_in_noise(mains_hz):
    time_s = np.arange(RATE // 4) / RATE
    noise = 1e-5 * np.random.default_rng(0).standard_normal((len(time_s), 2))
    hum = 1e-4 * np.sqrt(2) * np.sin(2 * np.pi * mains_hz * time_s + 1)
    assert hum_dbfs((noise + hum[:, None]).astype(np.float32), RATE) == pytest.approx(-80, abs=0.3)
    assert hum_dbfs(np.zeros((RATE // 4, 2), np.float32), RATE) == -200


def test_songs_shorter_than_a_window_and_silent_songs_are_examined_too():
    for dry in (song(1, 0.25)[-2000:], np.zeros((20_000, 2), np.float32)):
        layout = TakeLayout.of(len(dry), RATE, 0.5)
        interface = VirtualInterface()
        found = examine(dry, layout, interface.play_and_record(layout.send(dry, STAGING)), STAGING)
        assert found.reasons == ()
        assert found.wet_pcm is not None
        assert found.wet_pcm.shape == dry.shape
