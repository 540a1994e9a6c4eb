"""The virtual device: simulated converters and simulated units, faster than real time, with faults on demand.

    send -> converter (clips) -> unit: compressor, harmonics, coupling -> latency -> noise, 24 bits -> return
                              -> wire ------------------------------------^              the loopback pair
                                 unit's gain -----------------------------^              its control voltage

What the parts do is told in `simulator`, `specimen`, `analogue` and `faults`, and for users in
docs/reference/virtual.md.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np

from ..manifests.errors import DeviceError, UsageError
from ..manifests.levels import from_db
from ..manifests.pcm import FULL_SCALE, Float32
from ..manifests.unit import Position, Setting, Unit, shown
from .analogue import Colour, Latency, convert, least_latency_samples, noise_key, planar, sent
from .device import DeviceProfile
from .faults import Fault, FaultSchedule, Place
from .interface import Recording, Sounding
from .panel import AGAIN, Answer, Panel, Suspect
from .simulator import Knobs, compress_into, rested_state
from .specimen import DETENTS, IDEAL, Specimen, WarmUp, detents_away
from .wiring import Wiring

NEEDED = ("threshold_db", "ratio", "attack_ms", "release_s")
NEUTRAL = ("off", False, 0)  # a control that is not simulated may stand at its neutral position
CV_DB_AT_FULL_SCALE = 40.0  # the control voltage returns gain in dB over this: -20 dB reads -0.5
AT_ONCE = 2  # sends that may be queued or not yet fetched
BLOCK_FRAMES = 8192  # computed at a time, so that everything stays in the cache


class VirtualInterface:
    """An `Interface` with simulated bus compressors behind it.

    What is sent is clipped at full scale as a converter does, goes through each unit, returns `latency_samples` later
    with white noise of `noise_dbfs` RMS, and is clipped and rounded to 24 bits. The units remember: they do not know
    about takes. The same seed and the same calls give the same audio. Nothing happens before `record` asks for it,
    and no time passes between sends. With a `pace` a send lasts as long as it should, divided by that, and meters see
    it go by.

    `specimens` are the units of `wiring`, in order; without any they are ideal: the dynamics of the printed knobs
    and nothing else. `faults` may be a schedule that outlives the interface."""

    name = "virtual"
    host_api = "simulated"

    def __init__(
        self,
        sample_rate: int = 44_100,
        latency_samples: float = 137.37,
        noise_dbfs: float = -100.0,
        seed: int = 0,
        block_size: int = 1024,
        channels: int = 2,
        *,
        wiring: Wiring | None = None,
        specimens: Sequence[Specimen] = (),
        faults: Sequence[Fault] | FaultSchedule = (),
        pace: float | None = None,
    ):
        one = tuple(range(1, channels + 1))
        self._wiring = wiring or Wiring.of(sends=(one,), returns=(one,), cv_returns=((),), loopback=None)
        units = len(self._wiring.returns)
        if len(specimens) not in (0, units):
            raise ValueError(f"{units} units need as many specimens, got {len(specimens)}")
        self.sample_rate, self.block_size = sample_rate, block_size
        self._schedule = faults if isinstance(faults, FaultSchedule) else FaultSchedule(tuple(faults))
        if far := [fault for fault in self._schedule.faults if fault.unit > units]:
            raise UsageError("a fault is meant for a unit that is not there", got=far[0], allowed=f"1 to {units}")
        self._units = [
            _VirtualUnit(specimen, sample_rate, latency_samples, self._wiring, number)
            for number, specimen in enumerate(specimens or [IDEAL] * units)
        ]
        self._wire = Latency(latency_samples, 1)
        self._noise = np.float32(from_db(noise_dbfs))
        self._keys = [noise_key(seed, column) for column in range(len(self._wiring.inputs))]
        self._seed = seed
        self._queue: deque[Float32] = deque()
        self._before: Float32 | None = None  # the send before
        self._frame = 0  # of the stream
        self._dead: str | None = None
        self._pace = pace
        self._queued_at: deque[float] = deque()  # on the monotonic clock
        self._free_at = 0.0  # when the send before has ended
        self._sounds: tuple[Float32, Float32, float] | None = None  # sent, returned, when it began

    @classmethod
    def of_profile(cls, profile: DeviceProfile, unit: Unit, schedule: FaultSchedule) -> VirtualInterface:
        """The device that a profile of `kind: virtual` describes: its first unit is the specimen `specimen_seed`, the
        next one the one after. `UsageError` when `unit` is no bus compressor."""
        if missing := set(NEEDED) - set(unit.controls):
            raise UsageError(
                f"the virtual device simulates a bus compressor; unit {unit.model} has no {', '.join(sorted(missing))}",
                mend="use a grid for the unit ssl-500-bus",
            )
        seed, warm_up = profile.specimen_seed, WarmUp(profile.warm_up_degc) if profile.warm_up_degc else None
        specimens = [
            replace(IDEAL, warm_up=warm_up) if seed is None else Specimen.of_seed(seed + number, warm_up)
            for number in range(len(profile.places))
        ]
        return cls(
            sample_rate=profile.sample_rate,
            latency_samples=profile.latency_samples,
            noise_dbfs=profile.noise_dbfs,
            seed=profile.seed,
            block_size=profile.block_size,
            wiring=profile.wiring,
            specimens=specimens,
            faults=schedule,
            pace=profile.pace,
        )

    def turn(self, values: Mapping[str, Position], unit: int = 0) -> None:
        """Bring a unit (from 0) to `values`. `UsageError` for one without the four knobs of a bus compressor, or for a
        further control that is used but not simulated."""
        self._units[unit].turn(values, self._schedule.next_turn(unit + 1))

    def play(self, send: Float32) -> None:
        """Queue `send` (frames, outputs)."""
        self._require_life()
        if send.ndim != 2 or send.shape[1] != len(self._wiring.outputs):
            raise ValueError(f"send must be (frames, {len(self._wiring.outputs)}), got {send.shape}")
        if len(self._queue) >= AT_ONCE:
            raise ValueError(f"{AT_ONCE} sends are on their way already")
        self._queue.append(np.ascontiguousarray(send, np.float32))
        self._queued_at.append(time.monotonic())

    def record(self) -> Recording:
        """What returns (frames, inputs) for the oldest send. `DeviceError` when a fault kills the device."""
        self._require_life()
        if not self._queue:
            raise ValueError("nothing was played")
        faults = self._schedule.next_send()
        send = self._queue.popleft()
        queued_at = self._queued_at.popleft()
        if deaths := [fault for fault in faults if fault.name == "die"]:
            self._dead = (
                f"the virtual device died {deaths[0].at_s:g} s after the beginning of send {self._schedule.sends}"
            )
        self._require_life()
        played = send
        if any(fault.name == "stale" for fault in faults):
            played = _as_long_as(self._before, send)
        self._before = send
        started_at = datetime.now(UTC)
        audio = self._through_everything(played, faults)
        rng = np.random.default_rng([self._seed, self._schedule.sends])
        for fault in faults:
            if fault.place is Place.STREAM:
                audio = fault.apply(audio, self.sample_rate, rng)
            elif fault.place is Place.RETURN:
                columns = list(self._wiring.returns[fault.unit - 1])
                audio[:, columns] = fault.apply(audio[:, columns], self.sample_rate, rng)
        if any(fault.place in (Place.STREAM, Place.RETURN) for fault in faults):
            audio = _to_24_bits(audio)
        self._let_time_pass(send, audio, queued_at)
        flags = [round(fault.at_s * self.sample_rate) for fault in faults if fault.name == "xrun"]
        recording = Recording(
            audio,
            xrun_frames=tuple(sorted(flag for flag in flags if flag < len(send))),
            stream_frame=self._frame,
            started_at=started_at,
            elapsed_s=len(send) / self.sample_rate,
        )
        self._frame += len(send)
        return recording

    def play_and_record(self, send: Float32) -> Recording:
        """`play` and `record`."""
        self.play(send)
        return self.record()

    def withdraw(self) -> bool:
        """Take back the send that was queued last, unless it is the one that sounds."""
        if len(self._queue) < AT_ONCE:
            return False
        self._queue.pop()
        self._queued_at.pop()
        return True

    def sounding(self, frames: int) -> Sounding | None:
        """See `Watchable`; None without a pace."""
        if (sounds := self._sounds) is None or self._pace is None:
            return None
        sent, returned, began_at = sounds
        frame = min(max(int((time.monotonic() - began_at) * self.sample_rate * self._pace), 0), len(sent))
        return Sounding(
            frame, len(sent), sent[max(0, frame - frames) : frame], returned[max(0, frame - frames) : frame], 0
        )

    def close(self) -> None:
        """Nothing to give back."""

    def revive(self) -> None:
        """Open the device again after it died: a new stream, and every knob of the units where it was."""
        self._dead = None
        self._queue.clear()
        self._queued_at.clear()
        self._frame = 0

    def _require_life(self) -> None:
        if self._dead is not None:
            raise DeviceError(self._dead)

    def _let_time_pass(self, send: Float32, audio: Float32, queued_at: float) -> None:
        """Be back when `send` has ended, had it begun right behind the one before or when it was queued."""
        if self._pace is None:
            return
        began_at = max(queued_at, self._free_at)
        self._free_at = began_at + len(send) / self.sample_rate / self._pace
        self._sounds = send, audio, began_at
        try:
            time.sleep(max(0.0, self._free_at - time.monotonic()))
        finally:
            self._sounds = None

    def _through_everything(self, send: Float32, faults: Sequence[Fault]) -> Float32:
        """`(frames, inputs)`, a block at a time; cut where a knob is moved in the middle."""
        audio = np.empty((len(send), len(self._wiring.inputs)), np.float32)
        moves = {round(fault.at_s * self.sample_rate): fault for fault in faults if fault.name == "nudge"}
        cuts = sorted({*range(0, len(send), BLOCK_FRAMES), len(send), *(at for at in moves if at < len(send))})
        for begin, end in pairwise(cuts):
            if begin in moves:
                self._units[moves[begin].unit - 1].nudge(moves[begin])
            block = send[begin:end]
            for number, unit in enumerate(self._units):
                wrong = {fault.name for fault in faults if fault.place is Place.UNIT and fault.unit == number + 1}
                returns, cv = unit.through(sent(block, self._wiring.sends[number]), wrong)
                for column, heard in zip(self._wiring.returns[number], returns, strict=True):
                    self._convert(heard, column, begin, audio[begin:end])
                for column in self._wiring.cv[number]:
                    self._convert(cv[0], column, begin, audio[begin:end])
            if self._wiring.loopback_input is not None and self._wiring.loopback_output is not None:
                wire = self._wire.through(planar(sent(block, [self._wiring.loopback_output])))
                self._convert(wire[0], self._wiring.loopback_input, begin, audio[begin:end])
        return audio

    def _convert(self, heard: Float32, column: int, begin: int, out: Float32) -> None:
        convert(heard, self._noise, self._keys[column], self._frame + begin, out[:, column])


class VirtualPanel:
    """A `Panel` that turns the knobs of one unit (from 0) of a virtual interface: truthfully, but for its faults."""

    hands_free = True

    def __init__(self, interface: VirtualInterface, unit: int = 0):
        self._interface, self._unit = interface, unit

    def bring(self, setting: Setting, before: Setting | None) -> None:
        """Turn every control at once."""
        self._interface.turn(setting.values, self._unit)

    def correct(self, setting: Setting, told: str, suspect: Suspect | None = None) -> Answer:
        """Turn them once more."""
        self.bring(setting, None)
        return AGAIN

    def close(self) -> None:
        """Nothing to give back."""


class VirtualOperator:
    """A `Panel` for which a person answers, and the simulated knobs follow the answer: a rehearsal without hardware."""

    hands_free = False

    def __init__(self, operator: Panel, knobs: VirtualPanel):
        self._operator, self._knobs = operator, knobs

    def bring(self, setting: Setting, before: Setting | None) -> None:
        """Ask, then turn what was asked for."""
        self._operator.bring(setting, before)
        self._knobs.bring(setting, before)

    def correct(self, setting: Setting, told: str, suspect: Suspect | None = None) -> Answer:
        """Ask, then turn it once more, unless it is taken as it is."""
        answer = self._operator.correct(setting, told, suspect)
        if answer == AGAIN:
            self._knobs.bring(setting, None)
        return answer

    def close(self) -> None:
        """Nothing to give back."""
        self._operator.close()


class _VirtualUnit:
    """One unit between its sends and its returns."""

    def __init__(
        self, specimen: Specimen, sample_rate: int, latency_samples: float, wiring: Wiring, number: int
    ) -> None:
        channels = len(wiring.returns[number])
        self._specimen, self._sample_rate = specimen, sample_rate
        self._colour = Colour(specimen, sample_rate, channels)
        least = least_latency_samples(self._colour.delay)
        if latency_samples < least:
            raise UsageError(
                "the virtual latency is too short to be causal",
                got=f"{latency_samples:g} samples",
                allowed=f"{least} or more",
            )
        self._latency = Latency(latency_samples - self._colour.delay, channels)
        self._cv_latency = Latency(latency_samples, 1) if wiring.cv[number] else None
        self._state = rested_state()
        self._values: Mapping[str, Position] | None = None  # None: nobody has touched it, and it is not in circuit
        self._knobs: Knobs | None = None

    def turn(self, values: Mapping[str, Position], faults: Sequence[Fault]) -> None:
        """See `VirtualInterface.turn`."""
        if missing := [name for name in NEEDED if name not in values]:
            raise UsageError(
                f"the virtual unit is a bus compressor; this profile has no {', '.join(missing)}",
                mend="use a profile such as ssl-500-bus with the virtual device",
            )
        for name in set(values) - set(DETENTS):
            if values[name] not in NEUTRAL:
                raise UsageError(
                    f"the virtual unit does not simulate {name}", got=shown(values[name]), mend="hold it at off"
                )
        self._stand({name: value for name, value in values.items() if name in DETENTS})
        for fault in faults:
            self.nudge(fault)

    def nudge(self, fault: Fault) -> None:
        """Move one control by what `fault` says; a unit that was never turned has none."""
        if self._values is None:
            return
        values = dict(self._values)
        before = values.get(fault.word, DETENTS[fault.word][0])
        if fault.name == "pot" and not isinstance(before, bool | str):
            values[fault.word] = before + fault.amount
        else:
            values[fault.word] = detents_away(fault.word, before, round(fault.amount))
        self._stand(values)

    def through(self, played: Float32, wrong: set[str]) -> tuple[Float32, Float32]:
        """Returns (channels, frames) and control voltage (1, frames) for `played` (frames, channels)."""
        output, gain_db = played, np.zeros(len(played), np.float32)
        wire = "loopback" in wrong
        if self._knobs is not None and not wire:
            knobs = replace(self._knobs, engaged=False) if "bypass" in wrong else self._knobs
            output = np.empty_like(played)
            compress_into(played, output, gain_db, self._sample_rate, knobs, self._specimen, self._state)
        returns = self._latency.through(self._colour.through(planar(output), wire))
        if self._cv_latency is None:
            return returns, gain_db[None]
        return returns, self._cv_latency.through(gain_db[None] / np.float32(CV_DB_AT_FULL_SCALE))

    def _stand(self, values: Mapping[str, Position]) -> None:
        self._values, self._knobs = values, Knobs.of(values)


def _as_long_as(before: Float32 | None, send: Float32) -> Float32:
    """The send before, cut or filled with silence to the length of `send`."""
    out = np.zeros_like(send)
    if before is not None:
        out[: len(before)] = before[: len(send)]
    return out


def _to_24_bits(audio: Float32) -> Float32:
    codes = np.clip(np.rint(audio * np.float32(FULL_SCALE)), -FULL_SCALE, FULL_SCALE - 1)
    return np.asarray(codes / np.float32(FULL_SCALE), np.float32)
