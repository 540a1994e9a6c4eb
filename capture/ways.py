"""Every way through the rack, from a send to its return, measured over an open interface."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ..manifests.errors import DeviceError
from ..manifests.pcm import Float32
from .calibration import MeasuredReturn
from .calibration_signal import Chirps, Heard, Sweep
from .device import DeviceProfile
from .interface import Interface, play_and_record
from .quiet import DC_LIMIT, HUM_LIMIT_DBFS, Quiet, measure_quiet
from .wiring import Wiring

WAKE_S, SILENCE_S = 1.0, 1.0  # the first second of a stream is not looked at
ELSEWHERE_DB = -20.0  # a send that arrives so loud at another return is plugged into it
LOOPBACK = "loopback"
CROSSTALK_DB, NOISE_DBFS, IMBALANCE_DB, RESPONSE_DB, LATENCY_STD_SAMPLES = -50.0, -70.0, 0.5, 1.0, 0.05
RESPONSE_HZ = (40.0, 16_000.0)  # where the response is looked at


@dataclass(frozen=True)
class Way:
    """A send and the return that it should arrive at: columns of the wiring, channels of the device."""

    serial: str
    output: int
    input: int
    send: int
    channel: int


def ways_of(profile: DeviceProfile) -> list[Way]:
    """Every way through the rack, units first, then the loopback pair."""
    wiring = profile.wiring
    pairs = [
        (place.serial, output, input_)
        for place, sends, returns in zip(profile.places, wiring.sends, wiring.returns, strict=True)
        for output, input_ in zip(sends, returns, strict=True)
    ]
    if wiring.loopback_output is not None and wiring.loopback_input is not None:
        pairs.append((LOOPBACK, wiring.loopback_output, wiring.loopback_input))
    return [Way(serial, o, i, wiring.outputs[o], wiring.inputs[i]) for serial, o, i in pairs]


def measure_ways(interface: Interface, profile: DeviceProfile, report: Callable[[str], None]) -> list[MeasuredReturn]:
    """Noise, latency, polarity, crosstalk and frequency response of every way. Each output speaks alone, so that what
    arrives where is known. `DeviceError` naming every cable that is not where the profile says."""
    wiring, rate, longest = profile.wiring, profile.sample_rate, profile.max_latency_samples
    ways = ways_of(profile)
    report("Listening to the silence.")
    silence = np.zeros((round((WAKE_S + SILENCE_S) * rate), len(wiring.outputs)), np.float32)
    quiet_return = play_and_record(interface, silence).audio[round(WAKE_S * rate) :]
    chirps, sweep = Chirps(rate, longest), Sweep(rate, longest)
    chirped, swept = {}, {}
    for output in dict.fromkeys(way.output for way in ways):
        report(f"Chirps and a sweep on output {wiring.outputs[output]}.")
        chirped[output] = play_and_record(interface, _alone(wiring, output, chirps.send())).audio
        swept[output] = play_and_record(interface, _alone(wiring, output, sweep.send())).audio
    heard = {way: chirps.heard(chirped[way.output][:, way.input]) for way in ways}
    if faults := list(_wrong_cables(ways, heard, chirped, chirps)):
        raise DeviceError("; ".join(faults), mend="mend the cables or the device profile; nothing was saved")
    measured = []
    for way, found in heard.items():
        assert found is not None
        quiet = measure_quiet(quiet_return[:, [way.input]], rate)
        others = [
            chirps.gain_db_at(audio[:, way.input], found.latency_samples) - found.gain_db
            for output, audio in chirped.items()
            if output != way.output
        ]
        response = sweep.response(swept[way.output][:, way.input], found.latency_samples)
        measured.append(_measured(way, found, quiet, max(others, default=None), response))
    return measured


def remarks_about(ways: list[MeasuredReturn]) -> list[str]:
    """What a person should look at, though it hinders nobody."""
    found = []
    for way in ways:
        name = f"return {way.channel}"
        bent_db = [gain_db - way.gain_db for hz, gain_db in way.response if RESPONSE_HZ[0] <= hz <= RESPONSE_HZ[1]]
        if way.noise_dbfs > NOISE_DBFS:
            found.append(f"{name}: noise at {way.noise_dbfs:.1f} dBFS")
        if way.hum_dbfs > HUM_LIMIT_DBFS:
            found.append(f"{name}: hum of {way.mains_hz:g} Hz at {way.hum_dbfs:.1f} dBFS")
        if abs(way.dc_offset) > DC_LIMIT:
            found.append(f"{name}: DC of {way.dc_offset:+.4f}")
        if way.crosstalk_db is not None and way.crosstalk_db > CROSSTALK_DB:
            found.append(f"{name}: crosstalk at {way.crosstalk_db:.1f} dB")
        if max(map(abs, bent_db)) > RESPONSE_DB:
            found.append(f"{name}: the response bends by {max(bent_db, key=abs):+.1f} dB between 40 Hz and 16 kHz")
        if way.latency_std_samples > LATENCY_STD_SAMPLES:
            found.append(f"{name}: the latency moves by {way.latency_std_samples:.3f} samples")
    for serial in dict.fromkeys(way.serial for way in ways):
        gains = [way.gain_db for way in ways if way.serial == serial]
        if max(gains) - min(gains) > IMBALANCE_DB:
            name = "the unit's channels" if serial == "-" else f"the channels of unit {serial}"
            found.append(f"{name} differ by {max(gains) - min(gains):.1f} dB")
    return found


def _alone(wiring: Wiring, output: int, signal: Float32) -> Float32:
    """`signal` on one output, silence on the others."""
    send = np.zeros((len(signal), len(wiring.outputs)), np.float32)
    send[:, output] = signal
    return send


def _wrong_cables(
    ways: list[Way], heard: dict[Way, Heard | None], chirped: dict[int, Float32], chirps: Chirps
) -> Iterator[str]:
    for way, found in heard.items():
        elsewhere = [
            other.channel
            for other in ways
            if other.input != way.input
            and other.output != way.output
            and _arrives(chirped[way.output][:, other.input], found, chirps)
        ]
        what = "the loopback" if way.serial == LOOPBACK else "the"
        if elsewhere:
            yield f"output {way.send} arrives at return {' and '.join(map(str, elsewhere))}, not at {way.channel} alone"
        elif found is None:
            yield f"nothing of output {way.send} arrives at {what} return {way.channel}"
        elif found.inverted:
            yield f"return {way.channel} is inverted"


def _arrives(returned: Float32, found: Heard | None, chirps: Chirps) -> bool:
    """Whether the chirps are loud in `returned`; where their own return has found them, the latency is known."""
    if found is None:
        return chirps.heard(returned) is not None
    return chirps.gain_db_at(returned, found.latency_samples) > found.gain_db + ELSEWHERE_DB


def _measured(
    way: Way, found: Heard, quiet: Quiet, crosstalk_db: float | None, response: tuple[tuple[float, float], ...]
) -> MeasuredReturn:
    return MeasuredReturn(
        serial=way.serial,
        send=way.send,
        channel=way.channel,
        latency_samples=found.latency_samples,
        latency_std_samples=found.latency_std_samples,
        gain_db=found.gain_db,
        inverted=found.inverted,
        noise_dbfs=quiet.noise_floor_dbfs,
        hum_dbfs=quiet.hum_dbfs,
        mains_hz=quiet.mains_hz,
        dc_offset=quiet.dc_offset,
        crosstalk_db=crosstalk_db,
        response=response,
    )
