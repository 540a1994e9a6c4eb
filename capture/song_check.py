"""What is wrong with the song in a recording, once it is known where it lies.

From the most telling to the least: a song that did not return has no polarity, a song that slipped in time correlates
with nothing. Each fault therefore gets its own reason; which reasons come with others is said in
`docs/reference/checks.md`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..manifests.levels import from_db, rms_dbfs
from ..manifests.pcm import Float32
from .alignment import Alignment
from .damage import Damage, damage, harmed_near_flags
from .holes import is_hole
from .identity import SAME_SONG, channel_order, polarity, song_correlation, untouched
from .layout import TakeLayout
from .probe import probe_frames
from .quiet import NOISE_LIMIT_DBFS, Quiet
from .reasons import Reason
from .return_level import CHANNEL_NAMES, SILENT_BELOW_PREDICTED_DB, gain_alarm, silent_stretch
from .time_check import Timing, confirmed, latency_alarm, time_alarms, timing_of
from .tracking import track_delay
from .windows import WINDOW_S, Float64, Windows, gain_reduction_db, windows_of

PROVEN_SAMPLES = 0.05  # latency after re before: below it no sample was lost or added
SILENT_DBFS, SILENT_OVER_NOISE_DB = -90.0, 6.0
NAMED_DAMAGES = 3
SAME_DAMAGE_S = 0.005
SPOILED_FRAMES = 24  # no driver spoils less; shorter finds must be the ends of a hole
KINDS = {"zeroed": Reason.ZEROED_BLOCK, "repeated": Reason.REPEATED_BLOCK, "spoiled": Reason.SPOILED_BLOCK}
DOES = {"zeroed": "are zero", "repeated": "repeat earlier ones", "spoiled": "do not follow dry"}


@dataclass(frozen=True)
class Expected:
    """What is known before of a right take; None where it is not, and then not judged."""

    static_gain_db: float | None = None  # of the probe, as at calibration or the pass's first fingerprint
    channel_imbalance_db: float | None = None  # left minus right, likewise
    noise_floor_dbfs: float | None = None  # likewise
    gain_reduction_db: float | None = None  # mean over the song that the setting must show
    latency_samples: float | None = None  # of the takes before in the same stream

    @property
    def gains_db(self) -> Float64 | None:
        """Of left and right."""
        if self.static_gain_db is None:
            return None
        half_db = (self.channel_imbalance_db or 0.0) / 2
        return np.array([self.static_gain_db + half_db, self.static_gain_db - half_db])


@dataclass
class SongCheck:
    """One song as it came back through one unit. `run` fills `measured` and `alarms`."""

    dry: Float32  # (frames, channels)
    returned: Float32  # (frames, channels), the whole recording
    loopback: Float32 | None  # (frames,)
    layout: TakeLayout
    alignment: Alignment
    quiet: Quiet
    send_boost_db: float
    expected: Expected
    measured: dict[str, Any] = field(default_factory=dict)  # columns of `takes`
    alarms: dict[Reason, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        samples = self.alignment.delay.samples
        self.begin = self.layout.song_start + round(samples)  # of the song in the recording
        self.fraction = samples - round(samples)
        self.song = self._cut(self.returned, self.begin)
        self.silence = self.returned[self.layout.noise_start : self.layout.head_start]

    def run(self, flags: Sequence[int], block_size: int) -> None:
        """All checks. `flags` are the driver's, in frames of the recording."""
        rate, alignment = self.layout.sample_rate, self.alignment
        signs = np.where(alignment.signs == 0, 1.0, alignment.signs)
        gains = from_db(self.send_boost_db) * np.array([from_db(gain_db) for gain_db in alignment.gains_db])
        windows = windows_of(self.dry, self.song, rate, gains * signs)
        noise_rms = from_db(self.quiet.noise_floor_dbfs)
        order = channel_order(windows, noise_rms / gains.min())
        if self._silence(windows, order, noise_rms, gains):
            return
        reduction_db = gain_reduction_db(windows, 0.0)
        if len(reduction_db):
            self.measured["gain_reduction_mean_db"] = float(reduction_db.mean())
            self.measured["gain_reduction_max_db"] = float(reduction_db.max())
        self._probes()

        sent, song = self.dry, self.song * signs.astype(np.float32) if (signs < 0).any() else self.song
        if order is Reason.CHANNEL_SWAP:
            song = np.ascontiguousarray(song[:, ::-1])
        elif order is Reason.MONO_RETURN:
            sent = np.repeat(sent.mean(axis=1, keepdims=True), sent.shape[1], axis=1)
        in_time = self._time(sent, song)
        correlation = song_correlation(windows)
        wrong = in_time and correlation is not None and correlation < SAME_SONG
        if wrong:
            self._alarm(Reason.WRONG_SONG, f"correlation with dry is {correlation:.2f}")
        elif in_time:  # what slipped in time or is another song correlates with nothing
            if order is not None:
                self._alarm(order, order.meaning)
            if order is not Reason.MONO_RETURN:
                self._alarm(Reason.STATIC_GAIN, gain_alarm(alignment.gains_db, self.expected.gains_db))
            if order is None:
                self._alarm(Reason.BYPASS, untouched(windows, self.expected.gain_reduction_db))
        sign = polarity(alignment.signs)
        if sign is not None:
            self._alarm(sign, sign.meaning)
        flagged = [flag - self.begin for flag in flags]
        found = self._damage(sent, song, flagged, block_size) if in_time and not wrong else ()
        if flagged and (
            not in_time
            or alignment.drift_samples is None
            or abs(alignment.drift_samples) > PROVEN_SAMPLES
            or harmed_near_flags(found, flagged, block_size, rate)
        ):
            self._alarm(Reason.XRUN, f"{len(flagged)} flags of the driver, and the take is not proven whole")

    def _silence(self, windows: Windows, order: Reason | None, noise_rms: float, gains: Float64) -> bool:
        """Whether channels fell silent: they have no probe after the song but silence, or none of the song."""
        gone = {}
        for channel, tail in enumerate(self.alignment.tails):
            stretch = silent_stretch(windows, channel, noise_rms / gains[channel])
            if stretch is not None and tail is not None:  # the cable is there; perhaps it is only another song
                rest = song_correlation(windows.without(*stretch))
                if order is Reason.CHANNEL_SWAP or (rest is not None and rest < SAME_SONG):
                    stretch = None
            if stretch is not None:
                gone[channel] = f"{stretch[0] * WINDOW_S:.1f} to {stretch[1] * WINDOW_S:.1f} s"
            elif tail is None and self._silent_after(channel):
                gone[channel] = "after the song"
            elif self.alignment.gains_db[channel] < self.alignment.gains_db.max() - SILENT_BELOW_PREDICTED_DB:
                gone[channel] = "throughout"
        if not gone:
            return False
        where = ", ".join(f"{_name(channel, self.dry.shape[1])} is silent {at}" for channel, at in gone.items())
        self._alarm(Reason.SILENT_RETURN if len(gone) == self.dry.shape[1] else Reason.MISSING_RETURN, where)
        return True

    def _silent_after(self, channel: int) -> bool:
        start, latency = self.layout.tail_start, self.layout.max_latency_samples
        after = self.returned[start : start + latency + probe_frames(self.layout.sample_rate), channel]
        return rms_dbfs(after) <= silent_dbfs(self.quiet)

    def _probes(self) -> None:
        channels = self.dry.shape[1]
        for where, probes in (("before", self.alignment.heads), ("after", self.alignment.tails)):
            missing = [_name(channel, channels) for channel, probe in enumerate(probes) if probe is None]
            if missing:
                self._alarm(Reason.PROBE_NOT_FOUND, f"no chirp {where} the song on {' and '.join(missing)}")
        pair = (self.alignment.loopback_head, self.alignment.loopback_tail)
        if self.loopback is not None and None in pair:
            self._alarm(Reason.PROBE_NOT_FOUND, "no chirp on the loopback")

    def _time(self, sent: Float32, song: Float32) -> bool:
        """Whether the song kept time. A loopback sees it a hundred times finer."""
        alignment = self.alignment
        apart = self.layout.tail_start - self.layout.head_start
        timing = self._timing(sent, song, self.fraction, alignment.drift_samples)
        alarms = time_alarms(timing, alignment.drift_samples, apart)
        if timing.ppm is not None:
            self.measured["drift_ppm"] = timing.ppm
        if timing.jump_samples is not None:
            self.measured["delay_jump_samples"] = timing.jump_samples
        head, tail = alignment.loopback_head, alignment.loopback_tail
        if self.loopback is not None and head is not None and not alarms:
            shift = round(head.samples)
            looped = self._cut(self.loopback[:, None], self.layout.song_start + shift)
            fraction = head.samples - shift
            drift = None if tail is None else tail.samples - head.samples
            alarms = time_alarms(self._timing(self.dry[:, :1], looped, fraction, drift), drift, apart)
        for reason, told in alarms.items():
            self._alarm(reason, told)
        if Reason.CLOCK_DRIFT not in alarms:
            self._alarm(Reason.LATENCY_JUMP, latency_alarm(alignment.delay.samples, self.expected.latency_samples))
        return not alarms

    def _timing(self, sent: Float32, song: Float32, fraction: float, drift_samples: float | None) -> Timing:
        rate = self.layout.sample_rate
        timing = timing_of(track_delay(sent, song, rate, fraction), fraction)
        return confirmed(timing, drift_samples, sent, song, rate, fraction)

    def _damage(self, sent: Float32, song: Float32, flags: list[int], block_size: int) -> Sequence[Damage]:
        rate, clipped = self.layout.sample_rate, Reason.CLIPPED_RETURN in self.alarms
        through_unit = damage(sent, song, self.fraction, self.silence, rate, flags=flags, block_size=block_size)
        found = [
            one
            for one in through_unit
            if one.kind != "spoiled" or one.frames >= SPOILED_FRAMES or is_hole(sent, song, round(one.at_s * rate))
        ]
        head = self.alignment.loopback_head
        if self.loopback is not None and head is not None:
            looped = self.loopback[:, None]
            shift = round(head.samples)
            through_loop = damage(
                np.ascontiguousarray(self.dry[:, :1]),
                self._cut(looped, self.layout.song_start + shift),
                head.samples - shift,
                looped[self.layout.noise_start : self.layout.head_start],
                rate,
                gain=from_db(head.gain_db + self.send_boost_db) * (-1 if head.inverted else 1),
                flags=flags,
                block_size=block_size,
            )
            named = [one.at_s for one in found]  # by what the unit returned, with two channels to tell it by
            found += [
                one
                for one in through_loop
                if one.kind != "spoiled" or all(abs(one.at_s - at_s) > SAME_DAMAGE_S for at_s in named)
            ]
        for kind, reason in KINDS.items():
            those = [one for one in found if one.kind == kind]
            if clipped and kind != "zeroed":  # flat tops repeat themselves and follow nothing
                continue
            told = [f"{one.frames} samples at {one.at_s:.3f} s" for one in those[:NAMED_DAMAGES]]
            more = f" and {len(those) - NAMED_DAMAGES} more" if len(those) > NAMED_DAMAGES else ""
            if those:
                self._alarm(reason, f"{', '.join(told)}{more} {DOES[kind]}")
        return found

    def _cut(self, audio: Float32, begin: int) -> Float32:
        return np.ascontiguousarray(audio[begin : begin + len(self.dry)])

    def _alarm(self, reason: Reason, told: str | None) -> None:
        if told is not None:
            self.alarms[reason] = f"{self.alarms[reason]}; {told}" if reason in self.alarms else told


def silent_dbfs(quiet: Quiet) -> float:
    """The level up to which a return is nothing but its noise."""
    return max(SILENT_DBFS, min(quiet.noise_floor_dbfs, NOISE_LIMIT_DBFS) + SILENT_OVER_NOISE_DB)


def _name(channel: int, channels: int) -> str:
    return CHANNEL_NAMES[channel] if channels == 2 else f"channel {channel + 1}"
