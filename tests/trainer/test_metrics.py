"""What each metric reads on signals whose answer is known."""

import numpy as np
import pytest
import torch

from buscomp.trainer.gain_trace import gain_trace_db, gain_trace_rmse_db, trace_rmse_db, voltage_trace_db
from buscomp.trainer.loss import mstft
from buscomp.trainer.metrics import ERRORS, measure, mstft_distances, pre_emphasis, sample_errors

RATE = 44_100


def noise(seconds=1.0, seed=1, level=0.1):
    return (level * np.random.default_rng(seed).standard_normal((round(seconds * RATE), 2))).astype(np.float32)


def test_half_the_level_reads_an_esr_of_one_quarter_and_6_02_db():
    dry = noise()
    (found,) = measure([dry / 2], dry, dry, RATE)
    assert found["mae"] == found["l1"] == pytest.approx(float(np.abs(dry).mean()) / 2, rel=1e-6)
    assert found["mse"] == pytest.approx(float((dry.astype(float) ** 2).mean()) / 4, rel=1e-6)
    assert found["esr"] == pytest.approx(0.25, rel=1e-6)
    assert found["esr_dc"] == pytest.approx(0.25, abs=1e-4)
    assert found["lufs_difference_db"] == pytest.approx(6.02, abs=0.01)
    assert found["gain_trace_rmse_db"] == pytest.approx(6.02, abs=0.01)


def test_the_target_itself_reads_zero_everywhere():
    dry = noise()
    (found,) = measure([dry], dry, dry, RATE)
    assert {found[error] for error in ERRORS if error != "gain_trace_cv_rmse_db"} == {0.0}
    assert found["gain_trace_cv_rmse_db"] is None, "no voltage was recorded"
    assert (found["polarity"], found["gain_offset_db"]) == (1, 0.0)


def test_an_offset_is_charged_by_esr_dc():
    dry = noise()
    (plain,), (offset,) = measure([dry * 0.9], dry, dry, RATE), measure([dry * 0.9 + np.float32(0.05)], dry, dry, RATE)
    dc = 0.05**2 / float((dry.astype(float) ** 2).mean())
    assert (offset["esr_dc"] or 0.0) - (plain["esr_dc"] or 0.0) == pytest.approx(dc + 0.15**2 * dc, rel=0.25)


def test_pre_emphasis_is_1_minus_0_85_z():
    impulse = np.zeros((4, 1))
    impulse[1] = 1
    assert pre_emphasis(impulse)[:, 0].tolist() == [0, 1, -0.85, 0]


def test_esr_of_an_inverted_output_is_4_but_its_mstft_is_0():
    """Why a table needs both."""
    dry = noise()
    (found,) = measure([-dry], dry, dry, RATE)
    assert found["esr"] == pytest.approx(4.0)
    assert found["mstft"] == 0.0
    assert found["polarity"] == -1


def test_mstft_per_take_equals_the_loss_with_channels_as_a_batch():
    target, outputs = noise(0.5), [noise(0.5, 2), 0.3 * noise(0.5)]
    for output, found in zip(outputs, mstft_distances(outputs, target), strict=True):
        wanted = mstft(torch.from_numpy(output.T.copy())[:, None], torch.from_numpy(target.T.copy())[:, None])
        assert found == pytest.approx(wanted.item(), rel=1e-4)


def test_gain_trace_reads_only_windows_above_minus_50_dbfs():
    dry = noise()
    dry[: RATE // 2] *= 1e-3  # -80 dBFS
    output = dry.copy()
    output[: RATE // 2] *= 0.1
    length = round(0.010 * RATE)
    straddling = slice(RATE // 2 // length * length, RATE // 2)
    output[straddling] = dry[straddling]
    assert gain_trace_rmse_db(output, dry, dry, RATE) == 0.0
    assert gain_trace_rmse_db(output * 0, dry * 0, dry * 0, RATE) is None


def test_loudness_of_a_tenth_of_a_second_is_not_defined():
    dry = noise(0.1)
    (found,) = measure([dry], dry, dry, RATE)
    assert found["lufs_difference_db"] is None


def test_errors_in_blocks_are_those_of_the_whole():
    """5 s are two blocks; the filter of esr_dc remembers one sample across them."""
    target, output = noise(5.0), noise(5.0, 2)
    found, error = sample_errors(output, target), output.astype(float) - target
    emphasised, wanted = pre_emphasis(error), pre_emphasis(target.astype(float))
    dc = error.mean() ** 2 / (target.astype(float) ** 2).mean()
    assert found["esr_dc"] == pytest.approx((emphasised**2).sum() / (wanted**2).sum() + dc, rel=1e-9)
    assert found["mae"] == pytest.approx(np.abs(error).mean(), rel=1e-9)
    assert sample_errors(0 * target, target)["gain_offset_db"] is None


def test_a_control_voltage_is_scaled_to_the_gain_and_refused_where_it_does_not_follow_it():
    dry = noise(2.0)
    gain_db = np.repeat(-10 * np.random.default_rng(3).random((200, 1)), 441, axis=0).astype(np.float32)
    wet, volts = dry * 10 ** (gain_db / 20), (0.3 + gain_db / 17).astype(np.float32)
    trace = gain_trace_db(wet, dry, RATE)
    found = voltage_trace_db(volts, trace, RATE)
    assert found is not None
    assert trace_rmse_db(found, trace) == pytest.approx(0, abs=1e-3)
    assert voltage_trace_db(0 * volts, trace, RATE) is None
    assert voltage_trace_db(noise(2.0, 9)[:, :1], trace, RATE) is None
