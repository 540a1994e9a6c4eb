"""SignalTrain LA2A: pairs of mono files in three folders, joined by a number.

    Train/input_152_.wav
    Train/target_152_LA2A_3c__0__70.wav      number 152, switch 0, peak reduction 70

Version 1.0 has targets that lie elsewhere than their inputs. It is known by measuring them, and refused. Which position
of the switch is the compressor is not published: it stays 0 and 1 unless you say so.
"""

from __future__ import annotations

import re
from pathlib import Path

from ..manifests.cells import SEEN, UNSEEN, VALIDATION
from ..manifests.decode import SongRefusedError
from ..manifests.errors import DatasetError, UsageError
from ..manifests.finding import INVALID, MISSING, Finding
from ..manifests.lag import CLEAR
from ..manifests.unit import Position
from .import_layout import AudioFile, Layout, SourceSong, SourceTake, audio_files, folders, require_folders
from .imported_audio import lag_of
from .imported_unit import Knob, Profile, load_profile

ROLES = {"Train": SEEN, "Val": VALIDATION, "Test": UNSEEN}
INPUT = re.compile(r"input_(\d+)_?")
TARGET = re.compile(r"target_(\d+)_[^_]+(?:_\d+c)?((?:__-?\d+(?:\.\d+)?)*)")
LATE_IN_1_0 = ("148", "149", "150", "151", "152")  # by 8583 samples
MISPLACED_IN_1_0 = ("235", "236", "245")
CLEARLY_LATE_SAMPLES = 100
MODES = ("compress", "limit")


def read_signaltrain(source: Path, *, switch_0: str | None = None) -> Layout:
    """What lies in `source`. `switch_0`: compress or limit, if you know what the switch does at 0.

    `UsageError` for another layout, `DatasetError` for version 1.0."""
    if not (source / "Train").is_dir() and len(inside := folders(source)) == 1:
        source = inside[0]  # the archive's one top folder
    require_folders(source, ROLES, "SignalTrain LA2A")
    if switch_0 is not None and switch_0 not in MODES:
        raise UsageError("--switch-0 says what the switch does at 0", got=switch_0, allowed=MODES)
    profile = _named(load_profile("signaltrain"), switch_0)
    findings: list[Finding] = []
    songs, takes = [], []
    for folder, role in ROLES.items():
        inputs: dict[str, AudioFile] = {}
        targets: dict[str, tuple[AudioFile, dict[str, Position], str]] = {}
        for path in audio_files(source / folder):
            audio = AudioFile(source, path.relative_to(source).as_posix())
            if match := INPUT.fullmatch(path.stem):
                if match[1] in inputs:
                    findings.append(Finding(INVALID, audio.name, f"a second input has the number {match[1]}"))
                    continue
                inputs[match[1]] = audio
            elif match := TARGET.fullmatch(path.stem):
                values = _values(match[2], audio.name, profile, switch_0, findings)
                if match[1] in targets:
                    findings.append(Finding(INVALID, audio.name, f"a second target has the number {match[1]}"))
                elif values is not None:
                    targets[match[1]] = audio, values, match[2].removeprefix("__")
            else:
                findings.append(Finding(INVALID, audio.name, "its name is neither input_N_ nor target_N_UNIT__A__B"))
        invalid = {finding.path for finding in findings}
        for number, audio in inputs.items():
            if number not in targets:
                if not any(f"/target_{number}_" in path for path in invalid):
                    findings.append(Finding(MISSING, f"{folder}/target_{number}_*.wav", f"{audio.name} needs it"))
                continue
            song_id = f"{folder.lower()}-{number}"
            songs.append(SourceSong(song_id, audio.path.stem, audio))
            wet, values, name = targets[number]
            takes.append(SourceTake(song_id, name, values, wet, song_role=role))
        findings += [
            Finding(MISSING, f"{folder}/input_{number}_.wav", f"{targets[number][0].name} needs it")
            for number in targets
            if number not in inputs
        ]
    _refuse_1_0(songs, takes)
    unit = profile.with_positions(take.values for take in takes)
    return Layout(
        f"{profile.title} 1.1", unit, songs, takes, profile.sample_rate or 44_100, channels=(1,), findings=findings
    )


def _named(profile: Profile, switch_0: str | None) -> Profile:
    """The profile with words instead of 0 and 1, where they are known: the control of `la-2a.yaml`."""
    if switch_0 is None:
        return profile
    mode = Knob(label="LIMIT/COMPRESS", kind="switch", short="mod", meaning="compress or limit", words=MODES)
    controls = {"mode": mode, "peak_reduction": profile.controls["peak_reduction"]}
    return profile.model_copy(update={"controls": controls})


def _values(
    text: str, name: str, profile: Profile, switch_0: str | None, findings: list[Finding]
) -> dict[str, Position] | None:
    """`__0__70` as a setting, or None and a finding."""
    numbers = [float(part) for part in text.split("__")[1:]]
    if len(numbers) != 2:
        told = f"{len(numbers)} values of controls instead of 2, switch and peak reduction"
        findings.append(Finding(INVALID, name, told))
        return None
    switch: Position = numbers[0]
    if switch not in (0, 1):
        findings.append(Finding(INVALID, name, f"switch: {numbers[0]:g} is no position (allowed: 0, 1)"))
        return None
    if switch_0 is not None:
        switch = switch_0 if switch == 0 else next(mode for mode in MODES if mode != switch_0)
    values = {("switch" if switch_0 is None else "mode"): switch, "peak_reduction": numbers[1]}
    if wrong := profile.out_of_range(values):
        findings.append(Finding(INVALID, name, wrong))
        return None
    return values


def _refuse_1_0(songs: list[SourceSong], takes: list[SourceTake]) -> None:
    """Measure the pairs that version 1.0 has in the wrong place."""
    dry = {song.song_id: song.audio for song in songs}
    for take in takes:
        number = take.song_id.rpartition("-")[2]
        if number not in LATE_IN_1_0 + MISPLACED_IN_1_0:
            continue
        try:
            lag = lag_of(dry[take.song_id].read()[0], take.audio.read()[0])
        except SongRefusedError:
            continue  # told of when it is converted
        if lag is not None and (abs(lag.samples) > CLEARLY_LATE_SAMPLES or lag.resemblance < CLEAR):
            lags = f"lags its input by {lag.samples} samples"
            where = lags if lag.resemblance >= CLEAR else "lies nowhere near its input"
            raise DatasetError(f"this is SignalTrain LA2A 1.0: {take.audio.name} {where}", mend="get version 1.1")
