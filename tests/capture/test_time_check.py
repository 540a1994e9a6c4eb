"""Which reason a delay along a song is."""

from __future__ import annotations

import numpy as np
import pytest

from buscomp.capture.reasons import Reason
from buscomp.capture.time_check import Timing, latency_alarm, time_alarms, timing_of
from buscomp.capture.tracking import DelayTrack, Slip

APART = 441_000  # samples between the chirps


def codes(slips: tuple[Slip, ...] = (), ppm: float | None = 0.0, drift_samples: float | None = 0.0) -> list[str]:
    return sorted(time_alarms(Timing(slips, ppm, 0.0), drift_samples, APART))


@pytest.mark.parametrize(
    ("slips", "ppm", "drift_samples", "expected"),
    [
        ((), 0.0, 0.0002, []),
        ((), None, None, []),
        ((), 0.0, -1.0, ["lost_samples"]),  # in a rest of the song
        ((), 0.0, 3.001, ["inserted_samples"]),
        ((Slip(3.0, -1),), 0.0, -1.0, ["lost_samples"]),
        ((Slip(3.0, -16), Slip(5.0, 16)), 0.0, 0.0, ["inserted_samples", "lost_samples"]),
        ((Slip(3.0, -16),), 0.0, 0.0, ["inserted_samples", "lost_samples"]),  # came back unseen
        ((Slip(3.0, -16),), 0.0, None, ["lost_samples"]),  # the chirp after the song is missing
        ((), 1.0, 0.441, ["clock_drift"]),
        ((), -100.0, -44.0, ["clock_drift"]),  # a whole number by chance, but the track explains it
        ((), None, 0.35, ["clock_drift"]),
        ((Slip(3.0, 1), Slip(5.0, 1)), 100.0, 44.1, ["clock_drift"]),
    ],
)
def test_slips_and_slopes_have_reasons_of_their_own(slips, ppm, drift_samples, expected):
    assert codes(slips, ppm, drift_samples) == expected


def test_where_samples_were_lost_is_told_and_many_places_are_counted():
    told = time_alarms(Timing((Slip(103.2, -256),), 0.0, -256.0), -256.0, APART)
    assert told == {Reason.LOST_SAMPLES: "256 samples lost at 103.2 s"}
    many = tuple(Slip(float(n), 64) for n in range(9))
    inserted = time_alarms(Timing(many, 0.0, 576.0), 576.0, APART)[Reason.INSERTED_SAMPLES]
    assert inserted.startswith("64 samples inserted at 0.0 s, ")
    assert inserted.endswith(" and 6 times more")


def test_timing_reads_the_largest_departure_from_the_chirp_among_sure_windows():
    times_s: np.ndarray = np.arange(8) * np.float64(0.4)
    delay = np.array([0.30, 0.31, 0.29, 0.30, -40.0, 0.30, 0.35, 0.30])
    coherence = np.where(delay < 0, 0.2, 0.99)
    timing = timing_of(DelayTrack(times_s, delay, coherence, 44_100), 0.3)
    assert timing.slips == ()
    assert timing.jump_samples == pytest.approx(0.05)
    assert timing.ppm == pytest.approx(0, abs=1)


def test_a_latency_half_a_sample_off_that_of_the_stream_is_told_with_its_sign():
    assert latency_alarm(137.3, None) is None
    assert latency_alarm(137.3, 137.7) is None
    assert latency_alarm(137.3, 138.0) == "latency of 137.30 samples, -0.70 re the takes before"
