from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buscomp.capture.fingerprint import Fingerprint, measure_fingerprint, replicate_esr
from buscomp.capture.fingerprint_signal import fingerprint_signal
from buscomp.capture.latency import delay_by_fraction
from buscomp.capture.simulator import compress
from buscomp.manifests.errors import DatasetError
from buscomp.manifests.levels import from_db

RATE = 44_100
SENT = fingerprint_signal(RATE)
WET, GAIN_DB = compress(SENT, RATE, threshold_db=-24, ratio=4, attack_ms=0.3, release_s=0.2)
PRECISE = {"noise_dbfs": -200.0}


def noisy(audio: np.ndarray, noise_dbfs: float, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(audio.shape)
    return np.asarray(audio + from_db(noise_dbfs) * noise, np.float32)


def test_a_wire_reads_0_db_in_every_window_and_its_own_gain_as_static():
    found = measure_fingerprint(SENT, np.float32(from_db(-0.3)) * SENT, RATE, **PRECISE)
    assert np.abs(found.gains_db).max() < 1e-4
    assert found.static_gain_db == pytest.approx(-0.3, abs=1e-4)
    assert not found.clipped


def test_a_compressor_reads_the_gain_that_it_applied():
    found = measure_fingerprint(SENT, WET, RATE, **PRECISE)
    for window, gain_db in zip(found.signal.windows, found.gains_db, strict=True):
        applied = GAIN_DB[window.start : window.stop]
        assert applied.min() - 1e-3 <= gain_db <= applied.max() + 1e-3
    assert found.gains_db.min() < -15


@settings(deadline=None, max_examples=12)
@given(st.floats(-0.5, 0.5), st.sampled_from([1, -1]))
def test_fraction_of_the_latency_and_polarity_do_not_matter(fraction, polarity):
    returned = polarity * delay_by_fraction(WET, fraction)
    found = measure_fingerprint(SENT, returned, RATE, noise_dbfs=-200.0, fraction_samples=fraction)
    exact = measure_fingerprint(SENT, WET, RATE, **PRECISE)
    assert np.abs(found.gains_db - exact.gains_db).max() < 0.1  # the first half period of a burst, which rings
    assert np.sqrt(np.mean((found.gains_db - exact.gains_db) ** 2)) < 0.01


def test_half_a_sample_left_in_would_be_an_error_of_more_than_0_2_db_in_the_attack():
    exact = measure_fingerprint(SENT, WET, RATE, **PRECISE)
    uncorrected = measure_fingerprint(SENT, delay_by_fraction(WET, 0.5), RATE, **PRECISE)
    assert np.abs(uncorrected.gains_db - exact.gains_db).max() > 0.2


def test_stated_standard_deviation_is_that_of_one_channel_and_never_too_small():
    exact = measure_fingerprint(SENT, WET, RATE, **PRECISE)
    errors = []
    for seed in range(40):
        found = measure_fingerprint(SENT, noisy(WET, -80, seed), RATE, noise_dbfs=-80)
        errors.append((found.gains_db - exact.gains_db) / np.maximum(found.std_db, 1e-9))
    z = np.std(errors, axis=0)
    z = z[exact.signal.baselines != np.arange(len(z))]  # a baseline is compared with itself
    assert np.median(z) == pytest.approx(2**-0.5, rel=0.1)  # the mean of two channels
    assert z.max() < 1.2


def test_texts_give_the_fingerprint_back_to_the_tenth_of_a_thousandth_of_a_db():
    found = measure_fingerprint(SENT, noisy(WET, -95, 1), RATE, noise_dbfs=-95.0)
    texts = found.to_texts()
    assert texts[0] == "sample_rate=44100"
    again = Fingerprint.from_texts(texts)
    assert again.gains_db == pytest.approx(found.gains_db, abs=6e-5)
    assert (again.noise_dbfs, again.clipped, again.sample_rate) == (-95.0, False, RATE)
    assert again.to_texts() == texts


def test_texts_of_another_signal_are_refused_with_the_mend():
    texts = measure_fingerprint(SENT, WET, RATE, **PRECISE).to_texts()
    with pytest.raises(DatasetError, match=r"another signal, got \d+ windows .*visit the setting again"):
        Fingerprint.from_texts(texts[:-1])
    with pytest.raises(DatasetError, match="has no static_gain"):
        Fingerprint.from_texts([text for text in texts if not text.startswith("static_gain")])


def test_a_clipped_return_is_marked():
    assert measure_fingerprint(SENT, np.clip(1.5 * SENT, -1, 1), RATE, **PRECISE).clipped


def test_another_length_is_an_error_with_both_shapes():
    with pytest.raises(ValueError, match=rf"sent \({len(SENT)}, 2\), returned \({len(SENT) - 10}, 2\)"):
        measure_fingerprint(SENT, SENT[:-10], RATE, **PRECISE)


@pytest.mark.parametrize("makeup_db", [0.0, 0.7])
def test_replicate_esr_is_that_of_the_audio_once_static_gains_are_equal(makeup_db):
    other, _ = compress(SENT, RATE, threshold_db=-23.9, ratio=4, attack_ms=0.3, release_s=0.2)
    truth = float(np.sum((other - WET) ** 2) / np.sum(WET**2))
    before = measure_fingerprint(SENT, WET, RATE, **PRECISE)
    now = measure_fingerprint(SENT, other * np.float32(from_db(makeup_db)), RATE, **PRECISE)
    assert replicate_esr(now, before) == pytest.approx(truth, rel=0.1)
    assert 1e-5 < truth < 1e-4  # 0.1 dB of threshold passes the gate of 1e-4, as a drift of that size should


def test_replicate_esr_of_two_visits_that_differ_by_noise_alone_is_under_1e_6():
    visits = [measure_fingerprint(SENT, noisy(WET, -75, seed), RATE, noise_dbfs=-75.0) for seed in (1, 2)]
    assert replicate_esr(*visits) < 1e-6
