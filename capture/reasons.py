"""Why a take is not accepted: every reason code, what it means, and which of them a person may overrule.

A code never changes its meaning; datasets hold them in `takes.reasons`. Thresholds stand beside the functions that
find the fault (`quiet`, `identity`, `clipping`, `tracking`, `damage`); `meaning` repeats them for a person.
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why a take is rejected or superseded. `meaning` says it for a person, with the threshold."""

    meaning: str

    # nothing to examine
    FRAMES = "frames", "the recording has another length or channel count than what was sent"
    NOT_FINITE = "not_finite", "the recording holds values that are infinite or not numbers"
    DEVICE_LOST = "device_lost", "the audio device stopped answering during the take"

    # level
    SILENT_RETURN = (
        "silent_return",
        "every channel, from some moment to the end, is 40 dB under what dry and probe predict, or under -90 dBFS, "
        "where dry is above -60 dBFS",
    )
    MISSING_RETURN = "missing_return", "the same on one channel alone, 40 dB under what is predicted: its cable is off"
    CLIPPED_RETURN = "clipped_return", "4 samples or more in a row at full scale (0.9999) at the return"
    STATIC_GAIN = (
        "static_gain",
        "a channel's gain at the probe, below every threshold, departs by more than 0.2 dB from the unit's at "
        "calibration; without calibration: left and right differ by more than 6 dB",
    )

    # time
    PROBE_NOT_FOUND = (
        "probe_not_found",
        "the chirp before or after the song is not in the return (correlation under 0.5)",
    )
    LOST_SAMPLES = (
        "lost_samples",
        "the return is earlier after some moment of the song than before it: half a sample or more",
    )
    INSERTED_SAMPLES = (
        "inserted_samples",
        "the return is later after some moment of the song than before it: half a sample or more",
    )
    CLOCK_DRIFT = (
        "clock_drift",
        "the delay grows or shrinks steadily by more than 0.1 sample along the take: two clocks",
    )
    LATENCY_JUMP = (
        "latency_jump",
        "the latency differs by more than 0.5 sample from that of the takes before in the same stream",
    )

    # damage without a shift in time
    ZEROED_BLOCK = "zeroed_block", "a run of exact zeros, or of noise alone, where dry sounds"
    REPEATED_BLOCK = "repeated_block", "a block of the return is an earlier block again"
    SPOILED_BLOCK = "spoiled_block", "a block of the return does not follow dry at any gain"
    XRUN = (
        "xrun",
        "the driver raised a flag, and the take is not proven whole: latency before and after equal within 0.05 "
        "sample, and no damage near the flag",
    )

    # identity
    WRONG_SONG = "wrong_song", "wet is not this song: median correlation with dry over 100 ms windows under 0.5"
    CHANNEL_SWAP = "channel_swap", "left and right are exchanged: the side signal came back with the opposite sign"
    MONO_RETURN = "mono_return", "left and right are one signal: the side came back under a tenth of the mid"
    POLARITY = "polarity", "both channels of the probe came back with the opposite sign"
    POLARITY_LEFT = "polarity_left", "the left channel of the probe alone came back with the opposite sign"
    POLARITY_RIGHT = "polarity_right", "the right channel of the probe alone came back with the opposite sign"
    BYPASS = (
        "bypass",
        "nothing was compressed where at least 1 dB of reduction must be seen: reduction under 0.5 dB and its spread "
        "(5th to 95th percentile) under 0.3 dB. Bypass, or a loopback instead of the unit",
    )
    KNOB_MOVED = "knob_moved", "the fingerprint of the setting before or after the take is not that of the setting"
    RETAKE = "retake", "the operator wanted it made again"

    # what is there without a song
    DC_OFFSET = "dc_offset", "the mean of a channel is above 0.0005 of full scale (-66 dBFS)"
    HUM = "hum", "50 or 60 Hz and their harmonics are above -80 dBFS and 20 dB above their neighbours"
    NOISE_FLOOR = "noise_floor", "the noise without hum and DC is 6 dB above that of the calibration, or above -60 dBFS"

    def __new__(cls, code: str, meaning: str) -> Reason:
        member = str.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member


# A person may accept such a take by a named override: it holds aligned audio. The others leave none, or were that
# person's own wish.
OVERRIDABLE = frozenset(Reason) - {
    Reason.FRAMES,
    Reason.NOT_FINITE,
    Reason.DEVICE_LOST,
    Reason.SILENT_RETURN,
    Reason.PROBE_NOT_FOUND,
    Reason.RETAKE,
}
