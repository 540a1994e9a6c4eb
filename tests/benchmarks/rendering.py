"""From MIDI to audio: fluidsynth renders, and a cache keeps what was rendered before.

    Song       a MIDI file with its truth: tempo and key
    Clip       the audio that was rendered of it, with the same truth
    Sources    where SoundFonts, MIDI files and libraries lie: below folders that were named, then the system's data

All that a render depends on is in the name of its file: the MIDI (its first seconds), the SoundFont, the options, the
version of fluidsynth. Audio has one channel, 16 bits and a peak of -12 dBFS, the level of a dry song.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import mido
import numpy as np
import soundfile

from buscomp.manifests.pcm import Float32
from buscomp.manifests.storage import write_whole

PEAK = 10 ** (-12 / 20)
GAIN = "0.2"  # of fluidsynth: twice that goes far beyond full scale in one of thirty songs
FLUID, OPL, TIM = "FluidR3_GM.sf2", "OPL-3_FM_128M.sf2", "TimGM6mb.sf2"
PACKAGES = {FLUID: "fluid-soundfont-gm", OPL: "opl3-soundfont", TIM: "timgm6mb-soundfont"}


class MissingSourceError(Exception):
    """Something to make songs of is not on this machine. Its text says what, and which package brings it."""


@dataclass(frozen=True)
class Song:
    """A MIDI file and its truth, each None where nobody knows it. `effects`: reverb and chorus of the synthesiser."""

    name: str
    midi: Path
    bpm: float | None
    key: str | None
    soundfont: str = FLUID
    effects: bool = True


@dataclass(frozen=True)
class Clip:
    """Rendered audio and its truth. `group` says what kind of song it is, `midi` what was rendered."""

    name: str
    group: str
    path: Path
    bpm: float | None
    key: str | None
    midi: Path | None = None

    def read(self) -> tuple[Float32, int]:
        """The samples (frames,) and how many there are in a second."""
        audio, rate = soundfile.read(self.path, dtype="float32")
        return np.asarray(audio, np.float32), int(rate)


@dataclass(frozen=True)
class Sources:
    """`folders`: where packages were unpacked (`dpkg -x PACKAGE.deb FOLDER`). The system's data folders come after."""

    folders: tuple[Path, ...] = ()

    def find(self, place: str, package: str) -> Path:
        """The file or folder at `place` below `share`. `MissingSourceError` where no package brought it."""
        system = os.environ.get("XDG_DATA_DIRS") or os.pathsep.join(("/usr/local/share", "/usr/share"))
        shares = [folder / "usr" / "share" for folder in self.folders] + [Path(p) for p in system.split(os.pathsep)]
        for share in shares:
            if (share / place).exists():
                return share / place
        raise MissingSourceError(f"{place} is missing (Debian package {package})")

    def soundfont(self, name: str) -> Path:
        """The SoundFont of that name."""
        return self.find(f"sounds/sf2/{name}", PACKAGES[name])


def cache_folder() -> Path:
    """Where MIDI and audio are kept unless the user names another folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "buscomp" / "benchmarks"


def render(song: Song, group: str, folder: Path, sources: Sources, rate: int, seconds: float) -> Clip:
    """The clip of the first `seconds` of `song` at `rate` Hz: rendered into `folder`, or found there."""
    font = sources.soundfont(song.soundfont)
    options = ["-g", GAIN, "-r", str(rate), *([] if song.effects else ["-R", "0", "-C", "0"])]
    made_of = (_sha256(font), fluidsynth_version(), *options, str(seconds))
    mark = hashlib.sha256(song.midi.read_bytes() + " ".join(made_of).encode())
    path = folder / "audio" / f"{mark.hexdigest()[:32]}.flac"

    def write(temporary: Path) -> None:
        midi, wav = temporary.with_suffix(".mid"), temporary.with_suffix(".wav")
        try:
            first_seconds(mido.MidiFile(song.midi), seconds).save(midi)
            subprocess.run(
                ["fluidsynth", "-ni", "-q", *options, "-T", "wav", "-O", "float", "-F", str(wav), str(font), str(midi)],
                check=True,
                capture_output=True,
            )
            audio, _ = soundfile.read(wav, dtype="float32", frames=round(seconds * rate), always_2d=True)
        finally:
            midi.unlink(missing_ok=True)
            wav.unlink(missing_ok=True)
        write_clip(temporary, audio, rate)

    if not path.exists():
        write_whole(path, write)
    return Clip(song.name, group, path, song.bpm, song.key, song.midi)


def write_clip(path: Path, audio: Float32, rate: int) -> None:
    """Write `audio` (frames, channels) as one channel with its peak at -12 dBFS."""
    one = audio.mean(axis=1)
    peak = float(np.abs(one).max(initial=0))
    if peak == 0:
        raise ValueError(f"{path.name} would be silent")
    soundfile.write(path, one * (PEAK / peak), rate, format="FLAC", subtype="PCM_16")


def first_seconds(midi: mido.MidiFile, seconds: float) -> mido.MidiFile:
    """The beginning of `midi`, in one track, with every note off at its end."""
    track, ticks, now, tempo = mido.MidiTrack(), 0, 0.0, 500_000
    for message in mido.merge_tracks(midi.tracks):
        now += mido.tick2second(message.time, midi.ticks_per_beat, tempo)
        if now > seconds:
            break
        ticks += message.time
        if message.type == "set_tempo":
            tempo = message.tempo
        if message.type == "end_of_track":
            break
        track.append(message)
    track += [mido.Message("control_change", channel=channel, control=123) for channel in range(16)]
    return mido.MidiFile(ticks_per_beat=midi.ticks_per_beat, tracks=[track])


def dominant_tempo(midi: mido.MidiFile) -> tuple[float, float]:
    """The tempo in BPM that is held longest, and the share of the time for which it is."""
    held: dict[int, float] = {}
    tempo = 500_000
    for message in mido.merge_tracks(midi.tracks):
        held[tempo] = held.get(tempo, 0.0) + mido.tick2second(message.time, midi.ticks_per_beat, tempo)
        if message.type == "set_tempo":
            tempo = message.tempo
    longest = max(held, key=lambda each: held[each])
    return 60e6 / longest, held[longest] / max(sum(held.values()), 1e-9)


@cache
def fluidsynth_version() -> str:
    """What the installed fluidsynth calls itself. `MissingSourceError` where there is none."""
    if shutil.which("fluidsynth") is None:
        raise MissingSourceError("fluidsynth is missing (Debian package fluidsynth)")
    said = subprocess.run(["fluidsynth", "--version"], check=True, capture_output=True, text=True).stdout
    found = re.search(r"(?:version|executable)\D*([\d.]+)", said)
    return found.group(1) if found else said


@cache
def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
