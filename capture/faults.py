"""Faults that the virtual device commits on demand: `drop:256@1.5`, `knob:release+1`, `2/swap#3`.

    [UNIT/]NAME[:VALUE][@SECONDS][#N]

UNIT counts from 1 and is 1 unless said. SECONDS count into the recording of each send. N is the number of the one send
of the session, from 1, that is spoiled (for `knob` and `pot`: of the one time that the panel is brought to a setting;
for `latency`: of the first send); without it every one is.

What damages the stream damages all inputs alike, the loopback too; what is wrong at one unit is seen in its returns
only. A fault of sound is a pure function, `Fault.apply`, so that a detector can be tested on arrays.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

import numpy as np

from ..manifests.errors import UsageError
from ..manifests.levels import from_db
from ..manifests.pcm import Float32
from .analogue import read_late
from .specimen import DETENTS

MAINS_HARMONICS = 5
RESIDUAL_NOISE_DBFS = -100.0  # what an open input hears
SIDES = ("left", "right", "both")


class Place(Enum):
    """Where a fault happens."""

    STREAM = "every input alike"
    RETURN = "the returns of one unit"
    SEND = "what is sent"
    UNIT = "inside the unit, or instead of it"
    PANEL = "the knobs of one unit"
    DRIVER = "the audio driver"


@dataclass(frozen=True)
class Kind:
    """One kind of fault: what it needs, where it happens, what it means."""

    place: Place
    value: str  # how VALUE is written; empty: none
    meaning: str
    at: str = ""  # `needed` or `possible`: whether @SECONDS means something


FAULTS = {
    "swap": Kind(Place.RETURN, "", "left and right are exchanged"),
    "polarity": Kind(Place.RETURN, "left|right|both", "a return has the opposite sign"),
    "mono": Kind(Place.RETURN, "", "both returns carry the mean of left and right (a summed cable)"),
    "mute": Kind(Place.RETURN, "left|right|both", "a return is missing; analogue noise is left"),
    "dead": Kind(Place.RETURN, "", "digital silence from SECONDS on: the host of a plugin died", "possible"),
    "drop": Kind(Place.STREAM, "SAMPLES", "samples are lost at SECONDS; what follows is early", "needed"),
    "insert": Kind(Place.STREAM, "SAMPLES", "a block is heard twice at SECONDS; what follows is late", "needed"),
    "repeat": Kind(Place.STREAM, "SAMPLES", "a block is replaced by the one before it; no time is lost", "needed"),
    "zero": Kind(Place.STREAM, "SAMPLES", "a block is replaced by digital silence; no time is lost", "needed"),
    "clip": Kind(Place.RETURN, "DBFS", "the return cannot exceed this peak"),
    "dc": Kind(Place.RETURN, "LEVEL", "a constant is added, re full scale 1"),
    "hum": Kind(Place.RETURN, "DBFS[/60]", "mains hum of 50 (or 60) Hz with harmonics is added, RMS"),
    "noise": Kind(Place.RETURN, "DBFS", "white noise is added, RMS"),
    "gain": Kind(Place.RETURN, "DB", "both returns are louder"),
    "imbalance": Kind(Place.RETURN, "DB", "left is louder than right: right is turned down"),
    "drift": Kind(Place.STREAM, "PPM", "the return's clock is not the send's: it falls behind"),
    "latency": Kind(Place.STREAM, "SAMPLES", "everything is later, from send N on"),
    "bypass": Kind(Place.UNIT, "", "the compressor is not in circuit; make-up is"),
    "loopback": Kind(Place.UNIT, "", "the return is wired to the send"),
    "stale": Kind(Place.SEND, "", "the send before this one is heard again"),
    "knob": Kind(Place.PANEL, "CONTROL+N|CONTROL-N", "the panel stands N detents off"),
    "pot": Kind(Place.PANEL, "CONTROL+X|CONTROL-X", "a pot is missed by X (of its unit)"),
    "nudge": Kind(Place.PANEL, "CONTROL+N|CONTROL-N", "a knob is moved at SECONDS of send N, and stays", "possible"),
    "xrun": Kind(Place.DRIVER, "", "the driver raises its flag at SECONDS; the audio is whole", "possible"),
    "die": Kind(Place.DRIVER, "", "the device dies at SECONDS", "possible"),
}
_SPEC = re.compile(r"(?:(\d+)/)?([a-z]+)(?::([^@#:]+))?(?:@(\d+(?:\.\d*)?|\.\d+))?(?:#(\d+))?")
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)"


def form(name: str) -> str:
    """How a fault is written: `drop:SAMPLES@SECONDS`."""
    kind = FAULTS[name]
    at = {"needed": "@SECONDS", "possible": "[@SECONDS]"}.get(kind.at, "")
    return name + (f":{kind.value}" if kind.value else "") + at


@dataclass(frozen=True)
class Fault:
    """One fault. Made by `parse_fault`, or directly."""

    name: str
    amount: float = 0.0  # of its VALUE: samples, dB, ppm, detents, ...
    word: str = ""  # of its VALUE: a side, a control, the mains frequency
    at_s: float = 0.0
    send: int | None = None
    unit: int = 1

    @property
    def place(self) -> Place:
        return FAULTS[self.name].place

    def __str__(self) -> str:
        """As it is written on the command line."""
        number = f"{self.amount:.9g}"
        value = {
            "polarity": self.word,
            "mute": self.word,
            "hum": number + ("/60" if self.word == "60" else ""),
        }.get(self.name, f"{self.word}{self.amount:+.9g}" if self.place is Place.PANEL else number)
        text = self.name if self.unit == 1 else f"{self.unit}/{self.name}"
        text += f":{value}" if FAULTS[self.name].value else ""
        if self.at_s or FAULTS[self.name].at == "needed":
            text += f"@{np.format_float_positional(self.at_s, trim='-')}"
        return text + (f"#{self.send}" if self.send else "")

    def apply(self, audio: Float32, sample_rate: int, rng: np.random.Generator) -> Float32:
        """`audio` (frames, channels) with this fault in it; one that happens in the stream or at the returns. A
        recording that ends before SECONDS is spared. Left is channel 0."""
        at = round(self.at_s * sample_rate)
        if self.place not in (Place.STREAM, Place.RETURN):
            raise ValueError(f"{self} happens at {self.place.value}, not in the audio")
        if at >= len(audio):
            return audio
        match self.name:
            case "drop" | "insert" | "repeat" | "zero":
                return _damaged(audio, self.name, at, round(self.amount))
            case "latency":
                return _later(audio, round(self.amount))
            case "drift":
                return read_late(audio, self.amount * 1e-6)
            case "hum":
                return _plus(audio, _hum(len(audio), float(self.word or 50), self.amount, sample_rate)[:, None])
            case "noise":
                return _plus(audio, from_db(self.amount) * rng.standard_normal(audio.shape, np.float32))
            case "dc":
                return _plus(audio, np.float32(self.amount))
            case "clip":
                limit = np.float32(from_db(self.amount))
                return np.clip(audio, -limit, limit)
            case "mono":
                return np.repeat(audio.mean(axis=1, keepdims=True, dtype=np.float32), audio.shape[1], axis=1)
            case "swap":
                return np.ascontiguousarray(audio[:, ::-1])
        audio = audio.copy()
        match self.name:
            case "dead":
                audio[at:] = 0
            case "polarity":
                audio[:, _side(self.word)] *= -1
            case "mute":
                muted = audio[:, _side(self.word)]
                muted[:] = from_db(RESIDUAL_NOISE_DBFS) * rng.standard_normal(muted.shape, np.float32)
            case "gain":
                audio *= np.float32(from_db(self.amount))
            case "imbalance":
                audio[:, 1:] *= np.float32(from_db(-self.amount))
        return audio


@dataclass
class FaultSchedule:
    """All faults of a session, and how far it has come. One schedule outlives the interfaces of its session, so that
    `die#3` does not kill the device again when it is opened again."""

    faults: Sequence[Fault] = ()
    sends: int = 0
    turns: dict[int, int] = field(default_factory=dict)  # of every unit's panel

    def next_send(self) -> list[Fault]:
        """The faults of the send that begins now, those of the panel that hurt in a send among them."""
        self.sends += 1
        return [
            fault
            for fault in self.faults
            if fault.name not in ("knob", "pot")
            and (
                fault.send in (None, self.sends)
                or (fault.name == "latency" and fault.send is not None and fault.send < self.sends)
            )
        ]

    def next_turn(self, unit: int) -> list[Fault]:
        """The faults of the panel of `unit` (from 1), which is brought to a setting now."""
        self.turns[unit] = self.turns.get(unit, 0) + 1
        return [
            fault
            for fault in self.faults
            if fault.name in ("knob", "pot") and fault.unit == unit and fault.send in (None, self.turns[unit])
        ]


def parse_fault(text: str) -> Fault:
    """The fault that `text` describes; `UsageError` for one that cannot be meant."""
    match = _SPEC.fullmatch(text.strip())
    if match is None or match[2] not in FAULTS:
        raise UsageError(
            "no such fault", got=text, allowed=FAULTS, mend="write NAME, NAME:VALUE, NAME:VALUE@SECONDS or ...#SEND"
        )
    unit, name, value, at, send = match.groups()
    kind = FAULTS[name]
    if bool(value) != bool(kind.value):
        needed = f"{name}:{kind.value}" if kind.value else name
        raise UsageError(f"{name} {'needs' if kind.value else 'takes no'} value", got=text, allowed=needed)
    if (kind.at == "needed" and at is None) or (not kind.at and at is not None):
        raise UsageError(
            f"{name} {'needs a time' if kind.at else 'has no time'}",
            got=text,
            allowed=name + (f":{kind.value}" if kind.value else "") + ("@SECONDS" if kind.at else ""),
        )
    if "0" in (unit, send):
        raise UsageError("units and sends count from 1", got=text)
    if name == "nudge" and send is None:
        raise UsageError("nudge moves a knob once", got=text, mend=f"say in which send: {text}#2")
    fault = Fault(name, at_s=float(at or 0), send=None if send is None else int(send), unit=int(unit or 1))
    return _with_value(fault, value, text) if value else fault


def _with_value(fault: Fault, value: str, text: str) -> Fault:
    kind = FAULTS[fault.name]
    if kind.value == "left|right|both":
        if value not in SIDES:
            raise UsageError(f"{fault.name} needs a side", got=text, allowed=SIDES)
        return replace(fault, word=value)
    if fault.place is Place.PANEL:
        return _with_control(fault, value, text)
    match = re.fullmatch(rf"({_NUMBER})(?:/(50|60))?" if fault.name == "hum" else rf"({_NUMBER})", value)
    amount = float(match[1]) if match else 0.0
    whole = kind.value == "SAMPLES"
    if match is None or (whole and amount != round(amount)) or (whole and fault.name != "latency" and amount < 1):
        raise UsageError(
            f"{fault.name} needs a number",
            got=text,
            allowed=f"{fault.name}:{kind.value}" + (", a whole number of samples" if whole else ""),
        )
    return replace(fault, amount=amount, word=(match[2] or "") if fault.name == "hum" else "")


def _with_control(fault: Fault, value: str, text: str) -> Fault:
    match = re.fullmatch(rf"([a-z_]+)({_NUMBER})", value)
    names = {name.rsplit("_", 1)[0]: name for name in DETENTS} | {name: name for name in DETENTS}
    if match is None or match[1] not in names:
        raise UsageError(
            f"{fault.name} needs a control and how far it is off",
            got=text,
            allowed=[f"{name}{'+0.5' if fault.name == 'pot' else '+1'}" for name in DETENTS],
        )
    control, amount = names[match[1]], float(match[2])
    if fault.name == "pot" and control not in ("threshold_db", "makeup_db"):
        raise UsageError("this control is a switch, not a pot", got=text, allowed=("threshold_db", "makeup_db"))
    if amount == 0 or (fault.name != "pot" and amount != round(amount)):
        raise UsageError(f"{fault.name} needs a whole number of detents other than 0", got=text)
    return replace(fault, word=control, amount=amount)


def _side(word: str) -> slice:
    return {"left": slice(0, 1), "right": slice(1, 2), "both": slice(None)}[word]


def _plus(audio: Float32, added: object) -> Float32:
    return np.asarray(audio + np.asarray(added, np.float32), np.float32)


def _damaged(audio: Float32, name: str, at: int, size: int) -> Float32:
    out, frames = audio.copy(), len(audio)
    end = min(at + size, frames)
    if name == "zero":
        out[at:end] = 0
    elif name == "repeat":
        before = audio[max(0, at - size) : at][: end - at]
        out[at : at + len(before)] = before
    elif name == "insert":
        out[end:] = audio[at : at + frames - end]
    else:  # what comes after the recording is not known; it ends with silence, whose noise may as well run backwards
        out[at:] = _filled(audio[end:], frames - at, audio)
    return out


def _filled(rest: Float32, frames: int, audio: Float32) -> Float32:
    missing = frames - len(rest)
    return np.concatenate([rest, np.resize(audio[::-1], (missing, audio.shape[1]))])


def _later(audio: Float32, samples: int) -> Float32:
    """Shifted by whole samples; the noise at the end that was left fills the other."""
    if samples < 0:
        return _filled(audio[-samples:], len(audio), audio)
    return (
        np.concatenate([audio[:samples][::-1], audio])[: len(audio)] if samples < len(audio) else np.zeros_like(audio)
    )


def _hum(frames: int, mains_hz: float, level_dbfs: float, sample_rate: int) -> Float32:
    """Mains and its harmonics, each 6 dB under the last, `level_dbfs` RMS together."""
    amplitudes = 0.5 ** np.arange(MAINS_HARMONICS)
    amplitudes *= from_db(level_dbfs) * np.sqrt(2 / np.sum(amplitudes**2))
    phase = 2 * np.pi * mains_hz / sample_rate * np.arange(frames)
    hum = sum(a * np.sin((k + 1) * phase + k) for k, a in enumerate(amplitudes))
    return np.asarray(hum, np.float32)
