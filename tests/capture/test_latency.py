from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import fft

from buscomp.capture.latency import (
    Latency,
    combined,
    delay_by_fraction,
    fractional_kernel,
    measure_latency,
    own_delay,
)
from buscomp.capture.probe import make_probe
from buscomp.tests.capture_music import song

RATE = 44_100
PROBE = make_probe(RATE)
SEARCH = 2048


def delayed(samples: float, snr_db: float = 300.0, seed: int = 0) -> np.ndarray:
    """The probe, later by `samples`, exactly (by phase), in white noise of `snr_db` below its RMS."""
    frames = len(PROBE) + 4096
    spectrum = fft.rfft(PROBE.astype(float), frames) * np.exp(-2j * np.pi * fft.rfftfreq(frames) * samples)
    noise = np.random.default_rng(seed).standard_normal(frames)
    return np.asarray(fft.irfft(spectrum, frames) + PROBE.std() * 10 ** (-snr_db / 20) * noise)


@settings(deadline=None, max_examples=40)
@given(st.floats(0, SEARCH - 1), st.integers(0, 2**32))
def test_latency_of_a_delayed_chirp_is_its_delay_within_a_ten_thousandth_at_60_db(samples, seed):
    found = measure_latency(delayed(samples, 60, seed), PROBE, SEARCH, RATE)
    assert found is not None
    assert found.samples == pytest.approx(samples, abs=1e-4)  # ten standard deviations
    assert found.gain_db == pytest.approx(0, abs=0.001)
    assert not found.inverted


@pytest.mark.parametrize(("snr_db", "bound"), [(20, 3e-3), (40, 3e-4), (60, 3e-5)])
def test_stated_standard_deviation_is_the_scatter_and_stays_near_the_bound(snr_db, bound):
    truth = np.random.default_rng(snr_db).uniform(1, SEARCH - 1, 40)
    found = [measure_latency(delayed(t, snr_db, 100 * snr_db + n), PROBE, SEARCH, RATE) for n, t in enumerate(truth)]
    assert None not in found
    stds = np.array([f.std_samples for f in found if f])
    scores = (np.array([f.samples for f in found if f]) - truth) / stds
    assert np.abs(scores).max() < 3.5
    assert 0.75 < scores.std() < 1.3
    assert np.abs(scores.mean()) < 3 / np.sqrt(40)
    assert np.median(stds) < bound / 2
    assert stds.max() < bound


def filtered(heard: np.ndarray, high_pass_hz: float, low_pass_hz: float) -> np.ndarray:
    """Through first-order filters, as coupling capacitors and converters have them."""
    frequency_hz = fft.rfftfreq(len(heard), 1 / RATE)
    response = 1j * frequency_hz / (high_pass_hz + 1j * frequency_hz) / (1 + 1j * frequency_hz / low_pass_hz)
    return np.asarray(fft.irfft(fft.rfft(heard) * response, len(heard)))


def test_stated_standard_deviation_covers_what_filters_and_harmonics_do_to_the_phase():
    random = np.random.default_rng(5)
    for high_pass_hz, low_pass_hz, cubic in ((5, 1e12, 0.0), (5, 1e12, 0.02), (20, 80e3, 0.0), (3, 60e3, 0.01)):
        for truth in random.uniform(1, SEARCH - 1, 10):
            heard = delayed(truth, 60, int(1000 * truth))
            heard = filtered(heard + cubic * heard**3 / np.abs(heard).max() ** 2, high_pass_hz, low_pass_hz)
            found = measure_latency(heard, PROBE, SEARCH, RATE)
            assert found is not None
            error = found.samples - truth - RATE / (2 * np.pi * low_pass_hz)  # its delay at low frequencies
            assert abs(error) < 2e-3
            assert abs(error) < 3.5 * found.std_samples


def test_own_delay_of_a_unit_is_what_it_adds_to_the_loopback_behind_the_same_converters():
    random = np.random.default_rng(6)
    scores = []
    for trial in range(30):
        trip, own = random.uniform(100, 1500), random.uniform(0, 3)
        paths = [(trip, 3.0)] * 2 + [(trip + own, 8.0)] * 4  # the unit's own coupling is another one
        heard = [filtered(delayed(late, 60, 10 * trial + n), hz, 60e3) for n, (late, hz) in enumerate(paths)]
        found = [measure_latency(one, PROBE, SEARCH, RATE) for one in heard]
        assert None not in found
        loopback, unit = combined([f for f in found[:2] if f]), combined([f for f in found[2:] if f])
        delay = own_delay(unit, loopback)
        assert delay.samples == pytest.approx(own, abs=2e-4)
        assert delay.std_samples < 1e-4
        scores.append((delay.samples - own) / delay.std_samples)
    assert np.abs(scores).max() < 3


def test_chirps_that_disagree_by_more_than_they_state_make_their_mean_less_certain():
    one = Latency(100.0, 1e-4, 0.0, False, 60.0)
    other = Latency(100.01, 1e-4, 0.0, False, 60.0)
    assert combined([one, one]).samples == 100
    assert combined([one, one]).std_samples == pytest.approx(1e-4 / np.sqrt(2))
    apart = combined([one, other])
    assert apart.samples == pytest.approx(100.005)
    assert apart.std_samples == pytest.approx(0.005, rel=0.01)


def test_nothing_is_found_in_silence_noise_music_or_other_chirps():
    noise = 0.01 * np.random.default_rng(1).standard_normal(30_000)
    music = song(1, 1.0)[:30_000, 0]
    backwards = np.pad(PROBE[::-1], (500, 8000))
    not_a_number = np.full(30_000, np.nan)
    for heard in (np.zeros(30_000), noise, music, backwards, not_a_number, np.ones(30_000)):
        assert measure_latency(heard, PROBE, SEARCH, RATE) is None


def test_probe_beyond_the_search_range_is_not_found_rather_than_misplaced():
    assert measure_latency(delayed(SEARCH + 500, 60), PROBE, SEARCH, RATE) is None


def test_an_inverted_return_6_db_down_has_the_same_latency_and_says_so():
    found = measure_latency(-0.5 * delayed(321.25, 60), PROBE, SEARCH, RATE)
    assert found is not None
    assert found.inverted
    assert found.samples == pytest.approx(321.25, abs=1e-4)
    assert found.gain_db == pytest.approx(-6.0206, abs=0.001)


def test_coupling_high_pass_of_5_hz_does_not_move_latency():
    found = measure_latency(filtered(delayed(100.5), 5, 1e12), PROBE, SEARCH, RATE)
    assert found is not None
    assert found.samples == pytest.approx(100.5, abs=1e-6)


def test_hum_as_loud_as_the_probe_does_not_disturb_it():
    heard = delayed(77.7, 60)
    hum = PROBE.std() * np.sin(2 * np.pi * 50 * np.arange(len(heard)) / RATE)
    found = measure_latency(heard + hum, PROBE, SEARCH, RATE)
    assert found is not None
    assert found.samples == pytest.approx(77.7, abs=1e-3)


@pytest.mark.parametrize("fraction", [-0.5, -0.2, 0.0, 0.37, 0.999])
def test_fractional_kernel_delays_every_frequency_up_to_15_khz_alike(fraction):
    kernel = fractional_kernel(fraction)
    omega = 2 * np.pi * np.linspace(50, 15_000, 50) / RATE
    response = np.exp(-1j * np.outer(omega, np.arange(len(kernel)))) @ kernel
    assert np.abs(response * np.exp(1j * omega * (64 + fraction)) - 1).max() < 1e-4


def test_delay_by_fraction_moves_the_probe_by_that_fraction_on_every_channel():
    audio = np.zeros((len(PROBE) + 200, 2), np.float32)
    audio[100 : 100 + len(PROBE)] = PROBE[:, None]
    moved = delay_by_fraction(audio, 0.37)
    assert moved.shape == audio.shape
    for channel in moved.T:
        found = measure_latency(channel, PROBE, 150, RATE)
        assert found is not None
        assert found.samples == pytest.approx(100.37, abs=1e-5)
