from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import signal

from buscomp.capture.damage import REPEAT_LAGS, damage, exact_runs, harmed_near_flags
from buscomp.capture.latency import delay_by_fraction
from buscomp.capture.local_fit import delay_kernel, detail_kernel, detail_noise_rms, local_fit
from buscomp.capture.simulator import compress
from buscomp.tests.capture_music import song

RATE = 44_100
SECONDS = 5.0
NOISE_DBFS = -100.0
FAST, SLOW = (-28, 10, 0.1, 0.1), (-20, 2, 3, 0.4)  # threshold, ratio, attack, release
NOISE = (10 ** (NOISE_DBFS / 20) * np.random.default_rng(0).standard_normal((round(SECONDS * RATE), 2))).astype("f4")
SILENCE = NOISE[:11_025]


def compressed(sent: np.ndarray, setting: tuple[float, float, float, float | None]) -> np.ndarray:
    threshold_db, ratio, attack_ms, release_s = setting
    return compress(sent, RATE, threshold_db=threshold_db, ratio=ratio, attack_ms=attack_ms, release_s=release_s)[0]


def take(
    seed: int, setting: tuple[float, float, float, float | None], fraction: float
) -> tuple[np.ndarray, np.ndarray, float]:
    """A song as it is sent; as it returns with 0.1 % of harmonics, behind a coupling high-pass, over noise, its right
    channel 0.3 dB down; and the fraction of a sample that it lags."""
    sent = np.ascontiguousarray(song(seed, SECONDS) * np.float32(10 ** (5 / 20)))
    wet = compressed(sent, setting).astype(float)
    wet += 0.004 * wet**2 - 0.01 * wet**3
    wet = signal.lfilter(*signal.butter(1, 5 / (RATE / 2), "high"), wet, axis=0) * [1, 0.966]
    returned = delay_by_fraction(wet.astype(np.float32), fraction) + NOISE
    return sent, np.asarray(np.rint(returned * 2**23) / 2**23, np.float32), fraction


TAKES = [take(1, SLOW, 0.37), take(3, FAST, -0.21)]
LOOPED = np.asarray(
    delay_by_fraction(np.asarray(-0.9 * TAKES[0][0][:, :1], np.float32), 0.37) + NOISE[:, :1], np.float32
)
LOOPED = np.asarray(np.rint(LOOPED * 2**23) / 2**23, np.float32)


def found(which: int, returned: np.ndarray, **more) -> tuple[tuple[int, int, str], ...]:
    sent, _, fraction = TAKES[which]
    listed = damage(sent, returned, fraction, SILENCE, RATE, **more)
    return tuple((round(one.at_s * RATE), one.frames, one.kind) for one in listed)


def harmed(audio: np.ndarray, at: int, frames: int, kind: str, lag: int | None = None) -> np.ndarray:
    audio = audio.copy()
    lag = lag or frames
    audio[at : at + frames] = 0 if kind == "zeroed" else np.resize(audio[at - lag : at], (frames, audio.shape[1]))
    return audio


@pytest.mark.parametrize(("seed", "attack_ms"), [(1, 0.1), (2, 0.1), (6, 0.3), (7, 3)])
def test_healthy_takes_have_no_damage_however_hard_the_unit_works(seed, attack_ms):
    for threshold_db, ratio, release_s in ((-28, 10, 0.1), (-28, 2, None), (-16, 4, 0.8)):
        setting = (threshold_db, ratio, attack_ms, release_s)
        sent, returned, fraction = take(seed, setting, 0.5 - 0.1 * seed)
        assert damage(sent, returned, fraction, SILENCE, RATE) == ()
        assert local_fit(sent, returned, fraction, SILENCE, RATE).scores.max() < 0.9


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("frames", [1, 2, 4, 8, 64, 256])
@pytest.mark.parametrize("kind", ["zeroed", "repeated"])
def test_zeroed_and_repeated_blocks_are_found_named_and_located_to_the_sample(which, frames, kind):
    returned, places = TAKES[which][1], np.random.default_rng(frames).integers(RATE, 4 * RATE, 6)
    missed = 0
    for at in places:
        result = found(which, harmed(returned, at, frames, kind))
        if frames <= 2 and not result:  # where the song barely moves from one sample to the next
            missed += 1
            continue
        (start, length, name), *others = result
        assert not others
        assert name == kind
        assert abs(start - at) <= 2  # the sample before may be zero, or the same, by itself
        assert abs(length - frames) <= 2
    assert missed <= (2 if kind == "repeated" else 0)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1), st.floats(0.0, 0.99), st.integers(6, 300), st.sampled_from([None, *REPEAT_LAGS[1:]]))
def test_six_zeros_or_a_driver_block_repeated_anywhere_are_found_in_silence_too(which, where, frames, lag):
    returned = TAKES[which][1]
    at = 4096 + round(where * (len(returned) - 4096 - frames))
    kind = "zeroed" if lag is None else "repeated"
    spans = [(start, start + length) for start, length, name in found(which, harmed(returned, at, frames, kind, lag))]
    assert any(start <= at and at + frames <= end for start, end in spans)


@settings(deadline=None, max_examples=30)
@given(st.integers(100, len(LOOPED) - 100), st.floats(20, 1e5), st.booleans())
def test_a_loopback_shows_one_wrong_sample_anywhere_20_times_above_the_noise(at, sigmas, up):
    bad = LOOPED.copy()
    error = 10 ** (NOISE_DBFS / 20) * sigmas * (1 if up else -1)
    local = np.abs(TAKES[0][0][at - 20 : at + 20, 0]).max()
    assume(abs(error) > 0.05 * local)  # what converters may bend by themselves
    bad[at] += np.float32(error)
    (one,) = damage(TAKES[0][0][:, :1], bad, 0.37, SILENCE[:, :1], RATE, gain=-0.9)
    assert one.kind == "spoiled"
    assert -16 <= one.at_s * RATE - at <= 8


def test_a_healthy_loopback_has_no_damage():
    assert damage(TAKES[0][0][:, :1], LOOPED, 0.37, SILENCE[:, :1], RATE, gain=-0.9) == ()


def test_a_channel_alone_may_be_harmed_and_gains_of_channels_need_not_be_linked():
    sent, returned, fraction = TAKES[0]
    left = compressed(np.ascontiguousarray(sent[:, :1]), FAST)
    dual = np.concatenate([delay_by_fraction(left, fraction), returned[:, 1:]], axis=1) + NOISE[::-1]
    assert damage(sent, dual, fraction, SILENCE, RATE) == ()
    bad = returned.copy()
    bad[2 * RATE : 2 * RATE + 64, 1] = 0
    assert found(0, bad) == ((2 * RATE, 64, "zeroed"),)


def test_a_click_and_strange_samples_are_spoiled():
    bad = TAKES[0][1].copy()
    bad[100_000] += 0.01
    bad[200_000:200_100] = bad[50_000:50_100]
    places = found(0, bad)
    assert {kind for _, _, kind in places} == {"spoiled"}
    assert [start for start, _, _ in places] == pytest.approx([100_000, 200_000], abs=8)


def test_near_a_flag_of_the_driver_less_is_enough():
    sent, returned, fraction = TAKES[0]
    at, block = 150_000, 512
    error = np.float32(0.02)
    while local_fit(sent, _with_click(returned, at, error), fraction, SILENCE, RATE).scores.max() > 0.95:
        error *= np.float32(0.98)
    bad = _with_click(returned, at, error)
    flag = at // block * block
    assert found(0, bad) == ()
    assert found(0, bad, flags=[20_000], block_size=block) == ()
    result = damage(sent, bad, fraction, SILENCE, RATE, flags=[flag], block_size=block)
    assert [one.kind for one in result] == ["spoiled"]
    assert harmed_near_flags(result, [flag], block, RATE)
    assert harmed_near_flags(result, [20_000, flag + 4 * block], block, RATE)
    assert not harmed_near_flags(result, [20_000, flag + 6 * block], block, RATE)
    assert not harmed_near_flags((), [flag], block, RATE)


def _with_click(audio: np.ndarray, at: int, error: np.float32) -> np.ndarray:
    audio = audio.copy()
    audio[at] += error
    return audio


def test_without_noise_zeros_are_a_hole_only_where_dry_sounds():
    sent = np.ascontiguousarray(song(1, 2.0))  # its first 0.2 s are silent
    silence = np.zeros((4000, 2), np.float32)
    assert not sent[:8000].any()
    assert exact_runs(sent, sent, silence) == []
    bad = sent.copy()
    bad[40_000:40_031, 1] = 0
    assert exact_runs(sent, bad, silence) == []
    bad[40_000:40_032, 1] = 0
    assert exact_runs(sent, bad, silence) == [(40_000, 40_032, "zeroed")]


def test_a_steady_tone_that_repeats_itself_and_a_clipped_top_are_no_repeated_blocks():
    tone = np.tile(np.sin(2 * np.pi * np.arange(64) / 64), 1000)[:, None].repeat(2, axis=1).astype(np.float32)
    assert exact_runs(tone, 0.5 * tone, np.zeros((4000, 2), np.float32)) == []
    clipped = np.ascontiguousarray(np.clip(8 * TAKES[0][1], -1, 1 - 2**-23), np.float32)
    assert (np.diff(clipped[:, 0]) == 0).sum() > 1000
    assert exact_runs(TAKES[0][0], clipped, SILENCE) == []


@pytest.mark.parametrize("fraction", [-0.5, -0.1, 0.0, 0.33, 0.5])
def test_short_kernels_delay_within_4_thousandths_and_show_detail_within_one_up_to_15_khz(fraction):
    omega = 2 * np.pi * np.linspace(20, 15_000, 100) / RATE
    response = np.exp(-1j * np.outer(omega, np.arange(-12, 13)))
    late = np.exp(-1j * omega * fraction)
    detail = (2 + np.cos(omega) - 2 * np.cos(2 * omega) - np.cos(3 * omega)) / 2
    assert np.abs(response @ delay_kernel(fraction) / late - 1).max() < 4e-3
    assert np.abs(response @ detail_kernel(fraction) / late - detail).max() < 1e-3


def test_noise_of_the_detail_is_that_of_the_noise_and_blind_to_hum_and_drift():
    time_s = np.arange(11_025) / RATE
    noise = SILENCE[:, 0].astype(float)
    assert detail_noise_rms(noise) == pytest.approx(noise.std(), rel=0.05)
    hum = noise + 1e-3 * np.sin(2 * np.pi * 50 * time_s) + 0.01 + 0.01 * time_s
    assert detail_noise_rms(hum) == pytest.approx(noise.std(), rel=0.05)
